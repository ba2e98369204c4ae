"""Recipes: settings in a TOML file that replace the constants of the scripts.

A recipe has a table for each script, named after it without `.py`, with the script's constants in
lower case as keys.
"""

import contextlib
import platform
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli_w

from captioning.cli import UserError, quoted
from captioning.network.model_folders import finish_replacing
from captioning.old import DRAWN_SCENES, RECIPE, require, write_text

# The tables that a recipe may have, and the one that `make_recipe` adds for people to read.
MADE_WITH = "made_with"

# A key of MADE_WITH that models of drawn scenes have.
OF_DRAWN_SCENES = "drawn_scenes"

# Packages whose versions are written beside the settings.
_PACKAGES = ("keras", "tensorflow", "torch", "jax", "numpy")


def make_recipe(tables: dict[str, dict[str, Any]], data: Path) -> dict[str, dict[str, Any]]:
    """Returns settings in force as a recipe, with what they were used on and with."""
    # Whoever only reads a recipe need not wait for Keras.
    from captioning.keras_setup import keras

    backend = keras.backend.backend()
    made_with = {"data": str(data), "python": platform.python_version(), "backend": backend}
    if (data / DRAWN_SCENES).is_file():
        made_with[OF_DRAWN_SCENES] = True
    return {**tables, MADE_WITH: {**made_with, **_versions(), **_git_commit()}}


def write_recipe(path: Path, recipe: dict[str, dict[str, Any]]) -> None:
    """Writes what `make_recipe` returned; `--recipe` reads it again."""
    # A path may hold bytes that are not UTF-8, which TOML cannot.
    write_text(path, tomli_w.dumps(recipe).encode("utf-8", "replace").decode("utf-8"))


def read_recipe_of_model(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads the recipe that a model folder holds.

    Raises:
        UserError: if it is missing or damaged.
    """
    remedy = f"run python train.py --model {quoted(folder)}"
    finish_replacing(folder)
    path = require(folder / RECIPE, remedy)
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    if not all(isinstance(table, dict) for table in recipe.values()):
        raise UserError(f"{path} is damaged (a setting stands outside of a table): {remedy}")
    return recipe


def evaluation_command(folder: Path) -> str:
    """Returns the command that scores a model, or the average of models, on its own data.

    Raises:
        UserError: if its recipe is missing or damaged.
    """
    recipe = read_recipe_of_model(folder)
    data = recipe.get(MADE_WITH, {}).get("data")
    models = recipe.get("evaluate", {}).get("model", [folder])
    flags = f"--data {quoted(data)} --model" if data else "--model"
    return f"evaluate.py {flags} {' '.join(map(quoted, models))}"


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _git_commit() -> dict[str, str]:
    """Returns the commit of the project, with `-dirty` for uncommitted changes, if there is one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {}
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git_commit": process.stdout.strip()}
