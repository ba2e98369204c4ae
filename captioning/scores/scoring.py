"""Scores captions, tells how far each score can be trusted, and compares two models.

To add a metric to the table, compute it in `standard_row`.

Another thousand photos of the same kind would give other scores. Taking photos with replacement
from those at hand, again and again, shows by how much (Efron and Tibshirani 1993, chapter 13).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from captioning.cli import UserError
from captioning.files import SCORES, command_for
from captioning.scores import metrics
from captioning.scores.metrics import STANDARD_WEIGHTS, Captions
from captioning.storage import Record, read_json, write_table
from captioning.text.vocabulary import (
    END_TOKEN,
    START_TOKEN,
    PreparedText,
    Vocabulary,
    usable_photos,
)
from captioning.text.words import word_splitter

# The titles of the rows.
GREEDY = "greedy"
CONSENSUS_TITLE = "consensus"  # and the width
HUMAN = "human"
SAME_REFERENCES = "greedy (same references)"
SHUFFLED = "shuffled photos"
CLASSIC = "classic (flattering)"

# The classic recipe's third BLEU is not BLEU-3: its weights sum to 0.9.
CLASSIC_WEIGHTS = ((1, 0, 0, 0), (1 / 2, 1 / 2, 0, 0), (0.3, 0.3, 0.3, 0), (1 / 4,) * 4)

# Of the order in which the shuffled row takes the references of other photos, and of resampling.
SEED = 1
RESAMPLES = 1000

# Title of a row -> what `summarize` finds; -> metric -> what `compare` finds.
Results = dict[str, dict[str, Any]]
Comparison = dict[str, dict[str, dict[str, float]]]


class Scores(Record, tag=3):
    """What `scores.json` holds."""

    data: str
    split: str
    photos: int
    results: Results
    notes: list[str]
    # For another model to be compared with: title of a decoding -> captions of these photos.
    photo_ids: tuple[str, ...]
    captions: dict[str, list[str]]
    compared_with: str = ""
    comparison: Comparison | None = None


class SplitReferences:
    """What people wrote about those photos of a split that have features; see `usable_photos`."""

    def __init__(self, text: PreparedText, split: str, features: Collection[str]):
        split_into_words = word_splitter(text.vocabulary.language)
        training = (text.descriptions[photo] for photo in text.splits["train"])
        self.language = text.vocabulary.language
        self.photo_ids = usable_photos(text, split, features)
        self.left_out = [photo for photo in text.splits[split] if photo not in features]
        # The captions of each photo as people wrote them, split into words, and cleaned.
        self.texts = [text.captions[photo] for photo in self.photo_ids]
        self.words = [[*map(split_into_words, of_photo)] for of_photo in self.texts]
        self.cleaned = [text.descriptions[photo] for photo in self.photo_ids]
        self.training = {tuple(words) for of_photo in training for words in of_photo}
        self.cider = metrics.CiderD(self.words)


@dataclass(frozen=True)
class Row:
    """Captions of a row of the table, with what each photo contributes to their scores."""

    captions: Captions
    bleu: np.ndarray  # from `metrics.bleu_counts`
    photo_scores: dict[str, np.ndarray]  # metric that is a mean over photos -> (photos,)
    bleu_weights: Sequence[Sequence[float]] = STANDARD_WEIGHTS
    cleaned: Captions | None = None  # the captions cleaned as descriptions are, if they are not

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """Every metric over all photos, then over resamples of them: (1 + RESAMPLES,) each."""
        photos = len(self.captions)
        counts = np.vstack([np.ones(photos), resample(photos)])
        bleu = metrics.corpus_bleu(counts @ self.bleu, self.bleu_weights)
        scores = dict(zip(metrics.BLEU_NAMES, bleu.T, strict=True))
        return scores | {name: counts @ x / photos for name, x in self.photo_scores.items()}


def title_of(beam_width: int, *, consensus: bool = False) -> str:
    """Returns the title of a decoding, such as `beam 3`; a beam of width 1 is greedy."""
    title = CONSENSUS_TITLE if consensus else "beam"
    return GREEDY if beam_width == 1 else f"{title} {beam_width}"


def standard_row(captions: Captions, references: metrics.References, cider: metrics.CiderD) -> Row:
    """Scores captions the standard way; one `cider` of the references serves several rows."""
    photo_scores = {
        "ROUGE-L": metrics.rouge_l(captions, references),
        "CIDEr-D": cider.score(captions),
    }
    return Row(captions, metrics.bleu_counts(captions, references), photo_scores)


def classic_row(captions: Captions, ended: Sequence[bool], cleaned: metrics.References) -> Row:
    """Scores captions as the classic recipe does, which flatters them.

    Start and end tokens stand on both sides and count as words. `ended` tells of each caption
    whether it ended before the maximum length.
    """
    pairs = zip(captions, ended, strict=True)
    with_tokens = [[START_TOKEN, *words, *[END_TOKEN] * has_ended] for words, has_ended in pairs]
    references = [[[START_TOKEN, *words, END_TOKEN] for words in texts] for texts in cleaned]
    counts = metrics.bleu_counts(with_tokens, references)
    return Row(captions, counts, {}, CLASSIC_WEIGHTS)


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
        HUMAN: replace(standard_row(first, others, cider), cleaned=cleaned),
        SAME_REFERENCES: standard_row([captions[row] for row in photos], others, cider),
    }


def shuffle(captions: Captions) -> Captions:
    """Gives every photo the caption of another, in an order that is the same in every run."""
    order = np.random.default_rng(SEED).permutation(len(captions))
    sources = dict(zip(order, np.roll(order, 1), strict=True))
    return [captions[sources[photo]] for photo in range(len(captions))]


def score_rows(
    decoded: dict[str, list[list[int]]], vocabulary: Vocabulary, references: SplitReferences
) -> dict[str, Row]:
    """Scores the captions of every decoding, and what they should be compared with.

    `decoded` holds `greedy` and other decodings, such as `beam 3` -> token ids of each caption.
    """
    captions = {title: [*map(vocabulary.detokenize, ids)] for title, ids in decoded.items()}
    greedy = captions[GREEDY]
    ended = [ids[-1:] == [vocabulary.end_id] for ids in decoded[GREEDY]]
    words, cider = references.words, references.cider
    rows = {title: standard_row(texts, words, cider) for title, texts in captions.items()}
    rows |= human_rows(greedy, references)
    if len(greedy) > 1:
        rows[SHUFFLED] = standard_row(shuffle(greedy), words, cider)
    rows[CLASSIC] = classic_row(greedy, ended, references.cleaned)
    return rows


def summarize(rows: dict[str, Row], vocabulary: Vocabulary, references: SplitReferences) -> Results:
    """Computes the scores of each row with their intervals, and how varied its captions are.

    The mean length is in words; coverage of the vocabulary, and captions that are copies of a
    training description, are in percent.
    """
    known = set(vocabulary.words) - {START_TOKEN, END_TOKEN}
    results = {}
    for title, row in rows.items():
        photos = len(row.captions)
        used = known.intersection(chain.from_iterable(row.captions))
        copied = sum(tuple(words) in references.training for words in row.cleaned or row.captions)
        results[title] = {
            **{name: float(values[0]) for name, values in row.scores.items()},
            # 95% percentile intervals.
            "intervals": {
                name: np.percentile(values[1:], [2.5, 97.5]).tolist()
                for name, values in row.scores.items()
            },
            "mean_length": sum(map(len, row.captions)) / photos,
            "distinct_captions": len(set(map(tuple, row.captions))),
            "vocabulary_coverage": 100 * len(used) / max(1, len(known)),
            "copied_from_training": 100 * copied / photos,
        }
    return results


@cache
def resample(photos: int) -> np.ndarray:
    """Takes photos with replacement: how often each, (RESAMPLES, photos), the same in every run."""
    generator = np.random.default_rng(SEED)
    return generator.multinomial(photos, np.full(photos, 1 / photos), size=RESAMPLES).astype(float)


def compare(row: Row, other: Row) -> dict[str, dict[str, float]]:
    """Compares two rows photo by photo: metric -> both scores and the p-value."""
    return {
        name: {
            "this": float(these[0]),
            "other": float(other.scores[name][0]),
            "p_value": paired_p_value(*np.split(these - other.scores[name], [1])),
        }
        for name, these in row.scores.items()
    }


def paired_p_value(difference: np.ndarray, differences: np.ndarray) -> float:
    """Returns how often chance alone would make two models differ so much (two-sided).

    The differences on the resamples are shifted to have mean 0, which is what they would have if
    both models were equally good (Noreen 1989; Riezler and Maxwell 2005, section 4).
    """
    shifted = np.abs(differences - differences.mean())
    # Rounding must not make a difference of exactly 0 look like one that chance seldom reaches.
    as_large = np.sum(shifted >= np.abs(difference) - 1e-12)
    return float((as_large + 1) / (len(differences) + 1))


def write_captions(path: Path, captions: dict[str, list[str]], references: SplitReferences) -> None:
    """Writes a CSV file: photo id, a column for each decoding, references."""
    joined = [" | ".join(texts) for texts in references.texts]
    columns = {"photo_id": references.photo_ids, **captions, "references": joined}
    write_table(path, pd.DataFrame(columns))


def read_rows(folder: Path, split: str, references: SplitReferences) -> dict[str, Row]:
    """Reads what another model wrote about the same photos: title of a decoding -> its row.

    The model is not run, so it may have another encoder or vocabulary, or be an average of several.
    Raises `UserError` if it was not evaluated, or on other photos.
    """
    path = folder / SCORES
    scores = read_json(path, Scores)
    if (scores.split, [*scores.photo_ids]) != (split, references.photo_ids):
        raise UserError(
            f"{path} is of the {scores.split} split or of other photos, not of the {split} photos "
            f"here: {command_for(path)} --split {split}"
        )
    split_into_words, words = word_splitter(references.language), references.words
    return {
        title: standard_row([*map(split_into_words, texts)], words, references.cider)
        for title, texts in scores.captions.items()
    }
