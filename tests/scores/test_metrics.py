"""BLEU against NLTK, ROUGE-L and CIDEr-D against the COCO caption evaluation."""

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge

from captioning.files import CAPTIONS, SPLITS, photo_id
from captioning.scores import metrics
from captioning.scores.scoring import CLASSIC_WEIGHTS, resample, standard_row
from captioning.text.captions import read_captioned_photos
from captioning.text.words import word_splitter


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


@pytest.fixture(scope="module")
def people(flickr8k):
    """Returns one person's captions of the real test photos, and the other four's."""
    captions = read_captioned_photos(flickr8k, [flickr8k / CAPTIONS]).captions
    names = (flickr8k / SPLITS["test"]).read_text().split()
    split = word_splitter()
    words = [[split(text) for text in captions[photo_id(name)]] for name in names]
    return [texts[1:] for texts in words], [texts[0] for texts in words]


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


def test_real_captions_score_as_in_the_coco_evaluation(people):
    references, captions = people
    expected = 100 * coco(Cider(), captions, references)
    assert metrics.CiderD(references).score(captions) == pytest.approx(expected, rel=1e-12)
    expected = 100 * coco(Rouge(), captions, references)
    assert metrics.rouge_l(captions, references) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("caption", [[], ["unheard"]])
def test_captions_without_a_right_word_score_0_in_silence(caption, recwarn):
    references = [[["a", "dog"]], [["a", "cat"]]]
    row = standard_row([caption] * 2, references, metrics.CiderD(references))
    assert not any(values.any() for values in row.scores.values())
    assert not recwarn.list


def test_references_of_punctuation_only_give_finite_scores(recwarn):
    references, captions = [[[]], [["a", "dog"], []]], [["a"], []]
    row = standard_row(captions, references, metrics.CiderD(references))
    assert not any(values.any() for values in row.photo_scores.values())
    assert all(np.isfinite(values).all() for values in row.scores.values())
    assert not recwarn.list


def agreement(captions):
    """Returns the CIDEr-D of each caption with the others as references, all n-grams alike."""
    texts = [" ".join(words) for words in captions]
    scorer = CiderScorer()
    for index, text in enumerate(texts):
        scorer += (text, texts[:index] + texts[index + 1 :])
    # No document frequency is counted.
    return np.array(scorer.compute_cider())


def test_the_consensus_agrees_most():
    generator = np.random.default_rng(0)
    chosen = []
    for _ in range(60):
        captions = [
            [f"w{word}" for word in generator.integers(0, 4, generator.integers(0, 10))]
            for _ in range(generator.integers(2, 12))
        ]
        expected = agreement(captions)
        chosen.append(metrics.consensus(captions))
        assert expected[chosen[-1]] == pytest.approx(expected.max(), rel=1e-12)
    assert len(set(chosen)) > 5


@pytest.mark.parametrize("captions", [[[]], [["dog"]], [[], []], [["dog"], ["cat"]]])
def test_without_agreement_the_consensus_is_the_first(captions):
    assert metrics.consensus(captions) == 0
