"""Writes captions with a trained captioner, or samples them, and tells how sure it was of them.

All photos are decoded together, one token at a time. The states of the word half are carried from
token to token, so that a step costs the same for the last token of a caption as for the first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from captioning.keras_setup import keras
from captioning.network.model import halves, zero_states
from captioning.text.vocabulary import END_TOKEN, PADDING_ID, Vocabulary

# Photos decoded together; memory grows with photos x beam width x words of the vocabulary.
PHOTOS_AT_ONCE = 256

# Captions whose token probabilities are computed together; they take captions x tokens x vocabulary
# x 4 bytes.
CAPTIONS_AT_ONCE = 64

# Finished captions are ranked by log-probability / tokens ** LENGTH_PENALTY (Wu et al. 2016,
# arXiv:1609.08144, section 7, with the plain power of the length that most toolkits use): at 0
# short captions win, since every token costs probability; at 1 length costs nothing.
LENGTH_PENALTY = 0.7

# Likeliest other words that are kept with each word of a caption.
ALTERNATIVES = 3


@dataclass(frozen=True)
class TokenProbability:
    """How sure the captioner was of one word of a caption, given the words before it."""

    word: str  # END_TOKEN where the caption ends
    probability: float
    alternatives: tuple[tuple[str, float], ...]  # other words, likeliest first

    @property
    def is_end(self) -> bool:
        """Whether this is the token that ends the caption."""
        return self.word == END_TOKEN


def mean_probability(tokens: Sequence[TokenProbability]) -> float:
    """Returns the geometric mean of the probabilities of one or more tokens, 0 to 1."""
    return math.prod(token.probability for token in tokens) ** (1 / len(tokens))


class Hypotheses:
    """The unfinished and the finished captions of every photo.

    A photo is finished when as many of its hypotheses have ended as the beam is wide. No caption
    has the same `no_repeat_ngram_size` words in a row twice, unless that is 0.
    """

    def __init__(self, photos: int, width: int, vocabulary: Vocabulary, no_repeat_ngram_size: int):
        self.width = width
        self.end_id = vocabulary.end_id
        self.no_repeat_ngram_size = no_repeat_ngram_size
        # How many of the likeliest next tokens `extend` needs for each hypothesis: as many as the
        # beam is wide, one more in case the end token is among them, and as many as the ban on
        # repeated n-grams can rule out at the last position.
        self.choices = width + 1
        if no_repeat_ngram_size:
            self.choices += max(0, vocabulary.maximum_length - no_repeat_ngram_size)
        # Before the first token there is but one hypothesis.
        self.tokens = np.zeros((photos, 1, vocabulary.maximum_length), dtype=np.int32)
        self.scores = np.zeros((photos, 1))
        self.length = 0
        self.ended = np.zeros(photos, dtype=int)
        # Which photos are not finished.
        self.rows = np.arange(photos)
        # Score, with the length penalty, and token ids of the finished captions of each photo.
        self.finished = [[] for _ in range(photos)]

    def extend(
        self, log_probabilities: np.ndarray, likeliest: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adds a token to every hypothesis, keeps the best, and drops the photos that are finished.

        Both arguments are (photos * hypotheses, tokens), of the likeliest next tokens. Returns the
        last token of each kept hypothesis and which row it extends, (photos left * hypotheses,).
        """
        photos, hypotheses = self.tokens.shape[:2]
        rows = np.arange(photos)[:, None]
        steps = log_probabilities.astype(np.float64).reshape(photos, hypotheses, -1)
        if 0 < self.no_repeat_ngram_size <= self.length:
            steps[self._repeats(likeliest.reshape(steps.shape))] = -np.inf
        scores = (self.scores[:, :, None] + steps).reshape(photos, -1)
        choices = steps.shape[2]
        # A hypothesis can end in one way only, so among twice the width enough do not end.
        best = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * self.width]
        scores = scores[rows, best]
        parents = best // choices
        ids = likeliest.reshape(photos, -1)[rows, best]
        ending = ids == self.end_id
        self._record_ended(scores, parents, ending)
        kept = np.argsort(ending, axis=1, kind="stable")[:, : self.width]
        parents, ids = parents[rows, kept], ids[rows, kept]
        self.scores = np.where(ending, -np.inf, scores)[rows, kept]
        self.tokens = self.tokens[rows, parents]
        self.tokens[:, :, self.length] = ids
        self.length += 1
        parents = rows * hypotheses + parents
        unfinished = self.ended < self.width
        for name in ("rows", "tokens", "scores", "ended"):
            setattr(self, name, getattr(self, name)[unfinished])
        return ids[unfinished].ravel(), parents[unfinished].ravel()

    def _repeats(self, likeliest: np.ndarray) -> np.ndarray:
        """Tells which tokens, (photos, hypotheses, tokens), complete an n-gram a second time."""
        size = self.no_repeat_ngram_size
        tokens = self.tokens[:, :, : self.length]
        ngrams = sliding_window_view(tokens, size, axis=2)
        last = tokens[:, :, None, self.length - size + 1 :]
        begins_alike = (ngrams[..., :-1] == last).all(axis=-1)
        forbidden = np.where(begins_alike, ngrams[..., -1], PADDING_ID)
        return (likeliest[..., None] == forbidden[:, :, None]).any(axis=-1)

    def _record_ended(self, scores: np.ndarray, parents: np.ndarray, ending: np.ndarray) -> None:
        """Counts the hypotheses that end among the best, and keeps their captions."""
        ends = (ending & np.isfinite(scores))[:, : self.width]
        ranked = scores / (self.length + 1) ** LENGTH_PENALTY
        for row, rank in np.argwhere(ends):
            tokens = self.tokens[row, parents[row, rank], : self.length]
            caption = [*tokens.tolist(), self.end_id]
            self.finished[self.rows[row]].append((ranked[row, rank], caption))
        self.ended += ends.sum(axis=1)

    def captions(self) -> list[list[list[int]]]:
        """Returns the finished captions of each photo, best first, or its best unfinished one."""
        unfinished = dict(zip(self.rows, self.tokens[:, 0].tolist(), strict=True))
        return [
            [caption for _, caption in sorted(finished, key=lambda found: -found[0])]
            or [unfinished[photo]]
            for photo, finished in enumerate(self.finished)
        ]


class CaptionDecoder:
    """Decodes with the weights that the captioner has at the moment of each call.

    Features are (photos, length). A caption is a list of token ids, the end token last unless the
    caption reached the maximum length without it.
    """

    def __init__(self, captioner: keras.Model, vocabulary: Vocabulary):
        self.captioner = captioner
        self.photo_half, self.word_half = halves(captioner)
        self.vocabulary = vocabulary
        self._steps = {}

    def greedy(self, features: np.ndarray) -> list[list[int]]:
        """Takes the likeliest token at every step, which is a beam of width 1."""
        return [captions[0] for captions in self.finished_captions(features, 1)]

    def by_consensus(self, captions: list[list[int]]) -> list[list[int]]:
        """Sorts the captions that `finished_captions` finds of a photo, most like the others first.

        This is decoding for minimum Bayes risk (Kumar and Byrne 2004), where every caption counts
        the same and CIDEr-D without weights tells how much two are alike: see `metrics.consensus`.
        """
        # Imported here because NLTK loads slowly and only consensus needs it.
        from captioning.scores.metrics import consensus

        ranks = consensus([self.vocabulary.detokenize(caption) for caption in captions])
        return [captions[index] for index in ranks]

    def finished_captions(
        self, features: np.ndarray, beam_width: int, *, no_repeat_ngram_size: int = 0
    ) -> list[list[list[int]]]:
        """Keeps the likeliest `beam_width` hypotheses of each photo at every step.

        A hypothesis is finished when the end token is among the best `beam_width` continuations of
        its photo; a photo is finished when that many hypotheses are. No caption has the same
        `no_repeat_ngram_size` words in a row twice; 0 forbids nothing.

        Returns the finished captions of each photo, the best first.
        """
        captions = []
        for start in range(0, len(features), PHOTOS_AT_ONCE):
            batch = features[start : start + PHOTOS_AT_ONCE]
            hypotheses = Hypotheses(len(batch), beam_width, self.vocabulary, no_repeat_ngram_size)
            captions += self._search(batch, hypotheses)
        return captions

    def _search(self, features: np.ndarray, hypotheses: Hypotheses) -> list[list[list[int]]]:
        """Extends hypotheses, one token at a time, until they are finished."""
        tokens, carried = self._start(features)
        step = self.step_network(hypotheses.choices)
        for _ in range(self.vocabulary.maximum_length):
            scores, likeliest, *states = step.predict_on_batch([tokens[:, None], *carried])
            tokens, parents = hypotheses.extend(scores, likeliest)
            if not len(tokens):
                break
            carried = [item[parents] for item in (carried[0], *states)]
        return hypotheses.captions()

    def sample(self, features: np.ndarray, generator: np.random.Generator) -> list[list[int]]:
        """Samples a caption for each row of the features from the distribution of the network.

        All that is random comes from the generator.
        """
        captions = np.full((len(features), self.vocabulary.maximum_length), PADDING_ID, np.int32)
        rows = np.arange(len(features))
        tokens, carried = self._start(features)
        for position in range(self.vocabulary.maximum_length):
            uniform = generator.random((len(rows), 1), dtype=np.float32)
            inputs = [tokens[:, None], *carried, uniform]
            tokens, *states = self._sampling_network.predict_on_batch(inputs)
            captions[rows, position] = tokens
            unfinished = tokens != self.vocabulary.end_id
            if not unfinished.any():
                break
            rows, tokens = rows[unfinished], tokens[unfinished]
            carried = [item[unfinished] for item in (carried[0], *states)]
        return [row[row != PADDING_ID].tolist() for row in captions]

    def _start(self, features: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Returns the start token of each photo, and what is carried from step to step.

        That is its image embedding, which stays the same, and the states.
        """
        tokens = np.full(len(features), self.vocabulary.start_id, dtype=np.int32)
        image_embedding = np.asarray(self.photo_half.predict_on_batch(features))
        return tokens, [image_embedding, *zero_states(self.word_half, len(features))]

    def _run_word_half(self) -> tuple[list, Any, list]:
        """Runs the word half symbolically for one token.

        Returns its inputs (token, image embedding, states), the logits of the next token, and the
        new states.
        """
        token = keras.Input((1,), dtype="int32", name="token")
        left = self.word_half.inputs[1:]
        carried = [keras.Input(item.shape[1:], name=item.name) for item in left]
        logits, *states = self.word_half([token, *carried])
        return [token, *carried], logits[:, 0], states

    @property
    def _forbidden(self) -> np.ndarray:
        """-inf for the tokens that no caption has after its start, 0 for the others."""
        forbidden = np.zeros(self.vocabulary.size, dtype=np.float32)
        forbidden[[PADDING_ID, self.vocabulary.start_id]] = -np.inf
        return forbidden

    @cached_property
    def _sampling_network(self) -> keras.Model:
        """A step: token, image embedding, states, uniform number -> sampled id, new states.

        The token sampled is the first whose cumulative probability exceeds the uniform number.
        """
        inputs, logits, states = self._run_word_half()
        uniform = keras.Input((1,))
        probabilities = keras.ops.softmax(logits + self._forbidden)
        below = keras.ops.cumsum(probabilities, axis=1) <= uniform
        sampled = keras.ops.sum(keras.ops.cast(below, "int32"), axis=1)
        # Rounding may leave the last sum below 1.
        sampled = keras.ops.minimum(sampled, self.vocabulary.size - 1)
        return keras.Model([*inputs, uniform], [sampled, *states])

    def step_network(self, count: int) -> keras.Model:
        """Builds a step: token, image embedding, states -> `count` best scores, ids, new states."""
        # All but padding and the start token.
        count = min(count, self.vocabulary.size - 2)
        if count not in self._steps:
            inputs, logits, states = self._run_word_half()
            scores = keras.ops.log_softmax(logits) + self._forbidden
            best = keras.ops.top_k(scores, count)
            self._steps[count] = keras.Model(inputs, [*best, *states])
        return self._steps[count]

    def token_probabilities(
        self, features: np.ndarray, captions: list[list[int]]
    ) -> list[tuple[TokenProbability, ...]]:
        """Computes the probability of every token of captions, and the likeliest other words.

        One pass over a whole caption gives the probabilities at every position.
        """
        found = []
        for start in range(0, len(captions), CAPTIONS_AT_ONCE):
            batch = captions[start : start + CAPTIONS_AT_ONCE]
            # One position at least: an empty caption has no token to ask for.
            prefixes = np.full((len(batch), max(1, *map(len, batch))), PADDING_ID, dtype=np.int32)
            for row, caption in zip(prefixes, batch, strict=True):
                row[: len(caption)] = [self.vocabulary.start_id, *caption[:-1]][: len(caption)]
            inputs = [features[start : start + CAPTIONS_AT_ONCE], prefixes]
            probabilities = np.array(self.captioner.predict_on_batch(inputs))
            for caption, rows in zip(batch, probabilities, strict=True):
                found.append(tuple(map(self._probability, caption, rows)))
        return found

    def _probability(self, token_id: int, probabilities: np.ndarray) -> TokenProbability:
        """Picks from the probabilities of all tokens, (vocabulary,), what is said of one."""
        words = self.vocabulary.words
        # Decoding never writes two of these, and a written word is no alternative to itself.
        others = -probabilities
        others[[PADDING_ID, self.vocabulary.start_id, token_id]] = 1
        count = min(ALTERNATIVES, self.vocabulary.size - 3)
        likeliest = np.argpartition(others, range(count))[:count]
        alternatives = tuple((words[other - 1], float(probabilities[other])) for other in likeliest)
        return TokenProbability(words[token_id - 1], float(probabilities[token_id]), alternatives)
