"""Settings: the constants at the top of a script, replaced by a recipe, replaced by flags.

A recipe is a TOML file with a table for each script, named after it without `.py`, with the
script's constants in lower case as keys.
"""

import argparse
import ast
import contextlib
import math
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from captioning.cli import ArgumentParser, UserError, wrapped

# The tables that a recipe may have, and the one that a model's recipe has for people to read.
SCRIPTS = ("prepare_photos", "prepare_text", "train", "evaluate", "generate")
MADE_WITH = "made_with"

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
        comments = _read_constants(path)
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
        """Reads the settings of this script from a recipe, as if they were typed."""
        table, flags = _read_table(path, self.table), []
        for name, value in table.items():
            place = f"{path} sets {name} in [{self.table}]"
            if name not in self.constants:
                settings = ", ".join(self.constants)
                raise UserError(f"{place}, which has no such setting: the settings are {settings}")
            sample = _plain(self.constants[name])
            # A whole number will do for any number, but true is none.
            types = (float, int) if isinstance(sample, float) else (type(sample),)
            if type(value) not in types:
                raise UserError(f"{place} to {value!r}: expected a value such as {sample!r}")
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
        return {name: _plain(getattr(options, name)) for name in names}

    def describe(self, options: argparse.Namespace) -> str:
        """Lists the settings in force in lines for a person, those that were replaced first."""
        changed, unchanged = [], []
        for name, value in self.settings_in_force(options).items():
            is_default = value == _plain(self.constants[name])
            (unchanged if is_default else changed).append(f"{name} {_typed(value)}")
        parts = {"settings changed by recipe or flag": changed, "settings": unchanged}
        lines = [f"{title}: {', '.join(texts)}" for title, texts in parts.items() if texts]
        return "\n".join(map(wrapped, lines))


def _plain(value: Any) -> Any:
    """Returns what TOML knows: a list for a tuple, a string for a path."""
    if isinstance(value, Path):
        return str(value)
    return list(map(_plain, value)) if isinstance(value, tuple | list) else value


def _typed(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


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


def whole_number(minimum: int, maximum: float = math.inf) -> Callable[[str], int]:
    """Makes a conversion of a flag's text to a whole number, for `SettingsParser`."""
    limits = f"of at least {minimum}" if maximum == math.inf else f"from {minimum} to {maximum}"
    return _conversion(int, lambda number: minimum <= number <= maximum, f"a whole number {limits}")


def real_number(minimum: float = 0.0, below: float = math.inf) -> Callable[[str], float]:
    """Makes a conversion of a flag's text to a number, for `SettingsParser`."""
    limits = f"of at least {minimum:g}" + (f" and less than {below:g}" if below < math.inf else "")
    return _conversion(float, lambda number: minimum <= number < below, f"a number {limits}")


def path_ending(extension: str) -> Callable[[str], Path]:
    """Makes a conversion of a flag's text to the path of a file that may be written.

    Whoever leaves out the file's name would have the photo or the folder after it replaced.
    """
    expected = f"a file such as captions{extension}"
    return _conversion(
        Path, lambda path: path.suffix.lower() == extension and not path.is_dir(), expected
    )


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
    tuple: (Path, "PATH"),  # of a constant without a value, ()
}


def _read_table(path: Path, table: str) -> dict[str, Any]:
    """Reads the table of a script from a recipe.

    In place of a missing `recipes/NAME` it reads the recipe that the project has, which so is found
    from any folder, also where the project is installed.

    Raises:
        UserError: if the file is missing or not TOML, or names an unknown script.
    """
    package = Path(__file__).resolve().parent
    if path.parent == Path("recipes") and not path.exists():
        folders = (package.parent / "recipes", package / "recipe_files")
        path = next((folder / path.name for folder in folders if folder.is_dir()), path)
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
        raise UserError(f"{path} cannot be read ({reason}): name a recipe with --recipe") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a TOML file ({error}): correct it") from error
    tables = (*SCRIPTS, MADE_WITH, table)
    for name, settings in recipe.items():
        if name not in tables or not isinstance(settings, dict):
            raise UserError(
                f"{path} has {name} where a table of one of the scripts is expected: its tables "
                f"are named {', '.join(SCRIPTS)}"
            )
    return recipe.get(table, {})
