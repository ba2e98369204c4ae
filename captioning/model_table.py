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
from captioning.report import print_paragraphs
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
        scored_on: data folder, split and number of photos.
        scores: (group, name) -> cell, such as ("greedy", "BLEU-4").
        settings: (table of the recipe, setting) -> value.
    """

    folder: Path
    scored_on: tuple[str, str, int]
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
    scored_on = (scores["data"], scores["split"], scores["photos"])
    return ScoredModel(folder, scored_on, _score_cells(scores), settings)


def _read_recipe(folder: Path) -> dict[str, dict[str, Any]]:
    remedy = f"run python train.py --model {folder}"
    path = require(folder / RECIPE, remedy)
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    if not all(isinstance(table, dict) for table in recipe.values()):
        raise UserError(f"{path} is damaged (a setting stands outside of a table): {remedy}")
    return recipe


def _score_cells(scores: dict[str, Any]) -> dict[Column, str]:
    results = scores["results"]
    beams = [title for title in results if title.startswith(_BEAM)]
    best = max(beams, key=lambda title: results[title][CHOSEN_BY], default=None)
    cells = {(GREEDY, name): f"{results[GREEDY][name]:.1f}" for name in METRICS}
    cells["best beam", "width"] = best.removeprefix(_BEAM) if best else _NONE
    for name in METRICS:
        cells["best beam", name] = f"{results[best][name]:.1f}" if best else _NONE
    return cells


def print_models_table(models: Sequence[ScoredModel]) -> None:
    """Prints the table; columns that do not fit beside each other continue below."""
    same_photos = len({model.scored_on for model in models}) == 1
    if same_photos:
        data, split, photos = models[0].scored_on
        print(f"Models on the {split} split of {data}, {photos:,d} photos\n")
    settings = dict.fromkeys(column for model in models for column in model.settings)
    differing = [
        column
        for column in settings
        if len({repr(model.settings.get(column)) for model in models}) > 1
    ]
    rows = []
    for model in models:
        row = dict(model.scores)
        if not same_photos:
            names = ("data", "split", "photos")
            row |= {
                ("scored on", name): str(value)
                for name, value in zip(names, model.scored_on, strict=True)
            }
        row |= {column: str(model.settings.get(column, _NONE)) for column in differing}
        rows.append(row)
    table = pd.DataFrame(rows, index=[str(model.folder) for model in models])
    table.columns = pd.MultiIndex.from_tuples(rows[0])
    # Pandas marks a table that continues below with a backslash at the end of its lines.
    for line in table.to_string(line_width=LINE_WIDTH).splitlines():
        print(line.rstrip("\\ "))
    print()
    print_paragraphs(_notes(same_photos, bool(differing)))


def _notes(same_photos: bool, settings_differ: bool) -> list[str]:
    notes = [f"best beam: of the beam widths that were scored, the one with the best {CHOSEN_BY}."]
    if settings_differ:
        notes.append(
            "Settings are those of recipe.toml in which the models differ; - is a setting that a "
            "recipe lacks."
        )
    if not same_photos:
        notes.append("warning: scores on different photos must not be compared.")
    return notes
