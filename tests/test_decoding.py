"""Decoding against slow versions that call the whole network on a growing prefix."""

import itertools

import numpy as np
import pytest

import train
from captioning.cli import UserError
from captioning.decoding import CaptionDecoder, decode, generate_desc, word_for_id
from captioning.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("ant", "startseq", "bee", "cow", "endseq", "dog", "elk"), 7, {})
PHOTOS = 5
PHOTO_LENGTH = 4


def random_model(seed, scale=2.0):
    """Builds a network whose weights are large enough that captions differ between photos."""
    train.keras.utils.set_random_seed(seed)
    model = train.define_model(VOCABULARY.size, PHOTO_LENGTH)
    for variable in model.trainable_variables:
        variable.assign(scale * variable.value)
    return model


@pytest.fixture(scope="module", params=[1, 2, 3])
def model(request):
    return random_model(request.param)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).normal(0, 2, (PHOTOS, PHOTO_LENGTH)).astype(np.float32)


def next_word_probabilities(model, photo, prefix):
    """Calls the whole network on a prefix; padding and startseq are impossible."""
    inputs = [photo[None], np.array([prefix], dtype=np.int32)]
    probabilities = np.array(model.predict_on_batch(inputs))[0, -1]
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


def test_greedy_is_the_slow_greedy(model, photos):
    expected = [slow_greedy(model, photo) for photo in photos]
    assert CaptionDecoder(model, VOCABULARY).greedy(photos) == expected
    assert len({tuple(words) for words in expected}) > 1


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
def test_beam_is_the_slow_beam(model, photos, width, length_penalty):
    expected = [slow_beam(model, photo, width, length_penalty) for photo in photos]
    decoder = CaptionDecoder(model, VOCABULARY)
    assert decoder.beam(photos, width, length_penalty) == expected


def test_beam_of_1_is_greedy(model, photos):
    decoder = CaptionDecoder(model, VOCABULARY)
    assert decoder.beam(photos, 1) == decoder.greedy(photos) == decode(decoder, photos)


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
    output = model.get_layer("next_word")
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
    output = model.get_layer("next_word")
    kernel, bias = output.get_weights()
    bias[VOCABULARY.end_id] = -50
    output.set_weights([kernel, bias])
    decoder = CaptionDecoder(model, VOCABULARY)
    for captions in (decoder.greedy(photos), decoder.beam(photos, 3)):
        assert [len(caption) for caption in captions] == [VOCABULARY.maximum_length] * PHOTOS


def test_more_photos_than_are_decoded_at_once(model, monkeypatch):
    photos = np.random.default_rng(1).normal(0, 2, (7, PHOTO_LENGTH)).astype(np.float32)
    decoder = CaptionDecoder(model, VOCABULARY)
    together = decoder.greedy(photos), decoder.beam(photos, 2)
    monkeypatch.setattr("captioning.decoding.PHOTOS_AT_ONCE", 3)
    assert (decoder.greedy(photos), decoder.beam(photos, 2)) == together


def test_the_decoder_follows_the_weights(photos):
    model, other = random_model(1), random_model(2)
    decoder = CaptionDecoder(model, VOCABULARY)
    before = decoder.greedy(photos)
    model.set_weights(other.get_weights())
    assert decoder.greedy(photos) == CaptionDecoder(other, VOCABULARY).greedy(photos) != before


def test_generate_desc_and_word_for_id(model, photos):
    expected = [word_for_id(word_id, VOCABULARY) for word_id in slow_greedy(model, photos[0])]
    words = [word for word in expected if word != "endseq"]
    assert generate_desc(model, VOCABULARY, photos[0]) == " ".join(words)
    assert word_for_id(1, VOCABULARY) == "ant"
    assert word_for_id(7, VOCABULARY) == "elk"
    assert word_for_id(0, VOCABULARY) is None
    assert word_for_id(8, VOCABULARY) is None


def test_another_network_is_refused():
    other = train.keras.Sequential([train.keras.Input((3,)), train.keras.layers.Dense(2)])
    with pytest.raises(UserError, match=r"train\.py"):
        CaptionDecoder(other, VOCABULARY)
