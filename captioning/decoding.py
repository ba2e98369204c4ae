"""Writes captions with a trained decoder: greedily, or by beam search.

All photos are decoded together, one word a step. The LSTM's state is carried from word to word, so
that a step costs the same for the last word of a caption as for the first.
"""

import numpy as np

from captioning.backend import keras
from captioning.cli import UserError

# Photos decoded together; more need more memory: photos x beam width x words of the vocabulary.
PHOTOS_AT_ONCE = 256

# Beam search ranks finished captions by log-probability / words ** LENGTH_PENALTY: at 0 short
# captions win, since every word costs probability; at 1 length costs nothing.
LENGTH_PENALTY = 0.7

# The layers of train.py's network that decoding runs one word at a time.
LAYERS = ("photo", "photo_dense", "embedding", "lstm", "decoder_dense", "next_word")


class CaptionDecoder:
    """Decodes with the weights that the model has at the moment of each call.

    Args:
        model: keras.Model with the layers that `train.define_model` gives it.
        vocabulary: captioning.vocabulary.Vocabulary of the same size.

    Raises:
        UserError: if the model has no such layers.
    """

    def __init__(self, model, vocabulary):
        names = {layer.name for layer in model.layers}
        missing = [name for name in LAYERS if name not in names]
        if missing:
            raise UserError(
                f"the model has no layer {missing[0]}, so it is none of train.py's: "
                "train one with python train.py"
            )
        self.model = model
        self.vocabulary = vocabulary
        self.photo_network = keras.Model(
            model.get_layer("photo").output, model.get_layer("photo_dense").output
        )
        self._steps = {}

    def greedy(self, photos):
        """Takes the likeliest word at every step.

        Args:
            photos: numpy.ndarray, float32, (photos, length): vectors of the encoder.

        Returns:
            list of list of int: word ids of each caption, ending with that of `endseq` unless
            the caption reached the maximum length without it.
        """
        return self._in_batches(photos, self._greedy_batch)

    def beam(self, photos, beam_width, length_penalty=LENGTH_PENALTY):
        """Keeps the likeliest `beam_width` beginnings of a caption at every step.

        A caption is finished when `endseq` is among the best `beam_width` continuations of its
        photo; a photo is finished when that many captions are. The best of them by log-probability
        / words ** length_penalty is taken (Wu et al. 2016, arXiv:1609.08144, section 7, with the
        plain power of the length that most toolkits use).

        Args:
            photos: numpy.ndarray, float32, (photos, length): vectors of the encoder.
            beam_width: int, 1 or more; 1 gives what `greedy` gives.
            length_penalty: float, 0 or more.

        Returns:
            list of list of int, as `greedy` does.
        """
        return self._in_batches(
            photos, lambda batch: self._beam_batch(batch, beam_width, length_penalty)
        )

    def _in_batches(self, photos, decode_batch):
        return [
            word_ids
            for start in range(0, len(photos), PHOTOS_AT_ONCE)
            for word_ids in decode_batch(photos[start : start + PHOTOS_AT_ONCE])
        ]

    def _greedy_batch(self, photos):
        step = self._step_network(1)
        words, *state, encoded = self._first_inputs(photos)
        captions = np.zeros((len(photos), self.vocabulary.maximum_length), dtype=np.int32)
        unfinished = np.arange(len(photos))
        for position in range(self.vocabulary.maximum_length):
            _, best, *state = step.predict_on_batch([words[:, None], *state, encoded])
            words = best[:, 0]
            captions[unfinished, position] = words
            goes_on = words != self.vocabulary.end_id
            if not goes_on.any():
                break
            unfinished, words, *state, encoded = (
                item[goes_on] for item in (unfinished, words, *state, encoded)
            )
        return [_without_padding(caption) for caption in captions]

    def _beam_batch(self, photos, width, length_penalty):
        step = self._step_network(width + 1)
        words, *state, encoded = self._first_inputs(photos)
        beams = _Beams(len(photos), width, self.vocabulary, length_penalty)
        for _ in range(self.vocabulary.maximum_length):
            probabilities, likeliest, *state = step.predict_on_batch(
                [words[:, None], *state, encoded]
            )
            words, parents = beams.extend(probabilities, likeliest)
            if not len(words):
                break
            *state, encoded = (item[parents] for item in (*state, encoded))
        return [_without_padding(caption) for caption in beams.best_captions()]

    def _first_inputs(self, photos):
        """Gives the step's inputs before the first word: the word, both states, the photo."""
        encoded = np.asarray(self.photo_network.predict_on_batch(photos))
        words = np.full(len(photos), self.vocabulary.start_id, dtype=np.int32)
        zeros = np.zeros((len(photos), self.model.get_layer("lstm").units), dtype=np.float32)
        return words, zeros, zeros, encoded

    def _step_network(self, count):
        """Builds the network of one step, which gives the `count` likeliest next words."""
        allowed = np.ones(self.vocabulary.size, dtype=np.float32)
        allowed[[0, self.vocabulary.start_id]] = 0
        count = min(count, int(allowed.sum()))
        if count not in self._steps:
            layer = self.model.get_layer
            units = layer("lstm").units
            word = keras.Input((1,), dtype="int32")
            state = [keras.Input((units,)), keras.Input((units,))]
            encoded = keras.Input((units,))
            embedded = keras.ops.squeeze(layer("embedding")(word), axis=1)
            output, new_state = layer("lstm").cell(embedded, state)
            decoded = layer("decoder_dense")(keras.ops.add(encoded, output))
            probabilities = keras.ops.multiply(layer("next_word")(decoded), allowed)
            likeliest = keras.ops.top_k(probabilities, count)
            self._steps[count] = keras.Model([word, *state, encoded], [*likeliest, *new_state])
        return self._steps[count]


class _Beams:
    """The unfinished captions of every photo, and the best finished one.

    A photo is finished when it has as many finished captions as beginnings.

    Args:
        photos: int, number of photos.
        width: int, beginnings kept for each.
        vocabulary: captioning.vocabulary.Vocabulary.
        length_penalty: float.
    """

    def __init__(self, photos, width, vocabulary, length_penalty):
        self.width = width
        self.end_id = vocabulary.end_id
        self.length_penalty = length_penalty
        # Before the first word there is but one beginning.
        self.words = np.zeros((photos, 1, vocabulary.maximum_length), dtype=np.int32)
        self.scores = np.zeros((photos, 1))
        self.length = 0
        self.finished = np.zeros(photos, dtype=int)
        self.best_scores = np.full(photos, -np.inf)
        self.best_words = np.zeros_like(self.words[:, 0])
        # The photos that are not finished, and the captions of those that are.
        self.places = np.arange(photos)
        self.captions = np.zeros_like(self.best_words)

    def extend(self, probabilities, likeliest):
        """Adds one word to every beginning, keeps the best, and drops the photos that are finished.

        Args:
            probabilities: numpy.ndarray, float32, (photos * beginnings, words): the likeliest
                next words' probabilities.
            likeliest: numpy.ndarray, int32, the same shape: their ids.

        Returns:
            tuple of two numpy.ndarray, (photos left * beginnings,): the id that each kept beginning
            ends with, and the row of `probabilities` that it extends.
        """
        photos, beginnings = self.words.shape[:2]
        rows = np.arange(photos)[:, None]
        with np.errstate(divide="ignore"):
            steps = np.log(probabilities.astype(np.float64)).reshape(photos, beginnings, -1)
        scores = (self.scores[:, :, None] + steps).reshape(photos, -1)
        choices = steps.shape[2]
        # Each beginning can end in one way only, so among twice the width enough do not end.
        best = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * self.width]
        scores = scores[rows, best]
        parents = best // choices
        ids = likeliest.reshape(photos, -1)[rows, best]
        ending = ids == self.end_id
        self._finish(scores, parents, ending)
        kept = np.argsort(ending, axis=1, kind="stable")[:, : self.width]
        parents, ids = parents[rows, kept], ids[rows, kept]
        self.scores = np.where(ending, -np.inf, scores)[rows, kept]
        self.words = self.words[rows, parents]
        self.words[:, :, self.length] = ids
        self.length += 1
        parents = rows * beginnings + parents
        unfinished = self._drop_finished()
        return ids[unfinished].ravel(), parents[unfinished].ravel()

    def _finish(self, scores, parents, ending):
        """Counts the captions that end among the best, and remembers the best of all."""
        ends = (ending & np.isfinite(scores))[:, : self.width]
        ranked = np.where(ends, scores[:, : self.width], -np.inf)
        ranked /= (self.length + 1) ** self.length_penalty
        rank = np.argmax(ranked, axis=1)
        photos = np.flatnonzero(ranked[np.arange(len(ranked)), rank] > self.best_scores)
        rank = rank[photos]
        self.best_scores[photos] = ranked[photos, rank]
        self.best_words[photos] = self.words[photos, parents[photos, rank]]
        self.best_words[photos, self.length] = self.end_id
        self.finished += ends.sum(axis=1)

    def _drop_finished(self):
        """Keeps no more than the captions of finished photos; tells which are unfinished."""
        unfinished = self.finished < self.width
        self.captions[self.places[~unfinished]] = self.best_words[~unfinished]
        for name in ("places", "words", "scores", "finished", "best_scores", "best_words"):
            setattr(self, name, getattr(self, name)[unfinished])
        return unfinished

    def best_captions(self):
        """Gives the best caption of each photo: numpy.ndarray, int32, (photos, maximum length).

        A photo without a finished caption has its best unfinished one.
        """
        nothing_finished = self.finished == 0
        self.captions[self.places] = np.where(
            nothing_finished[:, None], self.words[:, 0], self.best_words
        )
        return self.captions


def _without_padding(word_ids):
    return [int(word_id) for word_id in word_ids if word_id != 0]


def decode(decoder, photos, beam_width=1):
    """Captions photos greedily, or by beam search where the beam is wider than 1.

    Args:
        decoder: CaptionDecoder.
        photos: numpy.ndarray, float32, (photos, length): vectors of the encoder.
        beam_width: int, 1 or more.

    Returns:
        list of list of int, as `CaptionDecoder.greedy` does.
    """
    if beam_width == 1:
        return decoder.greedy(photos)
    return decoder.beam(photos, beam_width)


def word_for_id(word_id, vocabulary):
    """Gives the word of an id.

    Args:
        word_id: int.
        vocabulary: captioning.vocabulary.Vocabulary.

    Returns:
        str, or None for padding and for ids that no word has.
    """
    if 1 <= word_id <= len(vocabulary.words):
        return vocabulary.words[word_id - 1]
    return None


def generate_desc(model, vocabulary, photo):
    """Captions one vector greedily.

    Args:
        model: keras.Model, as `train.define_model` builds it.
        vocabulary: captioning.vocabulary.Vocabulary.
        photo: numpy.ndarray, float32, (length,): a vector of the encoder.

    Returns:
        str, the caption without `startseq` and `endseq`.
    """
    word_ids = CaptionDecoder(model, vocabulary).greedy(np.asarray(photo)[None])[0]
    return " ".join(vocabulary.detokenize(word_ids))
