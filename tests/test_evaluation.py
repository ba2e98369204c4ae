"""evaluate.py on captions that are known: people's own, the same for all, none, and real ones."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import make_prepared_data

import evaluate
import prepare_text
import train
from captioning import scoring
from captioning.captions import read_captions, split_into_words
from captioning.cli import LINE_WIDTH, UserError, run
from captioning.decoding import CaptionDecoder
from captioning.features import read_features
from captioning.metrics import BLEU_NAMES, CiderD
from captioning.saved_model import SavedModel, load_model, save_model
from captioning.splits import read_split
from captioning.vocabulary import read_vocabulary

METRICS = (*BLEU_NAMES, "ROUGE-L", "CIDEr-D")


class MockDecoder:
    """Stands in for CaptionDecoder and returns given captions."""

    captions = ()

    def __init__(self, captioner, vocabulary):
        self.vocabulary = vocabulary

    def decode(self, features, beam_width):
        """Returns them whatever the photos are."""
        return [self.vocabulary.tokenize(words)[1:] for words in self.captions]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Gives data and a model that was trained for an epoch.

    The vocabulary keeps one-letter words, so that the mock decoder can repeat a reference.
    """
    place = tmp_path_factory.mktemp("evaluation")
    data, model = place / "data", place / "model"
    make_prepared_data(data)
    assert prepare_text.main(["--data", str(data), "--min-word-length", "1"]) == 0
    settings = ["--epochs", "1", "--units", "16", "--learning-rate", "0.05"]
    assert train.main(["--data", str(data), "--model", str(model), *settings]) == 0
    return data, model


@pytest.fixture
def run_evaluate(places, capsys):
    """Gives a function that runs evaluate.py on the training split."""
    data, model = places

    def run_evaluate(*more):
        capsys.readouterr()
        arguments = ["--data", str(data), "--model", str(model), "--split", "train", *more]
        assert evaluate.main(arguments) == 0
        return scoring.read_scores(model, ""), capsys.readouterr().out

    return run_evaluate


@pytest.fixture
def evaluate_captions(places, run_evaluate, monkeypatch):
    """Gives a function that has the model write, of each photo, what is made of its references."""
    data, _ = places
    texts = read_captions(data)
    references = [
        [split_into_words(text) for text in texts[photo]] for photo in read_split(data, "train")
    ]

    def evaluate_captions(write, *more):
        monkeypatch.setattr(MockDecoder, "captions", [write(words) for words in references])
        monkeypatch.setattr(evaluate, "CaptionDecoder", MockDecoder)
        return run_evaluate(*more)

    return evaluate_captions


def test_a_model_that_repeats_a_reference_has_full_scores(evaluate_captions):
    scores, _ = evaluate_captions(lambda references: references[1])
    greedy = scores["results"]["greedy"]
    for name in (*BLEU_NAMES, "ROUGE-L"):
        assert greedy[name] == pytest.approx(100)
        assert greedy["intervals"][name] == pytest.approx([100, 100])
    assert 400 < greedy["CIDEr-D"] <= 1000
    assert greedy["copied_from_training"] == 100
    assert greedy["distinct_captions"] == 8
    # It repeats the second reference, which the human row is scored against.
    assert scores["results"]["greedy (same references as human)"]["BLEU-4"] == pytest.approx(100)
    assert scores["results"]["human"]["BLEU-4"] < 50
    (note,) = [text for text in scores["notes"] if text.startswith("The human row scores lower")]
    assert "one reference less" in note
    assert not any("warning" in text for text in scores["notes"])


def assert_finite(scores):
    for result in scores["results"].values():
        for name, value in result.items():
            assert np.isfinite(list(value.values()) if name == "intervals" else value).all()


def test_a_model_that_writes_nothing(evaluate_captions):
    scores, out = evaluate_captions(lambda references: [])
    assert_finite(scores)
    greedy = scores["results"]["greedy"]
    assert [greedy[name] for name in METRICS] == [0] * 6
    assert (greedy["mean_length"], greedy["vocabulary_coverage"]) == (0, 0)
    assert "warning: greedy: all 8 captions are empty." in out
    assert "BLEU-1 is 0: no word of the captions is in a reference." in out
    assert "seems to ignore the photo" in out.replace("\n", " ")


def test_a_model_that_writes_the_same_about_every_photo(evaluate_captions):
    scores, out = evaluate_captions(lambda references: ["a", "ball", "lies", "in", "the", "snow"])
    assert_finite(scores)
    results = scores["results"]
    assert "warning: greedy: all 8 captions are the same." in out
    assert results["greedy"]["distinct_captions"] == 1
    for name in METRICS:
        assert results["shuffled photos"][name] == pytest.approx(results["greedy"][name])
    assert "seems to ignore the photo" in out.replace("\n", " ")


def test_the_tables_the_file_and_the_page_agree(places, evaluate_captions):
    _, model = places
    scores, out = evaluate_captions(lambda references: references[1][:4], "--beam", "2", "4")
    assert list(scores["results"]) == [
        "greedy",
        "beam 2",
        "beam 4",
        "human",
        "greedy (same references as human)",
        "shuffled photos",
        "classic (flattering)",
    ]
    page = (model / "captions.html").read_text()
    lines = out.splitlines()
    for title, result in scores["results"].items():
        # The first table has the scores, the second the statistics.
        place, later = [i for i, line in enumerate(lines) if line.startswith(f"{title}  ")]
        cells, halves = lines[place].removeprefix(title).split(), lines[place + 1].split()
        names = [name for name in METRICS if name in result]
        assert cells == [f"{result[name]:.1f}" for name in names]
        ends = [result["intervals"][name] for name in names]
        assert halves == [f"±{(high - low) / 2:.1f}" for low, high in ends]
        for name, half in zip(names, halves, strict=True):
            assert f"{result[name]:.1f} {half}" in page
            low, high = result["intervals"][name]
            assert low <= result[name] + 1e-9
            assert result[name] - 1e-9 <= high
        statistics = lines[later].removeprefix(title).split()
        assert statistics == [
            f"{result['mean_length']:.1f}",
            f"{result['distinct_captions']}",
            f"{result['vocabulary_coverage']:.1f}%",
            f"{result['copied_from_training']:.1f}%",
        ]
    paths = [line for line in lines if str(model) in line]
    assert max(len(line) for line in lines if line not in paths) <= LINE_WIDTH
    captions = pd.read_csv(model / "captions.csv", keep_default_na=False)
    assert list(captions.columns) == ["photo_id", "greedy", "beam 2", "beam 4", "references"]
    assert captions["photo_id"][0] == "red_ball_snow"
    assert captions["greedy"][0] == "there s one red"
    assert captions["references"][0].endswith("| There 's one red ball , on snow !")


def test_settings_and_examples_are_printed(evaluate_captions):
    _, out = evaluate_captions(lambda references: references[0], "--shown-photos", "2")
    assert "settings changed by recipe or flag: split train, shown_photos 2\n" in out
    assert out.count("  model:     ") == 2
    assert "\n  model:     a red ball lies in the snow\n  reference: A red ball lies in" in out


def test_a_model_compared_with_itself(places, evaluate_captions):
    scores, out = evaluate_captions(lambda references: references[0], "--compare", str(places[1]))
    assert set(scores["comparison"]) == {"greedy", "beam 3", "beam 5"}
    for metrics in scores["comparison"].values():
        for metric in metrics.values():
            assert metric["this"] == metric["other"]
            assert metric["p_value"] == 1
    assert "(A) against" in out
    assert " 1.000" in out


def test_a_model_of_other_features_is_refused(places, tmp_path):
    data, folder = places
    other, model = tmp_path / "other", load_model(folder)
    record = {**model.encoder_record, "layer": "fc1"}
    save_model(other, SavedModel(model.captioner, model.vocabulary, record), {})
    for models in (["--model", str(other)], ["--model", str(folder), "--compare", str(other)]):
        with pytest.raises(UserError, match="fc1") as raised:
            evaluate.main(["--data", str(data), *models])
        assert str(other / "features.json") in str(raised.value)
        assert str(data / "features.json") in str(raised.value)


def test_captions_of_a_real_model_are_scored_with_those_of_every_beam(places, run_evaluate):
    """Scores what a trained network writes, against scoring by hand what the decoder gives."""
    data, model = places
    scores, _ = run_evaluate("--beam", "3")
    captioner = load_model(model).captioner
    features, texts = read_features(data), read_captions(data)
    names = read_split(data, "train")
    photos = np.stack([features[name] for name in names])
    vocabulary = read_vocabulary(data, "")
    references = [[split_into_words(text) for text in texts[name]] for name in names]
    decoder = CaptionDecoder(captioner, vocabulary)
    for title, ids in (("greedy", decoder.greedy(photos)), ("beam 3", decoder.beam(photos, 3))):
        captions = [vocabulary.detokenize(caption) for caption in ids]
        row = scoring.standard_row(captions, references, CiderD(references))
        for name, values in row.statistics.scores().items():
            assert scores["results"][title][name] == pytest.approx(values[0])


# ---- The table of several models ----


@pytest.fixture
def models(places, evaluate_captions, tmp_path, monkeypatch):
    """Gives a folder of two scored models, one without scores, one without a recipe, and a file.

    The second model is the first with other settings written into its recipe and other scores.
    """
    _, model = places
    evaluate_captions(lambda references: references[1])
    # Long paths would leave no room for the columns.
    monkeypatch.chdir(tmp_path)
    folder = Path("models")
    shutil.copytree(model, folder / "a")
    shutil.copytree(model, folder / "b")
    recipe = (folder / "b" / "recipe.toml").read_text()
    assert "units = 16" in recipe
    recipe = recipe.replace("units = 16", "units = 99")
    (folder / "b" / "recipe.toml").write_text(recipe)
    scores = scoring.read_scores(folder / "b", "")
    for title, bleu, cider in (("greedy", 12.34, 40), ("beam 3", 15, 60), ("beam 5", 16, 50)):
        scores["results"][title] |= {"BLEU-4": bleu, "CIDEr-D": cider}
    scoring.write_scores(folder / "b", scores)
    shutil.copytree(folder / "a", folder / "unscored")
    (folder / "unscored" / "scores.json").unlink()
    (folder / "empty").mkdir()
    (folder / "README.md").write_text("no model")
    return folder


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_models_are_told_apart_in_one_table(models, places, capsys):
    before = files_of(models)
    capsys.readouterr()
    assert evaluate.main(["--models", *map(str, sorted(models.iterdir()))]) == 1
    assert files_of(models) == before
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert max(map(len, lines)) <= LINE_WIDTH
    assert lines[0].split() == ["greedy", "best", "beam", "train"]
    # Only units differ. The best beam is that with the highest CIDEr-D.
    assert lines[1].split() == ["split", *METRICS[3::2], "width", *METRICS[3::2], "units"]
    assert lines[2].split()[:3] == ["models/a", "train", "100.0"]
    assert lines[2].split()[-1] == "16"
    assert lines[3].split() == ["models/b", "train", "12.3", "40.0", "3", "15.0", "60.0", "99"]
    assert len(lines) == 4

    data, _ = places
    unscored, empty = models / "unscored", models / "empty"
    assert captured.err.splitlines() == [
        f"left out: {empty / 'recipe.toml'} is missing: run python train.py --model {empty}",
        f"left out: {unscored / 'scores.json'} is missing: run python evaluate.py --data {data} "
        f"--model {unscored}",
    ]


def test_many_differing_settings_continue_below(models, capsys):
    recipe = (models / "b" / "recipe.toml").read_text()
    for name in ("photo_dropout", "word_dropout", "output_dropout", "weight_decay"):
        assert f"{name} = 0" in recipe
        recipe = recipe.replace(f"{name} = 0", f"{name} = 7")
    (models / "b" / "recipe.toml").write_text(recipe)
    capsys.readouterr()
    assert evaluate.main(["--models", str(models / "a"), str(models / "b")]) == 0
    out = capsys.readouterr().out
    for name in ("photo_dropout", "word_dropout", "output_dropout", "weight_decay", "units"):
        assert out.count(name) == 1
    assert "\\" not in out


@pytest.mark.parametrize("name", ["scores.json", "recipe.toml"])
def test_a_damaged_or_old_file_of_a_model_is_named(models, capsys, name):
    path = models / "a" / name
    path.write_text('{"rows": {}, "remarks": []}')
    capsys.readouterr()
    assert run(evaluate.main, ["--models", str(path.parent)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert str(path) in captured.err
    assert ("evaluate.py" if name == "scores.json" else "train.py") in captured.err


@pytest.mark.parametrize("arguments", [["--models"], ["--models", "a", "--compare", "b"]])
def test_models_with_no_folder_or_with_a_comparison_are_refused(capsys, arguments):
    assert run(evaluate.main, arguments) == 2
    assert "--models" in capsys.readouterr().err


def test_models_without_any_folder_are_refused(models, capsys):
    capsys.readouterr()
    assert run(evaluate.main, ["--models", str(models / "README.md")]) == 2
    assert "name model folders" in capsys.readouterr().err
