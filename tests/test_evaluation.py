"""Scores against a slow BLEU, and what a captioner that needs no learning would earn."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import evaluate
from captioning.captions import read_captions, split_into_words
from captioning.splits import read_split


def slow_bleu(references, captions, weights):
    """Computes corpus BLEU from its definition (Papineni et al. 2002, section 2.3)."""
    logarithm = 0.0
    for order, weight in enumerate(weights, start=1):
        if weight == 0:
            continue
        right = total = 0
        for texts, caption in zip(references, captions, strict=True):
            found = grams(caption, order)
            total += sum(found.values())
            for gram, count in found.items():
                right += min(count, max(grams(text, order)[gram] for text in texts))
        if right == 0:
            return 0.0
        logarithm += weight * math.log(right / total)
    written = sum(map(len, captions))
    nearest = sum(
        min((abs(len(text) - len(caption)), len(text)) for text in texts)[1]
        for texts, caption in zip(references, captions, strict=True)
    )
    brevity = 1.0 if written >= nearest else math.exp(1 - nearest / written)
    return 100 * brevity * math.exp(logarithm)


def grams(words, order):
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


@pytest.fixture
def noisy():
    """Draws captions and references that share many words, from a fixed seed."""
    generator = np.random.default_rng(0)

    def text():
        return [f"w{i}" for i in generator.integers(0, 6, generator.integers(4, 12))]

    return [[text() for _ in range(5)] for _ in range(30)], [text() for _ in range(30)]


@pytest.mark.parametrize("weights", [evaluate.STANDARD_WEIGHTS, evaluate.CLASSIC_WEIGHTS])
def test_bleu_is_the_slow_bleu(noisy, weights):
    references, captions = noisy
    scores = evaluate.bleu_scores(references, captions, weights)
    assert list(scores) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]
    for score, order_weights in zip(scores.values(), weights, strict=True):
        assert score == pytest.approx(slow_bleu(references, captions, order_weights), rel=1e-9)
        assert 0 < score < 100


def test_a_caption_that_repeats_a_reference_scores_100():
    references = [["A dog 's ball , red !", "Two dogs ."], ["A cat sits on a mat .", "Cats ."]]
    captions = [split_into_words(texts[0]) for texts in references]
    for score in evaluate.standard_scores(captions, references).values():
        assert score == pytest.approx(100)
    cleaned = [[["dog", "ball", "red", "now"]], [["cat", "sits", "on", "mat"]]]
    scores = evaluate.classic_scores([texts[0] for texts in cleaned], [True, True], cleaned)
    for score in scores.values():
        assert score == pytest.approx(100)


def test_one_letter_words_count_in_the_standard_row():
    standard = evaluate.standard_scores([["dog", "runs"]], [["A dog runs ."]])
    assert standard["BLEU-1"] == pytest.approx(100 * math.exp(1 - 3 / 2))


def test_markers_flatter_and_a_missing_end_does_not_count():
    descriptions = [[["dog", "runs", "fast"]]]
    wrong = [["cat", "sits", "down"]]
    assert evaluate.standard_scores(wrong, [["dog runs fast"]])["BLEU-1"] == 0
    both = evaluate.classic_scores(wrong, [True], descriptions)
    assert both["BLEU-1"] == pytest.approx(100 * 2 / 5)
    one = evaluate.classic_scores(wrong, [False], descriptions)
    assert one["BLEU-1"] == pytest.approx(100 * 1 / 4 * math.exp(1 - 5 / 4))


@pytest.mark.parametrize("caption", [[], ["unheard"]])
def test_captions_without_a_right_word_give_finite_figures_in_silence(caption, recwarn):
    scores = evaluate.standard_scores([caption] * 2, [["A dog ."], ["A cat ."]])
    for score in scores.values():
        assert score == pytest.approx(0, abs=1e-9)
    assert not recwarn.list


def test_variety():
    captions = [["a", "dog"], ["a", "dog"], ["cats"], []]
    assert evaluate.variety(captions) == {
        "photos": 4,
        "distinct_captions": 3,
        "distinct_words": 3,
        "mean_length": 1.25,
    }


def test_captions_file_holds_commas_quotes_and_all_references(tmp_path):
    path = tmp_path / "captions.csv"
    evaluate.write_captions(path, ["a"], [["two", "dogs"]], [['A "big" dog, here', "Dogs ."]])
    row = pd.read_csv(path).iloc[0]
    assert list(row) == ["a", "two dogs", 'A "big" dog, here | Dogs .']


def test_markers_add_about_eleven_points_to_real_captions(flickr8k):
    """Scores one person against the other four: the markers' share of the classic row."""
    import prepare_text

    captions = read_captions(flickr8k)
    cleaned = prepare_text.clean_captions(captions)
    names = read_split(flickr8k, "test")
    person, others = [cleaned[name][0] for name in names], [cleaned[name][1:] for name in names]
    plain = evaluate.bleu_scores(others, person, evaluate.CLASSIC_WEIGHTS)["BLEU-1"]
    marked = evaluate.classic_scores(person, [True] * len(names), others)["BLEU-1"]
    assert 5 < marked - plain < 15
