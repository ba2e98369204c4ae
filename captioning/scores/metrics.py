"""BLEU, ROUGE-L and CIDEr-D, kept photo by photo so that any selection of photos can be scored.

Captions and references are lists of words; scores are 100 x what the papers define, as they are
usually printed. A caption like all its references scores 100, in CIDEr-D 1,000.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from nltk.translate.bleu_score import closest_ref_length, modified_precision
from nltk.util import everygrams

Caption = Sequence[str]
Captions = Sequence[Caption]
# One or more references of each photo.
References = Sequence[Sequence[Caption]]
NGram = tuple[str, ...]

# n-grams of 1 to 4 words, in BLEU and in CIDEr-D.
ORDERS = 4

# Weights of the n-gram precisions, BLEU-1 to BLEU-4 (Papineni et al. 2002): equal ones.
STANDARD_WEIGHTS = ((1, 0, 0, 0), (1 / 2, 1 / 2, 0, 0), (1 / 3, 1 / 3, 1 / 3, 0), (1 / 4,) * 4)

# How much more recall counts than precision (Lin 2004; the value of the COCO caption evaluation).
ROUGE_BETA = 1.2

# Standard deviation, in words, of the penalty for another length, and the COCO code's factor.
CIDER_SIGMA = 6.0
CIDER_FACTOR = 10.0

BLEU_NAMES = tuple(f"BLEU-{order}" for order in range(1, ORDERS + 1))


def bleu_counts(captions: Captions, references: References) -> np.ndarray:
    """Counts with NLTK what corpus BLEU sums over photos, (photos, 10), float64.

    The columns are: n-grams of 1 to 4 words that a reference has too, clipped; n-grams of 1 to 4
    words; words of the caption; words of the reference nearest in length.
    """
    counts = np.zeros((len(captions), 2 * ORDERS + 2))
    for row, (caption, texts) in enumerate(zip(captions, references, strict=True)):
        for order in range(ORDERS):
            precision = modified_precision(texts, caption, order + 1)
            counts[row, order] = precision.numerator
            counts[row, ORDERS + order] = precision.denominator
        counts[row, -2] = len(caption)
        counts[row, -1] = closest_ref_length(texts, len(caption))
    return counts


def corpus_bleu(sums: np.ndarray, weights: Sequence[Sequence[float]]) -> np.ndarray:
    """Computes corpus BLEU without smoothing (Papineni et al. 2002, section 2.3).

    `sums` are `bleu_counts` summed over each selection of photos, (selections, 10); `weights` those
    of the n-gram precisions of each metric. The result is (selections, metrics), from 0 to 100.
    """
    matched, total = sums[:, :ORDERS], sums[:, ORDERS : 2 * ORDERS]
    caption_words, reference_words = sums[:, -2], sums[:, -1]
    with np.errstate(divide="ignore", over="ignore"):
        log_precisions = np.log(matched / total)
        # Too short a corpus is penalized; an empty one gets -inf and scores 0.
        caption_words = np.maximum(caption_words, np.finfo(float).tiny)
        brevity = np.minimum(0, 1 - reference_words / caption_words)
    log_means = [
        sum(weight * log_precisions[:, order] for order, weight in enumerate(row) if weight)
        for row in weights
    ]
    return 100 * np.exp(np.stack(log_means, axis=1) + brevity[:, None])


def rouge_l(captions: Captions, references: References) -> np.ndarray:
    """Computes ROUGE-L as the COCO caption evaluation does (Lin 2004, section 3): (photos,).

    It is the F-measure of the best precision and the best recall among the references.
    """
    scores = np.zeros(len(captions))
    for row, (caption, texts) in enumerate(zip(captions, references, strict=True)):
        common = [(longest_common_subsequence(caption, text), len(text)) for text in texts]
        if caption and any(length for length, _ in common):
            precision = max(length for length, _ in common) / len(caption)
            recall = max(length / words for length, words in common if words)
            weight = ROUGE_BETA**2
            scores[row] = 100 * (1 + weight) * precision * recall / (recall + weight * precision)
    return scores


def longest_common_subsequence(first: Caption, second: Caption) -> int:
    """Returns the number of words of the longest sequence that both texts have in this order."""
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            above = lengths[index]
            lengths[index] = diagonal + 1 if word == other else max(above, lengths[index - 1])
            diagonal = above
    return lengths[-1]


@dataclass(frozen=True)
class _TfIdf:
    """A text as CIDEr-D compares it: TF-IDF weights of each n-gram order with their norm."""

    orders: list[tuple[dict[NGram, float], float]]
    length: int


class CiderD:
    """CIDEr-D against the references of a split (Vedantam et al. 2015, arXiv:1411.5726v2).

    The more photos an n-gram is used of, the less it weighs.
    """

    def __init__(self, references: References):
        ngrams = [[_count_ngrams(text) for text in texts] for texts in references]
        frequency = Counter(ngram for texts in ngrams for ngram in set().union(*texts))
        # An n-gram that no reference has counts as one that the references of one photo have.
        self._unseen = math.log(max(1, len(references)))
        self._idf = {ngram: self._unseen - math.log(n) for ngram, n in frequency.items()}
        self._references = [
            [_weigh(text, self._idf, self._unseen) for text in texts] for texts in ngrams
        ]

    def score(self, captions: Captions, photos: Sequence[int] | None = None) -> np.ndarray:
        """Scores captions against the references of their photos: (captions,), from 0 to 1,000.

        `photos` holds the index of each caption's photo, by default one caption of each.
        """
        scores = np.zeros(len(captions))
        photos = range(len(self._references)) if photos is None else photos
        for row, (caption, photo) in enumerate(zip(captions, photos, strict=True)):
            texts = self._references[photo]
            weighed = _weigh(_count_ngrams(caption), self._idf, self._unseen)
            scores[row] = sum(_similarity(weighed, text) for text in texts) / len(texts)
        return 100 * CIDER_FACTOR * scores


def consensus(captions: Captions) -> list[int]:
    """Ranks the captions of one photo: the indices, first of the one that is most like the others.

    It has the highest mean CIDEr-D with the others, all n-grams weighing the same: with weights
    learned from references the choice is no better. Of equals the earlier one comes first.
    """
    weighed = [_weigh(_count_ngrams(words), {}, 1.0) for words in captions]
    likeness = [
        sum(_similarity(caption, other) for other in weighed if other is not caption)
        for caption in weighed
    ]
    return np.argsort(-np.array(likeness), kind="stable").tolist()


def _count_ngrams(words: Caption) -> Counter[NGram]:
    return Counter(everygrams(words, max_len=ORDERS))


def _weigh(ngrams: Mapping[NGram, int], idf: Mapping[NGram, float], unseen: float) -> _TfIdf:
    """Weighs n-grams by their count times their `idf`, which is `unseen` for those it lacks."""
    weights = [{} for _ in range(ORDERS)]
    for ngram, count in ngrams.items():
        weights[len(ngram) - 1][ngram] = count * idf.get(ngram, unseen)
    norms = [math.sqrt(sum(weight**2 for weight in order.values())) for order in weights]
    # The COCO code takes the number of word pairs for the length of a text.
    length = sum(count for ngram, count in ngrams.items() if len(ngram) == 2)
    return _TfIdf([*zip(weights, norms, strict=True)], length)


def _similarity(caption: _TfIdf, reference: _TfIdf) -> float:
    """Returns the clipped cosine, averaged over the orders, less where the lengths differ."""
    total = 0.0
    for (weights, norm), (other, other_norm) in zip(caption.orders, reference.orders, strict=True):
        if norm and other_norm:
            # In the order of the caption: that of a set, and with it the sum, changes between runs.
            shared = [ngram for ngram in weights if ngram in other]
            product = sum(min(weights[ngram], other[ngram]) * other[ngram] for ngram in shared)
            total += product / (norm * other_norm)
    penalty = math.exp(-((caption.length - reference.length) ** 2) / (2 * CIDER_SIGMA**2))
    return total / ORDERS * penalty
