"""evaluate.py from the command line: its rows, files and page; two models; several averaged."""

import html
import re
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from support import (
    ENCODER_RECORD,
    assert_refused,
    contents,
    make_prepared_data,
    random_captioner,
    run_here,
)

import evaluate
from captioning.captioner import read_unsure_below
from captioning.network.decoding import CaptionDecoder
from captioning.network.model_folder import SavedModel, load_models, save_model
from captioning.photos.features import read_features, write_features
from captioning.scores import metrics, scoring
from captioning.scores.scoring import Scores
from captioning.storage import read_json
from captioning.text.vocabulary import read_prepared_text

METRICS = (*metrics.BLEU_NAMES, "ROUGE-L", "CIDEr-D")
FLAGS = ["--beam", "3", "--consensus", "4"]


def run_evaluate(place, *names, split="train", more=()):
    models = [str(place / name) for name in names]
    folders = ["--data", str(place / "data"), "--model", *models]
    return evaluate.main([*folders, "--split", split, *FLAGS, *map(str, more)])


def scores_of(folder):
    return read_json(folder / "scores.json", Scores)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Returns a folder with data and two models, and what scoring the first printed."""
    place = tmp_path_factory.mktemp("evaluation")
    make_prepared_data(place / "data")
    vocabulary, length = read_prepared_text(place / "data").vocabulary, ENCODER_RECORD.length
    for seed, name in ((1, "one"), (2, "two")):
        captioner = random_captioner(seed, 4, length, vocabulary, units=12)
        model = SavedModel(captioner, vocabulary, ENCODER_RECORD)
        save_model(place / name, model, {"made_with": {"data": str(place / "data")}})
    models = ["--model", place / "one", "--split", "train", "--shown-photos", "2"]
    ended = run_here("evaluate", "--data", place / "data", *models, *FLAGS)
    assert (ended.returncode, ended.stderr) == (0, "")
    return place, ended.stdout


@pytest.fixture
def place(evaluated, tmp_path, capsys):
    shutil.copytree(evaluated[0], tmp_path / "place")
    capsys.readouterr()
    return tmp_path / "place"


def test_the_validation_split_tells_which_captions_are_unsure(place):
    run_evaluate(place, "one", split="train")
    assert not (place / "one" / "confidence.json").exists()
    for names in (["one"], ["one", "two"]):
        run_evaluate(place, *names, split="dev")
        folder = place / "+".join(names)
        unsure_below = read_unsure_below(folder)
        model = load_models([place / name for name in names])
        text, features = read_prepared_text(place / "data"), read_features(place / "data")
        photos = features.select(scoring.SplitReferences(text, "dev", features).photo_ids)[:]
        decoder = CaptionDecoder(model.captioner, model.vocabulary)
        best = [found[0] for found in decoder.finished_captions(photos, 3)]
        tokens = decoder.token_probabilities(photos, best)
        confidences = [np.prod([x.probability for x in each]) ** (1 / len(each)) for each in tokens]
        assert unsure_below == pytest.approx(np.quantile(confidences, 0.25))


def decode(place, names):
    """Decodes the training photos by the functions that have tests of their own."""
    model = load_models([place / name for name in names])
    text, features = read_prepared_text(place / "data"), read_features(place / "data")
    references = scoring.SplitReferences(text, "train", features)
    photos = features.select(references.photo_ids)[:]
    decoder = CaptionDecoder(model.captioner, model.vocabulary)
    decoded = {
        "greedy": decoder.greedy(photos),
        "beam 3": [found[0] for found in decoder.finished_captions(photos, 3)],
        "consensus 4": [decoder.by_consensus(x)[0] for x in decoder.finished_captions(photos, 4)],
    }
    captions = {
        title: [model.vocabulary.detokenize(ids) for ids in of_title]
        for title, of_title in decoded.items()
    }
    return references, captions


def test_the_rows_are_those_of_what_the_decoder_writes(evaluated):
    place, _ = evaluated
    scores = scores_of(place / "one")
    assert (scores.data, scores.split, scores.photos) == (str(place / "data"), "train", 8)
    assert list(scores.results) == [
        *("greedy", "beam 3", "consensus 4", "human"),
        *("greedy (same references)", "shuffled photos", "classic (flattering)"),
    ]
    references, captions = decode(place, ["one"])
    assert len({tuple(map(tuple, texts)) for texts in captions.values()}) > 1
    for title, texts in captions.items():
        row = scoring.standard_row(texts, references.words, references.cider)
        for name, score in row.scores.items():
            assert scores.results[title][name] == pytest.approx(score[0])


def test_table_file_and_page_agree_and_say_what_to_run_next(evaluated):
    place, out = evaluated
    scores = scores_of(place / "one")
    page = (place / "one" / "captions.html").read_text(encoding="utf-8")
    for row in scores.results.values():
        for name in set(METRICS).intersection(row):
            low, high = row["intervals"][name]
            cell = f"{row[name]:.1f} ±{(high - low) / 2:.1f}"
            assert cell in page
            assert cell in out
    for note in scores.notes:
        assert note in out.replace("\n", " ")
    assert out.count("reference:") == 4
    assert f"python generate.py PHOTO --model {place / 'one'}\n" in out
    table = pd.read_csv(place / "one" / "captions.csv", keep_default_na=False)
    assert list(table) == ["photo_id", "greedy", "beam 3", "consensus 4", "references"]
    _, captions = decode(place, ["one"])
    assert table["beam 3"].tolist() == [*map(" ".join, captions["beam 3"])]
    assert page.count("data:image/jpeg") == len(table) == 8
    # Decodings that wrote the same of a photo share a caption, with its score.
    expected = Counter()
    for texts in table[["greedy", "beam 3", "consensus 4"]].to_dict("records"):
        for text in set(texts.values()):
            expected[" · ".join(title for title in texts if texts[title] == text)] += 1
    labels = re.findall(r'class="label"><span>(.+?)</span> <span>\s*CIDEr-D ([0-9.]+)', page)
    assert Counter(titles for titles, _ in labels) == expected
    mean = sum(float(score) for titles, score in labels if "greedy" in titles) / 8
    assert mean == pytest.approx(scores.results["greedy"]["CIDEr-D"], abs=0.1)


def test_widths_are_chosen_and_no_ngram_is_repeated(place):
    flags = ["--beam", "1", "3", "--consensus", "1", "3", "4", "--no-repeat-ngram-size", "1"]
    assert run_evaluate(place, "one", more=flags) == 0
    titles = ["greedy", "beam 3", "consensus 3", "consensus 4", "human"]
    assert list(scores_of(place / "one").results)[:5] == titles
    table = pd.read_csv(place / "one" / "captions.csv", keep_default_na=False)
    assert all(len(set(text.split())) == len(text.split()) for text in table["beam 3"])


def test_two_models_are_compared_by_the_captions_that_one_left(place, capsys):
    earlier = contents(place / "one")
    assert run_evaluate(place, "two", more=["--consensus", 1, "--compare", place / "one"]) == 0
    assert contents(place / "one") == earlier
    scores, other = scores_of(place / "two"), scores_of(place / "one")
    assert set(scores.comparison) == {"greedy", "beam 3"}
    for title, row in scores.comparison.items():
        for name in METRICS:
            assert row[name]["this"] == pytest.approx(scores.results[title][name])
            assert row[name]["other"] == pytest.approx(other.results[title][name])
            assert 0 < row[name]["p_value"] <= 1
    out = capsys.readouterr().out
    assert f"{place / 'two'} (A) against {place / 'one'} (B)" in out
    assert f"Compared with {place.name}" not in out
    page = (place / "two" / "captions.html").read_text(encoding="utf-8")
    assert "Compared with one" in page
    for row in scores.comparison.values():
        assert all(f"{row[name]['p_value']:.3f}" in page for name in METRICS)
    assert (place / "two" / "recipe.toml").read_text() in html.unescape(page)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: (place / "one" / "scores.json").unlink(), "scores.json is missing"),
        (lambda place: run_evaluate(place, "one", split="dev"), "of other photos, not of the tr"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_command(place, capsys, change, words):
    change(place)
    capsys.readouterr()
    flags = ["--split", "train", "--compare", place / "one"]
    ended = run_here("evaluate", "--data", place / "data", "--model", place / "two", *flags)
    assert_refused(ended, words, "run python evaluate.py --data", f"--model {place / 'one'}")


def test_several_models_are_averaged_and_scored_together(place, capsys):
    before = contents(place)
    assert run_evaluate(place, "one", "two", more=["--consensus", 1]) == 0
    out, folder = capsys.readouterr().out, place / "one+two"
    names = {"scores.json", "captions.csv", "captions.html", "recipe.toml"}
    assert {path.name for path in folder.iterdir()} == names
    after = contents(place)
    assert before.items() <= after.items()
    assert f"{folder} on the train split" in out
    assert f"generate.py PHOTO --model {place / 'one'} {place / 'two'}\n" in out
    table = pd.read_csv(folder / "captions.csv", keep_default_na=False)
    _, captions = decode(place, ["one", "two"])
    assert table["beam 3"].tolist() == [*map(" ".join, captions["beam 3"])]
    # The recipe makes the same once more.
    recipe = ["--recipe", str(folder / "recipe.toml"), "--data", str(place / "data")]
    assert evaluate.main(recipe) == 0
    assert contents(place)["one+two/scores.json"] == after["one+two/scores.json"]
    assert evaluate.main(["--models", str(folder)]) == 0
    greedy = scores_of(folder).results["greedy"]
    assert f"{greedy['CIDEr-D']:.1f}" in capsys.readouterr().out


def test_only_photos_with_features_are_scored(place, capsys):
    features = read_features(place / "data")
    kept = [photo for photo in features.ids if photo != "red_ball_snow"]
    rows = [features.select([photo])[:][0] for photo in kept]
    write_features(place / "data", kept, np.array(rows), ENCODER_RECORD)
    assert run_evaluate(place, "one", more=["--beam", 1, "--consensus", 1]) == 0
    assert scores_of(place / "one").photos == 7
    assert "1 of" in capsys.readouterr().err
    page = (place / "one" / "captions.html").read_text(encoding="utf-8")
    assert "red_ball_snow: it has no features" in page
