"""Model folders: replaced whole, whatever stops it; what a stranger made is refused unrun."""

import dataclasses
import json
import os
import shutil
import zipfile

import numpy as np
import pytest
from msgspec import structs
from support import (
    ENCODER_RECORD,
    FEATURE_LENGTH,
    VOCABULARY,
    contents,
    full_disk,
    random_captioner,
    stop_at,
)

from captioning.cli import UserError
from captioning.files import RECIPE, read_toml
from captioning.keras_setup import keras
from captioning.network.model_folder import (
    SavedModel,
    doubts_about,
    load_model,
    load_models,
    make_recipe,
    notes_on_training_photos,
    results_folder,
    save_model,
    write_recipe,
)
from captioning.photos.features import Features
from captioning.storage import write_json

RESULTS = ("scores.json", "captions.csv", "captions.html")
RECORD = structs.replace(ENCODER_RECORD, length=FEATURE_LENGTH)


@pytest.fixture(scope="module")
def models():
    """Returns an earlier model, and a new one of other words and weights."""
    words = (VOCABULARY.words, (*VOCABULARY.words[:-1], "fox"))
    return [
        SavedModel(
            random_captioner(seed),
            structs.replace(VOCABULARY, words=words[seed]),
            RECORD,
            {"": (str(seed),)},
        )
        for seed in range(2)
    ]


@pytest.fixture(scope="module")
def earlier(models, tmp_path_factory):
    """Returns the folder of the earlier model, with its results and a person's own file."""
    folder = tmp_path_factory.mktemp("earlier") / "model"
    save_model(folder, models[0], {"train": {"seed": 0}})
    for name in (*RESULTS, "README.md"):
        (folder / name).write_text("of the earlier model")
    return folder


@pytest.fixture
def folder(earlier, tmp_path):
    shutil.copytree(earlier, tmp_path / "model")
    return tmp_path / "model"


def is_new(folder, models):
    """Loads a model, checks that all of it is the earlier one or the new one, and says which."""
    found = load_model(folder)
    seed = read_toml(folder / RECIPE)["train"]["seed"]
    assert found.vocabulary == models[seed].vocabulary
    assert found.training_photos == {"": (str(seed),)}
    pairs = zip(found.captioner.weights, models[seed].captioner.weights, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    assert {(folder / name).exists() for name in RESULTS} == {seed == 0}
    assert (folder / "README.md").exists()
    assert not (folder / ".complete").exists()
    return seed == 1


# ---- Replaced whole ----


class Stop(BaseException):
    """A kill."""


# Each of five files is flushed and moved when it is written; then the folder is renamed, and each
# of the files moved to its place, the network last.
KILLS = [
    *(("replace", 5, False, False), ("rename", 1, True, False), ("rename", 1, False, True)),
    *(("replace", 8, True, True), ("replace", 10, True, True)),
]


@pytest.mark.parametrize(("name", "count", "is_before", "expected"), KILLS)
def test_a_kill_at_any_move_leaves_one_model_whole(
    folder, models, tmp_path, monkeypatch, name, count, is_before, expected
):
    with monkeypatch.context() as patch:
        stop_at(patch, os, name, count, before=is_before, error=Stop())
        # A kill leaves no time for it.
        patch.setattr(shutil, "rmtree", lambda *arguments, **options: None)
        with pytest.raises(Stop):
            save_model(folder, models[1], {"train": {"seed": 1}})
    left = shutil.copytree(folder, tmp_path / "left")
    assert is_new(folder, models) is expected
    # Nor does what it left hinder the next training.
    save_model(left, models[1], {"train": {"seed": 1}})
    assert is_new(left, models)


@pytest.mark.parametrize("limit", [0, 1_000, 10_000])
def test_a_full_disk_leaves_the_earlier_model(folder, models, limit):
    before = contents(folder)
    with full_disk(limit), pytest.raises(OSError, match="File too large"):
        save_model(folder, models[1], {"train": {"seed": 1}})
    assert contents(folder) == before


def test_a_link_to_files_of_one_s_own_moves_none(folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "vocabulary.json").write_text("mine")
    (folder / ".complete").symlink_to(own)
    load_model(folder)
    assert (own / "vocabulary.json").read_text() == "mine"


# ---- Files of a stranger, whose digests are right ----


def rewrite_part(path, name, change, compression=zipfile.ZIP_STORED):
    """Changes a part of the archive, with checksums that are right again."""
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    parts[name] = change(parts.get(name, b""))
    with zipfile.ZipFile(path, "w", compression) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


def plant(path, **keys):
    """Puts another class in the place of the dropout layer of the photo half."""

    def change(config):
        content = json.loads(config)
        halves_by_name = {layer["name"]: layer for layer in content["config"]["layers"]}
        for layer in halves_by_name["photo_half"]["config"]["layers"]:
            if layer["name"] == "photo_dropout":
                layer.update(keys)
        return json.dumps(content).encode()

    rewrite_part(path, "config.json", change)


def test_a_model_that_would_run_a_stranger_s_code_is_refused_unrun(folder, tmp_path):
    """Hides a Lambda layer in the model; its code would leave a file behind."""
    trace, path = tmp_path / "trace", folder / "captioner.keras"
    lambda_layer = keras.layers.Lambda(eval(f"lambda x: (open({str(trace)!r}, 'w'), x)[1]"))
    code = keras.saving.serialize_keras_object(lambda_layer)
    code["config"] = {**code["config"], "name": "photo_dropout"}
    names = ("module", "class_name", "registered_name", "config")
    plant(path, **{name: code[name] for name in names})
    with pytest.raises(UserError, match=r"captioner\.keras is damaged"):
        load_model(folder)
    assert not trace.exists()
    # The code is really there: Keras runs it if told to trust the file.
    keras.models.load_model(path, compile=False, safe_mode=False)
    assert trace.exists()


def dense():
    return keras.Sequential([keras.Input((FEATURE_LENGTH,)), keras.layers.Dense(5)])


DAMAGES = {
    "another network": ("captioner.keras", lambda path: dense().save(path), "not trained with"),
    "a class from elsewhere": (
        "captioner.keras",
        lambda path: plant(path, module="os", class_name="system", registered_name="system"),
        "is damaged",
    ),
    "zeros that unpack": (
        "captioner.keras",
        lambda path: rewrite_part(path, "zeros", lambda _: bytes(10**7), zipfile.ZIP_DEFLATED),
        "is damaged",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_a_stranger_made_is_refused(folder, damage, monkeypatch):
    name, change, words = DAMAGES[damage]
    change(folder / name)
    if damage == "zeros that unpack":
        monkeypatch.setattr(keras.models, "load_model", lambda *arguments, **options: 1 / 0)
    with pytest.raises(UserError, match=words) as refusal:
        load_model(folder)
    assert name in str(refusal.value)
    assert "train.py" in str(refusal.value)
    assert not isinstance(refusal.value.__cause__, ZeroDivisionError)


# ---- Averages, notes and recipes ----


def test_several_folders_are_loaded_as_their_average_and_saved_as_one(tmp_path):
    folders, inputs = [tmp_path / name for name in "ab"], [np.ones((1, 4)), np.full((1, 2), 2)]
    for seed, one in enumerate(folders):
        photos = {"": (str(seed), "both"), "of an earlier model": (str(seed),)}
        model = SavedModel(random_captioner(seed), VOCABULARY, RECORD, photos)
        save_model(one, model, {})
    single = [np.array(load_models([one]).captioner(inputs)) for one in folders]
    together = load_models(folders)
    joined = {"": ("0", "both", "1"), "of an earlier model": ("0", "1")}
    assert together.training_photos == joined
    save_model(tmp_path / "c", together, {})
    for model in (together, load_model(tmp_path / "c")):
        assert model.training_photos == joined
        found = np.array(model.captioner(inputs))
        np.testing.assert_allclose(found, sum(single) / 2, atol=1e-6)
    assert results_folder(folders[:1]) == folders[0]
    assert results_folder([*folders, folders[0]]) == tmp_path / "a+b+a"


@pytest.mark.parametrize(
    ("file", "changes"),
    [("vocabulary.json", {"maximum_length": 8}), ("features.json", {"weights_sha256": "1" * 64})],
)
def test_models_that_do_not_go_together_are_refused(models, folder, tmp_path, file, changes):
    other = tmp_path / "other"
    fields = {"vocabulary.json": "vocabulary", "features.json": "encoder_record"}
    record = structs.replace(getattr(models[0], fields[file]), **changes)
    save_model(other, dataclasses.replace(models[0], **{fields[file]: record}), {})
    with pytest.raises(UserError) as refusal:
        load_models([folder, other])
    assert str(folder / file) in str(refusal.value)
    assert str(other / file) in str(refusal.value)


def test_photos_that_were_trained_on_are_not_scored_unawares(tmp_path):
    same = structs.replace(RECORD, features_sha256="1")
    features = Features(["b", "c"], np.zeros((2, FEATURE_LENGTH)), np.arange(2), same)
    model = SavedModel(None, VOCABULARY, RECORD, {"": ("c",), "1": ("a", "b")})
    own = SavedModel(None, VOCABULARY, same, {"1": ("a", "b")})
    assert notes_on_training_photos(own, features.select(["c"]), "test", tmp_path) == []
    assert notes_on_training_photos(model, features, "train", tmp_path) == []
    # Whether these are the features of its own training, or of that of the model it started from.
    for trained in (own, model):
        with pytest.raises(
            UserError, match=r"trained on 1 of the 2 scored photos, such as 'b',.*again"
        ):
            notes_on_training_photos(trained, features, "dev", tmp_path)
    other = SavedModel(None, VOCABULARY, RECORD, {"": ("a", "b")})
    (note,) = notes_on_training_photos(other, features, "dev", tmp_path)
    assert note.startswith("warning: 1 of the 2 scored photos, such as 'b', have the names")


def test_doubts_are_of_painted_scenes_and_of_untrained_encoders(tmp_path):
    photographed = make_recipe({"train": {"seed": 3}}, tmp_path)
    (tmp_path / "scenes.csv").write_text("")
    painted = make_recipe({"train": {"seed": 3}}, tmp_path)
    for weights, recipe, words in (
        ("imagenet", painted, "trained on painted scenes"),
        ("imagenet+none", photographed, "an encoder that was not trained"),
        ("imagenet", photographed, ""),
    ):
        write_json(tmp_path / "features.json", structs.replace(RECORD, weights=weights))
        write_recipe(tmp_path / "recipe.toml", recipe)
        found = doubts_about(tmp_path)
        assert len(found) == bool(words)
        assert words in "".join(found)
