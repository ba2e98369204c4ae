"""The evaluator on captions that are known: people's own, the same for all, none, shuffled."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from support import ENCODER_RECORD

import evaluate
import prepare_text
import train
from captioning import metrics, scoreboard
from captioning.captions import clean_captions, read_captions, split_into_words
from captioning.cli import UserError
from captioning.features import read_features, write_features
from captioning.splits import read_split
from captioning.vocabulary import Vocabulary, read_vocabulary


class MockDecoder:
    """Stands in for CaptionDecoder and says what it is told to."""

    captions = ()

    def __init__(self, model, vocabulary):
        self.vocabulary = vocabulary

    def greedy(self, photos):
        """Says it of each photo."""
        return [self.vocabulary.tokenize(words)[1:] for words in self.captions]

    def beam(self, photos, width):
        """Says the same."""
        return self.greedy(photos)


@pytest.fixture
def evaluated(prepared_data, tmp_path, monkeypatch, capsys):
    """Gives a function that runs evaluate.py with a mock captioner on the training split.

    Its vocabulary keeps one-letter words, so that the mock can repeat a reference.
    """
    arguments = ["--data", str(prepared_data), "--model", str(tmp_path / "model")]
    assert prepare_text.main(["--data", str(prepared_data), "--min-word-length", "1"]) == 0
    assert train.main([*arguments, "--epochs", "1"]) == 0
    texts = read_captions(prepared_data)
    references = [
        [split_into_words(text) for text in texts[name]]
        for name in read_split(prepared_data, "train")
    ]

    def run(say, *more):
        monkeypatch.setattr(MockDecoder, "captions", [say(words) for words in references])
        monkeypatch.setattr(evaluate, "CaptionDecoder", MockDecoder)
        capsys.readouterr()
        assert evaluate.main([*arguments, "--split", "train", *more]) == 0
        scores = json.loads((tmp_path / "model" / "scores.json").read_text())
        return scores, capsys.readouterr().out

    return run


def test_a_captioner_that_repeats_a_reference_has_full_marks(evaluated):
    scores, _ = evaluated(lambda references: references[1])
    greedy = scores["rows"]["greedy"]
    for name in (*metrics.BLEU_NAMES, "ROUGE-L"):
        assert greedy[name] == pytest.approx(100)
        assert greedy["intervals"][name] == pytest.approx([100, 100])
    assert 400 < greedy["CIDEr-D"] <= 1000
    assert greedy["found_in_training"] == 100
    assert greedy["distinct_captions"] == 8
    # Against the first of them alone, which the human row leaves out, it says just the others.
    assert scores["rows"]["greedy, as human"]["BLEU-4"] == pytest.approx(100)
    assert scores["rows"]["human"]["BLEU-4"] < 50
    (remark,) = [text for text in scores["remarks"] if text.startswith("One person scores lower")]
    assert "one reference less" in remark
    assert not any("warning" in text for text in scores["remarks"])


def assert_finite(scores):
    for row in scores["rows"].values():
        for name, value in row.items():
            assert np.isfinite(list(value.values()) if name == "intervals" else value).all()


def test_a_captioner_that_says_nothing(evaluated):
    scores, out = evaluated(lambda references: [])
    assert_finite(scores)
    greedy = scores["rows"]["greedy"]
    assert [greedy[name] for name in scoreboard.FIGURES] == [0] * 6
    assert (greedy["mean_length"], greedy["vocabulary_used"]) == (0, 0)
    assert "warning: greedy: all 8 captions are empty." in out
    assert "BLEU-1 is 0" in out
    assert "seems not to look" in out.replace("\n", " ")


def test_a_captioner_that_says_the_same_of_every_photo(evaluated):
    scores, out = evaluated(lambda references: ["a", "ball", "lies", "in", "the", "snow"])
    assert_finite(scores)
    assert "warning: greedy: all 8 captions are the same." in out
    assert scores["rows"]["greedy"]["distinct_captions"] == 1
    rows = scores["rows"]
    for name in scoreboard.FIGURES:
        assert rows["shuffled photos"][name] == pytest.approx(rows["greedy"][name])
    assert "seems not to look" in out.replace("\n", " ")


def test_the_table_the_file_and_the_page_agree(evaluated, tmp_path):
    scores, out = evaluated(lambda references: references[1][:4], "--beam", "2", "4")
    assert list(scores["rows"]) == [
        "greedy",
        "beam 2",
        "beam 4",
        "human",
        "greedy, as human",
        "shuffled photos",
        "classic (flattering)",
    ]
    page = (tmp_path / "model" / "captions.html").read_text()
    lines = out.splitlines()
    for title, row in scores["rows"].items():
        (place,) = [i for i, line in enumerate(lines) if line.startswith(f"{title}  ")]
        cells, halves = lines[place].removeprefix(title).split(), lines[place + 1].split()
        names = [name for name in scoreboard.FIGURES if name in row]
        assert cells[: len(names)] == [f"{row[name]:.1f}" for name in names]
        ends = [row["intervals"][name] for name in names]
        assert halves == [f"±{(high - low) / 2:.1f}" for low, high in ends]
        for name, half in zip(names, halves, strict=True):
            assert f"{row[name]:.1f} {half}" in page
            low, high = row["intervals"][name]
            assert low <= row[name] + 1e-9
            assert row[name] - 1e-9 <= high
        assert f"{row['mean_length']:.1f}" == cells[len(names)]
    captions = pd.read_csv(tmp_path / "model" / "captions.csv", keep_default_na=False)
    assert list(captions.columns) == ["photo", "greedy", "beam 2", "beam 4", "references"]
    assert captions["greedy"][0] == "there s one red"
    assert captions["references"][0].endswith("| There 's one red ball , on snow !")


def test_a_model_compared_with_itself_and_with_another(evaluated, tmp_path):
    other = ["--compare", str(tmp_path / "model")]
    scores, out = evaluated(lambda references: references[0], *other)
    assert set(scores["comparison"]) == {"greedy", "beam 3", "beam 5"}
    for figures in scores["comparison"].values():
        for figure in figures.values():
            assert figure["this"] == figure["other"]
            assert figure["p_value"] == 1
    assert "(A) against" in out
    assert " 1.000" in out


def make_row(captions, references):
    return evaluate.standard_row(captions, references, metrics.CiderD(references))


def test_comparison_tells_a_better_model_from_chance():
    references = [[f"a dog number {row} runs on grass".split()] for row in range(60)]
    good = [texts[0] for texts in references]
    # Better in every photo; and better in as many photos as it is worse.
    bad = [[*words[:-2], "xx", "yy"] for words in good]
    mixed = [bad[row] if row % 2 else good[row] for row in range(60)]
    mirrored = [good[row] if row % 2 else bad[row] for row in range(60)]
    rows = {name: make_row(texts, references) for name, texts in [("good", good), ("bad", bad)]}
    clear = evaluate.compare({"greedy": rows["good"]}, {"greedy": rows["bad"]})["greedy"]
    even = evaluate.compare(
        {"greedy": make_row(mixed, references)}, {"greedy": make_row(mirrored, references)}
    )["greedy"]
    for name in scoreboard.FIGURES:
        assert clear[name]["this"] > clear[name]["other"]
        assert clear[name]["p_value"] == pytest.approx(1 / 1001)
        assert even[name]["p_value"] > 0.5


def test_standard_and_classic_rows_differ_in_what_they_count():
    """Leaves out a one-letter word, guesses all others wrong, and ends or not."""
    text = split_into_words("A dog runs .")
    standard = make_row([["dog", "runs"]], [[text]]).statistics.figures()
    assert standard["BLEU-1"] == pytest.approx(100 * math.exp(1 - 3 / 2))
    wrong, descriptions = [["cat", "sits", "down"]], [[["dog", "runs", "fast"]]]
    assert make_row(wrong, descriptions).statistics.figures()["BLEU-1"] == 0
    both = evaluate.classic_row(wrong, [True], descriptions).statistics.figures()
    assert both["BLEU-1"] == pytest.approx(100 * 2 / 5)
    one = evaluate.classic_row(wrong, [False], descriptions).statistics.figures()
    assert one["BLEU-1"] == pytest.approx(100 * 1 / 4 * math.exp(1 - 5 / 4))


@pytest.mark.parametrize("photos", [2, 3, 50])
def test_shuffling_leaves_no_photo_its_own_caption_and_loses_none(photos):
    captions = [[str(row)] for row in range(photos)]
    shuffled = evaluate.shuffle(captions)
    assert sorted(shuffled) == sorted(captions)
    assert all(one != other for one, other in zip(shuffled, captions, strict=True))


def test_variety_is_counted_by_hand():
    captions = [["a", "dog"], ["a", "dog"], ["cats", "xx"], []]
    row = evaluate.Row(captions, make_row(captions, [[["a"]]] * 4).statistics, captions)
    vocabulary = Vocabulary(("startseq", "endseq", "dog", "cats", "birds", "fish"), 5, {})
    summary = evaluate.summarise(row, vocabulary, {("a", "dog"), ("cats",)})
    assert summary["distinct_captions"] == 3
    assert summary["mean_length"] == 1.5
    assert summary["vocabulary_used"] == 50
    assert summary["found_in_training"] == 50


def test_one_photo_with_one_reference_has_neither_human_nor_shuffled_row():
    vocabulary = Vocabulary(("startseq", "endseq", "dog"), 5, {})
    references = evaluate.References(["x"], [["A dog"]], [[["a", "dog"]]], [[["dog"]]], set())
    rows = evaluate.score_rows({"greedy": [[3, 2]]}, vocabulary, references)
    assert list(rows) == ["greedy", "classic (flattering)"]
    summaries = {name: evaluate.summarise(row, vocabulary, set()) for name, row in rows.items()}
    remarks = evaluate.remarks_on(rows, summaries)
    assert any("one photo only" in text for text in remarks)
    assert any("no human row" in text for text in remarks)


def test_another_model_of_other_vectors_is_refused(evaluated, prepared_data, tmp_path):
    evaluated(lambda references: references[0])
    features, other = read_features(prepared_data), tmp_path / "other"
    write_features(prepared_data, features, {**ENCODER_RECORD, "layer": "fc1"}, [])
    arguments = ["--data", str(prepared_data), "--model", str(other), "--epochs", "1"]
    assert train.main(arguments) == 0
    write_features(prepared_data, features, ENCODER_RECORD, [])
    with pytest.raises(UserError, match="fc1") as raised:
        evaluated(lambda references: references[0], "--compare", str(other))
    assert str(other / "features.json") in str(raised.value)
    assert str(prepared_data / "features.json") in str(raised.value)


def test_captions_of_a_real_model_are_scored_with_those_of_every_beam(prepared_data, tmp_path):
    """Scores what a trained network says, against scoring by hand what the decoder gives."""
    arguments = ["--data", str(prepared_data), "--model", str(tmp_path / "model")]
    assert train.main([*arguments, "--epochs", "2"]) == 0
    assert evaluate.main([*arguments, "--split", "train", "--beam", "3"]) == 0
    scores = json.loads((tmp_path / "model" / "scores.json").read_text())
    captioner = evaluate.load_captioner(tmp_path / "model")
    features, texts = read_features(prepared_data), read_captions(prepared_data)
    names = read_split(prepared_data, "train")
    photos = np.stack([features[name] for name in names])
    vocabulary = read_vocabulary(prepared_data, "")
    references = [[split_into_words(text) for text in texts[name]] for name in names]
    decoder = evaluate.CaptionDecoder(captioner.model, vocabulary)
    for title, ids in (("greedy", decoder.greedy(photos)), ("beam 3", decoder.beam(photos, 3))):
        captions = [vocabulary.detokenize(caption) for caption in ids]
        figures = make_row(captions, references).statistics.figures()
        for name in scoreboard.FIGURES:
            assert scores["rows"][title][name] == pytest.approx(figures[name][0])


def test_markers_add_about_eleven_points_to_real_captions(flickr8k):
    """Scores one person against the other four: the markers' share of the classic row."""
    captions = read_captions(flickr8k)
    cleaned = clean_captions(captions, min_word_length=2)
    names = read_split(flickr8k, "test")
    person, others = [cleaned[name][0] for name in names], [cleaned[name][1:] for name in names]
    counts = metrics.bleu_counts(person, others)
    plain = metrics.PhotoStatistics(counts, {}, evaluate.CLASSIC_WEIGHTS).figures()["BLEU-1"]
    marked = evaluate.classic_row(person, [True] * len(names), others).statistics.figures()
    assert 5 < marked["BLEU-1"] - plain < 15
