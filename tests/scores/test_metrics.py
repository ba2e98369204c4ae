"""BLEU against NLTK, ROUGE-L and CIDEr-D against the COCO caption evaluation."""

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge

from captioning.scores import metrics
from captioning.scores.scoring import CLASSIC_WEIGHTS, resample, standard_row


def coco(scorer, captions, references):
    """Returns what the COCO caption evaluation finds for each photo."""
    truth = {row: [*map(" ".join, texts)] for row, texts in enumerate(references)}
    found = {row: [" ".join(words)] for row, words in enumerate(captions)}
    return np.asarray(scorer.compute_score(truth, found)[1])


@pytest.fixture
def noisy():
    """Draws captions and references that share many words; some captions are short or empty."""
    generator = np.random.default_rng(0)

    def text(low, high):
        return [f"w{i}" for i in generator.integers(0, 6, generator.integers(low, high))]

    references = [[text(1, 12) for _ in range(1 + row % 5)] for row in range(40)]
    return references, [text(4 * (row % 3), 12) for row in range(40)]


@pytest.mark.parametrize("weights", [metrics.STANDARD_WEIGHTS, CLASSIC_WEIGHTS])
def test_bleu_is_nltk_s(noisy, weights):
    references, captions = noisy
    sums = metrics.bleu_counts(captions, references).sum(axis=0)[None]
    expected = corpus_bleu(references, captions, weights=weights)
    for score, by_nltk in zip(metrics.corpus_bleu(sums, weights)[0], expected, strict=True):
        assert score == pytest.approx(100 * by_nltk, rel=1e-12)
        assert 0 < score < 100


def test_scores_of_a_selection_are_those_of_the_selected_photos(noisy):
    references, captions = noisy
    row = standard_row(captions, references, metrics.CiderD(references))
    every = np.ones((1, len(captions)))
    selections = [*every, *resample(len(captions))[:3]]
    assert list(row.scores) == [*metrics.BLEU_NAMES, "ROUGE-L", "CIDEr-D"]
    for index, selection in enumerate(selections):
        picked = np.repeat(np.arange(len(captions)), selection.astype(int))
        expected = corpus_bleu(
            [references[photo] for photo in picked],
            [captions[photo] for photo in picked],
            weights=metrics.STANDARD_WEIGHTS,
        )
        for name, score in zip(metrics.BLEU_NAMES, expected, strict=True):
            assert row.scores[name][index] == pytest.approx(100 * score, rel=1e-12)
        for name, values in row.photo_scores.items():
            assert row.scores[name][index] == pytest.approx(values[picked].mean(), rel=1e-12)


def test_rouge_l_is_the_coco_evaluation_s(noisy):
    references, captions = noisy
    expected = 100 * coco(Rouge(), captions, references)
    assert metrics.rouge_l(captions, references) == pytest.approx(expected, rel=1e-12)
    assert 20 < expected.mean() < 80


def test_cider_d_is_the_coco_evaluation_s(noisy):
    references, captions = noisy
    expected = 100 * coco(Cider(), captions, references)
    assert metrics.CiderD(references).score(captions) == pytest.approx(expected, rel=1e-12)
    assert 20 < expected.mean() < 500


NO_RIGHT_WORD = [[["a", "dog"]], [["a", "cat"]]]
OF_PUNCTUATION = [[[]], [["a", "dog"], []]]


@pytest.mark.parametrize(
    ("references", "captions"),
    [
        (NO_RIGHT_WORD, [[], []]),
        (NO_RIGHT_WORD, [["unheard"], ["unheard"]]),
        (OF_PUNCTUATION, [["a"], []]),
    ],
)
def test_captions_or_references_without_a_word_to_compare_score_0_in_silence(
    references, captions, recwarn
):
    row = standard_row(captions, references, metrics.CiderD(references))
    assert not any(values.any() for values in row.photo_scores.values())
    assert not any(values.any() for values in row.scores.values())
    assert not recwarn.list


def agreement(captions):
    """Returns the CIDEr-D of each caption with the others as references, all n-grams alike."""
    texts = [" ".join(words) for words in captions]
    scorer = CiderScorer()
    for index, text in enumerate(texts):
        scorer += (text, texts[:index] + texts[index + 1 :])
    # No document frequency is counted.
    return np.array(scorer.compute_cider())


def test_the_consensus_ranks_by_agreement():
    generator = np.random.default_rng(0)
    chosen = []
    for _ in range(60):
        captions = [
            [f"w{word}" for word in generator.integers(0, 4, generator.integers(0, 10))]
            for _ in range(generator.integers(2, 12))
        ]
        expected = agreement(captions)
        ranks = metrics.consensus(captions)
        chosen.append(ranks[0])
        assert expected[ranks] == pytest.approx(np.sort(expected)[::-1], rel=1e-12)
    assert len(set(chosen)) > 5


@pytest.mark.parametrize("captions", [[[]], [["dog"]], [[], []], [["dog"], ["cat"]]])
def test_without_agreement_the_consensus_is_the_first(captions):
    assert metrics.consensus(captions)[0] == 0
