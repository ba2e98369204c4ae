"""Scores captions: the rows of the table, how far each score can be trusted, and two models.

To add a metric to the table, compute it in `standard_row`.

Another thousand photos of the same kind would give other scores. Taking photos with replacement
from those at hand, again and again, shows by how much (Efron and Tibshirani 1993, chapter 13).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from captioning.cli import UserError
from captioning.files import GENERATED_CAPTIONS, SCORES, command_for, damaged, require
from captioning.scores import metrics
from captioning.scores.metrics import Captions, PhotoStatistics
from captioning.storage import Record, cell_of, digest_of_file, read_json, write_table
from captioning.text.vocabulary import (
    END_TOKEN,
    START_TOKEN,
    PreparedText,
    Vocabulary,
    usable_photos,
)
from captioning.text.words import join_words, word_splitter

# The titles of the rows.
GREEDY = "greedy"
BEAM = "beam"  # and the width
CONSENSUS = "consensus"  # and the width
HUMAN = "human"
SAME_REFERENCES = "greedy (same references)"
SHUFFLED = "shuffled photos"
CLASSIC = "classic (flattering)"

# The classic recipe's third BLEU is not BLEU-3: its weights sum to 0.9.
CLASSIC_WEIGHTS = ((1, 0, 0, 0), (1 / 2, 1 / 2, 0, 0), (0.3, 0.3, 0.3, 0), (1 / 4,) * 4)

# Of the order in which the shuffled row takes the references of other photos.
SHUFFLE_SEED = 1

RESAMPLES = 1000
RESAMPLING_SEED = 1

# Title of a row -> what `summarize` finds; -> metric -> what `compare` finds.
Results = dict[str, dict[str, Any]]
Comparison = dict[str, dict[str, dict[str, float]]]


class Scores(Record):
    """What `scores.json` holds."""

    FORMAT: ClassVar[int] = 2

    data: str
    split: str
    photos: int
    results: Results
    notes: list[str]
    captions_sha256: str = ""  # of `captions.csv`, whose captions were scored
    compared_with: str = ""
    comparison: Comparison | None = None


@dataclass(frozen=True)
class SplitReferences:
    """What people wrote about the photos of a split."""

    photo_ids: list[str]
    texts: list[list[str]]  # the captions of each photo as people wrote them
    words: list[list[list[str]]]  # the same, split into words
    cleaned: list[list[list[str]]]  # the same as the cleaned descriptions have them
    training: set[tuple[str, ...]]  # every cleaned description of the training split
    language: str  # its code
    left_out: list[str]  # the photos of the split that have no features


def read_references(text: PreparedText, split: str, features: Collection[str]) -> SplitReferences:
    """Collects the references of those photos of a split that have features.

    Raises:
        UserError: if there are none.
    """
    photo_ids = usable_photos(text, split, features)
    usable = set(photo_ids)
    language = text.vocabulary.language
    split_into_words = word_splitter(language)
    texts = [text.captions[photo] for photo in photo_ids]
    training = [text.descriptions[photo] for photo in text.splits["train"]]
    return SplitReferences(
        photo_ids,
        texts,
        words=[[*map(split_into_words, of_photo)] for of_photo in texts],
        cleaned=[text.descriptions[photo] for photo in photo_ids],
        training={tuple(words) for of_photo in training for words in of_photo},
        language=language,
        left_out=[photo for photo in text.splits[split] if photo not in usable],
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


def shuffle(captions: Captions) -> Captions:
    """Gives every photo the caption of another, in an order that is the same in every run."""
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(captions))
    shuffled = list(captions)
    for index, source in zip(order, np.roll(order, 1), strict=True):
        shuffled[index] = captions[source]
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
) -> Results:
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


def resample(photos: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Takes photos with replacement: how often each, (resamples, photos), the same in every run."""
    generator = np.random.default_rng(RESAMPLING_SEED)
    return generator.multinomial(photos, np.full(photos, 1 / photos), size=resamples).astype(float)


def interval(resampled: np.ndarray) -> list[float]:
    """Returns the two ends of the 95% percentile interval of a score, from its resamples."""
    return np.percentile(resampled, [2.5, 97.5]).tolist()


def paired_p_value(difference: float, differences: np.ndarray) -> float:
    """Returns how often chance alone would make two models differ so much (two-sided).

    The differences on the resamples are shifted to have mean 0, which is what they would have if
    both models were equally good (Noreen 1989; Riezler and Maxwell 2005, section 4).
    """
    shifted = np.abs(differences - differences.mean())
    # Rounding must not make a difference of exactly 0 look like one that chance seldom reaches.
    as_large = np.sum(shifted >= abs(difference) - 1e-12)
    return float((as_large + 1) / (len(differences) + 1))


def compare(row: Row, other: Row) -> dict[str, dict[str, float]]:
    """Compares two rows photo by photo: metric -> both scores and the p-value."""
    counts = resample(len(row.captions))
    these, those = row.statistics.scores(), other.statistics.scores()
    differences = row.statistics.scores(counts), other.statistics.scores(counts)
    return {
        name: {
            "this": float(these[name][0]),
            "other": float(those[name][0]),
            "p_value": paired_p_value(
                these[name][0] - those[name][0], differences[0][name] - differences[1][name]
            ),
        }
        for name in these
    }


def compare_captions(
    rows: dict[str, Row], others: dict[str, Captions], references: SplitReferences
) -> Comparison:
    """Compares rows with another model's captions of the same titles."""
    cider = metrics.CiderD(references.words)
    return {
        title: compare(rows[title], standard_row(captions, references.words, cider))
        for title, captions in others.items()
        if title in rows
    }


def write_captions(folder: Path, captions: dict[str, Captions], references: SplitReferences) -> str:
    """Writes a CSV file: photo id, a column for each decoding, references; returns its digest."""
    path = folder / GENERATED_CAPTIONS
    columns = {title: [*map(join_words, texts)] for title, texts in captions.items()}
    joined = [" | ".join(texts) for texts in references.texts]
    columns = {"photo_id": references.photo_ids, **columns, "references": joined}
    write_table(path, pd.DataFrame(columns))
    return digest_of_file(path)


def read_other_captions(
    folder: Path, split: str, references: SplitReferences
) -> dict[str, Captions]:
    """Reads the captions of an evaluated model: title of a decoding -> words of each caption.

    The other model is not run, so it may have another encoder, another vocabulary, or be an average
    of several: what counts is that both have captioned the same photos.

    Raises:
        UserError: if they are missing, damaged, or of other photos than these.
    """
    scores, path = read_json(folder / SCORES, Scores), require(folder / GENERATED_CAPTIONS)
    command = f"{command_for(path)} --split {split}"
    if scores.split != split:
        raise UserError(f"{path} is of the {scores.split} split, not of {split}: {command}")
    if digest_of_file(path) != scores.captions_sha256:
        raise damaged(path, "it has changed since it was scored")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if table["photo_id"].tolist() != [*map(cell_of, references.photo_ids)]:
        raise UserError(f"{path} has other photos than the {split} split here: {command}")
    split_into_words = word_splitter(references.language)
    captions = table.drop(columns=["photo_id", "references"])
    return {title: [*map(split_into_words, texts)] for title, texts in captions.items()}
