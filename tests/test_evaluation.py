"""The evaluator on captions that are known: people's own, the same for all, none, shuffled."""

import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from support import make_prepared_data

import evaluate
import prepare_text
import train
from captioning.cli import UserError
from captioning.network.decoding import CaptionDecoder
from captioning.network.saved_model import load_model
from captioning.photos.features import read_features
from captioning.scores import metrics, scoring
from captioning.scores.notes import notes_on
from captioning.scores.scoring import read_scores
from captioning.text.captions import read_captions
from captioning.text.splits import read_split
from captioning.text.vocabulary import Vocabulary
from captioning.text.words import clean_captions, split_into_words

METRICS = (*metrics.BLEU_NAMES, "ROUGE-L", "CIDEr-D")


class MockDecoder:
    """Stands in for CaptionDecoder and writes what it is told to."""

    captions = ()
    widths: ClassVar[list[int]] = []

    def __init__(self, captioner, vocabulary):
        self.vocabulary = vocabulary

    def finished_captions(self, features, beam_width, no_repeat_ngram_size):
        """Writes it about each photo, whatever the beam width."""
        self.widths.append(beam_width)
        return [[self.vocabulary.tokenize(words)[1:]] for words in self.captions]

    def choose_by_consensus(self, captions):
        """Takes the only one."""
        (caption,) = captions
        return caption


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a data folder and a model folder that was trained on it.

    Its vocabulary keeps one-letter words, so that a mock decoder can repeat a reference.
    """
    place = tmp_path_factory.mktemp("evaluation")
    data, model = place / "tiny", place / "model"
    make_prepared_data(data)
    assert prepare_text.main(["--data", str(data), "--min-word-length", "1"]) == 0
    folders = ["--data", str(data), "--model", str(model)]
    assert train.main([*folders, "--epochs", "2", "--units", "8"]) == 0
    return data, model


def words_of(data, split):
    """Returns the words of the references of each photo."""
    texts = read_captions(data)
    return [[split_into_words(text) for text in texts[name]] for name in read_split(data, split)]


@pytest.fixture
def evaluated(trained, monkeypatch, capsys):
    """Returns a function that runs evaluate.py with a mock decoder on the training split."""
    data, model = trained
    references = words_of(data, "train")

    def run(say, *more):
        monkeypatch.setattr(MockDecoder, "captions", [say(words) for words in references])
        monkeypatch.setattr("captioning.network.decoding.CaptionDecoder", MockDecoder)
        capsys.readouterr()
        folders = ["--data", str(data), "--model", str(model)]
        assert evaluate.main([*folders, "--split", "train", *map(str, more)]) == 0
        return read_scores(model, ""), capsys.readouterr().out

    return run


def test_a_captioner_that_repeats_a_reference_has_full_marks(evaluated):
    scores, _ = evaluated(lambda references: references[1])
    greedy = scores["results"]["greedy"]
    for name in (*metrics.BLEU_NAMES, "ROUGE-L"):
        assert greedy[name] == pytest.approx(100)
        assert greedy["intervals"][name] == pytest.approx([100, 100])
    assert 400 < greedy["CIDEr-D"] <= 1000
    assert greedy["copied_from_training"] == 100
    assert greedy["distinct_captions"] == 8
    # Against the first of them alone, which the human row leaves out, it says just the others.
    assert scores["results"]["greedy (same references as human)"]["BLEU-4"] == pytest.approx(100)
    assert scores["results"]["human"]["BLEU-4"] < 50
    (note,) = [text for text in scores["notes"] if text.startswith("The human row scores lower")]
    assert "one fewer reference" in note
    assert not any("warning" in text for text in scores["notes"])


def assert_finite(scores):
    for row in scores["results"].values():
        for name, value in row.items():
            assert np.isfinite(list(value.values()) if name == "intervals" else value).all()


def test_a_captioner_that_says_nothing(evaluated):
    scores, out = evaluated(lambda references: [])
    assert_finite(scores)
    greedy = scores["results"]["greedy"]
    assert [greedy[name] for name in METRICS] == [0] * 6
    assert (greedy["mean_length"], greedy["vocabulary_coverage"]) == (0, 0)
    assert "warning: greedy: all 8 captions are empty." in out
    assert "BLEU-1 is 0" in out
    assert "seems to ignore the photo" in out.replace("\n", " ")


def test_a_captioner_that_says_the_same_of_every_photo(evaluated):
    scores, out = evaluated(lambda references: ["a", "ball", "lies", "in", "the", "snow"])
    assert_finite(scores)
    assert "warning: greedy: all 8 captions are the same." in out
    assert scores["results"]["greedy"]["distinct_captions"] == 1
    rows = scores["results"]
    for name in METRICS:
        assert rows["shuffled photos"][name] == pytest.approx(rows["greedy"][name])
    assert "seems to ignore the photo" in out.replace("\n", " ")


def test_the_table_the_file_and_the_page_agree(evaluated, trained):
    scores, out = evaluated(
        lambda references: references[1][:4], "--beam", "2", "4", "--consensus", "3"
    )
    assert list(scores["results"]) == [
        "greedy",
        "beam 2",
        "beam 4",
        "consensus 3",
        "human",
        "greedy (same references as human)",
        "shuffled photos",
        "classic (flattering)",
    ]
    _, model = trained
    page = (model / "captions.html").read_text()
    start = out.index(f"{model} on the train split, 8 photos")
    _, table, statistics, *_ = out[start:].split("\n\n")
    lines = table.splitlines()
    assert max(map(len, (*lines, *statistics.splitlines()))) <= 80
    for title, row in scores["results"].items():
        (place,) = [i for i, line in enumerate(lines) if line.startswith(f"{title}  ")]
        cells, halves = lines[place].removeprefix(title).split(), lines[place + 1].split()
        names = [name for name in METRICS if name in row]
        assert cells[: len(names)] == [f"{row[name]:.1f}" for name in names]
        ends = [row["intervals"][name] for name in names]
        assert halves == [f"±{(high - low) / 2:.1f}" for low, high in ends]
        for name, half in zip(names, halves, strict=True):
            assert f"{row[name]:.1f} {half}" in page
            low, high = row["intervals"][name]
            assert low <= row[name] + 1e-9
            assert row[name] - 1e-9 <= high
        (line,) = [line for line in statistics.splitlines() if line.startswith(f"{title}  ")]
        assert line.removeprefix(title).split() == [
            f"{row['mean_length']:.1f}",
            f"{row['distinct_captions']}",
            f"{row['vocabulary_coverage']:.1f}%",
            f"{row['copied_from_training']:.1f}%",
        ]
    captions = pd.read_csv(model / "captions.csv", keep_default_na=False)
    assert list(captions.columns) == [
        *("photo_id", "greedy", "beam 2", "beam 4", "consensus 3", "references")
    ]
    assert "greedy · beam 2 · beam 4 · consensus 3" in page
    assert "consensus: of the captions that a beam of this width" in out
    assert captions["greedy"][0] == "there s one red"
    assert captions["references"][0].endswith("| There 's one red ball , on snow !")


def test_each_beam_width_is_searched_once(evaluated, monkeypatch):
    monkeypatch.setattr(MockDecoder, "widths", [])
    flags = ["--beam", "3", "5", "--consensus", "5", "10", "--shown-photos", "0"]
    scores, out = evaluated(lambda references: references[0], *flags)
    assert list(scores["results"])[:5] == [
        *("greedy", "beam 3", "beam 5", "consensus 5", "consensus 10")
    ]
    assert MockDecoder.widths == [1, 3, 5, 10]
    assert "reference:" not in out


def test_a_narrow_terminal_gets_fewer_columns(evaluated, trained, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    evaluated(lambda references: references[1], "--consensus", "1")
    scores, out = evaluated(lambda references: references[1], "--compare", trained[1])
    left_out = "left out, since the terminal is narrow: BLEU-3, BLEU-2, ROUGE-L"
    assert left_out in out.replace("\n", " ")
    # A path or a command is not broken.
    fixed = [line for line in out.splitlines() if "/" not in line]
    assert max(map(len, fixed)) <= 60
    greedy = scores["results"]["greedy"]
    shown = [f"{greedy[name]:.1f}" for name in ("BLEU-1", "BLEU-4", "CIDEr-D")]
    (line, *_) = [line for line in out.splitlines() if line.startswith("greedy  ")]
    assert line.split()[1:] == shown


def test_a_model_compared_with_itself(evaluated, trained):
    evaluated(lambda references: references[0])
    scores, out = evaluated(lambda references: references[0], "--compare", trained[1])
    assert set(scores["comparison"]) == {"greedy", "beam 3", "beam 5", "consensus 5"}
    for row in scores["comparison"].values():
        assert list(row) == list(METRICS)
        for score in row.values():
            assert score["this"] == score["other"]
            assert score["p_value"] == 1
    assert "(A) against" in out
    assert " 1.000" in out


def make_row(captions, references):
    return scoring.standard_row(captions, references, metrics.CiderD(references))


def test_comparison_tells_a_better_model_from_chance():
    references = [[f"a dog number {row} runs on grass".split()] for row in range(60)]
    good = [texts[0] for texts in references]
    # Better in every photo; and better in as many photos as it is worse.
    bad = [[*words[:-2], "xx", "yy"] for words in good]
    mixed = [bad[row] if row % 2 else good[row] for row in range(60)]
    mirrored = [good[row] if row % 2 else bad[row] for row in range(60)]
    rows = {name: make_row(texts, references) for name, texts in [("good", good), ("bad", bad)]}
    clear = scoring.compare({"greedy": rows["good"]}, {"greedy": rows["bad"]})["greedy"]
    even = scoring.compare(
        {"greedy": make_row(mixed, references)}, {"greedy": make_row(mirrored, references)}
    )["greedy"]
    for name in METRICS:
        assert clear[name]["this"] > clear[name]["other"]
        assert clear[name]["p_value"] == pytest.approx(1 / 1001)
        assert even[name]["p_value"] > 0.5


def test_standard_and_classic_rows_differ_in_what_they_count():
    """Leaves out a one-letter word, guesses all others wrong, and ends or not."""
    text = split_into_words("A dog runs .")
    standard = make_row([["dog", "runs"]], [[text]]).statistics.scores()
    assert standard["BLEU-1"] == pytest.approx(100 * math.exp(1 - 3 / 2))
    wrong, descriptions = [["cat", "sits", "down"]], [[["dog", "runs", "fast"]]]
    assert make_row(wrong, descriptions).statistics.scores()["BLEU-1"] == 0
    both = scoring.classic_row(wrong, [True], descriptions).statistics.scores()
    assert both["BLEU-1"] == pytest.approx(100 * 2 / 5)
    one = scoring.classic_row(wrong, [False], descriptions).statistics.scores()
    assert one["BLEU-1"] == pytest.approx(100 * 1 / 4 * math.exp(1 - 5 / 4))


@pytest.mark.parametrize("photos", [2, 3, 50])
def test_shuffling_leaves_no_photo_its_own_caption_and_loses_none(photos):
    captions = [[str(row)] for row in range(photos)]
    shuffled = scoring.shuffle(captions)
    assert sorted(shuffled) == sorted(captions)
    assert all(one != other for one, other in zip(shuffled, captions, strict=True))


def test_variety_is_counted_by_hand():
    captions = [["a", "dog"], ["a", "dog"], ["cats", "xx"], []]
    row = scoring.Row(captions, make_row(captions, [[["a"]]] * 4).statistics, captions)
    vocabulary = Vocabulary(("startseq", "endseq", "dog", "cats", "birds", "fish"), 5, {})
    training = {("a", "dog"), ("cats",)}
    result = scoring.summarize({"greedy": row}, vocabulary, training)["greedy"]
    assert result["distinct_captions"] == 3
    assert result["mean_length"] == 1.5
    assert result["vocabulary_coverage"] == 50
    assert result["copied_from_training"] == 50


def test_one_photo_with_one_reference_has_neither_human_nor_shuffled_row():
    vocabulary = Vocabulary(("startseq", "endseq", "dog"), 5, {})
    references = scoring.SplitReferences(["x"], [["A dog"]], [[["a", "dog"]]], [[["dog"]]], set())
    rows = scoring.score_rows({"greedy": [[3, 2]]}, vocabulary, references)
    assert list(rows) == ["greedy", "classic (flattering)"]
    notes = notes_on(rows, scoring.summarize(rows, vocabulary, set()))
    assert any("only one photo" in text for text in notes)
    assert any("no human row" in text for text in notes)


def test_captions_of_a_real_model_are_scored_with_those_of_every_beam(trained):
    """Scores what a trained network writes, against scoring by hand what the decoder returns."""
    data, folder = trained
    folders = ["--data", str(data), "--model", str(folder)]
    flags = ["--beam", "1", "3", "--consensus", "1", "4"]
    assert evaluate.main([*folders, "--split", "train", *flags]) == 0
    scores = read_scores(folder, "")
    assert (scores["data"], scores["split"], scores["photos"]) == (str(data), "train", 8)
    assert list(scores["results"])[:4] == ["greedy", "beam 3", "consensus 4", "human"]
    model, features = load_model(folder), read_features(data)
    photos = np.stack([features[name] for name in read_split(data, "train")])
    references = words_of(data, "train")
    decoder = CaptionDecoder(model.captioner, model.vocabulary)
    decoded = {
        "greedy": decoder.greedy(photos),
        "beam 3": decoder.beam(photos, 3),
        "consensus 4": decoder.consensus(photos, 4),
    }
    for title, ids in decoded.items():
        captions = [model.vocabulary.detokenize(caption) for caption in ids]
        expected = make_row(captions, references).statistics.scores()
        for name in METRICS:
            assert scores["results"][title][name] == pytest.approx(expected[name][0])


def test_scores_of_another_format_are_refused(tmp_path):
    (tmp_path / "scores.json").write_text('{"split": "test", "rows": {}, "remarks": []}')
    with pytest.raises(UserError, match=r"scores\.json has format version None.*run this"):
        read_scores(tmp_path, "run this")


def test_markers_add_about_eleven_points_to_real_captions(flickr8k):
    """Scores one person against the other four: the markers' share of the classic row."""
    captions = read_captions(flickr8k)
    cleaned = clean_captions(captions, min_word_length=2)
    names = read_split(flickr8k, "test")
    person, others = [cleaned[name][0] for name in names], [cleaned[name][1:] for name in names]
    counts = metrics.bleu_counts(person, others)
    plain = metrics.PhotoStatistics(counts, {}, scoring.CLASSIC_WEIGHTS).scores()["BLEU-1"]
    marked = scoring.classic_row(person, [True] * len(names), others).statistics.scores()
    assert 5 < marked["BLEU-1"] - plain < 15
