"""Decoding against slow versions that call the whole network on a growing prefix."""

import functools
import itertools

import numpy as np
import pytest

from captioning import decoding
from captioning.backend import keras
from captioning.decoding import (
    CaptionDecoder,
    generate_desc,
    token_ids_of_caption,
    token_probabilities,
    word_for_id,
)
from captioning.model import build_captioner, halves
from captioning.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("ant", "startseq", "bee", "cow", "endseq", "dog", "elk"), 7, {})
PHOTOS = 5
PHOTO_LENGTH = 4
UNITS = 64


def random_model(seed, scale=2.0):
    """Builds a network whose weights are large enough that captions differ between photos."""
    keras.utils.set_random_seed(seed)
    captioner = build_captioner(VOCABULARY.size, PHOTO_LENGTH, units=UNITS)
    for variable in captioner.trainable_variables:
        variable.assign(scale * variable.value)
    return captioner


@functools.cache
def shared_decoder(seed):
    captioner = random_model(seed)
    decoder = CaptionDecoder(captioner, VOCABULARY)
    # For the slow versions.
    decoder.captioner = captioner
    return decoder


@pytest.fixture(scope="module", params=[1, 2, 3])
def decoder(request):
    """Gives a decoder of each of three networks; tracing it anew for each test takes seconds."""
    return shared_decoder(request.param)


@pytest.fixture(scope="module")
def one_decoder():
    return shared_decoder(1)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).normal(0, 2, (PHOTOS, PHOTO_LENGTH)).astype(np.float32)


def next_word_probabilities(model, photo, prefix):
    """Calls the whole network on a prefix; padding and startseq are impossible."""
    return _cached_probabilities(model, tuple(photo.tolist()), tuple(prefix)).copy()


@functools.cache
def _cached_probabilities(model, photo, prefix):
    # Padded, so that the network is traced once; what follows a token does not change it.
    tokens = np.zeros((1, VOCABULARY.maximum_length + 1), dtype=np.int32)
    tokens[0, : len(prefix)] = prefix
    probabilities = model.predict_on_batch([np.array([photo], dtype=np.float32), tokens])
    probabilities = np.array(probabilities)[0, len(prefix) - 1]
    probabilities[[0, VOCABULARY.start_id]] = 0
    return probabilities


def slow_greedy(model, photo):
    prefix = [VOCABULARY.start_id]
    for _ in range(VOCABULARY.maximum_length):
        prefix.append(int(next_word_probabilities(model, photo, prefix).argmax()))
        if prefix[-1] == VOCABULARY.end_id:
            break
    return prefix[1:]


def slow_beam(model, photo, width, length_penalty):
    """Searches with lists, one beginning at a time."""
    beams, finished = [(0.0, [VOCABULARY.start_id])], []
    for _ in range(VOCABULARY.maximum_length):
        continued = []
        for score, prefix in beams:
            probabilities = next_word_probabilities(model, photo, prefix)
            continued += [
                (score + np.log(float(probabilities[word_id])), [*prefix, word_id])
                for word_id in range(VOCABULARY.size)
                if probabilities[word_id] > 0
            ]
        continued.sort(key=lambda item: -item[0])
        finished += [
            (score / (len(words) - 1) ** length_penalty, words)
            for score, words in continued[:width]
            if words[-1] == VOCABULARY.end_id
        ]
        beams = [item for item in continued if item[1][-1] != VOCABULARY.end_id][:width]
        if len(finished) >= width:
            break
    best = max(finished, key=lambda item: item[0]) if finished else beams[0]
    return best[1][1:]


def test_greedy_is_the_slow_greedy(decoder, photos):
    expected = [slow_greedy(decoder.captioner, photo) for photo in photos]
    assert decoder.greedy(photos) == expected
    assert len({tuple(words) for words in expected}) > 1


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
def test_beam_is_the_slow_beam(decoder, photos, width, length_penalty):
    expected = [slow_beam(decoder.captioner, photo, width, length_penalty) for photo in photos]
    assert decoder.beam(photos, width, length_penalty) == expected


def test_beam_of_1_is_greedy(decoder, photos):
    assert decoder.beam(photos, 1) == decoder.greedy(photos) == decoder.decode(photos, 1)
    assert decoder.decode(photos, 3) == decoder.beam(photos, 3)


def test_a_beam_as_wide_as_all_captions_finds_the_likeliest(photos):
    """Compares with every caption of up to 3 words there is."""
    model = random_model(4)
    vocabulary = Vocabulary(VOCABULARY.words, 3, {})
    words = [i for i in range(1, VOCABULARY.size) if i != VOCABULARY.start_id]
    ended = [
        (*body, VOCABULARY.end_id)
        for length in range(3)
        for body in itertools.product([i for i in words if i != VOCABULARY.end_id], repeat=length)
    ]
    for photo, found in zip(
        photos, CaptionDecoder(model, vocabulary).beam(photos, 150, 0.0), strict=True
    ):
        inputs = [
            np.repeat(photo[None], len(ended), axis=0),
            np.array([[VOCABULARY.start_id, *c[:-1], 0, 0][:3] for c in ended], dtype=np.int32),
        ]
        table = np.log(np.asarray(model.predict_on_batch(inputs)))
        scores = [
            sum(table[row, place, word] for place, word in enumerate(caption))
            for row, caption in enumerate(ended)
        ]
        assert tuple(found) == ended[int(np.argmax(scores))]


def test_padding_and_startseq_are_never_written(photos):
    model = random_model(5)
    output = halves(model)[1].get_layer("next_token")
    kernel, bias = output.get_weights()
    bias[[0, VOCABULARY.start_id]] = 50
    output.set_weights([kernel, bias])
    decoder = CaptionDecoder(model, VOCABULARY)
    for captions in (decoder.greedy(photos), decoder.beam(photos, 3)):
        written = {word_id for caption in captions for word_id in caption}
        assert written
        assert not written & {0, VOCABULARY.start_id}


def test_captions_end_at_the_maximum_length(photos):
    model = random_model(6)
    output = halves(model)[1].get_layer("next_token")
    kernel, bias = output.get_weights()
    bias[VOCABULARY.end_id] = -50
    output.set_weights([kernel, bias])
    decoder = CaptionDecoder(model, VOCABULARY)
    for captions in (decoder.greedy(photos), decoder.beam(photos, 3)):
        assert [len(caption) for caption in captions] == [VOCABULARY.maximum_length] * PHOTOS


def test_more_photos_than_are_decoded_at_once(one_decoder, monkeypatch):
    photos = np.random.default_rng(1).normal(0, 2, (7, PHOTO_LENGTH)).astype(np.float32)
    decoder = one_decoder
    together = decoder.greedy(photos), decoder.beam(photos, 2)
    monkeypatch.setattr(decoding, "PHOTOS_AT_ONCE", 3)
    assert (decoder.greedy(photos), decoder.beam(photos, 2)) == together


def test_the_decoder_follows_the_weights(photos):
    model, other = random_model(1), shared_decoder(2)
    decoder = CaptionDecoder(model, VOCABULARY)
    before = decoder.greedy(photos)
    model.set_weights(other.captioner.get_weights())
    assert decoder.greedy(photos) == other.greedy(photos) != before


@pytest.mark.parametrize("beam_width", [1, 2])
def test_generate_desc_writes_what_is_decoded(one_decoder, photos, beam_width):
    token_ids = one_decoder.decode(photos, beam_width)
    words = [[word_for_id(token_id, VOCABULARY) for token_id in caption] for caption in token_ids]
    captions = generate_desc(one_decoder.captioner, VOCABULARY, photos, beam_width)
    assert captions == [" ".join(word for word in caption if word != "endseq") for caption in words]
    assert [token_ids_of_caption(caption, VOCABULARY) for caption in captions] == token_ids


def test_captions_become_token_ids_whether_they_ended_or_not():
    full = " ".join(["ant"] * VOCABULARY.maximum_length)
    for caption, token_ids in (
        ("", [VOCABULARY.end_id]),
        ("bee dog", [3, 6, VOCABULARY.end_id]),
        (full, [1] * VOCABULARY.maximum_length),
    ):
        assert token_ids_of_caption(caption, VOCABULARY) == token_ids


def test_word_for_id():
    assert word_for_id(1, VOCABULARY) == "ant"
    assert word_for_id(7, VOCABULARY) == "elk"
    assert word_for_id(0, VOCABULARY) is None
    assert word_for_id(8, VOCABULARY) is None


def test_another_network_is_refused():
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="photo_half and word_half"):
        CaptionDecoder(other, VOCABULARY)


def test_token_probabilities_are_those_of_every_prefix(decoder, photos):
    model = decoder.captioner
    captions = [*decoder.greedy(photos[:3]), *decoder.beam(photos[3:], 2)]
    found = token_probabilities(model, VOCABULARY, photos, captions)
    for photo, caption, tokens in zip(photos, captions, found, strict=True):
        assert [VOCABULARY.token_ids[token.word] for token in tokens] == caption
        prefix = [VOCABULARY.start_id]
        for token_id, token in zip(caption, tokens, strict=True):
            probabilities = next_word_probabilities(model, photo, prefix)
            assert token.probability == pytest.approx(probabilities[token_id], rel=1e-4)
            assert token.is_end == (token_id == VOCABULARY.end_id)
            probabilities[token_id] = 0
            likeliest = np.argsort(-probabilities)[:3]
            assert [
                VOCABULARY.token_ids[word] for word, _ in token.alternatives
            ] == likeliest.tolist()
            for (_, probability), other in zip(token.alternatives, likeliest, strict=True):
                assert probability == pytest.approx(probabilities[other], rel=1e-4)
            prefix.append(token_id)
    greedy = [token for tokens in found[:3] for token in tokens]
    assert all(token.probability >= token.alternatives[0][1] for token in greedy)


def test_batches_and_empty_captions_do_not_change_token_probabilities(
    one_decoder, photos, monkeypatch
):
    model, captions = one_decoder.captioner, one_decoder.greedy(photos)
    captions[2] = []
    together = token_probabilities(model, VOCABULARY, photos, captions)
    assert together[2] == ()
    monkeypatch.setattr(decoding, "CAPTIONS_AT_ONCE", 2)
    apart = token_probabilities(model, VOCABULARY, photos, captions)
    for one, other in zip(together, apart, strict=True):
        assert [token.word for token in one] == [token.word for token in other]
        for token, same in zip(one, other, strict=True):
            assert token.probability == pytest.approx(same.probability, rel=1e-5)
