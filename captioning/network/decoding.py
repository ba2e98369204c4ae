"""Writes captions with a trained captioner, or samples them, and tells how sure it was of them.

All photos are decoded together, one token at a time. The states of the word half are carried from
token to token, so that a step costs the same for the last token of a caption as for the first.
"""

from functools import cached_property
from typing import Any

import numpy as np

from captioning.keras_setup import keras
from captioning.network.beam import Hypotheses
from captioning.network.confidence import TokenProbability
from captioning.network.model import halves, zero_states
from captioning.text.vocabulary import PADDING_ID, Vocabulary
from captioning.text.words import join_words

# Photos decoded together; memory grows with photos x beam width x words of the vocabulary.
PHOTOS_AT_ONCE = 256

# Captions whose token probabilities are computed together; they take captions x tokens x vocabulary
# x 4 bytes.
CAPTIONS_AT_ONCE = 64

# Beam search ranks finished captions by log-probability / tokens ** LENGTH_PENALTY: at 0 short
# captions win, since every token costs probability; at 1 length costs nothing.
LENGTH_PENALTY = 0.7

# Likeliest other words that are kept with each word of a caption.
ALTERNATIVES = 3


class CaptionDecoder:
    """Decodes with the weights that the captioner has at the moment of each call."""

    def __init__(self, captioner: keras.Model, vocabulary: Vocabulary):
        self.photo_half, self.word_half = halves(captioner)
        self.vocabulary = vocabulary
        self._steps = {}

    def greedy(self, features: np.ndarray) -> list[list[int]]:
        """Takes the likeliest token at every step, which is a beam of width 1."""
        return self.beam(features, 1)

    def beam(
        self,
        features: np.ndarray,
        beam_width: int,
        length_penalty: float = LENGTH_PENALTY,
        no_repeat_ngram_size: int = 0,
    ) -> list[list[int]]:
        """Keeps the likeliest `beam_width` hypotheses of each photo at every step.

        The features are (photos, length). A hypothesis is finished when the end token is among the
        best `beam_width` continuations of its photo; a photo is finished when that many hypotheses
        are. The best of them by log-probability / tokens ** length_penalty is taken (Wu et al.
        2016, arXiv:1609.08144, section 7, with the plain power of the length that most toolkits
        use). No caption has the same `no_repeat_ngram_size` words in a row twice; 0 forbids
        nothing.

        Returns:
            The token ids of each caption, the end token last unless the caption reached the maximum
            length without it.
        """
        options = beam_width, length_penalty, no_repeat_ngram_size
        return [captions[0] for captions in self.finished_captions(features, *options)]

    def consensus(
        self,
        features: np.ndarray,
        beam_width: int,
        length_penalty: float = LENGTH_PENALTY,
        no_repeat_ngram_size: int = 0,
    ) -> list[list[int]]:
        """Takes, of the captions that `beam` finishes, the one that `choose_by_consensus` returns.

        Arguments and result are as in `beam`.
        """
        options = beam_width, length_penalty, no_repeat_ngram_size
        finished = self.finished_captions(features, *options)
        return [self.choose_by_consensus(captions) for captions in finished]

    def choose_by_consensus(self, captions: list[list[int]]) -> list[int]:
        """Returns the one of the captions of a photo, token ids, that is most like the others.

        This is decoding for minimum Bayes risk (Kumar and Byrne 2004), where every caption counts
        the same and CIDEr-D without weights tells how much two are alike: see `metrics.consensus`.
        """
        # Imported here because NLTK loads slowly and only consensus needs it.
        from captioning.scores.metrics import consensus

        return captions[consensus([self.vocabulary.detokenize(caption) for caption in captions])]

    def finished_captions(
        self,
        features: np.ndarray,
        beam_width: int,
        length_penalty: float = LENGTH_PENALTY,
        no_repeat_ngram_size: int = 0,
    ) -> list[list[list[int]]]:
        """Returns the token ids of all captions that `beam` finishes, of each photo, best first."""
        options = beam_width, self.vocabulary, length_penalty, no_repeat_ngram_size
        captions = []
        for start in range(0, len(features), PHOTOS_AT_ONCE):
            batch = features[start : start + PHOTOS_AT_ONCE]
            captions += self._search(batch, Hypotheses(len(batch), *options))
        return captions

    def _search(self, features: np.ndarray, hypotheses: Hypotheses) -> list[list[list[int]]]:
        """Extends hypotheses, one token at a time, until they are finished."""
        tokens, carried = self._start(features)
        step = self._step_network(hypotheses.choices)
        for _ in range(self.vocabulary.maximum_length):
            scores, likeliest, *states = step.predict_on_batch([tokens[:, None], *carried])
            tokens, parents = hypotheses.extend(scores, likeliest)
            if not len(tokens):
                break
            carried = [item[parents] for item in (carried[0], *states)]
        return hypotheses.captions()

    def sample(self, features: np.ndarray, generator: np.random.Generator) -> list[list[int]]:
        """Samples a caption for each row of the features from the distribution of the network.

        The features are (captions, length). Returns token ids as `beam` does. All that is random
        comes from the generator.
        """
        captions = np.full((len(features), self.vocabulary.maximum_length), PADDING_ID, np.int32)
        rows = np.arange(len(features))
        tokens, carried = self._start(features)
        for place in range(self.vocabulary.maximum_length):
            uniform = generator.random((len(rows), 1), dtype=np.float32)
            inputs = [tokens[:, None], *carried, uniform]
            tokens, *states = self._sampling_network.predict_on_batch(inputs)
            captions[rows, place] = tokens
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
        token = keras.Input((1,), dtype="int32")
        carried = [keras.Input(item.shape[1:]) for item in self.word_half.inputs[1:]]
        logits, *states = self.word_half([token, *carried])
        return [token, *carried], logits[:, 0], states

    def _forbidden(self) -> np.ndarray:
        """Returns -inf for the tokens that no caption has after its start, 0 for the others."""
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
        probabilities = keras.ops.softmax(logits + self._forbidden())
        below = keras.ops.cumsum(probabilities, axis=1) <= uniform
        sampled = keras.ops.sum(keras.ops.cast(below, "int32"), axis=1)
        # Rounding may leave the last sum below 1.
        sampled = keras.ops.minimum(sampled, self.vocabulary.size - 1)
        return keras.Model([*inputs, uniform], [sampled, *states])

    def _step_network(self, count: int) -> keras.Model:
        """Builds a step: token, image embedding, states -> `count` best scores, ids, new states."""
        forbidden = self._forbidden()
        count = min(count, int(np.isfinite(forbidden).sum()))
        if count not in self._steps:
            inputs, logits, states = self._run_word_half()
            scores = keras.ops.log_softmax(logits) + forbidden
            best = keras.ops.top_k(scores, count)
            self._steps[count] = keras.Model(inputs, [*best, *states])
        return self._steps[count]


def token_probabilities(
    captioner: keras.Model, vocabulary: Vocabulary, features: np.ndarray, captions: list[list[int]]
) -> list[tuple[TokenProbability, ...]]:
    """Computes the probability of every token of decoded captions, and the likeliest other words.

    The features are (captions, length). One pass over a whole caption gives the probabilities at
    every position.
    """
    # Captions of like length together, so that little is computed for padding.
    order = np.argsort([len(caption) for caption in captions], kind="stable")
    found = [()] * len(captions)
    for start in range(0, len(order), CAPTIONS_AT_ONCE):
        rows = order[start : start + CAPTIONS_AT_ONCE]
        batch = [captions[row] for row in rows]
        # An empty caption has no token to ask for.
        if batch[-1]:
            tokens = _probabilities_of_batch(captioner, vocabulary, features[rows], batch)
            for row, tokens_of_caption in zip(rows, tokens, strict=True):
                found[row] = tokens_of_caption
    return found


def _probabilities_of_batch(
    captioner: keras.Model, vocabulary: Vocabulary, features: np.ndarray, captions: list[list[int]]
) -> list[tuple[TokenProbability, ...]]:
    length = max(map(len, captions))
    prefixes = np.full((len(captions), length), PADDING_ID, dtype=np.int32)
    written = np.full_like(prefixes, PADDING_ID)
    for row, caption in enumerate(captions):
        prefixes[row, : len(caption)] = [vocabulary.start_id, *caption[:-1]]
        written[row, : len(caption)] = caption
    probabilities = np.array(captioner.predict_on_batch([features, prefixes]))
    of_written = np.take_along_axis(probabilities, written[:, :, None], axis=2)
    # Decoding never writes these two, and a written word is no alternative to itself.
    probabilities[:, :, [PADDING_ID, vocabulary.start_id]] = -1
    np.put_along_axis(probabilities, written[:, :, None], -1, axis=2)
    count = min(ALTERNATIVES, vocabulary.size - 3)
    others = np.argpartition(-probabilities, range(count), axis=2)[:, :, :count]
    of_others = np.take_along_axis(probabilities, others, axis=2)

    def token_probability(row: int, place: int) -> TokenProbability:
        alternatives = zip(others[row, place], of_others[row, place], strict=True)
        return TokenProbability(
            word_for_id(written[row, place], vocabulary),
            float(of_written[row, place, 0]),
            tuple((word_for_id(other, vocabulary), float(p)) for other, p in alternatives),
        )

    return [
        tuple(token_probability(row, place) for place in range(len(caption)))
        for row, caption in enumerate(captions)
    ]


def word_for_id(token_id: int, vocabulary: Vocabulary) -> str | None:
    """Returns the word of a token id, or None for padding and for ids that no word has."""
    if 1 <= token_id <= len(vocabulary.words):
        return vocabulary.words[token_id - 1]
    return None


def generate_desc(
    captioner: keras.Model,
    vocabulary: Vocabulary,
    features: np.ndarray,
    beam_width: int = 1,
    *,
    consensus: bool = False,
    no_repeat_ngram_size: int = 0,
) -> list[str]:
    """Captions photos from their features, (photos, length): the name of the classic recipe.

    The captions have no start or end token. `consensus` chooses among those of the beam.
    """
    decoder = CaptionDecoder(captioner, vocabulary)
    decode = decoder.consensus if consensus else decoder.beam
    captions = decode(features, beam_width, no_repeat_ngram_size=no_repeat_ngram_size)
    return [join_words(vocabulary.detokenize(token_ids)) for token_ids in captions]
