"""Token probabilities against calling the captioner on every prefix of a caption."""

import numpy as np
import pytest
from test_decoding import FEATURE_LENGTH, VOCABULARY, SlowDecoder, random_captioner

from captioning.network import decoding
from captioning.network.decoding import CaptionDecoder, token_probabilities


@pytest.fixture(scope="module")
def captioner():
    return random_captioner(1)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(3).normal(0, 2, (6, FEATURE_LENGTH)).astype(np.float32)


def test_probabilities_are_those_of_every_prefix(captioner, photos):
    decoder, slow = CaptionDecoder(captioner, VOCABULARY), SlowDecoder(captioner)
    captions = [*decoder.greedy(photos[:3]), *decoder.beam(photos[3:], 2)]
    found = token_probabilities(captioner, VOCABULARY, photos, captions)
    ids = VOCABULARY.token_ids
    for photo, caption, tokens in zip(photos, captions, found, strict=True):
        assert [ids[token.word] for token in tokens] == caption
        prefix = [VOCABULARY.start_id]
        for token_id, token in zip(caption, tokens, strict=True):
            probabilities = slow.probabilities(photo, prefix)
            assert token.probability == pytest.approx(probabilities[token_id], rel=1e-4)
            assert token.is_end == (token_id == VOCABULARY.end_id)
            probabilities[token_id] = 0
            likeliest = np.argsort(-probabilities)[:3]
            assert [ids[word] for word, _ in token.alternatives] == likeliest.tolist()
            for (_, probability), other in zip(token.alternatives, likeliest, strict=True):
                assert probability == pytest.approx(probabilities[other], rel=1e-4)
            prefix.append(token_id)
    greedy = [token for tokens in found[:3] for token in tokens]
    assert all(token.probability >= token.alternatives[0][1] for token in greedy)


def test_batches_and_empty_captions_change_nothing(captioner, photos, monkeypatch):
    captions = CaptionDecoder(captioner, VOCABULARY).greedy(photos)
    captions[2] = []
    together = token_probabilities(captioner, VOCABULARY, photos, captions)
    assert together[2] == ()
    monkeypatch.setattr(decoding, "CAPTIONS_AT_ONCE", 2)
    apart = token_probabilities(captioner, VOCABULARY, photos, captions)
    for one, other in zip(together, apart, strict=True):
        assert [token.word for token in one] == [token.word for token in other]
        for token, same in zip(one, other, strict=True):
            assert token.probability == pytest.approx(same.probability, rel=1e-5)
