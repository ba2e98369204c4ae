"""Several captioners averaged: a captioner like any other, whose probabilities are their mean."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from msgspec import structs
from support import ENCODER_RECORD, StandIn, generate_desc, make_prepared_data
from test_decoding import FEATURE_LENGTH, VOCABULARY, SlowDecoder, random_captioner
from test_model import build_word_half_with

import evaluate
import generate
from captioning import captioner
from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network.decoding import CaptionDecoder, token_probabilities
from captioning.network.model import (
    average_captioners,
    build_captioner,
    build_photo_half,
    halves,
    join_halves,
    state_sizes,
)
from captioning.network.model_folder import (
    SavedModel,
    load_model,
    load_models,
    results_folder,
    save_model,
)
from captioning.photos.reading import encode_photos
from captioning.scores.scoring import Scores
from captioning.storage import read_json
from captioning.text.vocabulary import Vocabulary, read_vocabulary

PREFIXES = np.array([[2, 1, 3, 6, 4], [2, 7, 7, 0, 0], [2, 5, 0, 0, 0]], np.int32)


def enlarge_weights(captioner):
    for variable in captioner.trainable_variables:
        variable.assign(2.5 * variable.value)
    return captioner


@pytest.fixture(scope="module")
def members():
    """Builds captioners of other sizes, other numbers of states, and another kind of cell."""
    gru = build_word_half_with(None, cells=3, recurrent=keras.layers.GRU)
    captioners = [
        random_captioner(1),
        enlarge_weights(build_captioner(VOCABULARY.size, FEATURE_LENGTH, units=20)),
        enlarge_weights(
            join_halves(build_photo_half(FEATURE_LENGTH, 9, 0.5), gru(VOCABULARY.size, 9, 0.5, 0.5))
        ),
    ]
    assert {len(state_sizes(halves(captioner)[1])) for captioner in captioners} == {2, 3}
    return captioners


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).normal(0, 2, (8, FEATURE_LENGTH)).astype(np.float32)


def probabilities(captioner, photos):
    return np.array(captioner.predict_on_batch([photos[: len(PREFIXES)], PREFIXES]))


class SlowAverage(SlowDecoder):
    """Decodes with the mean of the probabilities of several captioners."""

    def __init__(self, captioners):
        self.vocabulary = VOCABULARY
        self.members = [SlowDecoder(captioner) for captioner in captioners]

    def probabilities(self, photo, prefix):
        """Calls each of them on the prefix."""
        return np.mean([slow.probabilities(photo, prefix) for slow in self.members], axis=0)


def test_probabilities_are_the_mean(members, photos):
    found = probabilities(average_captioners(members), photos)
    expected = np.mean([probabilities(member, photos) for member in members], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - probabilities(members[0], photos)).max() > 0.1


def test_an_average_of_one_is_that_captioner(members, photos):
    for member in members:
        found = probabilities(average_captioners([member]), photos)
        np.testing.assert_allclose(found, probabilities(member, photos), atol=1e-6)
        decoders = [
            CaptionDecoder(one, VOCABULARY) for one in (average_captioners([member]), member)
        ]
        assert decoders[0].beam(photos, 3) == decoders[1].beam(photos, 3)


def test_tokens_that_no_member_expects_have_a_logarithm(photos):
    """Far below the smallest probability that 32 bits can hold."""
    captioners = [random_captioner(seed, scale=200) for seed in (1, 2)]
    word_half = halves(average_captioners(captioners))[1]
    states = [np.ones((3, size), np.float32) for size in state_sizes(word_half)]
    embedding = np.ones((3, word_half.inputs[1].shape[-1]), np.float32)
    logits, *_ = word_half.predict_on_batch([PREFIXES, embedding, *states])
    assert np.isfinite(logits).all()
    assert logits.min() < -200


@pytest.mark.parametrize("width", [1, 2, 4])
def test_decoding_is_that_of_the_slow_average(members, photos, width):
    decoder, slow = CaptionDecoder(average_captioners(members), VOCABULARY), SlowAverage(members)
    expected = [slow.beam(photo, width, 0.7) for photo in photos]
    assert decoder.beam(photos, width) == expected
    alone = CaptionDecoder(members[0], VOCABULARY).beam(photos, width)
    assert sum(one != other for one, other in zip(alone, expected, strict=True)) > 1


def save(folder, captioner, vocabulary=VOCABULARY, **record):
    record = structs.replace(ENCODER_RECORD, length=FEATURE_LENGTH, **record)
    save_model(folder, SavedModel(captioner, vocabulary, record), {})
    return folder


def test_several_folders_are_loaded_as_their_average_and_saved_as_one(members, photos, tmp_path):
    folders = [save(tmp_path / str(place), member) for place, member in enumerate(members)]
    loaded = load_models(folders)
    expected = probabilities(average_captioners(members), photos)
    np.testing.assert_allclose(probabilities(loaded.captioner, photos), expected, atol=1e-6)

    save_model(tmp_path / "together", loaded, {})
    again = load_model(tmp_path / "together")
    np.testing.assert_array_equal(
        probabilities(again.captioner, photos), probabilities(loaded.captioner, photos)
    )
    captions = CaptionDecoder(loaded.captioner, VOCABULARY).beam(photos, 3)
    assert CaptionDecoder(again.captioner, VOCABULARY).beam(photos, 3) == captions
    tokens = [
        token_probabilities(model.captioner, VOCABULARY, photos, captions)
        for model in (loaded, again)
    ]
    assert tokens[0] == tokens[1]
    # An average may be averaged in turn.
    nested = load_models([tmp_path / "together", folders[0]])
    expected = (expected + probabilities(members[0], photos)) / 2
    np.testing.assert_allclose(probabilities(nested.captioner, photos), expected, atol=1e-6)


def test_one_folder_is_loaded_as_it_is(members, tmp_path):
    folder = save(tmp_path / "one", members[0])
    assert load_models([folder]).captioner.name == load_model(folder).captioner.name


@pytest.mark.parametrize(
    ("vocabulary", "record", "file"),
    [
        (Vocabulary((*VOCABULARY.words[:-1], "fox"), 7, {}), {}, "vocabulary.json"),
        (msgspec.structs.replace(VOCABULARY, maximum_length=8), {}, "vocabulary.json"),
        (VOCABULARY, {"weights_sha256": "1" * 64}, "features.json"),
    ],
    ids=["words", "maximum length", "encoder"],
)
def test_models_that_do_not_go_together_are_refused(members, tmp_path, vocabulary, record, file):
    first = save(tmp_path / "first", members[0])
    second = save(tmp_path / "second", members[0])
    third = save(tmp_path / "third", members[1], vocabulary, **record)
    with pytest.raises(UserError) as raised:
        load_models([first, second, third])
    assert str(first / file) in str(raised.value)
    assert str(third / file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_results_lie_beside_the_first_model(tmp_path):
    first, second = tmp_path / "models" / "a", tmp_path / "elsewhere" / "b"
    assert results_folder([first]) == first
    assert results_folder([first, second, first]) == tmp_path / "models" / "a+b+a"


# ---- From the command line ----


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Returns a folder with tiny data and two models for it, and one of another vocabulary."""
    place = tmp_path_factory.mktemp("averaging")
    make_prepared_data(place / "data")
    vocabulary = read_vocabulary(place / "data")
    for name, units in (("one", 12), ("two", 7)):
        captioner = build_captioner(vocabulary.size, ENCODER_RECORD.length, units=units)
        model = SavedModel(enlarge_weights(captioner), vocabulary, ENCODER_RECORD)
        save_model(place / "models" / name, model, {})
    other = msgspec.structs.replace(vocabulary, words=(*vocabulary.words[:-1], "ship"))
    save_model(place / "models" / "ship", replace(model, vocabulary=other), {})
    return place


def run_evaluate(place, *names, more=()):
    models = [str(place / "models" / name) for name in names]
    return evaluate.main(["--data", str(place / "data"), "--model", *models, *more])


def files_of(folder):
    # A lock that stays is no result.
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.read_bytes() for path in paths}


def test_several_models_are_scored_together(place, capsys):
    before = files_of(place)
    assert run_evaluate(place, "one", "two", more=["--beam", "2"]) == 0
    out = capsys.readouterr().out
    folder = place / "models" / "one+two"
    names = {"scores.json", "captions.csv", "captions.html", "recipe.toml"}
    assert {path.name for path in folder.iterdir()} == names
    after = files_of(place)
    assert before.items() <= after.items()
    assert f"{folder} on the test split" in out
    assert f"the average of {place / 'models' / 'one'}, {place / 'models' / 'two'}\n" in out
    assert f"generate.py PHOTO --model {place / 'models' / 'one'} {place / 'models' / 'two'}" in out

    model = load_models([place / "models" / name for name in ("one", "two")])
    photos = pd.read_pickle(place / "data" / "features.pkl")
    table = pd.read_csv(folder / "captions.csv", keep_default_na=False)
    features = np.stack([photos[photo] for photo in table["photo_id"]])
    captions = CaptionDecoder(model.captioner, model.vocabulary).beam(features, 2)
    words = [" ".join(model.vocabulary.detokenize(caption)) for caption in captions]
    assert table["beam 2"].tolist() == words

    # The recipe makes the same once more.
    assert (
        evaluate.main(["--recipe", str(folder / "recipe.toml"), "--data", str(place / "data")]) == 0
    )
    assert files_of(folder)[folder / "scores.json"] == after[folder / "scores.json"]
    capsys.readouterr()
    assert evaluate.main(["--models", str(folder)]) == 0
    greedy = read_json(folder / "scores.json", Scores).results["greedy"]
    assert f"{greedy['CIDEr-D']:.1f}" in capsys.readouterr().out


def test_models_of_other_words_are_not_scored_together(place):
    before = files_of(place)
    with pytest.raises(UserError, match=r"one.vocabulary\.json and .*ship.vocabulary\.json differ"):
        run_evaluate(place, "one", "two", "ship")
    assert files_of(place) == before


@pytest.mark.parametrize("order", ["photos first", "models first"])
def test_several_models_caption_photos_together(place, order, monkeypatch, capsys):
    """The names after --model are models as far as they are models."""

    class Encoder(StandIn):
        def record(self):
            return ENCODER_RECORD

    monkeypatch.setattr(captioner, "Encoder", Encoder)
    photos = [str(place / "data" / "photos"), str(place / "data" / "photos" / "red_box_snow.png")]
    models = [place / "models" / name for name in ("one", "two")]
    flag = ["--model", *map(str, models)]
    capsys.readouterr()
    assert generate.main([*photos, *flag] if order == "photos first" else [*flag, *photos]) == 0
    lines = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    encoded = dict(encode_photos([Path(line) for line in lines], Encoder(), 6))
    model = load_models(models)
    features = np.stack([encoded[Path(line)] for line in lines])
    captions = generate_desc(model.captioner, model.vocabulary, features, 3)
    assert list(lines.values()) == captions
    assert len(lines) == 12


def test_no_photo_at_all_is_a_mistake(place):
    models = [str(place / "models" / name) for name in ("one", "two")]
    with pytest.raises(UserError, match="PHOTO_OR_FOLDER is missing: name what to caption"):
        generate.main(["--model", *models])
    with pytest.raises(UserError, match="three does not exist: name a photo"):
        generate.main(["--model", *models, str(place / "models" / "three")])
