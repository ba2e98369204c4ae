"""Reads text files that people made, and says in which line one is no text."""

import re
from collections.abc import Iterator
from pathlib import Path

from captioning.cli import UserError

BYTE_ORDER_MARK = "\ufeff"

# What no text holds, and what a message says of it.
_DAMAGE = {
    "[\udc80-\udcff]": "is not UTF-8 text: save the file as UTF-8",
    "\0": "holds a NUL byte, as a damaged file does: correct the line, or save the file as UTF-8",
}


def read_lines(path: Path) -> Iterator[str]:
    """Reads a text file line by line, without their ends, which may be of any system.

    Raises:
        UserError: if the file is not UTF-8, or holds NUL bytes.
    """
    # A byte that is not UTF-8 becomes a lone surrogate, which text never holds.
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            for pattern, fault in _DAMAGE.items():
                if re.search(pattern, line):
                    raise UserError(f"{path} line {number} {fault}")
            # A byte-order mark is no part of a name; files that were joined have it further down.
            yield line.removesuffix("\n").removeprefix(BYTE_ORDER_MARK)
