"""Training that starts from a trained model: words, weights, what is refused, what is recorded."""

import shutil
import tomllib
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from support import ENCODER_RECORD, VOCABULARY, prepare, run_here, write_features_of

from captioning.files import CAPTIONER
from captioning.keras_setup import keras
from captioning.network.model import build_captioner
from captioning.network.model_folder import load_model
from captioning.network.starting import Start, read_start
from captioning.photos.features import write_features
from captioning.storage import digest_of_file
from captioning.text.vocabulary import read_prepared_text

UNITS = 8


@pytest.fixture
def own(trained, tmp_path):
    """Gives a data folder whose captions have words that the trained model does not know."""
    data = shutil.copytree(trained.data, tmp_path / "own")
    captions = (data / "Flickr8k.token.txt").read_text()
    captions = captions.replace("lies in the", "slept upon a fluffy").replace(" on ", " under ")
    (data / "Flickr8k.token.txt").write_text(captions)
    write_features_of(data, scale=2)
    return data


@pytest.fixture
def prepare_own(trained, own, capsys):
    """Gives a function that prepares the text of that folder to start from the trained model."""

    def prepare_text(*flags):
        assert prepare(own, "--start-from", str(trained.model), *flags) == 0
        return capsys.readouterr().out, read_prepared_text(own).vocabulary

    return prepare_text


def fine_tune(own, start, *flags, model="tuned"):
    arguments = ["--data", own, "--model", own.parent / model, "--start-from", start]
    return run_here("train", *arguments, "--epochs", "1", "--batch-size", "4", *flags)


def test_its_words_keep_their_ids_and_new_ones_come_behind(trained, prepare_own):
    printed, vocabulary = prepare_own("--min-word-count", "3")
    known = load_model(trained.model).vocabulary
    # A rarer word of the model stays, and so does one that the new captions do not have.
    assert vocabulary.words == (*known.words, "slept", "upon", "fluffy", "under")
    assert vocabulary.maximum_length == known.maximum_length
    assert vocabulary.cleaning["start_from"] == str(trained.model)
    words = " ".join(printed.split())
    assert f"{len(known.words) + 4} words with startseq and endseq, 4 of them new" in words
    assert "commonest new words: slept, upon, fluffy, under" in words
    assert f" --recipe recipes/own.toml --start-from {trained.model}\n" in printed


def test_captions_are_cleaned_as_its_own_were_unless_something_else_is_asked_for():
    cleaning = {"language": "fr", "min_word_length": 3, "keep_numbers": True}
    start = Start(Path("m"), structs.replace(VOCABULARY, cleaning=cleaning))
    typed = {"language": "en", "min_word_length": 2, "keep_numbers": False}
    for replaced, expected in (
        ({}, cleaning),
        ({"min_word_length"}, {**cleaning, "min_word_length": 2}),
        ({"language"}, typed),
    ):
        options = Namespace(**typed, replaced={*replaced})
        start.take_cleaning(options)
        assert {name: vars(options)[name] for name in typed} == expected


def test_weights_are_carried_over_and_those_of_new_words_lie_around_their_mean(
    trained, prepare_own
):
    vocabulary = prepare_own()[1]
    keras.utils.set_random_seed(1)
    captioner = build_captioner(vocabulary.size, 6, units=UNITS)
    initial = [array.copy() for array in captioner.get_weights()]
    start = read_start(str(trained.model))
    start.carry_over(captioner)
    theirs = load_model(trained.model).captioner.get_weights()
    grown = 0
    for old, expected, new in zip(theirs, initial, captioner.get_weights(), strict=True):
        if expected.shape != old.shape:
            grown += 1
            expected += old.mean(axis=int(expected.shape[0] == old.shape[0]), keepdims=True)
        expected[tuple(map(slice, old.shape))] = old
        np.testing.assert_array_equal(new, expected)
    assert (grown, vocabulary.size > start.vocabulary.size) == (3, True)


def test_a_run_records_its_start_and_the_photos_of_both_trainings(
    trained, own, prepare_own, tmp_path
):
    prepare_own()
    ended = fine_tune(own, trained.model)
    assert ended.returncode == 0, ended.stderr
    assert f"{trained.model} as it is: validation accuracy" in " ".join(ended.stdout.split())
    # By which it repeats itself.
    recipe = tomllib.loads((tmp_path / "tuned" / "recipe.toml").read_text())
    assert recipe["train"]["start_from"] == recipe["prepare_text"]["start_from"]
    assert (recipe["train"]["start_from"], recipe["train"]["units"]) == (str(trained.model), UNITS)
    assert recipe["made_with"]["start_from_sha256"] == digest_of_file(trained.model / CAPTIONER)

    photos = load_model(tmp_path / "tuned").training_photos
    assert [len(of_source) for of_source in photos.values()] == [8, 8]
    # None of them is scored: here those of the first training, with its features.
    data = shutil.copytree(trained.data, tmp_path / "other splits")
    train, test = (data / f"Flickr_8k.{split}Images.txt" for split in ("train", "test"))
    for path, place in ((train, data / "kept"), (test, train), (data / "kept", test)):
        path.rename(place)
    assert prepare(data) == 0
    ended = run_here("evaluate", "--data", data, "--model", tmp_path / "tuned")
    assert (ended.returncode, "was trained on 8 of the 8 scored" in ended.stderr) == (2, True)


# ---- What is refused ----


def test_what_does_not_fit_it_is_refused(trained, own, prepare_own):
    def refused(*words, start=trained.model, flags=(), model="tuned"):
        ended = fine_tune(own, start, *flags, model=model)
        line = ended.stderr.strip().splitlines()[-1]
        assert (ended.returncode, [word for word in words if str(word) not in line]) == (2, [])

    prepare_text = f"run python prepare_text.py --data {own} --start-from {trained.model} first"
    assert prepare(own) == 0
    refused("does not begin with the words of", prepare_text)
    prepare_own()
    network = ("has another network", "photo_dense/kernel is (6, 8) in the one and (6, 4) in the")
    refused(trained.model, *network, flags=("--units", "4"))
    refused("name another folder with --model", model=trained.model)
    refused("absent", "is missing: run python train.py", start="absent")
    record = structs.replace(ENCODER_RECORD, encoder="MobileNetV2")
    rows = {name: np.ones(6, np.float32) for name in ("a", "b")}
    write_features(own, list(rows), rows.values(), record)
    refused("VGG16 in the one and MobileNetV2 in the other", trained.model / "features.json")
