"""Probabilities of words against calling the network on every beginning of a caption."""

import numpy as np
import pytest
from captioning.confidence import word_choices
from test_decoding import PHOTO_LENGTH, VOCABULARY, next_word_probabilities, random_model

from captioning import confidence
from captioning.decoding import CaptionDecoder


@pytest.fixture(scope="module")
def model():
    return random_model(1)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(3).normal(0, 2, (6, PHOTO_LENGTH)).astype(np.float32)


def test_choices_are_those_of_every_beginning(model, photos):
    decoder = CaptionDecoder(model, VOCABULARY)
    captions = [*decoder.greedy(photos[:3]), *decoder.beam(photos[3:], 2)]
    found = word_choices(model, VOCABULARY, photos, captions)
    for photo, caption, choices in zip(photos, captions, found, strict=True):
        assert [VOCABULARY.token_ids[choice.word] for choice in choices] == caption
        prefix = [VOCABULARY.start_id]
        for word_id, choice in zip(caption, choices, strict=True):
            probabilities = next_word_probabilities(model, photo, prefix)
            assert choice.probability == pytest.approx(probabilities[word_id], rel=1e-4)
            assert choice.is_end == (word_id == VOCABULARY.end_id)
            probabilities[word_id] = 0
            likeliest = np.argsort(-probabilities)[:3]
            assert [
                VOCABULARY.token_ids[word] for word, _ in choice.alternatives
            ] == likeliest.tolist()
            for (_, probability), other in zip(choice.alternatives, likeliest, strict=True):
                assert probability == pytest.approx(probabilities[other], rel=1e-4)
            prefix.append(word_id)
    greedy = [choice for choices in found[:3] for choice in choices]
    assert all(choice.probability >= choice.alternatives[0][1] for choice in greedy)


def test_batches_and_empty_captions_change_nothing(model, photos, monkeypatch):
    captions = CaptionDecoder(model, VOCABULARY).greedy(photos)
    captions[2] = []
    together = word_choices(model, VOCABULARY, photos, captions)
    assert together[2] == ()
    monkeypatch.setattr(confidence, "CAPTIONS_AT_ONCE", 2)
    apart = word_choices(model, VOCABULARY, photos, captions)
    for one, other in zip(together, apart, strict=True):
        assert [choice.word for choice in one] == [choice.word for choice in other]
        for choice, same in zip(one, other, strict=True):
            assert choice.probability == pytest.approx(same.probability, rel=1e-5)
