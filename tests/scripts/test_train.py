"""train.py: what a run leaves and prints, a stopped run that goes on, and what is refused."""

import json
import shutil
import tomllib

import numpy as np
import pandas as pd
import pytest
from support import run_here, stop_at, write_features_of

import train
from captioning.network.checkpoint import Checkpoint
from captioning.network.model_folder import load_model
from captioning.network.training import AfterEpoch

REPRODUCIBLE = ["epoch", "learning_rate", "loss", "val_loss", "reward", "val_cider_d"]


@pytest.fixture
def start(trained, tmp_path):
    """Gives a function that trains by the recipe of the trained model."""

    def start(*flags, data=trained.data, model=tmp_path / "model"):
        folders = ["--data", data, "--model", model]
        return run_here("train", *folders, "--recipe", trained.model / "recipe.toml", *flags)

    return start


@pytest.fixture(scope="session")
def history(trained):
    return pd.read_csv(trained.model / "history.csv")


def test_a_run_leaves_a_complete_model_folder(trained, history):
    assert list(history["epoch"]) == [1, 2, 3]
    assert list(history["reward"].notna()) == [False, False, True]
    # The epoch that fine-tuning went on from is compared with those of fine-tuning.
    best = history["val_loss"].idxmin()
    assert list(history["val_cider_d"].notna()) == [best == 0, best == 1, True]
    names = {path.name for path in trained.model.iterdir()}
    files = "captioner.keras features.json recipe.toml training-photos.json vocabulary.json"
    assert names == {".lock", "history.csv", "curves.png", *files.split()}
    assert (trained.model / "curves.png").read_bytes().startswith(b"\x89PNG")
    model = load_model(trained.model)
    assert [len(photos) for photos in model.training_photos.values()] == [8]
    for name in ("vocabulary.json", "features.json"):
        copy = json.loads((trained.model / name).read_text())
        assert copy == json.loads((trained.data / name).read_text())
    recipe = tomllib.loads((trained.model / "recipe.toml").read_text())
    assert (recipe["train"]["epochs"], recipe["train"]["min_steps"]) == (2, 1)
    assert recipe["prepare_text"]["min_word_count"] == 1
    assert recipe["prepare_photos"]["encoder"] == "VGG16"
    assert recipe["made_with"]["data"] == str(trained.data)


def test_what_is_printed(trained):
    printed = trained.printed
    # As people wrote it, not cleaned.
    assert printed.count("  reference: A blue ball lies in the snow .\n") == 3
    for line in ("Epoch 1 of ", "  accuracy 0.", ", val_loss 2.", " left, best so far\n"):
        assert line in printed
    assert "\n  reward " in printed
    assert ", val_cider_d " in printed
    assert "settings changed by recipe or flag: units 8, epochs 2" in printed
    assert f"{load_model(trained.model).captioner.count_params():,d} parameters" in printed
    assert "kept epoch " in printed
    assert "the loss still fell: try --batch-size 4 --epochs 4, or a higher" in printed
    assert f"next: python evaluate.py --data {trained.data} --model {trained.model}\n" in printed


@pytest.fixture(scope="module")
def interrupted(trained, tmp_path_factory):
    """Returns the model folder of a run that was stopped after its first epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    recipe = str(trained.model / "recipe.toml")
    arguments = ["--data", str(trained.data), "--model", str(folder), "--recipe", recipe]
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, AfterEpoch, "_show_captions", 2)
        with pytest.raises(KeyboardInterrupt):
            train.main(arguments)
    return folder


def test_a_run_that_is_stopped_again_and_again_ends_as_an_undisturbed_one(
    trained, history, interrupted, start, tmp_path, monkeypatch
):
    """Before its second epoch is saved, and in fine-tuning after the model has been replaced."""
    folder = tmp_path / "model"
    shutil.copytree(interrupted, folder)
    with monkeypatch.context() as patch:
        # The first call is after the second epoch, the next is where fine-tuning starts.
        stop_at(patch, Checkpoint, "write", 3)
        status, printed, errors = start("--resume")
    assert status == 130
    assert "resuming after epoch 1\n" in printed
    assert "to resume: run the same command with --resume\n" in errors
    status, printed, errors = start("--resume")
    assert status == 0, errors
    assert "resuming after epoch 2\n" in printed
    resumed = pd.read_csv(folder / "history.csv")
    pd.testing.assert_frame_equal(resumed[REPRODUCIBLE], history[REPRODUCIBLE], check_exact=True)
    weights = [load_model(one).captioner.get_weights() for one in (folder, trained.model)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not (folder / "checkpoint.npz").exists()


# ---- What is refused ----


def assert_refused(start, flags, *words, **folders):
    status, _, errors = start(*flags, **folders)
    assert status == 2
    # The warning on photos that could not be compared stands before it.
    line = errors.splitlines()[-1]
    for word in words:
        assert str(word) in line


def test_resume_is_refused_under_changed_settings_or_on_other_features(
    trained, start, interrupted, tmp_path
):
    changed = ["--units", "4", "--word-dropout", "0.3", "--patience", "4", "--seed", "2"]
    words = ["units 8, not 4", "word_dropout 0.5, not 0.3", "patience 3, not 4", "seed 1, not 2"]
    refused = ("is of a run with", "resume it with the same settings, or", *words, "; network ")
    assert_refused(start, ("--resume", *changed), *refused, model=interrupted)
    other = shutil.copytree(trained.data, tmp_path / "other")
    write_features_of(other, scale=2)
    assert_refused(start, ("--resume",), "a run with inputs ", data=other, model=interrupted)


@pytest.mark.parametrize("damage", ["cut off", "flipped", "of an earlier version"])
def test_a_damaged_checkpoint_is_refused(start, interrupted, tmp_path, damage):
    folder = tmp_path / "copy"
    shutil.copytree(interrupted, folder)
    path = folder / "checkpoint.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "of an earlier version":
        np.savez(path, np.zeros(2), run=np.array(json.dumps({"settings": {}, "history": []})))
    else:
        path.write_bytes(content if damage == "flipped" else content[:900])
    assert_refused(start, ("--resume",), path, "without --resume", model=folder)


def test_settings_that_cannot_work_are_refused_before_an_earlier_checkpoint_is_removed(
    start, prepared_data, tmp_path
):
    (prepared_data / "Flickr_8k.devImages.txt").write_text("red_ball_grass.png\n")
    (prepared_data / "Flickr_8k.trainImages.txt").write_text("red_ball_snow.png\n")
    assert run_here("prepare_text", "--data", prepared_data).returncode == 0
    model = tmp_path / "model"
    model.mkdir()
    (model / "checkpoint.npz").write_text("of an earlier run")
    for flags, words in (
        (("--warmup-steps", "99999"), "--warmup-steps 99999 leaves none of"),
        (("--reward-epochs", "1"), "the CIDEr-D of a single photo is always 0"),
    ):
        assert_refused(start, flags, words, data=prepared_data, model=model)
    assert (model / "checkpoint.npz").read_text() == "of an earlier run"
