"""The bookkeeping of beam search, for all photos of a batch at once."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from captioning.text.vocabulary import PADDING_ID, Vocabulary

# Finished captions are ranked by log-probability / tokens ** LENGTH_PENALTY (Wu et al. 2016,
# arXiv:1609.08144, section 7, with the plain power of the length that most toolkits use): at 0
# short captions win, since every token costs probability; at 1 length costs nothing.
LENGTH_PENALTY = 0.7


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
