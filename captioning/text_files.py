"""Reads text files that people made, and says in which line one is no text."""

import re
from pathlib import Path

from captioning.cli import UserError

_BYTE_ORDER_MARK = "\ufeff"

# What no text holds, and what a message says of it.
_DAMAGE = {
    "[\udc80-\udcff]": "is not UTF-8 text: save the file as UTF-8",
    "\0": "holds a NUL byte, as a damaged file does: correct the line, or save the file as UTF-8",
}


def read_text(path: Path) -> str:
    r"""Reads a text file; its line ends, which may be of Unix, Windows or old Macs, become `\n`.

    Raises:
        UserError: if the file is not UTF-8, or holds NUL bytes.
    """
    # A byte that is not UTF-8 becomes a lone surrogate, which text never holds.
    text = path.read_bytes().decode("utf-8", errors="surrogateescape")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for pattern, fault in _DAMAGE.items():
        found = re.search(pattern, text)
        if found:
            number = text.count("\n", 0, found.start()) + 1
            raise UserError(f"{path} line {number} {fault}")
    return text.removeprefix(_BYTE_ORDER_MARK)


def split_lines(text: str) -> list[str]:
    """Splits what `read_text` gave into lines without their ends."""
    # Not str.splitlines, which also breaks a line at characters that a caption may hold. A
    # byte-order mark is no part of a name; files that were joined have it further down.
    return [line.removeprefix(_BYTE_ORDER_MARK) for line in text.split("\n")]


def read_lines(path: Path) -> list[str]:
    """Reads a text file as lines without their ends; see `read_text`."""
    return split_lines(read_text(path))
