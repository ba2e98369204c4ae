"""Decoding against slow versions that call the whole captioner on a growing prefix."""

import itertools

import numpy as np
import pytest
from support import generate_desc

from captioning.keras_setup import keras
from captioning.network.decoding import CaptionDecoder
from captioning.network.model import build_captioner, halves
from captioning.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("ant", "startseq", "bee", "cow", "endseq", "dog", "elk"), 7, {})
PHOTOS = 5
FEATURE_LENGTH = 4


def random_captioner(seed, scale=2.5, length=FEATURE_LENGTH):
    """Builds a captioner whose weights are large enough that captions differ between photos."""
    keras.utils.set_random_seed(seed)
    captioner = build_captioner(VOCABULARY.size, length, units=32)
    for variable in captioner.trainable_variables:
        variable.assign(scale * variable.value)
    return captioner


def change_bias(captioner, token_ids, value):
    """Makes some tokens very likely or very unlikely, whatever came before."""
    output = halves(captioner)[1].get_layer("next_token")
    kernel, bias = output.get_weights()
    bias[token_ids] = value
    output.set_weights([kernel, bias])


def repeats(tokens, size):
    """Tells whether so many tokens in a row occur twice."""
    ngrams = [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
    return size > 0 and len(set(ngrams)) < len(ngrams)


class SlowDecoder:
    """Decodes with lists, one hypothesis at a time."""

    def __init__(self, captioner, vocabulary=VOCABULARY):
        self.captioner = captioner
        self.vocabulary = vocabulary
        self.known = {}

    def probabilities(self, photo, prefix):
        """Calls the whole captioner on a prefix; padding and startseq are impossible."""
        key = photo.tobytes(), tuple(prefix)
        if key not in self.known:
            inputs = [photo[None], np.array([prefix], dtype=np.int32)]
            probabilities = np.array(self.captioner.predict_on_batch(inputs))[0, -1]
            probabilities[[0, self.vocabulary.start_id]] = 0
            self.known[key] = probabilities
        return self.known[key].copy()

    def greedy(self, photo):
        """Takes the likeliest token at every step."""
        prefix = [self.vocabulary.start_id]
        for _ in range(self.vocabulary.maximum_length):
            prefix.append(int(self.probabilities(photo, prefix).argmax()))
            if prefix[-1] == self.vocabulary.end_id:
                break
        return prefix[1:]

    def beam(self, photo, *options):
        """Takes the best of what it finds."""
        return self.finished(photo, *options)[0]

    def finished(self, photo, width, length_penalty, no_repeat_ngram_size=0):
        """Extends every hypothesis by every token, and sorts; returns all captions, best first."""
        vocabulary = self.vocabulary
        hypotheses, finished = [(0.0, [vocabulary.start_id])], []
        for _ in range(vocabulary.maximum_length):
            extended = []
            for score, prefix in hypotheses:
                probabilities = self.probabilities(photo, prefix)
                extended += [
                    (score + np.log(float(probabilities[token_id])), [*prefix, token_id])
                    for token_id in range(vocabulary.size)
                    if probabilities[token_id] > 0
                    and not repeats([*prefix, token_id], no_repeat_ngram_size)
                ]
            extended.sort(key=lambda item: -item[0])
            finished += [
                (score / (len(tokens) - 1) ** length_penalty, tokens)
                for score, tokens in extended[:width]
                if tokens[-1] == vocabulary.end_id
            ]
            hypotheses = [item for item in extended if item[1][-1] != vocabulary.end_id][:width]
            if len(finished) >= width:
                break
        finished.sort(key=lambda item: -item[0])
        return [tokens[1:] for _, tokens in finished or hypotheses[:1]]


@pytest.fixture(scope="module", params=[1, 2, 3])
def decoders(request):
    """Returns the decoder and the slow one of the same captioner."""
    captioner = random_captioner(request.param)
    return CaptionDecoder(captioner, VOCABULARY), SlowDecoder(captioner)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).normal(0, 2, (PHOTOS, FEATURE_LENGTH)).astype(np.float32)


def test_greedy_is_the_slow_greedy(decoders, photos):
    decoder, slow = decoders
    expected = [slow.greedy(photo) for photo in photos]
    assert decoder.greedy(photos) == expected
    assert len({tuple(caption) for caption in expected}) > 1


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
def test_beam_is_the_slow_beam(decoders, photos, width, length_penalty):
    decoder, slow = decoders
    expected = [slow.beam(photo, width, length_penalty) for photo in photos]
    assert decoder.beam(photos, width, length_penalty=length_penalty) == expected


def test_a_beam_as_wide_as_all_captions_finds_the_likeliest(photos):
    """Compares with every caption of up to 3 tokens there is."""
    captioner = random_captioner(4)
    vocabulary = Vocabulary(VOCABULARY.words, 3, {})
    tokens = [i for i in range(1, VOCABULARY.size) if i != VOCABULARY.start_id]
    ended = [
        (*body, VOCABULARY.end_id)
        for length in range(3)
        for body in itertools.product([i for i in tokens if i != VOCABULARY.end_id], repeat=length)
    ]
    prefixes = np.array([[VOCABULARY.start_id, *c[:-1], 0, 0][:3] for c in ended], dtype=np.int32)
    found = CaptionDecoder(captioner, vocabulary).beam(photos, 150, length_penalty=0.0)
    for photo, caption in zip(photos, found, strict=True):
        inputs = [np.repeat(photo[None], len(ended), axis=0), prefixes]
        table = np.log(np.asarray(captioner.predict_on_batch(inputs)))
        scores = [
            sum(table[row, place, token] for place, token in enumerate(tokens))
            for row, tokens in enumerate(ended)
        ]
        assert tuple(caption) == ended[int(np.argmax(scores))]


def test_padding_and_startseq_are_never_written(photos):
    captioner = random_captioner(5)
    change_bias(captioner, [0, VOCABULARY.start_id], 50)
    decoder = CaptionDecoder(captioner, VOCABULARY)
    for captions in (decoder.greedy(photos), decoder.beam(photos, 3)):
        written = {token_id for caption in captions for token_id in caption}
        assert written
        assert not written & {0, VOCABULARY.start_id}


def test_captions_end_at_the_maximum_length(photos):
    captioner = random_captioner(6)
    change_bias(captioner, [VOCABULARY.end_id], -1000)
    decoder = CaptionDecoder(captioner, VOCABULARY)
    for captions in (decoder.greedy(photos), decoder.beam(photos, 3)):
        assert [len(caption) for caption in captions] == [VOCABULARY.maximum_length] * PHOTOS


def test_more_photos_than_are_decoded_at_once(decoders, monkeypatch):
    photos = np.random.default_rng(1).normal(0, 2, (7, FEATURE_LENGTH)).astype(np.float32)
    decoder, _ = decoders
    together = decoder.greedy(photos), decoder.beam(photos, 2)
    monkeypatch.setattr("captioning.network.decoding.PHOTOS_AT_ONCE", 3)
    assert (decoder.greedy(photos), decoder.beam(photos, 2)) == together


def test_the_decoder_follows_the_weights(photos):
    captioner, other = random_captioner(1), random_captioner(2)
    decoder = CaptionDecoder(captioner, VOCABULARY)
    before = decoder.greedy(photos)
    captioner.set_weights(other.get_weights())
    assert decoder.greedy(photos) == CaptionDecoder(other, VOCABULARY).greedy(photos) != before


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_is_repeated(width, size):
    """Decodes with a model that stutters, and more words than a step needs."""
    words = ("startseq", "endseq", *(f"w{number}" for number in range(40)))
    vocabulary = Vocabulary(words, 12, {})
    keras.utils.set_random_seed(8)
    captioner = build_captioner(vocabulary.size, FEATURE_LENGTH, units=8)
    stutter = [vocabulary.token_ids[f"w{number}"] for number in range(5)]
    change_bias(captioner, stutter, 4)
    change_bias(captioner, [vocabulary.end_id], 1)
    photos = np.random.default_rng(0).normal(0, 9, (4, FEATURE_LENGTH)).astype(np.float32)
    decoder, slow = CaptionDecoder(captioner, vocabulary), SlowDecoder(captioner, vocabulary)
    stuttered = decoder.beam(photos, width)
    assert any(repeats(caption, size) for caption in stuttered)
    expected = [slow.beam(photo, width, 0.7, size) for photo in photos]
    assert not any(repeats(caption, size) for caption in expected)
    assert decoder.beam(photos, width, no_repeat_ngram_size=size) == expected
    texts = [" ".join(vocabulary.detokenize(caption)) for caption in expected]
    assert generate_desc(captioner, vocabulary, photos, width, no_repeat_ngram_size=size) == texts


def test_a_caption_ends_where_every_word_would_repeat(photos):
    captioner = random_captioner(6)
    change_bias(captioner, [VOCABULARY.end_id], -1000)
    decoder = CaptionDecoder(captioner, VOCABULARY)
    captions = decoder.beam(photos, 2, no_repeat_ngram_size=1)
    assert all(sorted(caption) == [1, 3, 4, 5, 6, 7] for caption in captions)


def test_another_network_is_refused():
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="word_half"):
        CaptionDecoder(other, VOCABULARY)
