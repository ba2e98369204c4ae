"""Writes files whole or not at all, reads and writes JSON, and locks folders."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from filelock import FileLock, Timeout

from captioning.cli import UNENCODABLE, UserError
from captioning.files import damaged, require

if TYPE_CHECKING:
    import pandas as pd

# Empty files that stay: a lock that is removed while another run waits for it locks nothing. Text
# may be prepared while photos are, so it has a lock of its own.
LOCK = ".lock"
TEXT_LOCK = ".lock-text"
PHOTO_SCRIPTS = "prepare_photos.py, download.py or draw.py"  # which hold LOCK in a data folder

# What a cell begins with that a spreadsheet takes for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside the final one, and moves the file there once it is complete.

    Whatever stops the writing, a full disk or a power cut too, the final path holds either the old
    file or the new one. The folder is created if it is missing. A link is replaced, not followed: a
    stranger's folder could have one that leads to any file of the user's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same, so that what a killed run has left goes when the file is written again.
    partial = path.with_name(f".partial-{path.name}")
    partial.unlink(missing_ok=True)
    try:
        with _named(path):
            yield partial
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Gives an error the name of a file if it has none, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def append_text(path: Path, text: str) -> None:
    """Adds to the end of a text file, and flushes it to the disk; it need not be there."""
    with _named(path), open(path, "a", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def digest_of_file(path: Path) -> str:
    """Computes the SHA-256 digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=UNENCODABLE, newline="")


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Writes a CSV file in UTF-8, without the table's index; its cells are `cell_of` those."""
    with atomic_path(path) as partial:
        table.map(cell_of).to_csv(partial, index=False, errors=UNENCODABLE)


def cell_of(value: Any) -> Any:
    """Puts an apostrophe in front of a text that a spreadsheet would run as a formula."""
    # Spreadsheets skip white space, and so do those who hide a formula behind it.
    is_formula = isinstance(value, str) and value.lstrip().startswith(_FORMULA_SIGNS)
    return f"'{value}" if is_formula else value


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    """What a JSON file holds; a subclass says what, and `tag` counts the versions of its form."""


RecordType = TypeVar("RecordType", bound=Record)


def write_json(path: Path, record: Record) -> None:
    """Writes a record with its format version and a digest of the content."""
    content = msgspec.to_builtins(record)
    content["sha256"] = _digest(content)
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, kind: type[RecordType]) -> RecordType:
    """Reads what `write_json` wrote.

    Raises:
        UserError: if it is missing, damaged, edited or of another version.
    """
    try:
        content = json.loads(require(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("sha256", None) != _digest(content):
            raise ValueError("its sha256 does not match: it was edited, or is old")
        return msgspec.convert(content, kind)
    # msgspec's are among the former, where it is of another version or a check of its own fails.
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error


def _digest(content: dict[str, Any]) -> str:
    """Computes the digest of the content, not of the file's bytes: white space changes nothing."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


@contextlib.contextmanager
def locked(folder: Path, scripts: str, lock: str = LOCK) -> Iterator[None]:
    """Holds a folder for one run; the operating system releases it when the run is killed.

    The folder is created if missing. `scripts`, such as `train.py`, is named in the message to a
    second run. Runs with another `lock` do not hinder each other.

    Raises:
        UserError: if another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / lock, timeout=0):
            yield
    except Timeout as error:
        work = f"another run of {scripts} is at work in {folder}"
        raise UserError(f"{work}: wait until it has ended, or stop it") from error
