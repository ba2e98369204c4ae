"""Consensus decoding against all pairs of captions, compared by the COCO caption evaluation."""

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer
from support import generate_desc
from test_decoding import FEATURE_LENGTH, VOCABULARY, SlowDecoder, random_captioner

from captioning.network.decoding import CaptionDecoder
from captioning.scores import metrics


def agreement(captions):
    """Returns the CIDEr-D of each caption with the others as references, all n-grams alike."""
    texts = [" ".join(words) for words in captions]
    scorer = CiderScorer()
    for place, text in enumerate(texts):
        scorer += (text, texts[:place] + texts[place + 1 :])
    # No document frequency is counted. A caption without others agrees with none.
    return np.array(scorer.compute_cider()) if len(captions) > 1 else np.zeros(1)


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


def test_repeating_what_others_say_does_not_help():
    """Clipping makes the similarity one of a candidate to a reference, not the other way round."""
    captions = [["dog", "dog", "dog", "dog"], ["dog", "runs"], ["dog", "sits"]]
    assert metrics.consensus(captions) == int(np.argmax(agreement(captions))) != 0


@pytest.mark.parametrize("captions", [[[]], [["dog"]], [[], []], [["dog"], ["cat"]]])
def test_without_agreement_it_is_the_first(captions):
    assert metrics.consensus(captions) == 0


@pytest.mark.parametrize("width", [1, 2, 6, 15])
@pytest.mark.parametrize("size", [0, 2])
def test_decoding_chooses_among_the_captions_of_the_beam(width, size):
    captioner = random_captioner(2)
    photos = np.random.default_rng(1).normal(0, 2, (6, FEATURE_LENGTH)).astype(np.float32)
    decoder, slow = CaptionDecoder(captioner, VOCABULARY), SlowDecoder(captioner)
    found = decoder.consensus(photos, width, no_repeat_ngram_size=size)
    for photo, caption in zip(photos, found, strict=True):
        finished = slow.finished(photo, width, 0.7, size)
        scores = agreement([VOCABULARY.detokenize(tokens) for tokens in finished])
        assert scores[finished.index(caption)] == pytest.approx(scores.max(), rel=1e-9)
    best = decoder.beam(photos, width, no_repeat_ngram_size=size)
    if width in (1, 15):
        assert (found == best) == (width == 1)
    texts = [" ".join(VOCABULARY.detokenize(caption)) for caption in found]
    options = {"consensus": True, "no_repeat_ngram_size": size}
    assert generate_desc(captioner, VOCABULARY, photos, width, **options) == texts
