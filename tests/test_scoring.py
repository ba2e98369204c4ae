"""Rows, intervals and p-values: each against counting by hand, or against what it promises."""

import math

import numpy as np
import pytest

from captioning import metrics, scoring
from captioning.captions import clean_captions, read_captions, split_into_words
from captioning.notes import notes_on
from captioning.splits import read_split
from captioning.vocabulary import Vocabulary

METRICS = (*metrics.BLEU_NAMES, "ROUGE-L", "CIDEr-D")


def test_resamples_draw_as_many_photos_as_there_are():
    counts = scoring.resample(7, resamples=5000)
    assert counts.shape == (5000, 7)
    assert (counts.sum(axis=1) == 7).all()
    # Each photo is drawn once on average, with the spread of a binomial distribution.
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=0.06)
    assert counts.var() == pytest.approx(7 * (1 / 7) * (6 / 7), abs=0.05)
    assert (counts == scoring.resample(7, resamples=5000)).all()


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(50, 10, 400)
    low, high = scoring.interval(scoring.resample(400) @ values / 400)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


def test_the_interval_of_bleu_is_that_of_drawing_photos_one_by_one():
    generator = np.random.default_rng(0)
    texts = [[f"w{i}" for i in generator.integers(0, 5, 8)] for _ in range(120)]
    captions, references = texts[:60], [[text] for text in texts[60:]]
    statistics = metrics.PhotoStatistics(metrics.bleu_counts(captions, references), {})
    found = scoring.interval(statistics.scores(scoring.resample(60))["BLEU-1"])
    slow = []
    for _ in range(400):
        picked = generator.integers(0, 60, 60)
        counts = metrics.bleu_counts([captions[i] for i in picked], [references[i] for i in picked])
        slow.append(metrics.PhotoStatistics(counts, {}).scores()["BLEU-1"][0])
    assert found == pytest.approx(scoring.interval(np.array(slow)), abs=0.8)
    assert found[1] - found[0] > 4


def p_value(first, second):
    counts = scoring.resample(len(first))
    difference = first - second
    return scoring.paired_p_value(difference.mean(), counts @ difference / len(first))


def test_equally_good_models_differ_significantly_as_often_as_the_p_value_says():
    generator = np.random.default_rng(0)
    values = [p_value(*generator.normal(0, 1, (2, 200))) for _ in range(400)]
    # 5% of 400 is 20, with a standard deviation of 4.4.
    assert 8 <= sum(value < 0.05 for value in values) <= 33
    assert 170 <= sum(value < 0.5 for value in values) <= 230


def test_a_small_difference_that_every_photo_shows_is_significant():
    scores = np.random.default_rng(0).normal(50, 20, 300)
    shifted = scores + np.random.default_rng(1).normal(1, 2, 300)
    assert p_value(shifted, scores) == pytest.approx(1 / 1001)
    # Unpaired, the same difference would drown in the spread between photos.
    assert p_value(shifted, np.random.default_rng(2).permutation(scores)) > 0.05


def test_a_model_does_not_differ_from_itself():
    scores = np.random.default_rng(0).normal(50, 20, 300)
    assert p_value(scores, scores.copy()) == 1


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
    assert list(clear) == list(METRICS)
    for name in METRICS:
        assert clear[name]["this"] > clear[name]["other"]
        assert clear[name]["p_value"] == pytest.approx(1 / 1001)
        assert even[name]["p_value"] > 0.5


def test_standard_and_classic_rows_differ_in_what_they_count():
    """Leaves out a one-letter word, has all other words wrong, and ends or not."""
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


def test_caption_statistics_are_counted_by_hand():
    captions = [["a", "dog"], ["a", "dog"], ["cats", "xx"], []]
    row = make_row(captions, [[["a"]]] * 4)
    vocabulary = Vocabulary(("startseq", "endseq", "dog", "cats", "birds", "fish"), 5, {})
    result = scoring.summarize({"greedy": row}, vocabulary, {("a", "dog"), ("cats",)})["greedy"]
    assert result["distinct_captions"] == 3
    assert result["mean_length"] == 1.5
    assert result["vocabulary_coverage"] == 50
    assert result["copied_from_training"] == 50


def test_one_photo_with_one_reference_has_neither_human_nor_shuffled_row():
    vocabulary = Vocabulary(("startseq", "endseq", "dog"), 5, {})
    references = scoring.References(["x"], [["A dog"]], [[["a", "dog"]]], [[["dog"]]], set())
    rows = scoring.score_rows({"greedy": [[3, 2]]}, vocabulary, references)
    assert list(rows) == ["greedy", "classic (flattering)"]
    notes = notes_on(rows, scoring.summarize(rows, vocabulary, set()))
    assert any("only one photo" in text for text in notes)
    assert any("no human row" in text for text in notes)


def test_start_and_end_tokens_add_about_eleven_points_to_real_captions(flickr8k):
    """Scores one person against the other four: the tokens' share of the classic row."""
    captions = read_captions(flickr8k)
    cleaned = clean_captions(captions, 2)
    names = read_split(flickr8k, "test")
    first, others = [cleaned[name][0] for name in names], [cleaned[name][1:] for name in names]
    counts = metrics.bleu_counts(first, others)
    plain = metrics.PhotoStatistics(counts, {}, scoring.CLASSIC_WEIGHTS).scores()["BLEU-1"]
    marked = scoring.classic_row(first, [True] * len(names), others).statistics.scores()
    assert 5 < marked["BLEU-1"] - plain < 15
