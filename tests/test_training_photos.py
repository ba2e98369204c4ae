"""A model knows which photos it was trained on, and is not scored on them unawares."""

import json
import shutil

import numpy as np
import pytest
from support import ENCODER_RECORD, make_prepared_data

import evaluate
import prepare_text
import train
from captioning.cli import UserError, run
from captioning.network.saved_model import SavedModel, load_models, notes_on_training_photos
from captioning.old import SCORES, SPLITS, TRAINING_PHOTOS, read_json, write_json
from captioning.photos.features import read_features, write_features
from captioning.text.splits import read_split


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a data folder, and a model folder that was trained on it for an epoch."""
    place = tmp_path_factory.mktemp("training_photos")
    make_prepared_data(place / "data")
    folders = ["--data", str(place / "data"), "--model", str(place / "model")]
    assert train.main([*folders, "--epochs", "1", "--min-steps", "1", "--units", "4"]) == 0
    return place / "data", place / "model"


@pytest.fixture
def folders(trained, tmp_path):
    """Returns copies of the two."""
    for folder in trained:
        shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / "data", tmp_path / "model"


def swap_train_and_test(data):
    """Makes the test photos those of the training split, and the other way round."""
    train_file, test_file = data / SPLITS["train"], data / SPLITS["test"]
    names = train_file.read_text()
    train_file.write_text(test_file.read_text())
    test_file.write_text(names)
    assert prepare_text.main(["--data", str(data)]) == 0


def evaluate_on(data, model, *flags):
    """Runs evaluate.py, quickly, and returns its status."""
    quick = ["--beam", "1", "--consensus", "1", "--shown-photos", "0"]
    return run(evaluate.main, ["--data", str(data), "--model", str(model), *quick, *flags])


def test_the_model_folder_names_the_training_photos(trained):
    data, model = trained
    content = json.loads((model / TRAINING_PHOTOS).read_text())
    assert content["photos"] == read_split(data, "train")


def test_splits_that_changed_after_training_are_refused(folders, capsys):
    data, model = folders
    swap_train_and_test(data)
    capsys.readouterr()
    assert evaluate_on(data, model) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert "trained on 8 of the 8 scored photos" in line
    assert f"python train.py --data {data} again" in line
    assert not (model / SCORES).exists()


def test_the_training_split_itself_may_be_scored(folders):
    data, model = folders
    assert evaluate_on(data, model, "--split", "train") == 0


def test_photos_of_the_same_name_with_other_features_are_noted(folders, capsys):
    data, model = folders
    swap_train_and_test(data)
    features = read_features(data)
    write_features(data, features.ids, features[:] + np.float32(1), ENCODER_RECORD)
    assert evaluate_on(data, model) == 0
    (note,) = [
        note
        for note in json.loads((model / SCORES).read_text())["notes"]
        if "names of photos that the model was trained on" in note
    ]
    assert note.startswith("warning: 8 of the 8 scored photos, such as ")


def test_a_model_of_an_earlier_version_is_scored(folders):
    data, model = folders
    (model / TRAINING_PHOTOS).unlink()
    assert evaluate_on(data, model) == 0


def test_a_damaged_list_is_refused(folders, capsys):
    data, model = folders
    path = model / TRAINING_PHOTOS
    path.write_text(path.read_text().replace("red", "rot", 1))
    assert evaluate_on(data, model) == 2
    assert f"{path} was damaged or edited" in capsys.readouterr().err


def test_the_photos_are_named_in_the_message(trained):
    data, _ = trained
    digest = json.loads((data / "features.json").read_text())["features_sha256"]
    model = SavedModel(None, None, {"features_sha256": digest}, ("a", "b"))
    assert notes_on_training_photos(model, data, "test", ["c"]) == []
    with pytest.raises(UserError, match="trained on 1 of the 2 scored photos, such as 'b',"):
        notes_on_training_photos(model, data, "dev", ["b", "c"])


def test_an_average_was_trained_on_the_photos_of_each(folders):
    _, model = folders
    other = model.with_name("other")
    shutil.copytree(model, other)
    content = read_json(other / TRAINING_PHOTOS, 1, "")
    write_json(other / TRAINING_PHOTOS, {"photos": ["one more", *content["photos"]]}, 1)
    photos = load_models([model, other]).training_photos
    assert sorted(photos) == sorted([*content["photos"], "one more"])
