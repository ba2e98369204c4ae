"""Compares a model with another one by the captions that the other's folder holds.

The other model is not run, so it may have another encoder, another vocabulary, or be an average of
several: what counts is that both have captioned the same photos.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from captioning.cli import UserError, quoted
from captioning.old import GENERATED_CAPTIONS, SCORES, cell_of, digest_of_file, require
from captioning.recipes import evaluation_command
from captioning.scores import metrics
from captioning.scores.metrics import Captions
from captioning.scores.report import PHOTO_COLUMN, REFERENCES_COLUMN, join_references
from captioning.scores.scoring import (
    BEAM,
    CAPTIONS_DIGEST,
    CONSENSUS,
    GREEDY,
    Row,
    SplitReferences,
    compare,
    read_scores,
    standard_row,
)
from captioning.text.words import word_splitter


def read_other_captions(
    folder: Path, data: Path, split: str, references: SplitReferences
) -> dict[str, Captions]:
    """Reads the captions of an evaluated model: title of a decoding -> words of each caption.

    Raises:
        UserError: if they are missing, damaged, or of other photos or references than these, which
            are those of `split` in `data`.
    """
    remedy = f"run python {evaluation_command(folder)} --split {split}"
    scores = read_scores(folder, remedy)
    if scores["split"] != split:
        found = f"{folder / SCORES} is of the {scores['split']} split, not of {split}"
        raise UserError(f"{found}: {remedy}")
    path = require(folder / GENERATED_CAPTIONS, remedy)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        columns = {name: table[name].tolist() for name in (PHOTO_COLUMN, REFERENCES_COLUMN, GREEDY)}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    except KeyError as error:
        raise UserError(f"{path} has no column {error}: {remedy}") from error
    expected = {
        PHOTO_COLUMN: [*map(cell_of, references.photo_ids)],
        REFERENCES_COLUMN: [*map(cell_of, join_references(references.texts))],
    }
    if any(columns[name] != cells for name, cells in expected.items()):
        raise UserError(
            f"{path} has other photos or references than the {split} split of {data}: run python "
            f"evaluate.py --model {quoted(folder)} --split {split} with a --data that has the same"
        )
    digest = digest_of_file(path)
    # Scores of earlier versions have none.
    if scores.get(CAPTIONS_DIGEST, digest) != digest:
        raise UserError(f"{path} was damaged or edited since it was scored: {remedy}")
    split_into_words = word_splitter(references.language)
    return {
        title: [split_into_words(text) for text in captions]
        for title, captions in table.items()
        if title in scores["results"]
    }


def compare_captions(
    rows: dict[str, Row],
    decodings: Iterable[str],
    others: dict[str, Captions],
    references: SplitReferences,
) -> dict[str, dict[str, dict[str, float]]]:
    """Compares the rows of decodings with another model's captions, as `scoring.compare` does.

    Each is compared with the row of the same title. A consensus row that the other model lacks is
    compared with the widest beam that it has.
    """
    cider = metrics.CiderD(references.words)
    widest = max((title for title in others if title.startswith(BEAM)), key=_width, default=None)
    these, those = {}, {}
    for title in decodings:
        other = widest if title.startswith(CONSENSUS) and title not in others else title
        if other in others:
            label = title if other == title else f"{title} against {other}"
            these[label] = rows[title]
            those[label] = standard_row(others[other], references.words, cider)
    return compare(these, those)


def _width(title: str) -> int:
    return int(title.split()[-1])
