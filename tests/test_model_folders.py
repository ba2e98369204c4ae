"""A new model takes the place of an earlier one whole or not at all, whatever stops it."""

import errno
import os
import resource
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import ENCODER_RECORD

import evaluate
import generate
import train
from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network import model_folders, saved_model, training
from captioning.network.model import build_captioner
from captioning.network.model_folders import find_captioner
from captioning.network.saved_model import SavedModel, load_model, save_model, write_model
from captioning.old import locked
from captioning.recipes import read_recipe_of_model
from captioning.scores import scoring
from captioning.text.vocabulary import Vocabulary, read_vocabulary

RESULTS = ("scores.json", "captions.csv", "captions.html")


def make_model(words, seed):
    keras.utils.set_random_seed(seed)
    captioner = build_captioner(len(words) + 1, ENCODER_RECORD.length, units=4)
    return SavedModel(captioner, Vocabulary(words, 5, {}), ENCODER_RECORD, (f"photo {seed}",))


@pytest.fixture(scope="module")
def models():
    """Returns an earlier model, and a new one of other words and weights."""
    vocabularies = (("startseq", "endseq", word) for word in ("dog", "cat"))
    return [make_model(words, seed) for seed, words in enumerate(vocabularies, start=1)]


@pytest.fixture(scope="module")
def earlier(models, tmp_path_factory):
    """Returns the folder of the earlier model, with its results."""
    folder = tmp_path_factory.mktemp("earlier") / "model"
    save_model(folder, models[0], {"train": {"seed": 1}})
    for name in RESULTS:
        (folder / name).write_text("of the earlier model")
    return folder


@pytest.fixture
def folder(earlier, tmp_path):
    shutil.copytree(earlier, tmp_path / "model")
    return tmp_path / "model"


def is_new(folder, models):
    """Loads a model, checks that all of it is the earlier one or the new one, and returns which."""
    found = load_model(folder)
    seed = read_recipe_of_model(folder)["train"]["seed"]
    (expected,) = [model for model in models if model.vocabulary == found.vocabulary]
    assert found.training_photos == expected.training_photos == (f"photo {seed}",)
    for one, other in zip(
        found.captioner.get_weights(), expected.captioner.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    has_results = {(folder / name).exists() for name in RESULTS}
    assert has_results == {expected is models[0]}
    names = {path.name for path in folder.iterdir()}
    assert not names & {".next", ".complete"} or (expected is models[0] and ".next" in names)
    return expected is models[1]


class Stop(BaseException):
    """A kill."""


def stop_at(patch, owner, name, count, error, is_before=True):
    """Makes the count-th call of a function fail, before or after its work."""
    ordinary, calls = getattr(owner, name), []

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) == count and is_before:
            raise error
        try:
            return ordinary(*arguments, **options)
        finally:
            if len(calls) == count:
                raise error

    patch.setattr(owner, name, stop)


def count_until_it_succeeds(attempt):
    """Calls attempt(1), attempt(2), … until one does not fail; returns how many did."""
    for count in range(1, 100):
        if attempt(count):
            return count - 1
    raise AssertionError("it never succeeds")


def test_a_full_disk_at_any_write_leaves_the_earlier_model(folder, models, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    recipe = {"train": {"seed": 2}}

    def attempt(count):
        with monkeypatch.context() as patch:
            stop_at(patch, os, "fsync", count, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            try:
                save_model(folder, models[1], recipe)
            except OSError:
                # What has been moved to its place at the last call of all cannot be lost any more.
                if is_new(folder, models):
                    return False
                assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
                return False
        return True

    # Each of five files and the folder that it is in, and at the end the model folder.
    assert count_until_it_succeeds(attempt) == 2 * 5 + 1
    assert is_new(folder, models)


@pytest.mark.parametrize("limit", [0, 100, 1_000, 10_000, 30_000])
def test_files_that_cannot_grow_leave_the_earlier_model(folder, models, limit):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_model(folder, models[1], {"train": {"seed": 2}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not is_new(folder, models)


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("name", ["replace", "rename"])
def test_a_kill_at_any_move_leaves_one_model_whole(
    earlier, tmp_path, models, monkeypatch, name, is_before
):
    found = []

    def attempt(count):
        folder = tmp_path / str(count)
        shutil.copytree(earlier, folder)
        with monkeypatch.context() as patch:
            stop_at(patch, os, name, count, Stop(), is_before)
            # A kill leaves no time for it.
            patch.setattr(shutil, "rmtree", lambda *arguments, **options: None)
            try:
                save_model(folder, models[1], {"train": {"seed": 2}})
                return True
            except Stop:
                found.append(is_new(folder, models))
        # The next training is not hindered by what was left.
        save_model(folder, models[1], {"train": {"seed": 2}})
        assert is_new(folder, models)
        return False

    count_until_it_succeeds(attempt)
    # Each of five files is moved when it is written, and each of seven that there may be when all
    # are; in between, the folder is renamed.
    written, moved = (5, 7) if name == "replace" else (is_before, not is_before)
    assert found == [False] * written + [True] * moved


@pytest.fixture
def interrupted(folder, models, monkeypatch):
    """Returns a folder whose new model is complete and not yet in its place."""
    with monkeypatch.context() as patch:
        stop_at(patch, os, "rename", 1, Stop(), is_before=False)
        with pytest.raises(Stop):
            save_model(folder, models[1], {"train": {"seed": 2}})
    assert (folder / ".complete" / "captioner.keras").exists()
    return folder


@pytest.mark.parametrize("reader", [load_model, find_captioner, read_recipe_of_model])
def test_whatever_reads_the_folder_first_puts_the_new_model_in_its_place(
    interrupted, models, reader
):
    reader(interrupted)
    assert not (interrupted / ".complete").exists()
    assert is_new(interrupted, models)


def test_the_default_model_is_found_before_it_is_in_its_place(interrupted, models, monkeypatch):
    for name in ("captioner.keras", *RESULTS):
        (interrupted / name).unlink()
    monkeypatch.setattr(generate, "MODEL", (interrupted,))
    assert generate.default_model() == (interrupted,)
    assert is_new(interrupted, models)


def test_two_processes_may_put_it_there(interrupted, models, monkeypatch):
    """The other is faster at every step."""
    ordinary = os.replace

    def replace(source, target):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", ordinary)
            model_folders.finish_replacing(interrupted)
        ordinary(source, target)

    monkeypatch.setattr(os, "replace", replace)
    model_folders.finish_replacing(interrupted)
    assert is_new(interrupted, models)


def test_nothing_is_written_where_there_is_nothing_to_finish(folder, models, monkeypatch):
    for name in ("replace", "unlink", "rmdir", "mkdir"):
        stop_at(monkeypatch, os, name, 1, PermissionError("a folder that is read-only"))
        monkeypatch.setattr(Path, name, getattr(os, name))
    assert not is_new(folder, models)


def test_a_link_to_files_of_one_s_own_moves_none(folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "vocabulary.json").write_text("mine")
    (folder / ".complete").symlink_to(own)
    load_model(folder)
    assert (own / "vocabulary.json").read_text() == "mine"


# ---- train.py and evaluate.py ----


def end_epoch(folder, model):
    """Does what train.py does after its first epoch."""
    write_best = partial(write_model, model=model, recipe={"train": {"seed": 2}})
    figures = {"loss": 2.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.5}
    training.SaveEpoch(folder, [{"epoch": 1, **figures}], {}, write_best).on_epoch_end(0, figures)


def test_a_training_that_fails_leaves_the_history_of_the_model_too(folder, models, monkeypatch):
    (folder / "history.csv").write_text("of the earlier model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def draw(history, path):
        path.write_bytes(b"curves")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(training, "draw_curves", draw)
    with pytest.raises(OSError, match="No space left"):
        end_epoch(folder, models[1])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_history_and_the_model_are_of_the_same_training(folder, models, monkeypatch):
    """A kill before the first checkpoint leaves the model of the first epoch, with its history."""
    (folder / "history.csv").write_text("of the earlier model")

    def stop(*arguments):
        raise Stop

    monkeypatch.setattr(training, "write_checkpoint", stop)
    with pytest.raises(Stop):
        end_epoch(folder, models[1])
    assert is_new(folder, models)
    assert pd.read_csv(folder / "history.csv")["val_loss"].tolist() == [2.0]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_no_training_changes_a_model_while_it_is_evaluated(prepared_data, tmp_path, monkeypatch):
    """Neither before it is read nor before its results are written."""
    folder, tried = tmp_path / "model", []
    vocabulary = read_vocabulary(prepared_data, "")
    captioner = build_captioner(vocabulary.size, ENCODER_RECORD.length, units=4)
    save_model(folder, SavedModel(captioner, vocabulary, ENCODER_RECORD), {})
    arguments = ["--data", str(prepared_data), "--model", str(folder)]

    def try_to_train(function):
        def tries(*given, **options):
            with pytest.raises(UserError, match=r"another run of train\.py or evaluate\.py"):
                train.main(arguments)
            tried.append(1)
            return function(*given, **options)

        return tries

    monkeypatch.setattr(saved_model, "read_vocabulary", try_to_train(read_vocabulary))
    monkeypatch.setattr(scoring, "write_scores", try_to_train(scoring.write_scores))
    arguments_of_evaluate = [*arguments, "--beam", "1", "--consensus", "1"]
    assert evaluate.main(arguments_of_evaluate) == 0
    assert len(tried) == 2
    with locked(folder, "train.py"), pytest.raises(UserError, match="another run"):
        evaluate.main(arguments_of_evaluate)
    assert len(tried) == 2
