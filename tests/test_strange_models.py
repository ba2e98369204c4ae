"""Model folders that a stranger made on purpose are refused in a sentence, and in little memory.

Their digests are right: whoever makes such files can compute them.
"""

import errno
import io
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_saved_model import rewrite_config

from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network.model import build_captioner, build_photo_half, halves, join_halves
from captioning.network.saved_model import SavedModel, load_model, save_model
from captioning.old import read_json, write_json
from captioning.photos.features import EncoderRecord
from captioning.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("startseq", "endseq", "dog", "cat"), 5, {})
RECORD = EncoderRecord(
    **dict.fromkeys(("encoder", "layer", "weights_sha256", "resizing", "weights"), "x"),
    input_size=[2, 2],
    length=6,
)
UNITS = 8


def save(folder, captioner):
    save_model(folder, SavedModel(captioner, VOCABULARY, RECORD), {})


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ordinary") / "model"
    save(folder, build_captioner(VOCABULARY.size, RECORD.length, units=UNITS))
    return folder


@pytest.fixture
def folder(ordinary, tmp_path):
    shutil.copytree(ordinary, tmp_path / "model")
    load_model(tmp_path / "model")
    return tmp_path / "model"


def change(path, version, **changes):
    write_json(path, read_json(path, version, "") | changes, version)


# ---- vocabulary.json and features.json ----


@pytest.mark.parametrize("length", [1, 203, 10**6, 10**12, 10**30, -5, 5.0, True, "5", None])
def test_a_maximum_length_that_no_captions_have_is_refused(folder, length):
    change(folder / "vocabulary.json", Vocabulary.FORMAT, maximum_length=length)
    with pytest.raises(UserError, match=r"vocabulary\.json is damaged \(maximum_length is not a"):
        load_model(folder)


def test_a_language_of_another_type_is_refused(folder):
    change(folder / "vocabulary.json", Vocabulary.FORMAT, cleaning={"language": ["en"]})
    with pytest.raises(UserError, match=r"vocabulary\.json is damaged \(language"):
        load_model(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("dtype", value) for value in ("x", "int8", 5, None, ["float32"], {})),
        *(("length", value) for value in (0, -1, 10**7, 10**12, 10**30, 6.0, True, None)),
        *((key, ["x"]) for key in ("encoder", "layer", "weights", "weights_sha256", "resizing")),
        *(("input_size", value) for value in (224, "224", None)),
        *(("skipped", value) for value in (5, "x", {}, [5], [{}], [{"photo": 5, "reason": "x"}])),
    ],
)
def test_a_record_of_the_encoder_that_cannot_be_right_is_refused(folder, key, value):
    change(folder / "features.json", 1, **{key: value})
    with pytest.raises(UserError, match=r"features\.json is damaged"):
        load_model(folder)


# ---- Networks of other layers ----


def with_word_half(build):
    """Returns a captioner whose word half is another; `build` is given its inputs."""
    photo_half = build_photo_half(RECORD.length, UNITS, 0)
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    embedding = keras.Input((UNITS,), name="image_embedding")
    states = [keras.Input((UNITS,)), keras.Input((UNITS,))]
    embedded = keras.layers.Embedding(VOCABULARY.size, UNITS)(token_ids)
    hidden, *new_states = build(embedded, states)
    hidden = keras.layers.Add()([hidden, keras.layers.Reshape((1, UNITS))(embedding)])
    logits = keras.layers.Dense(VOCABULARY.size)(hidden)
    inputs = [token_ids, embedding, *states]
    return join_halves(photo_half, keras.Model(inputs, [logits, *new_states], name="word_half"))


def dense(embedded, states):
    return [keras.layers.Dense(UNITS, name="lstm")(embedded)]


def gru_with_one_state_too_few(embedded, states):
    gru = keras.layers.GRU(UNITS, return_sequences=True, return_state=True, name="lstm")
    return gru(embedded, initial_state=states[0])


def states_of_other_lengths(embedded, states):
    return [keras.layers.Dense(UNITS)(embedded), *(keras.layers.Dense(1)(one) for one in states)]


def one_state_for_all_photos(embedded, states):
    summed = [keras.ops.sum(one, axis=0, keepdims=True) for one in states]
    return [keras.layers.Dense(UNITS)(embedded), *summed]


@pytest.mark.parametrize(
    "build", [dense, gru_with_one_state_too_few, states_of_other_lengths, one_state_for_all_photos]
)
def test_a_word_half_that_cannot_go_on_where_it_stopped_is_refused(tmp_path, build):
    save(tmp_path, with_word_half(build))
    with pytest.raises(UserError, match=r"captioner\.keras is damaged or no captioner"):
        load_model(tmp_path)


def lstm_and_gru(embedded, states):
    """Another network that decodes well."""
    gru = keras.layers.GRU(UNITS, return_sequences=True, return_state=True, name="lstm")
    hidden, state = gru(embedded, initial_state=states[0])
    return [hidden, state, keras.layers.Dense(UNITS)(states[1])]


def test_layers_that_someone_adds_are_let_in(tmp_path):
    save(tmp_path, with_word_half(lstm_and_gru))
    assert load_model(tmp_path).vocabulary == VOCABULARY


@pytest.mark.parametrize("size", [VOCABULARY.size - 1, VOCABULARY.size + 1, 1000])
def test_a_network_of_more_or_fewer_words_is_refused(tmp_path, size):
    save(tmp_path, build_captioner(size, RECORD.length, units=UNITS))
    with pytest.raises(UserError, match=r"captioner\.keras is damaged or no captioner"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("layer", "value"),
    [
        ("embedding", np.nan),
        ("photo_dense", np.inf),
        ("next_token", -np.inf),
        # The weights are finite, but not what is computed from them.
        ("photo_dense", 3e38),
    ],
)
def test_weights_that_are_not_finite_are_refused(tmp_path, layer, value):
    captioner = build_captioner(VOCABULARY.size, RECORD.length, units=UNITS)
    layers = [part for half in halves(captioner) for part in half.layers]
    (kernel, *_) = next(part for part in layers if part.name == layer).weights
    weights = np.array(kernel)
    # The last alone, which a caption need not reach.
    weights[slice(None) if np.isfinite(value) else (-1, -1)] = value
    kernel.assign(weights)
    save(tmp_path, captioner)
    with pytest.raises(UserError, match=r"captioner\.keras is damaged or no captioner"):
        load_model(tmp_path)


# ---- Files that ask for more memory than they have bytes ----


def refuse_before_keras_loads(folder, monkeypatch):
    """Checks that a model is refused before anything is allocated."""
    with monkeypatch.context() as patch:
        patch.setattr(keras.models, "load_model", lambda *arguments, **options: 1 / 0)
        with pytest.raises(
            UserError, match=r"captioner\.keras is damaged or no captioner"
        ) as found:
            load_model(folder)
    assert not isinstance(found.value.__cause__, ZeroDivisionError)


def rewrite_part(path, name, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for part, written in (parts | {name: content}).items():
            archive.writestr(part, written)


@pytest.mark.parametrize("name", ["model.weights.h5", "config.json", "assets/zeros"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_compressed_zeros_are_not_unpacked(folder, monkeypatch, name, compression):
    zeros = bytes(50_000_000)
    rewrite_part(folder / "captioner.keras", name, zeros, compression)
    assert (folder / "captioner.keras").stat().st_size < 200_000
    read = []
    ordinary = zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile, "read", lambda *arguments: read.append(1) or ordinary(*arguments)
    )
    refuse_before_keras_loads(folder, monkeypatch)
    assert not read


def rewrite_weights(path, change):
    with zipfile.ZipFile(path) as archive:
        file = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(file, "r+") as weights:
        change(weights)
    rewrite_part(path, "model.weights.h5", file.getvalue())


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}])
def test_arrays_that_are_not_in_the_file_are_not_made(folder, monkeypatch, options):
    """HDF5 makes up what was never written: terabytes in a file of kilobytes."""

    def plant(weights):
        found = []
        weights.visit(lambda name: found.append(name) if name.endswith("vars/0") else None)
        del weights[found[0]]
        weights.create_dataset(found[0], (10**6, 10**6), "f4", chunks=(1000, 1000), **options)

    rewrite_weights(folder / "captioner.keras", plant)
    refuse_before_keras_loads(folder, monkeypatch)


def test_many_arrays_below_any_limit_of_keras_are_not_made(folder, monkeypatch):
    def plant(weights):
        for number in range(100):
            weights.create_dataset(f"more/{number}", 10**6, "f4", chunks=(1000,))

    rewrite_weights(folder / "captioner.keras", plant)
    refuse_before_keras_loads(folder, monkeypatch)


def plant_embedding(path, words):
    """Makes the embedding one of so many words."""

    def plant(content):
        halves = {layer["name"]: layer for layer in content["config"]["layers"]}
        layers = {layer["name"]: layer for layer in halves["word_half"]["config"]["layers"]}
        layers["embedding"]["config"]["input_dim"] = words

    rewrite_config(path, plant)


@pytest.mark.parametrize("words", [10**4, 10**9, 10**15, 10**30])
def test_layers_larger_than_the_weights_are_not_made(folder, monkeypatch, words):
    plant_embedding(folder / "captioner.keras", words)
    refuse_before_keras_loads(folder, monkeypatch)


def test_layers_larger_than_the_weights_are_not_made_later(folder, monkeypatch):
    """Keras makes the variables of a scope at the end of the next one, if it still knows them."""
    plant_embedding(folder / "captioner.keras", 10**15)
    refuse_before_keras_loads(folder, monkeypatch)
    with keras.StatelessScope():
        pass


# ---- Files that cannot be read ----


def test_a_file_that_cannot_be_opened_is_not_called_damaged(folder, monkeypatch):
    ordinary = Path.open

    def forbid(path, *arguments, **options):
        if path.name == "captioner.keras":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return ordinary(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(PermissionError):
        load_model(folder)
