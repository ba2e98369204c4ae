"""Intervals and p-values against what they promise: they are right as often as they say."""

from types import SimpleNamespace

import numpy as np
import pytest

from captioning.scores import scoring
from captioning.text.vocabulary import Vocabulary


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(50, 10, 400)
    row = scoring.Row([[]] * 400, np.zeros((400, 10)), {"mean": values})
    vocabulary = Vocabulary(("startseq", "endseq", "dog"), 5, {})
    found = scoring.summarize({"row": row}, vocabulary, SimpleNamespace(training=set()))
    low, high = found["row"]["intervals"]["mean"]
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


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
    # And a model does not differ from itself.
    assert p_value(scores, scores.copy()) == 1
