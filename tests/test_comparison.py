"""evaluate.py --compare: the captions in another model's folder, held against this model's."""

import shutil

import numpy as np
import pandas as pd
import pytest
from msgspec import structs
from support import ENCODER_RECORD, contents, make_prepared_data

import evaluate
import prepare_text
from captioning.cli import run
from captioning.keras_setup import keras
from captioning.network.model import build_captioner
from captioning.network.saved_model import SavedModel, save_model
from captioning.photos.features import read_features, write_features
from captioning.scores import scoring
from captioning.scores.comparison import compare_captions, read_other_captions
from captioning.scores.metrics import CiderD
from captioning.scores.report import write_captions
from captioning.scores.scoring import SplitReferences, read_references, read_scores, standard_row
from captioning.text.vocabulary import read_vocabulary

OTHER_RECORD = structs.replace(ENCODER_RECORD, encoder="MobileNetV2", length=9)


def write_model(data, folder, record, seed):
    keras.utils.set_random_seed(seed)
    vocabulary = read_vocabulary(data, "")
    captioner = build_captioner(vocabulary.size, record.length, units=12)
    for variable in captioner.trainable_variables:
        variable.assign(4 * variable.value)
    recipe = {"made_with": {"data": str(data)}}
    save_model(folder, SavedModel(captioner, vocabulary, record), recipe)


def run_evaluate(data, model, *more):
    folders = ["--data", str(data), "--model", str(model)]
    return evaluate.main([*folders, "--split", "train", *map(str, more)])


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Returns a folder with two models, of another encoder and other words; `other` is scored."""
    place = tmp_path_factory.mktemp("comparison")
    make_prepared_data(place / "data")
    shutil.copytree(place / "data", place / "other data")
    generator = np.random.default_rng(0)
    photos = read_features(place / "data")
    vectors = {photo: generator.normal(size=9).astype(np.float32) for photo in photos}
    write_features(place / "other data", vectors, OTHER_RECORD, [])
    assert prepare_text.main(["--data", str(place / "other data"), "--min-word-length", "1"]) == 0
    write_model(place / "data", place / "this", ENCODER_RECORD, 1)
    write_model(place / "other data", place / "other", OTHER_RECORD, 2)
    sizes = {read_vocabulary(place / name, "").size for name in ("this", "other")}
    assert len(sizes) == 2
    flags = ["--beam", "2", "4", "--consensus", "1"]
    assert run_evaluate(place / "other data", place / "other", *flags) == 0
    return place


@pytest.fixture
def place(evaluated, tmp_path, capsys):
    shutil.copytree(evaluated, tmp_path / "place")
    capsys.readouterr()
    return tmp_path / "place"


def test_models_of_other_encoders_and_words_are_compared(place, capsys):
    flags = ["--beam", "3", "4", "--consensus", "5", "--compare", place / "other"]
    assert run_evaluate(place / "data", place / "this", *flags) == 0
    out = capsys.readouterr().out
    scores, other = read_scores(place / "this", ""), read_scores(place / "other", "")
    assert scores["compared_with"] == str(place / "other")
    pairs = {
        "greedy": ("greedy", "greedy"),
        "beam 4": ("beam 4", "beam 4"),
        "consensus 5 against beam 4": ("consensus 5", "beam 4"),
    }
    assert list(scores["comparison"]) == list(pairs)
    for label, (title, other_title) in pairs.items():
        assert f"\n{label}  " in out
        for name, found in scores["comparison"][label].items():
            assert found["this"] == scores["results"][title][name]
            assert found["other"] == pytest.approx(other["results"][other_title][name])
            assert 0 < found["p_value"] <= 1
    assert f"{place / 'this'} (A) against {place / 'other'} (B)" in out
    assert any(found["this"] != found["other"] for found in scores["comparison"]["greedy"].values())


def test_a_consensus_is_compared_with_a_consensus_where_there_is_one(place):
    references = read_references(place / "data", "train", read_features(place / "data"))
    cider = CiderD(references.words)
    texts = {
        "greedy": [texts[0] for texts in references.words],
        "beam 3": [texts[1] for texts in references.words],
        "consensus 5": [texts[0][:2] for texts in references.words],
        "consensus 7": [texts[1][:3] for texts in references.words],
    }
    rows = {name: standard_row(words, references.words, cider) for name, words in texts.items()}
    others = {**dict.fromkeys(("beam 10", "beam 9", "greedy"), texts["greedy"])}
    others["consensus 7"] = texts["consensus 5"]
    found = compare_captions(rows, texts, others, references)
    first, last = rows["greedy"], rows["consensus 5"]
    assert found == scoring.compare(
        {"greedy": first, "consensus 5 against beam 10": last, "consensus 7": rows["consensus 7"]},
        {"greedy": first, "consensus 5 against beam 10": first, "consensus 7": last},
    )


def test_captions_are_read_as_they_were_written(tmp_path):
    """Photo ids and references may hold what a spreadsheet or UTF-8 cannot."""
    words = [["a", "dog"], []]
    references = SplitReferences(
        ["=photo", "caf\udce9, 1"],
        [["A dog .", 'the "dog"'], ["@home", "NA"]],
        *([], [], set()),
    )
    captions = {"greedy": words, "beam 3": words[::-1]}
    write_captions(tmp_path / "captions.csv", references.photo_ids, captions, references.texts)
    scores = {"split": "test", "results": {"greedy": {}, "beam 3": {}, "human": {}}}
    scoring.write_scores(tmp_path, scores)
    (tmp_path / "recipe.toml").write_text("")
    assert read_other_captions(tmp_path, tmp_path, "test", references) == captions


def test_captions_are_split_again_as_the_language_does(tmp_path):
    (tmp_path / "recipe.toml").write_text("")
    for language, words in (("fr", ["l'", "eau", "à", "l'"]), ("zh", ["一", "只", "t", "恤"])):
        references = SplitReferences(["a"], [["."]], [[]], [[]], set(), language)
        captions = {"greedy": [words]}
        write_captions(tmp_path / "captions.csv", ["a"], captions, references.texts)
        scoring.write_scores(tmp_path, {"split": "test", "results": {"greedy": {}}})
        assert " ".join(words) not in (tmp_path / "captions.csv").read_text(encoding="utf-8")
        assert read_other_captions(tmp_path, tmp_path, "test", references) == captions


def remove(name):
    return lambda place: (place / "other" / name).unlink()


def change_captions(change):
    def change_file(place):
        path = place / "other" / "captions.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        change(table).to_csv(path, index=False)

    return change_file


def change_caption(table):
    table.loc[0, "greedy"] += " dog"
    return table


def change_reference(table):
    table.loc[0, "references"] += " !"
    return table


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda place: shutil.rmtree(place / "other"),
            ["other/recipe.toml is missing", "train.py"],
        ),
        (
            remove("scores.json"),
            ["other/scores.json is missing", "evaluate.py --data", "other data"],
        ),
        (remove("captions.csv"), ["other/captions.csv is missing", "--split train"]),
        (
            lambda place: (place / "other" / "captions.csv").write_bytes(b"\xff\n"),
            ["captions.csv is damaged", "evaluate.py"],
        ),
        (
            lambda place: (place / "other" / "captions.csv").write_text(""),
            ["captions.csv is damaged", "evaluate.py"],
        ),
        (
            change_captions(lambda table: table.drop(columns="greedy")),
            ["captions.csv has no column 'greedy'", "evaluate.py"],
        ),
        (
            change_captions(lambda table: table[1:]),
            ["captions.csv has other photos", "evaluate.py"],
        ),
        (change_captions(lambda table: table[::-1]), ["other photos or references", "evaluate.py"]),
        (change_captions(change_caption), ["was damaged or edited", "evaluate.py"]),
        (
            change_captions(lambda table: table.rename(columns={"beam 4": "beam s"})),
            ["captions.csv was damaged or edited", "evaluate.py"],
        ),
        (change_captions(change_reference), ["other photos or references", "--data", "other"]),
    ],
    ids=[
        *("no folder", "no scores", "no captions", "not UTF-8", "empty", "no greedy"),
        *("one less", "another order", "another caption", "another header", "another reference"),
    ],
)
def test_what_cannot_be_compared_is_refused(place, capsys, change, words):
    change(place)
    assert_refused(place, capsys, "train", words)


def test_another_split_is_refused(place, capsys):
    found = "scores.json is of the train split, not of test"
    assert_refused(place, capsys, "test", [found, "evaluate.py --data", "--split test"])


def assert_refused(place, capsys, split, words):
    before = contents(place)
    folders = ["--data", str(place / "data"), "--model", str(place / "this"), "--split", split]
    assert run(evaluate.main, [*folders, "--compare", str(place / "other")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    for word in words:
        assert word in captured.err
    assert contents(place) == before
