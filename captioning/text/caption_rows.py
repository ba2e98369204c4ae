"""A row of a captions file, the lines it is read from, and what is said of one that is damaged."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from captioning.cli import UserError

# What no text file in UTF-8 holds, and what a message says of it.
_DAMAGE = {
    "[\ud800-\udfff]": "is not UTF-8 text: save the file as UTF-8",
    "\0": "holds a NUL byte, as a damaged file does: correct the line, or save the file as UTF-8",
}


class KindError(Exception):
    """A captions file, or a row of it, of no known kind; the message goes on after its name."""


class Row(NamedTuple):
    """One caption of a photo."""

    place: str  # such as `line 3`
    name: str  # of the photo's file
    caption: str
    number: Any = None  # what the file numbers it with
    split: str | None = None  # as the file calls it


def read_lines(path: Path) -> Iterator[str]:
    """Reads a text file line by line, without their ends, which may be of any system.

    Raises:
        UserError: if the file is not UTF-8, or holds NUL bytes.
    """
    # A byte that is not UTF-8 becomes a lone surrogate.
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if fault := fault_of_text(line):
                raise UserError(f"{path} line {number} {fault}")
            # A byte-order mark is no part of a name; files that were joined have it further down.
            yield line.removesuffix("\n").removeprefix("\ufeff")


def fault_of_text(text: str) -> str:
    """Says what is wrong with a text that no text file holds; JSON may have it escaped."""
    return next((fault for pattern, fault in _DAMAGE.items() if re.search(pattern, text)), "")


def in_one_line(caption: str) -> str:
    """Returns a caption without line breaks."""
    return re.sub(r"\r\n?|\n", " ", caption).strip()
