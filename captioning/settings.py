"""Settings: the constants at the top of a script, replaced by a recipe, replaced by flags.

A recipe is a TOML file with a table for each script, named after it without `.py`, with the
script's constants in lower case as keys.
"""

import argparse
import contextlib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from captioning.cli import ArgumentParser, UserError, wrapped
from captioning.files import MADE_WITH, of_project, read_toml

# The tables that a recipe may have, besides MADE_WITH.
SCRIPTS = ("prepare_photos", "prepare_text", "train", "evaluate", "generate")

# A constant on one line, and the comment after it.
_CONSTANT = re.compile(r"^([A-Z][A-Z0-9_]*) = .*?(?:  # (.*))?$", re.MULTILINE)

# Constants that say where things are, not how they are done.
_PLACES = ("data", "model", "photos", "captions", "photo_column", "caption_column")


class SettingsParser(ArgumentParser):
    """An argument parser with a flag for every constant at the top of a script, and `--recipe`.

    `EPOCHS = 15  # the most epochs` becomes the flag `--epochs` with that default and help. Flags
    win over the recipe, and the recipe wins over the constants.

    `script` is the script's `globals()`. `types` says what converts the text of a constant's flag,
    or which values are allowed; by default whole numbers are at least 1, other numbers at least 0,
    and any text or path will do.
    """

    def __init__(self, script: dict[str, Any], types: dict[str, Any] | None = None):
        super().__init__(script["__doc__"])
        path = Path(script["__file__"])
        self.table = path.stem
        comments = dict(_CONSTANT.findall(path.read_text(encoding="utf-8")))
        self.constants = {name.lower(): script[name] for name in comments}
        for name, comment in comments.items():
            _add_flag(self, name, script[name], comment, (types or {}).get(name))
        text = "a TOML file whose settings replace these defaults"
        self.add_argument("--recipe", type=Path, metavar="FILE", help=text)

    def parse_settings(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Reads the command line and the recipe that it names.

        The result has, besides a value for each setting, `typed`, the names of the settings that
        the command line names, and `replaced`, those that it or the recipe names.

        Raises:
            UserError: if the recipe cannot be read, or a flag or a setting in it is wrong.
        """
        options = self.parse_args(arguments)
        # Flags that were not typed have left nothing.
        options.typed = vars(options).keys() & self.constants.keys()
        recipe = self._read_recipe(options.recipe) if options.recipe else {}
        options.replaced = options.typed | recipe.keys()
        for name, value in (self.constants | recipe | vars(options)).items():
            setattr(options, name, tuple(value) if isinstance(value, list) else value)
        return options

    def _read_recipe(self, path: Path) -> dict[str, Any]:
        """Reads the settings of this script from a recipe, as if they were typed.

        `recipes/NAME` is found from any folder, also where the project is installed.
        """
        recipe = read_toml(of_project(path) if path.parent == Path("recipes") else path)
        if unknown := recipe.keys() - {*SCRIPTS, MADE_WITH, self.table}:
            names = ", ".join(SCRIPTS)
            raise UserError(f"{path} has a table {min(unknown)}, but there are only {names}")
        table, flags = recipe.get(self.table, {}), []
        if unknown := table.keys() - self.constants.keys():
            names = ", ".join(self.constants)
            raise UserError(f"{path}, [{self.table}]: no {min(unknown)} among the settings {names}")
        for name, value in table.items():
            if isinstance(value, bool):
                flags.append(_flag(name if value else f"no_{name}"))
            elif isinstance(value, list):
                flags += [_flag(name), *map(str, value)]
            else:
                flags.append(f"{_flag(name)}={value}")
        try:
            settings = self.parse_args(flags)
        except UserError as error:
            raise UserError(f"{path}, [{self.table}]: {error}") from error
        return {name: getattr(settings, name) for name in table}

    def settings_in_force(self, options: argparse.Namespace) -> dict[str, Any]:
        """Returns lower-case constant -> value, but for those that say where things are."""
        names = [name for name in self.constants if name not in _PLACES]
        return {name: getattr(options, name) for name in names}

    def describe(self, options: argparse.Namespace) -> str:
        """Lists the settings in force in lines for a person, those that were replaced first."""
        changed, unchanged = [], []
        for name, value in self.settings_in_force(options).items():
            is_default = value == self.constants[name]
            (unchanged if is_default else changed).append(f"{name} {_typed(value)}")
        parts = {"settings changed by recipe or flag": changed, "settings": unchanged}
        lines = [f"{title}: {', '.join(texts)}" for title, texts in parts.items() if texts]
        return "\n".join(map(wrapped, lines))


def _typed(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _add_flag(
    parser: argparse.ArgumentParser, name: str, default: Any, comment: str, kind: Any
) -> None:
    # The help shows what the constant is; the flag itself has no default, so that what was typed
    # can be told from what was not.
    shown = f" (default: {_typed(default)})" if default not in ((), "") else ""
    options = {"default": argparse.SUPPRESS, "help": (comment + shown).replace("%", "%%")}
    sample = next(iter(default), ()) if isinstance(default, tuple) else default
    if isinstance(default, tuple):
        options["nargs"] = "+"
    if isinstance(default, bool):
        options["action"] = argparse.BooleanOptionalAction
    elif isinstance(kind, tuple):
        options["choices"] = kind
    else:
        convert, options["metavar"] = _CONVERSIONS[type(sample)]
        options["type"] = kind or convert
    parser.add_argument(_flag(name.lower()), **options)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def number_from(least: float, most: float = math.inf) -> Callable[[str], Any]:
    """Makes a conversion of a flag's text to a number, a whole one where `least` is one."""
    kind = type(least)
    what = "a whole number" if kind is int else "a number"
    limits = f"of at least {least}" if most == math.inf else f"from {least} to {most}"

    def convert(text: str) -> Any:
        with contextlib.suppress(ValueError):
            if least <= (value := kind(text)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"expected {what} {limits}, got {text!r}")

    return convert


# What every engine takes as a seed.
seed_number = number_from(0, 2**31 - 1)

# Of what is never all: units that dropout hides, photos of a split.
share = number_from(0.0, 0.99)

_CONVERSIONS = {
    int: (number_from(1), "N"),
    float: (number_from(0.0), "X"),
    str: (str, None),
    type(Path()): (Path, "DIR"),
    tuple: (Path, "PATH"),  # of a constant without a value, ()
}
