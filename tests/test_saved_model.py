"""What load_model lets in: models that are whole, harmless, and fit what lies beside them."""

import contextlib
import json
import shutil
import zipfile

import numpy as np
import pytest
from msgspec import structs

from captioning import storage
from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network import saved_model
from captioning.network.model import build_captioner
from captioning.network.saved_model import SavedModel, load_model, save_model
from captioning.photos.features import EncoderRecord, read_encoder_record
from captioning.text.vocabulary import Vocabulary, read_vocabulary, write_vocabulary

FLIPS = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Writes a model folder as train.py does, with a network that was never trained."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    vocabulary = Vocabulary(("startseq", "endseq", "dog", "cat"), 5, {})
    record = EncoderRecord(
        **dict.fromkeys(("encoder", "layer", "weights_sha256", "resizing", "weights"), "x"),
        input_size=[2, 2],
        length=6,
    )
    keras.utils.set_random_seed(1)
    captioner = build_captioner(vocabulary.size, 6, units=8)
    save_model(folder, SavedModel(captioner, vocabulary, record), {})
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "model")
    return tmp_path / "model"


def probabilities(folder):
    inputs = [np.ones((1, 6), dtype=np.float32), np.array([[1, 3]], dtype=np.int32)]
    return np.asarray(load_model(folder).captioner.predict_on_batch(inputs))


def test_what_train_writes_is_loaded(folder):
    assert probabilities(folder).shape == (1, 2, 5)


def test_a_vocabulary_of_the_same_size_but_other_words_is_refused(folder):
    vocabulary = read_vocabulary(folder, "")
    words = ("startseq", "endseq", "cat", "dog")
    write_vocabulary(folder, Vocabulary(words, vocabulary.maximum_length, vocabulary.cleaning))
    with pytest.raises(UserError, match=r"captioner\.keras was not trained with .*vocabulary"):
        load_model(folder)


def test_another_encoder_of_the_same_length_is_refused(folder):
    record = structs.replace(read_encoder_record(folder), weights_sha256="y")
    storage.write_json(folder / "features.json", record)
    with pytest.raises(UserError, match=r"was not trained with .*features\.json"):
        load_model(folder)


def rewrite_config(path, change):
    """Changes the configuration in the archive, with checksums that are right again."""
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    content = json.loads(parts["config.json"])
    change(content)
    parts["config.json"] = json.dumps(content).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for part, written in parts.items():
            archive.writestr(part, written)


def photo_dropout_of(content):
    """Finds the dropout layer inside of the photo half, in the captioner's configuration."""
    halves = {layer["name"]: layer for layer in content["config"]["layers"]}
    layers = halves["photo_half"]["config"]["layers"]
    (layer,) = [layer for layer in layers if layer["name"] == "photo_dropout"]
    return layer


def test_a_model_that_would_run_a_stranger_s_code_is_refused_unrun(folder, tmp_path):
    """Hides a Lambda layer in the model; its code would leave a file behind."""
    trace = tmp_path / "trace"
    code = keras.saving.serialize_keras_object(
        keras.layers.Lambda(eval(f"lambda x: (open({str(trace)!r}, 'w'), x)[1]"))
    )

    def plant(content):
        layer = photo_dropout_of(content)
        layer.update({key: code[key] for key in ("module", "class_name", "registered_name")})
        layer["config"] = {**code["config"], "name": "photo_dropout"}

    rewrite_config(folder / "captioner.keras", plant)
    with pytest.raises(UserError, match=r"captioner\.keras"):
        load_model(folder)
    assert not trace.exists()
    # The code is really there: Keras runs it if told to trust the file.
    keras.models.load_model(folder / "captioner.keras", compile=False, safe_mode=False)
    assert trace.exists()


@pytest.mark.parametrize("module", ["os", "builtins", "subprocess"])
def test_a_class_from_elsewhere_is_refused(folder, module):
    def plant(content):
        names = {"module": module, "class_name": "system", "registered_name": "system"}
        photo_dropout_of(content).update(names)

    rewrite_config(folder / "captioner.keras", plant)
    with pytest.raises(UserError, match=r"captioner\.keras"):
        load_model(folder)


def test_another_keras_network_is_refused(folder):
    network = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5)])
    network.save(folder / "captioner.keras")
    with pytest.raises(UserError, match=r"captioner\.keras is damaged or no captioner"):
        load_model(folder)


@pytest.mark.parametrize("name", ["captioner.keras", "features.json", "vocabulary.json"])
def test_flipped_bytes_are_refused_or_change_nothing(folder, name):
    """Flips one bit anywhere, again and again; the answer is the right one or a plain sentence."""
    path, expected = folder / name, probabilities(folder)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for place in generator.integers(0, len(whole), FLIPS):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        found = None
        with contextlib.suppress(UserError):
            found = probabilities(folder)
        refused += found is None
        assert found is None or np.array_equal(found, expected)
    # Most of the file matters.
    assert refused > FLIPS / 2


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model_is_refused(folder, share):
    path = folder / "captioner.keras"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"captioner\.keras"):
        load_model(folder)


def test_a_file_that_memory_is_too_short_for_is_not_called_damaged(folder, monkeypatch):
    def run_short(path):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(saved_model, "load_network", run_short)
    with pytest.raises(RuntimeError, match="new thread"):
        load_model(folder)
