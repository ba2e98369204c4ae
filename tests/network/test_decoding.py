"""Decoding against slow versions that compute the network in NumPy, anew for every prefix."""

import itertools

import numpy as np
import pytest
from support import FEATURE_LENGTH, VOCABULARY, change_bias, random_captioner

from captioning.network import decoding
from captioning.network.decoding import CaptionDecoder
from captioning.network.model import average_captioners, halves, state_sizes
from captioning.scores import metrics
from captioning.text.vocabulary import Vocabulary

PHOTOS = 5


def repeats(tokens, size):
    """Tells whether so many tokens in a row occur twice."""
    ngrams = [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
    return size > 0 and len(set(ngrams)) < len(ngrams)


class SlowCaptioner:
    """The network of `build_captioner` as its formulas have it."""

    def __init__(self, captioner):
        layers = {layer.name: layer for half in halves(captioner) for layer in half.layers}
        self.weights = {
            name: [np.array(weight, np.float64) for weight in layer.weights]
            for name, layer in layers.items()
        }

    def dense(self, name, values):
        """Multiplies by the kernel and adds the bias."""
        kernel, bias = self.weights[name]
        return values @ kernel + bias

    def probabilities(self, photo, prefix):
        """Returns the probability of every token after a prefix."""
        kernel, recurrent_kernel, bias = self.weights["lstm"]
        hidden = cell = np.zeros(len(recurrent_kernel))
        for token in prefix:
            embedded = self.weights["embedding"][0][token]
            gates = np.split(embedded @ kernel + hidden @ recurrent_kernel + bias, 4)
            take, keep, output = (1 / (1 + np.exp(-gates[index])) for index in (0, 1, 3))
            cell = keep * cell + take * np.tanh(gates[2])
            hidden = output * np.tanh(cell)
        embedding = np.maximum(self.dense("photo_dense", photo), 0)
        decoded = np.maximum(self.dense("decoder_dense", embedding + hidden), 0)
        logits = self.dense("next_token", decoded)
        exponentials = np.exp(logits - logits.max())
        return exponentials / exponentials.sum()


class SlowDecoder:
    """Decodes with lists, one hypothesis at a time, by the mean of some captioners."""

    def __init__(self, *captioners, vocabulary=VOCABULARY):
        self.captioners = list(map(SlowCaptioner, captioners))
        self.vocabulary = vocabulary
        self.known = {}

    def probabilities(self, photo, prefix):
        """Takes the mean of the captioners'; padding and startseq are impossible."""
        key = photo.tobytes(), tuple(prefix)
        if key not in self.known:
            found = [one.probabilities(photo, prefix) for one in self.captioners]
            probabilities = np.mean(found, axis=0)
            probabilities[[0, self.vocabulary.start_id]] = 0
            self.known[key] = probabilities
        return self.known[key].copy()

    def finished(self, photo, width, length_penalty=0.7, no_repeat_ngram_size=0):
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


@pytest.fixture(scope="module")
def captioner():
    return random_captioner(2)


@pytest.fixture(scope="module")
def slow(captioner):
    return SlowDecoder(captioner)


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).normal(0, 2, (PHOTOS, FEATURE_LENGTH)).astype(np.float32)


@pytest.mark.parametrize(
    ("width", "length_penalty"), [(1, 0.7), (2, 0.7), (3, 0.0), (3, 1.0), (5, 0.7)]
)
def test_beam_is_the_slow_beam(captioner, slow, photos, width, length_penalty, monkeypatch):
    monkeypatch.setattr(decoding, "LENGTH_PENALTY", length_penalty)
    decoder = CaptionDecoder(captioner, VOCABULARY)
    expected = [slow.finished(photo, width, length_penalty) for photo in photos]
    found = decoder.finished_captions(photos, width)
    assert found == expected
    best = [captions[0] for captions in expected]
    assert len(set(map(tuple, best))) > 1
    if width == 1:
        assert decoder.greedy(photos) == best
    # More photos than are decoded at once.
    monkeypatch.setattr(decoding, "PHOTOS_AT_ONCE", 3)
    assert decoder.finished_captions(photos, width) == expected


def test_padding_and_startseq_are_never_written_and_captions_end_at_the_maximum_length(photos):
    captioner = random_captioner(5)
    change_bias(captioner, [0, VOCABULARY.start_id], 50)
    change_bias(captioner, [VOCABULARY.end_id], -1000)
    decoder = CaptionDecoder(captioner, VOCABULARY)
    sampled = decoder.sample(photos, np.random.default_rng(1))
    best = [found[0] for found in decoder.finished_captions(photos, 3)]
    for captions in (decoder.greedy(photos), best, sampled):
        assert [len(caption) for caption in captions] == [VOCABULARY.maximum_length] * PHOTOS
        assert not {token for caption in captions for token in caption} & {0, VOCABULARY.start_id}
    # Six words may be written without saying one twice; then the caption has to end.
    found = decoder.finished_captions(photos, 2, no_repeat_ngram_size=1)
    assert all(sorted(captions[0]) == [1, 3, 4, 5, 6, 7] for captions in found)


def test_the_decoder_follows_the_weights(captioner, photos):
    other = random_captioner(1)
    decoder = CaptionDecoder(other, VOCABULARY)
    before = decoder.greedy(photos)
    other.set_weights(captioner.get_weights())
    assert decoder.greedy(photos) == CaptionDecoder(captioner, VOCABULARY).greedy(photos) != before


@pytest.mark.parametrize(("width", "size"), [(1, 2), (3, 1), (5, 3)])
def test_no_ngram_is_repeated(width, size):
    """Decodes with a model that stutters, and more words than a step needs."""
    words = ("startseq", "endseq", *(f"w{index}" for index in range(40)))
    vocabulary = Vocabulary(words=words, maximum_length=12, cleaning={})
    captioner = random_captioner(8, scale=1, vocabulary=vocabulary, units=8)
    change_bias(captioner, [vocabulary.token_ids[f"w{index}"] for index in range(5)], 4)
    change_bias(captioner, [vocabulary.end_id], 1)
    photos = np.random.default_rng(0).normal(0, 9, (4, FEATURE_LENGTH)).astype(np.float32)
    decoder = CaptionDecoder(captioner, vocabulary)
    slow = SlowDecoder(captioner, vocabulary=vocabulary)
    found = decoder.finished_captions(photos, width)
    assert any(repeats(captions[0], size) for captions in found)
    expected = [slow.finished(photo, width, 0.7, size) for photo in photos]
    assert decoder.finished_captions(photos, width, no_repeat_ngram_size=size) == expected


def test_consensus_is_the_caption_of_the_beam_most_like_the_others(captioner, slow):
    decoder, chosen = CaptionDecoder(captioner, VOCABULARY), []
    photos = np.random.default_rng(1).normal(0, 2, (12, FEATURE_LENGTH)).astype(np.float32)
    found = decoder.finished_captions(photos, 6, no_repeat_ngram_size=2)
    for photo, captions in zip(photos, found, strict=True):
        finished = slow.finished(photo, 6, 0.7, 2)
        ranks = metrics.consensus([*map(VOCABULARY.detokenize, finished)])
        chosen.append(ranks[0])
        assert decoder.by_consensus(captions) == [finished[rank] for rank in ranks]
    assert any(chosen)


def test_probabilities_are_those_of_every_prefix(captioner, slow, photos, monkeypatch):
    decoder, ids = CaptionDecoder(captioner, VOCABULARY), VOCABULARY.token_ids
    best = [found[0] for found in decoder.finished_captions(photos[3:], 2)]
    captions = [*decoder.greedy(photos[:2]), [], *best]
    found = decoder.token_probabilities(photos, captions)
    assert found[2] == ()
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
            expected = [pytest.approx(probabilities[other], rel=1e-4) for other in likeliest]
            assert [probability for _, probability in token.alternatives] == expected
            prefix.append(token_id)
    monkeypatch.setattr(decoding, "CAPTIONS_AT_ONCE", 2)
    again = decoder.token_probabilities(photos, captions)
    for one, other in zip(itertools.chain(*found), itertools.chain(*again), strict=True):
        assert one.word == other.word
        assert one.probability == pytest.approx(other.probability, rel=1e-5)


def test_an_average_decodes_by_the_mean_of_the_probabilities(captioner, photos):
    other = random_captioner(7, units=20)
    average = average_captioners([captioner, other])
    prefixes = np.array([[2, 1, 3, 6, 4], [2, 7, 7, 0, 0]], np.int32)
    single, pair, mean = (
        np.array(one([photos[:2], prefixes], training=False)) for one in (captioner, other, average)
    )
    np.testing.assert_allclose(mean, (single + pair) / 2, atol=1e-6)
    assert np.abs(mean - single).max() > 0.1
    expected = [SlowDecoder(captioner, other).finished(photo, 3) for photo in photos]
    assert CaptionDecoder(average, VOCABULARY).finished_captions(photos, 3) == expected
    assert CaptionDecoder(captioner, VOCABULARY).finished_captions(photos, 3) != expected


def test_tokens_that_no_member_of_an_average_expects_have_a_logarithm():
    """Far below the smallest probability that 32 bits can hold."""
    captioners = [random_captioner(seed, scale=200) for seed in (1, 2)]
    word_half = halves(average_captioners(captioners))[1]
    states = [np.ones((3, size), np.float32) for size in state_sizes(word_half)]
    embedding = np.ones((3, word_half.inputs[1].shape[-1]), np.float32)
    logits = np.array(word_half([np.full((3, 2), 2, np.int32), embedding, *states])[0])
    assert np.isfinite(logits).all()
    assert logits.min() < -200
