"""Settings: the constants at the top of a script, replaced by a recipe, replaced by flags."""

import argparse
import ast
import io
import math
import textwrap
import tokenize
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from captioning.cli import LINE_WIDTH, ArgumentParser, UserError
from captioning.recipes import read_recipe

# Constants that say where things are, not how they are done.
_FOLDERS = ("data", "model")


class SettingsParser(ArgumentParser):
    """An argument parser with a flag for every constant at the top of a script, and `--recipe`.

    `EPOCHS = 15  # the most epochs` becomes the flag `--epochs` with that default and help. Flags
    win over the recipe, and the recipe wins over the constants. A name with a leading underscore is
    no setting.

    Args:
        script: the script's `globals()`.
        types: constant -> what converts the text of its flag, or its allowed values. Without one,
            whole numbers are at least 1, other numbers at least 0, and any text or path will do.
    """

    def __init__(self, script: dict[str, Any], types: dict[str, Any] | None = None):
        path = Path(script["__file__"])
        self.table = path.stem
        comments = _read_constants(path)
        self.constants = {name: script[name] for name in comments}
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
            self.set_defaults(**self._convert(recipe, read_recipe(recipe, self.table, names)))
        options = self.parse_args(arguments)
        for name, constant in self.constants.items():
            if isinstance(constant, tuple):
                setattr(options, name.lower(), tuple(getattr(options, name.lower())))
        return options

    def _convert(self, recipe: Path, replaced: dict[str, Any]) -> dict[str, Any]:
        """Checks the settings of a recipe just as if each were typed as a flag."""
        checker = ArgumentParser(None, add_help=False, parents=[self.flags])
        checker.prog = self.prog
        typed = []
        for name, value in replaced.items():
            kind, toml_types = _TOML_TYPES[type(self.constants[name.upper()])]
            if type(value) not in toml_types:
                raise UserError(
                    f"{recipe} sets {name} in [{self.table}] to {value!r}: expected {kind}"
                )
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
        return {name: converted[name] for name in replaced}

    def settings_in_force(self, options: argparse.Namespace) -> dict[str, Any]:
        """Returns lower-case constant -> value, but for the folders DATA and MODEL."""
        values = {name.lower(): getattr(options, name.lower()) for name in self.constants}
        return {name: _plain(value) for name, value in values.items() if name not in _FOLDERS}

    def describe(self, options: argparse.Namespace) -> str:
        """Lists the settings in force in lines for a person, those that were replaced first."""
        parts = {True: [], False: []}
        for name, value in self.settings_in_force(options).items():
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            parts[value == _plain(self.constants[name.upper()])].append(f"{name} {text}")
        lines = [
            f"{title}: {', '.join(settings)}"
            for title, settings in (
                ("settings changed by recipe or flag", parts[False]),
                ("settings", parts[True]),
            )
            if settings
        ]
        return "\n".join(textwrap.fill(line, LINE_WIDTH, subsequent_indent="  ") for line in lines)


def _plain(value: Any) -> Any:
    """Returns what TOML knows: a list for a tuple, a string for a path."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _read_constants(path: Path) -> dict[str, str]:
    """Returns the UPPER_CASE constants at the top level of a script -> the comment of each."""
    source = path.read_text(encoding="utf-8")
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    targets = {
        target.id: node.end_lineno
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {
        name: comments.get(line, "")
        for name, line in targets.items()
        if name.isupper() and not name.startswith("_")
    }


def _add_flag(
    parser: argparse.ArgumentParser, name: str, default: Any, comment: str, kind: Any
) -> None:
    options = {"default": default, "help": comment.replace("%", "%%")}
    sample = default[0] if isinstance(default, tuple) else default
    if isinstance(default, tuple):
        options["nargs"] = "+"
    if isinstance(default, bool):
        options["action"] = argparse.BooleanOptionalAction
    elif isinstance(kind, tuple):
        options["choices"] = kind
    else:
        convert, options["metavar"] = _CONVERSIONS[type(sample)]
        options["type"] = kind or convert
    parser.add_argument(f"--{name.lower().replace('_', '-')}", **options)


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Makes a conversion of a flag's text to a whole number, for `SettingsParser`."""
    limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if number < minimum or (maximum is not None and number > maximum):
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}, got {text!r}")
        return number

    return convert


def real_number(minimum: float = 0.0, below: float = math.inf) -> Callable[[str], float]:
    """Makes a conversion of a flag's text to a number, for `SettingsParser`."""
    limits = f"of at least {minimum:g}" + (f" and less than {below:g}" if below < math.inf else "")

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not minimum <= number < below:
            raise argparse.ArgumentTypeError(f"expected a number {limits}, got {text!r}")
        return number

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
