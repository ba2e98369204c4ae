"""Settings: the constants at the top of a script, replaced by a recipe, replaced by flags."""

import argparse
import ast
import contextlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from captioning.cli import ArgumentParser, UserError, wrapped
from captioning.recipes import read_recipe

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
        path = Path(script["__file__"])
        self.table = path.stem
        comments = _read_constants(path)
        self.constants = {name: script[name] for name in comments}
        self._of_recipe: set[str] = set()
        self.flags = argparse.ArgumentParser(add_help=False)
        for name, comment in comments.items():
            _add_flag(self.flags, name, script[name], comment, (types or {}).get(name))
        super().__init__(script["__doc__"], parents=[self.flags])
        self.add_argument(
            "--recipe",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="a TOML file whose settings replace these defaults",
        )

    def parse_settings(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Reads the command line and the recipe that it names.

        Raises:
            UserError: if the recipe cannot be read, or a flag or a setting in it is wrong.
        """
        finder = ArgumentParser(None, add_help=False)
        finder.add_argument("--recipe", type=Path)
        recipe = finder.parse_known_args(arguments)[0].recipe
        if recipe:
            names = [name.lower() for name in self.constants]
            replaced = self._convert(recipe, read_recipe(recipe, self.table, names))
            self.set_defaults(**replaced)
            self._of_recipe = set(replaced)
        options = self.parse_args(arguments)
        for name, value in vars(options).items():
            if isinstance(self.constants.get(name.upper()), tuple):
                setattr(options, name, tuple(value))
        return options

    def typed(self, arguments: Sequence[str] | None = None) -> set[str]:
        """Returns which settings the command line itself names, rather than recipe or constant."""
        unset = dict.fromkeys(name.lower() for name in self.constants)
        found = vars(self.parse_args(arguments, argparse.Namespace(**unset)))
        return {name for name in unset if found[name] is not None}

    def replaced(self, arguments: Sequence[str] | None = None) -> set[str]:
        """Returns which settings the command line or the recipe of `parse_settings` names."""
        return self.typed(arguments) | self._of_recipe

    def _convert(self, recipe: Path, replaced: dict[str, Any]) -> dict[str, Any]:
        """Checks the settings of a recipe just as if each were typed as a flag."""
        checker = ArgumentParser(None, add_help=False, parents=[self.flags])
        checker.prog = self.prog
        typed = []
        for name, value in replaced.items():
            kind, toml_types = _TOML_TYPES[type(self.constants[name.upper()])]
            if type(value) not in toml_types:
                place = f"{recipe} sets {name} in [{self.table}]"
                raise UserError(f"{place} to {value!r}: expected {kind}")
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                typed += [f"--{flag}" if value else f"--no-{flag}"]
            elif isinstance(value, list):
                typed += [f"--{flag}", *map(str, value)]
            else:
                typed += [f"--{flag}={value}"]
        try:
            converted = vars(checker.parse_args(typed))
        except UserError as error:
            raise UserError(f"{recipe}: {error}") from error
        return {
            name: tuple(converted[name]) if isinstance(converted[name], list) else converted[name]
            for name in replaced
        }

    def settings_in_force(self, options: argparse.Namespace) -> dict[str, Any]:
        """Returns lower-case constant -> value, but for those that say where things are."""
        values = {name.lower(): getattr(options, name.lower()) for name in self.constants}
        return {name: _plain(value) for name, value in values.items() if name not in _PLACES}

    def describe(self, options: argparse.Namespace) -> str:
        """Lists the settings in force in lines for a person, those that were replaced first."""
        parts = {"settings changed by recipe or flag": [], "settings": []}
        changed, unchanged = parts.values()
        for name, value in self.settings_in_force(options).items():
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            is_default = value == _plain(self.constants[name.upper()])
            (unchanged if is_default else changed).append(f"{name} {text}")
        lines = [f"{title}: {', '.join(texts)}" for title, texts in parts.items() if texts]
        return "\n".join(map(wrapped, lines))


def _plain(value: Any) -> Any:
    """Returns what TOML knows: a list for a tuple, a string for a path."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _read_constants(path: Path) -> dict[str, str]:
    """Returns the UPPER_CASE constants at the top level of a script -> the comment of each."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    comments = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            if name.isupper() and not name.startswith("_"):
                comments[name] = lines[node.end_lineno - 1].partition("  # ")[2]
    return comments


def _add_flag(
    parser: argparse.ArgumentParser, name: str, default: Any, comment: str, kind: Any
) -> None:
    options = {"default": default, "help": comment.replace("%", "%%")}
    # A constant without a value, (), is of paths.
    sample = next(iter(default), Path()) if isinstance(default, tuple) else default
    if isinstance(default, tuple):
        options["nargs"] = "+"
    if isinstance(default, bool):
        options["action"] = argparse.BooleanOptionalAction
    elif isinstance(kind, tuple):
        options["choices"] = kind
    else:
        convert, options["metavar"] = _CONVERSIONS[type(sample)]
        options["type"] = kind or convert
        if default == ():
            options["metavar"] = "PATH"
    parser.add_argument(f"--{name.lower().replace('_', '-')}", **options)


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Makes a conversion of a flag's text to a whole number, for `SettingsParser`."""
    limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    most = math.inf if maximum is None else maximum
    return _conversion(int, lambda number: minimum <= number <= most, f"a whole number {limits}")


def real_number(minimum: float = 0.0, below: float = math.inf) -> Callable[[str], float]:
    """Makes a conversion of a flag's text to a number, for `SettingsParser`."""
    limits = f"of at least {minimum:g}" + (f" and less than {below:g}" if below < math.inf else "")
    return _conversion(float, lambda number: minimum <= number < below, f"a number {limits}")


def _conversion(kind: type, is_allowed: Callable[[Any], bool], expected: str) -> Callable:
    def convert(text: str) -> Any:
        with contextlib.suppress(ValueError):
            number = kind(text)
            if is_allowed(number):
                return number
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")

    return convert


positive_integer = whole_number(1)

# What every engine takes as a seed.
seed_number = whole_number(0, 2**31 - 1)

# A share of units that dropout hides.
dropout_rate = real_number(below=1.0)

_CONVERSIONS = {
    int: (positive_integer, "N"),
    float: (real_number(), "X"),
    str: (str, None),
    type(Path()): (Path, "DIR"),
}

# Type of a constant -> what a recipe may replace it with, in words and as types.
_TOML_TYPES = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("a text", (str,)),
    type(Path()): ("a path as text", (str,)),
    tuple: ("a list", (list,)),
}
