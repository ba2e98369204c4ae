"""Scores captions: the rows of the table, how far each score can be trusted, and two models.

To add a metric to the table, compute it in `standard_row`.

Another thousand photos of the same kind would give other scores. Drawing photos with replacement
from those at hand, again and again, shows by how much (Efron and Tibshirani 1993, chapter 13).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from captioning.old import SCORES, read_json, write_json
from captioning.scores import metrics
from captioning.scores.metrics import Caption, Captions, PhotoStatistics
from captioning.text.languages import ENGLISH
from captioning.text.prepared import PreparedText, usable_photos
from captioning.text.vocabulary import END_TOKEN, START_TOKEN, Vocabulary
from captioning.text.words import word_splitter

# The titles of the rows.
GREEDY = "greedy"
BEAM = "beam"  # and the width
CONSENSUS = "consensus"  # and the width
HUMAN = "human"
SAME_REFERENCES = "greedy (same references as human)"
SHUFFLED = "shuffled photos"
CLASSIC = "classic (flattering)"

# The classic recipe's third BLEU is not BLEU-3: its weights sum to 0.9.
CLASSIC_WEIGHTS = ((1, 0, 0, 0), (1 / 2, 1 / 2, 0, 0), (0.3, 0.3, 0.3, 0), (1 / 4,) * 4)

# Of the order in which the shuffled row takes the references of other photos.
SHUFFLE_SEED = 1

RESAMPLES = 1000
RESAMPLING_SEED = 1

# Version of `scores.json`, and its key for the digest of the captions that were scored.
FORMAT = 1
CAPTIONS_DIGEST = "captions_sha256"


@dataclass(frozen=True)
class SplitReferences:
    """What people wrote about the photos of a split."""

    photo_ids: list[str]
    texts: list[list[str]]  # the captions of each photo as people wrote them
    words: list[list[list[str]]]  # the same as `split_into_words` has them, in their language
    cleaned: list[list[list[str]]]  # the same as the cleaned descriptions have them
    training: set[tuple[str, ...]]  # every cleaned description of the training split
    language: str = ENGLISH  # its code
    training_photos: Sequence[str] = ()  # photo ids of the training split
    left_out: Sequence[str] = ()  # those of this split that lack features or captions


def read_references(text: PreparedText, split: str, features: Collection[str]) -> SplitReferences:
    """Collects the captions of those photos of a split that have features.

    Raises:
        UserError: if no photo can be used.
    """
    photo_ids = usable_photos(text, split, features)
    usable = set(photo_ids)
    texts = [text.captions[photo] for photo in photo_ids]
    training = [text.descriptions[photo] for photo in text.splits["train"]]
    split_into_words = word_splitter(text.vocabulary.language)
    return SplitReferences(
        photo_ids,
        texts,
        [[split_into_words(caption) for caption in of_photo] for of_photo in texts],
        [text.descriptions[photo] for photo in photo_ids],
        {tuple(words) for of_photo in training for words in of_photo},
        text.vocabulary.language,
        text.splits["train"],
        [photo for photo in text.splits[split] if photo not in usable],
    )


@dataclass(frozen=True)
class Row:
    """Captions of a row of the table, with what their scores are computed from."""

    captions: Captions
    statistics: PhotoStatistics
    cleaned: Captions  # the captions cleaned as descriptions are


def standard_row(
    captions: Captions,
    references: metrics.References,
    cider: metrics.CiderD,
    cleaned: Captions | None = None,
) -> Row:
    """Scores captions without start and end tokens the standard way.

    One `cider` of the references serves several rows; `cleaned` is needed if the captions are not.
    """
    photo_scores = {
        "ROUGE-L": metrics.rouge_l(captions, references),
        "CIDEr-D": cider.score(captions),
    }
    counts = metrics.bleu_counts(captions, references)
    return Row(captions, PhotoStatistics(counts, photo_scores), cleaned or captions)


def classic_row(captions: Captions, ended: Sequence[bool], cleaned: metrics.References) -> Row:
    """Scores captions as the classic recipe does, which flatters them.

    Start and end tokens stand on both sides and count as words. `ended` tells of each caption
    whether it ended before the maximum length.
    """
    with_tokens = [
        [START_TOKEN, *words, *([END_TOKEN] if end else [])]
        for words, end in zip(captions, ended, strict=True)
    ]
    references = [[[START_TOKEN, *words, END_TOKEN] for words in texts] for texts in cleaned]
    counts = metrics.bleu_counts(with_tokens, references)
    return Row(captions, PhotoStatistics(counts, {}, CLASSIC_WEIGHTS), captions)


def human_rows(captions: Captions, references: SplitReferences) -> dict[str, Row]:
    """Scores the first reference of each photo against the others, and the model against the same.

    The rows are of the photos with two references or more; there are none without such photos.
    """
    photos = [row for row, texts in enumerate(references.words) if len(texts) > 1]
    if not photos:
        return {}
    others = [references.words[row][1:] for row in photos]
    cider = metrics.CiderD(others)
    first = [references.words[row][0] for row in photos]
    cleaned = [references.cleaned[row][0] for row in photos]
    return {
        HUMAN: standard_row(first, others, cider, cleaned),
        SAME_REFERENCES: standard_row([captions[row] for row in photos], others, cider),
    }


def shuffle(captions: Captions) -> list[Caption]:
    """Gives every photo the caption of another, in an order that is the same in every run."""
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(captions))
    shuffled = list(captions)
    for place, source in zip(order, np.roll(order, 1), strict=True):
        shuffled[place] = captions[source]
    return shuffled


def score_rows(
    decoded: dict[str, list[list[int]]], vocabulary: Vocabulary, references: SplitReferences
) -> dict[str, Row]:
    """Scores the captions of every decoding, and what they should be compared with.

    `decoded` holds `greedy` and other decodings, such as `beam 3` -> token ids of each caption.
    """
    captions = {title: [*map(vocabulary.detokenize, ids)] for title, ids in decoded.items()}
    ended = [ids[-1:] == [vocabulary.end_id] for ids in decoded[GREEDY]]
    cider = metrics.CiderD(references.words)
    rows = {
        title: standard_row(texts, references.words, cider) for title, texts in captions.items()
    }
    rows |= human_rows(captions[GREEDY], references)
    if len(captions[GREEDY]) > 1:
        rows[SHUFFLED] = standard_row(shuffle(captions[GREEDY]), references.words, cider)
    rows[CLASSIC] = classic_row(captions[GREEDY], ended, references.cleaned)
    return rows


def summarize(
    rows: dict[str, Row], vocabulary: Vocabulary, training: set[tuple[str, ...]]
) -> dict[str, dict[str, Any]]:
    """Computes the scores of each row with their intervals, and how varied its captions are.

    The mean length is in words; coverage of the vocabulary, and captions that are copies of a
    training description, are in percent.
    """
    known = set(vocabulary.words) - {START_TOKEN, END_TOKEN}
    results = {}
    for title, row in rows.items():
        photos = len(row.captions)
        resampled = row.statistics.scores(resample(photos))
        used = known.intersection(word for words in row.captions for word in words)
        copied = sum(tuple(words) in training for words in row.cleaned)
        results[title] = {
            **{name: float(values[0]) for name, values in row.statistics.scores().items()},
            "intervals": {name: interval(values) for name, values in resampled.items()},
            "photos": photos,
            "mean_length": sum(map(len, row.captions)) / photos,
            "distinct_captions": len(set(map(tuple, row.captions))),
            "vocabulary_coverage": 100 * len(used) / max(1, len(known)),
            "copied_from_training": 100 * copied / photos,
        }
    return results


def compare(rows: dict[str, Row], others: dict[str, Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Compares two models photo by photo: row of the second -> metric -> scores and p-value."""
    comparison = {}
    for title, other in others.items():
        counts = resample(len(other.captions))
        pair = rows[title].statistics, other.statistics
        this_score, other_score = (statistics.scores() for statistics in pair)
        this_resampled, other_resampled = (statistics.scores(counts) for statistics in pair)
        comparison[title] = {
            name: {
                "this": float(this_score[name][0]),
                "other": float(other_score[name][0]),
                "p_value": paired_p_value(
                    this_score[name][0] - other_score[name][0],
                    this_resampled[name] - other_resampled[name],
                ),
            }
            for name in this_score
        }
    return comparison


def resample(photos: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Draws photos with replacement: how often each, (resamples, photos), the same in every run."""
    generator = np.random.default_rng(RESAMPLING_SEED)
    return generator.multinomial(photos, np.full(photos, 1 / photos), size=resamples).astype(float)


def interval(resampled: np.ndarray) -> list[float]:
    """Returns the two ends of the 95% percentile interval of a score, from its resamples."""
    return [float(end) for end in np.percentile(resampled, [2.5, 97.5])]


def paired_p_value(difference: float, differences: np.ndarray) -> float:
    """Returns how often chance alone would make two models differ so much (two-sided).

    The differences on the resamples are shifted to have mean 0, which is what they would have if
    both models were equally good (Noreen 1989; Riezler and Maxwell 2005, section 4). The result is
    from 1 / (resamples + 1) to 1.
    """
    shifted = np.abs(differences - differences.mean())
    # Rounding must not make a difference of exactly 0 look like one that chance seldom reaches.
    as_large = np.sum(shifted >= abs(difference) - 1e-12)
    return float((as_large + 1) / (len(differences) + 1))


def write_scores(folder: Path, scores: dict[str, Any]) -> None:
    """Writes `scores.json` into a model folder."""
    write_json(folder / SCORES, scores, FORMAT)


def read_scores(folder: Path, remedy: str) -> dict[str, Any]:
    """Reads `scores.json` of a model folder; see `read_json`."""
    return read_json(folder / SCORES, FORMAT, remedy)
