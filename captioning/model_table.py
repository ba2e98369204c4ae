"""One table of several model folders: their scores, and the settings in which they differ."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from captioning.cli import LINE_WIDTH, UserError
from captioning.files import RECIPE, require
from captioning.recipes import MADE_WITH
from captioning.scoring import GREEDY, read_scores

# Metrics in the table.
METRICS = ("BLEU-4", "CIDEr-D")

# The metric by which the best beam is chosen.
CHOSEN_BY = "CIDEr-D"

# Tables of a recipe whose settings tell models apart.
TABLES = ("prepare_photos", "prepare_text", "train")

_NONE = "-"
_BEAM = "beam "

Column = tuple[str, str]


@dataclass(frozen=True)
class ScoredModel:
    """A row of the table.

    Args:
        folder: the model folder.
        scores: (group, name) -> cell, such as ("greedy", "BLEU-4").
        settings: (table of the recipe, setting) -> value.
    """

    folder: Path
    scores: dict[Column, str]
    settings: dict[Column, Any]


def read_scored_models(folders: Sequence[Path]) -> tuple[list[ScoredModel], list[str]]:
    """Reads the models that have scores and a recipe.

    Files are passed over: a pattern such as `models/*` matches them too.

    Returns:
        the models, and a message for each folder without scores or recipe, which names the command
        that makes them.
    """
    models, messages = [], []
    for folder in folders:
        if folder.is_file():
            continue
        try:
            models.append(_read_scored_model(folder))
        except UserError as error:
            messages.append(str(error))
    return models, messages


def _read_scored_model(folder: Path) -> ScoredModel:
    recipe = _read_recipe(folder)
    data = recipe.get(MADE_WITH, {}).get("data")
    place = f"--data {data} --model {folder}" if data else f"--model {folder}"
    scores = read_scores(folder, f"run python evaluate.py {place}")
    settings = {
        (table, name): value for table in TABLES for name, value in recipe.get(table, {}).items()
    }
    # Scores on different photos must not be compared.
    settings["evaluate", "data"] = scores["data"]
    return ScoredModel(folder, _score_cells(scores), settings)


def _read_recipe(folder: Path) -> dict[str, dict[str, Any]]:
    remedy = f"run python train.py --model {folder}"
    path = require(folder / RECIPE, remedy)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error


def _score_cells(scores: dict[str, Any]) -> dict[Column, str]:
    results = scores["results"]
    beams = [title for title in results if title.startswith(_BEAM)]
    best = max(beams, key=lambda title: results[title][CHOSEN_BY], default=None)
    cells = {("", "split"): scores["split"]}
    cells |= {(GREEDY, name): f"{results[GREEDY][name]:.1f}" for name in METRICS}
    cells["best beam", "width"] = best.removeprefix(_BEAM) if best else _NONE
    for name in METRICS:
        cells["best beam", name] = f"{results[best][name]:.1f}" if best else _NONE
    return cells


def models_table(models: Sequence[ScoredModel]) -> str:
    """Returns the table; columns that do not fit beside each other continue below."""
    columns = dict.fromkeys(column for model in models for column in model.settings)
    differing = [
        column
        for column in columns
        if len({repr(model.settings.get(column)) for model in models}) > 1
    ]
    rows = [
        {
            **model.scores,
            **{column: str(model.settings.get(column, _NONE)) for column in differing},
        }
        for model in models
    ]
    table = pd.DataFrame(rows, index=[str(model.folder) for model in models])
    table.columns = pd.MultiIndex.from_tuples(rows[0])
    # Pandas marks a table that continues below with a backslash at the end of its lines.
    lines = table.to_string(line_width=LINE_WIDTH).splitlines()
    return "\n".join(line.rstrip("\\ ") for line in lines)
