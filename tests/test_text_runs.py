"""prepare_text.py stopped, run twice at once, or run while other scripts or people use DATA."""

import contextlib
import os
import shutil

import pytest
from support import assert_nothing_done, contents, make_prepared_data, prepare

import prepare_photos
import prepare_text
from captioning.cli import DONE, UserError
from captioning.network import batches as dataset
from captioning.network.batches import load_training
from captioning.old import CAPTIONS, SPLITS, TEXT_LOCK, locked
from captioning.photos.features import read_features
from captioning.scores import scoring
from captioning.scores.scoring import read_references
from captioning.text.captions import read_descriptions
from captioning.text.places import name_places, read_places, write_places

RESULTS = {"descriptions.txt", "vocabulary.json", "splits.json", "places.json"}


@pytest.fixture
def data(tmp_path):
    """Gives a data folder with ten captioned photos, whose captions lie elsewhere."""
    captions = "".join(f"{name}.jpg#0\tA dog of {name * 3} .\n" for name in "abcdefghij")
    (tmp_path / "mine.txt").write_text(captions)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def prepare_mine(data, *flags):
    return prepare(data, "--captions", str(data.parent / "mine.txt"), *flags)


@pytest.mark.parametrize("is_first_run", [True, False])
def test_a_stop_at_any_write_does_not_disturb_the_next_run(data, monkeypatch, is_first_run):
    if not is_first_run:
        assert prepare_mine(data, "--split-seed", "2") == DONE
    shutil.copytree(data, data.parent / "before")
    assert prepare_mine(data) == DONE
    undisturbed = contents(data)
    assert set(undisturbed) == RESULTS
    for number in range(len(RESULTS)):
        for is_before in (True, False):
            shutil.rmtree(data)
            shutil.copytree(data.parent / "before", data)
            with monkeypatch.context() as patch:
                stop_at(patch, number, is_before)
                assert prepare_mine(data) == 130
            with contextlib.suppress(UserError):
                # Nothing that is read as valid is a mixture of both runs.
                read_descriptions(data)
                assert contents(data) in (undisturbed, contents(data.parent / "before"))
            assert prepare_mine(data) == DONE
            assert contents(data) == undisturbed


def stop_at(patch, number, is_before):
    """Makes a move of a file to its place a stop, before or after the move."""
    replace, calls = os.replace, []

    def stop(*paths):
        calls.append(paths)
        if len(calls) <= number or not is_before:
            replace(*paths)
        if len(calls) > number:
            raise KeyboardInterrupt

    patch.setattr(os, "replace", stop)


def test_a_second_run_is_refused(data, capsys):
    flags = ["--captions", str(data.parent / "mine.txt")]
    with locked(data, "prepare_text.py", TEXT_LOCK):
        words = f"another run of prepare_text.py is at work in {data}"
        assert_nothing_done(data, capsys, words, flags=flags)
    # In two terminals, as people do.
    with locked(data, "prepare_photos.py"):
        assert prepare(data, *flags) == DONE


def test_the_lock_is_held_from_the_first_reading_to_the_last_writing(data, monkeypatch):
    def check(function):
        def checked(*arguments):
            with pytest.raises(UserError), locked(data, "a test", TEXT_LOCK):
                pass
            return function(*arguments)

        return checked

    for name in ("read_captioned_photos", "digest_inputs", "write_places", "write_vocabulary"):
        monkeypatch.setattr(prepare_text, name, check(getattr(prepare_text, name)))
    assert prepare_mine(data) == DONE


def test_places_that_are_named_at_the_same_time_are_all_remembered(data, monkeypatch):
    """Has one script name its places while the other is at work."""
    photos, captions = data.parent / "photos", data.parent / "mine.txt"
    photos.mkdir()
    read = prepare_text.read_captioned_photos

    def name_photos_meanwhile(*arguments):
        write_places(data, name_places(data, [photos]))
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(prepare_text, "read_captioned_photos", name_photos_meanwhile)
        assert prepare_mine(data) == DONE
    assert read_places(data).photos == (photos,)
    assert read_places(data).captions == (captions,)

    (data / "places.json").unlink()

    def name_captions_meanwhile(*_):
        write_places(data, name_places(data, [], [captions]))
        return {}

    def stop(*_):
        raise UserError("far enough")

    monkeypatch.setattr(prepare_photos, "list_photos", name_captions_meanwhile)
    monkeypatch.setattr(prepare_photos, "open_cache", stop)
    with pytest.raises(UserError, match="far enough"):
        prepare_photos.main(["--data", str(data), "--photos", str(photos)])
    assert read_places(data).photos == (photos,)
    assert read_places(data).captions == (captions,)


@pytest.mark.parametrize("what", ["captions", "a split", "splits that were not there"])
def test_a_file_that_changes_while_it_is_read_is_noticed(data, monkeypatch, what):
    if what == "a split":
        for split, names in (("train", "a.jpg\nb.jpg"), ("dev", "c.jpg"), ("test", "d.jpg")):
            (data / SPLITS[split]).write_text(names)
    clean_captions = prepare_text.clean_captions

    def change(*arguments):
        if what == "captions":
            (data.parent / "mine.txt").write_text("a.jpg#0\tSomething else .\n")
        elif what == "a split":
            (data / SPLITS["train"]).write_text("a.jpg")
        else:
            for split, name in (("train", "a"), ("dev", "b"), ("test", "c")):
                (data / SPLITS[split]).write_text(f"{name}.jpg")
        return clean_captions(*arguments)

    monkeypatch.setattr(prepare_text, "clean_captions", change)
    assert prepare_mine(data) == DONE
    with pytest.raises(UserError, match=r"has changed since .*vocabulary\.json was made"):
        read_descriptions(data)


@pytest.fixture
def reread(tmp_path, monkeypatch):
    """Gives prepared data, and a function that has prepare_text.py run before or after a call."""
    data = tmp_path / "data"
    make_prepared_data(data)

    def disturb(module, name, is_before):
        function, runs = getattr(module, name), []

        def disturbed(*arguments):
            result = None if is_before else function(*arguments)
            if not runs:
                runs.append(1)
                with open(data / CAPTIONS, "a") as file:
                    file.write("red_ball_snow.png#2\tOne more .\n")
                assert prepare(data) == DONE
            return function(*arguments) if is_before else result

        monkeypatch.setattr(module, name, disturbed)

    return data, disturb


# What is read, in this order, and by whom.
READINGS = [
    (module, name, is_before)
    for module, names in (
        (dataset, ("read_vocabulary", "read_descriptions", "usable_photos")),
        (scoring, ("read_vocabulary", "read_descriptions", "read_captions", "usable_photos")),
    )
    for name in names
    for is_before in (True, False)
]


@pytest.mark.parametrize(("module", "name", "is_before"), READINGS)
def test_text_that_is_prepared_anew_while_it_is_read_is_no_mixture(reread, module, name, is_before):
    data, disturb = reread
    features = read_features(data)

    def read():
        if module is scoring:
            return read_references(data, "train", features)
        training, validation, vocabulary = load_training(data, features)
        # Arrays have no equality of their own.
        splits = [
            (split.photo_ids, split.references, split.captions) for split in (training, validation)
        ]
        return splits, vocabulary

    before = read()
    disturb(module, name, is_before)
    if (name, is_before) == ("read_vocabulary", True):
        # Everything was read afterwards.
        assert read() != before
    else:
        with pytest.raises(UserError, match=r"has changed since .*prepare_text\.py"):
            read()
    assert read() != before
