"""One table of several model folders: their scores, and the settings in which they differ."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from captioning.cli import UserError, counted, line_width, one_line
from captioning.recipes import evaluation_command, read_recipe_of_model
from captioning.scores.report import print_paragraphs
from captioning.scores.scoring import BEAM, CONSENSUS, GREEDY, read_scores

# Metrics in the table, and the one by which the best width is chosen.
METRICS = ("BLEU-4", "CIDEr-D")
CHOSEN_BY = "CIDEr-D"

# Tables of a recipe whose settings tell models apart.
TABLES = ("prepare_photos", "prepare_text", "train")

# Columns have a group and a name. Those of the scores are always shown.
_BEST = "best "
_SCORES = (GREEDY, _BEST + BEAM, _BEST + CONSENSUS)
_SCORED_ON = tuple(("scored on", name) for name in ("data", "split", "photos"))

_NONE = "-"

# Column -> value.
Row = dict[tuple[str, str], Any]


def read_scored_models(folders: Sequence[Path]) -> tuple[dict[str, Row], list[str]]:
    """Reads the models that have scores and a recipe.

    Files are passed over: a pattern such as `models/*` matches them too.

    Returns:
        folder -> row, and a message for each folder without scores or recipe, which names the
        command that makes them.

    Raises:
        UserError: if there is no row.
    """
    rows, messages = {}, []
    for folder in folders:
        if folder.is_file():
            continue
        try:
            rows[str(folder)] = _read_row(folder)
        except UserError as error:
            messages.append(str(error))
    if not rows:
        raise UserError(messages[0] if messages else "--models names no folder: name model folders")
    return rows, messages


def _read_row(folder: Path) -> Row:
    recipe = read_recipe_of_model(folder)
    scores = read_scores(folder, f"run python {evaluation_command(folder)}")
    row = _score_cells(scores["results"])
    row |= {column: scores[column[1]] for column in _SCORED_ON}
    for table in TABLES:
        row |= {(table, name): value for name, value in recipe.get(table, {}).items()}
    return row


def _score_cells(results: dict[str, dict[str, Any]]) -> Row:
    cells = {(GREEDY, name): f"{results[GREEDY][name]:.1f}" for name in METRICS}
    for kind in (BEAM, CONSENSUS):
        titles = [title for title in results if title.startswith(f"{kind} ")]
        best = max(titles, key=lambda title: results[title][CHOSEN_BY], default=None)
        if best:
            cells[_BEST + kind, "width"] = best.removeprefix(f"{kind} ")
            cells |= {(_BEST + kind, name): f"{results[best][name]:.1f}" for name in METRICS}
        elif kind == BEAM:
            cells |= {(_BEST + kind, name): _NONE for name in ("width", *METRICS)}
    return cells


def print_models_table(rows: dict[str, Row], missing: Sequence[str]) -> None:
    """Prints the table, whose columns continue below where they do not fit, and what is missing."""
    notes = [f"best: of the beam widths that were scored, the one with the best {CHOSEN_BY}."]
    columns = dict.fromkeys(column for row in rows.values() for column in row)
    # An average of models has no settings of its own.
    trained = [row for row in rows.values() if any(group in TABLES for group, _ in row)]
    differing = set()
    for column in columns:
        compared = trained if column[0] in TABLES else rows.values()
        if len({str(row.get(column, _NONE)) for row in compared}) > 1:
            differing.add(column)
    if any(group in TABLES for group, _ in differing):
        notes.append(
            "Settings are those of recipe.toml in which the models differ; - is a setting that a "
            "recipe lacks."
        )
    if differing.isdisjoint(_SCORED_ON):
        data, split, photos = (next(iter(rows.values()))[column] for column in _SCORED_ON)
        print(f"Models on the {split} split of {one_line(str(data))}, {counted(photos, 'photo')}\n")
    else:
        differing.update(_SCORED_ON)
        notes.append("warning: scores on different photos must not be compared.")
    scores = sorted(
        (column for column in columns if column[0] in _SCORES),
        key=lambda column: _SCORES.index(column[0]),
    )
    shown = scores + [column for column in columns if column in differing and column not in scores]
    cells = [[one_line(str(row.get(column, _NONE))) for column in shown] for row in rows.values()]
    table = pd.DataFrame(
        cells, index=[*map(one_line, rows)], columns=pd.MultiIndex.from_tuples(shown)
    )
    text = table.to_string(line_width=line_width())
    # Where a table continues below, pandas ends its lines with a backslash, and leaves two of them
    # empty.
    text = "\n".join(line.rstrip("\\ ") for line in text.splitlines())
    print(re.sub(r"\n{3,}", "\n\n", text) + "\n")
    print_paragraphs(notes)
    for message in missing:
        print(one_line(f"left out: {message}"), file=sys.stderr)
