"""BLEU, ROUGE-L and CIDEr-D, kept photo by photo so that any selection of photos can be scored.

Captions and references are lists of words here; all figures are 100 x what the papers define, as
they are usually printed. A caption that repeats each of its references scores 100 in BLEU and
ROUGE-L, and 1,000 in CIDEr-D.
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from nltk.translate.bleu_score import closest_ref_length, modified_precision

# n-grams of 1 to 4 words, in BLEU and in CIDEr-D.
ORDERS = 4

# Weights of the n-gram precisions, BLEU-1 to BLEU-4 (Papineni et al. 2002): equal ones.
STANDARD_WEIGHTS = ((1, 0, 0, 0), (1 / 2, 1 / 2, 0, 0), (1 / 3, 1 / 3, 1 / 3, 0), (1 / 4,) * 4)

# How much more recall counts than precision (Lin 2004; the value of the COCO caption evaluation).
ROUGE_BETA = 1.2

# Width in words of the penalty for another length, and the factor that the COCO code has besides
# (Vedantam et al. 2015, section 7).
CIDER_SIGMA = 6.0
CIDER_FACTOR = 10.0

BLEU_NAMES = tuple(f"BLEU-{order}" for order in range(1, ORDERS + 1))


@dataclass(frozen=True)
class PhotoStatistics:
    """What each photo adds to the figures.

    Args:
        bleu: numpy.ndarray, float64, (photos, 10), from `bleu_counts`.
        means: dict of str -> numpy.ndarray, float64, (photos,): name of a figure that is a mean
            over photos -> each photo's own.
        weights: tuple of tuple of float: the weights of the n-gram precisions of each BLEU.
    """

    bleu: np.ndarray
    means: dict
    weights: tuple = STANDARD_WEIGHTS

    def figures(self, counts=None):
        """Computes the figures over a selection of photos.

        Args:
            counts: numpy.ndarray, (selections, photos): how often each photo is in each selection;
                None for every photo once.

        Returns:
            dict of str -> numpy.ndarray, float64, (selections,): name of a figure -> its values.
        """
        if counts is None:
            counts = np.ones((1, len(self.bleu)))
        scores = bleu_of_sums(counts @ self.bleu, self.weights)
        figures = dict(zip(BLEU_NAMES, scores.T, strict=True))
        totals = counts.sum(axis=1)
        for name, values in self.means.items():
            figures[name] = counts @ values / totals
        return figures


def bleu_counts(captions, references):
    """Counts what corpus BLEU adds up over photos, with NLTK.

    Args:
        captions: list of list of str.
        references: list of list of list of str, one or more for each caption.

    Returns:
        numpy.ndarray, float64, (photos, 10): right n-grams of 1 to 4 words, clipped; n-grams of
        1 to 4 words; words of the caption; words of the reference nearest in length.
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


def bleu_of_sums(sums, weights):
    """Computes corpus BLEU without smoothing (Papineni et al. 2002, section 2.3).

    Args:
        sums: numpy.ndarray, (selections, 10): `bleu_counts` added up over each selection.
        weights: tuple of tuple of float: the weights of the n-gram precisions of each figure.

    Returns:
        numpy.ndarray, float64, (selections, figures), from 0 to 100; 0 where no n-gram of an order
        that counts is right.
    """
    right, total = sums[:, :ORDERS], sums[:, ORDERS : 2 * ORDERS]
    written, wanted = sums[:, -2], sums[:, -1]
    with np.errstate(divide="ignore", over="ignore"):
        logarithms = np.log(right / total)
        # Too short a corpus is punished; an empty one, -inf, scores 0.
        brevity = np.minimum(0, 1 - wanted / np.maximum(written, np.finfo(float).tiny))
    scores = [
        sum(weight * logarithms[:, order] for order, weight in enumerate(of_figure) if weight)
        for of_figure in weights
    ]
    return 100 * np.exp(np.stack(scores, axis=1) + brevity[:, None])


def rouge_l(captions, references):
    """Computes ROUGE-L as the COCO caption evaluation does (Lin 2004, section 3).

    Args:
        captions: list of list of str.
        references: list of list of list of str, one or more for each caption.

    Returns:
        numpy.ndarray, float64, (photos,), from 0 to 100: the F-measure of the best precision and
        the best recall among the references.
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


def longest_common_subsequence(first, second):
    """Counts the words of the longest sequence that both texts hold in this order.

    Args:
        first: list of str.
        second: list of str.

    Returns:
        int.
    """
    lengths = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, other in enumerate(second, start=1):
            above = lengths[place]
            lengths[place] = diagonal + 1 if word == other else max(above, lengths[place - 1])
            diagonal = above
    return lengths[-1]


class CiderD:
    """CIDEr-D against the references of a split (Vedantam et al. 2015, arXiv:1411.5726v2).

    How much an n-gram says is learned from the references: one that people use of many photos
    says little.

    Args:
        references: list of list of list of str, one or more for each photo.
    """

    def __init__(self, references):
        grams = [[_grams(text) for text in texts] for texts in references]
        found_in = Counter()
        for texts in grams:
            found_in.update(set().union(*texts))
        # An n-gram that no reference has counts as one that a single photo's have.
        self._unseen = math.log(len(references)) if references else 0.0
        self._rarity = {gram: self._unseen - math.log(photos) for gram, photos in found_in.items()}
        self._vectors = [[self._weigh(text) for text in texts] for texts in grams]

    def score(self, captions):
        """Scores one caption for each photo.

        Args:
            captions: list of list of str, in the order of the references.

        Returns:
            numpy.ndarray, float64, (photos,), from 0 to 1,000.
        """
        scores = np.zeros(len(captions))
        for row, (caption, texts) in enumerate(zip(captions, self._vectors, strict=True)):
            vector = self._weigh(_grams(caption))
            scores[row] = sum(_similarity(vector, text) for text in texts) / len(texts)
        return 100 * CIDER_FACTOR * scores

    def _weigh(self, grams):
        """Gives the TF-IDF vector of each order, their norms, and the number of word pairs."""
        vectors = [{} for _ in range(ORDERS)]
        for gram, count in grams.items():
            vectors[len(gram) - 1][gram] = count * self._rarity.get(gram, self._unseen)
        norms = [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]
        # The COCO code takes the number of word pairs for the length of a text.
        length = sum(count for gram, count in grams.items() if len(gram) == 2)
        return vectors, norms, length


def _grams(words):
    grams = defaultdict(int)
    for order in range(1, ORDERS + 1):
        for start in range(len(words) - order + 1):
            grams[tuple(words[start : start + order])] += 1
    return grams


def _similarity(caption, reference):
    """Compares two weighed texts: clipped cosine, less where the lengths differ, mean of orders."""
    total = 0.0
    for vector, other, norm, other_norm in zip(
        caption[0], reference[0], caption[1], reference[1], strict=True
    ):
        if norm and other_norm:
            shared = vector.keys() & other.keys()
            product = sum(min(vector[gram], other[gram]) * other[gram] for gram in shared)
            total += product / (norm * other_norm)
    penalty = math.exp(-((caption[2] - reference[2]) ** 2) / (2 * CIDER_SIGMA**2))
    return total / ORDERS * penalty
