"""Reads and writes captions: the captions file, the split files, the cleaned descriptions."""

import re
import string
import unicodedata
from urllib.parse import quote, unquote

from captioning.command_line import UserError
from captioning.files import (
    CAPTIONS,
    DESCRIPTIONS,
    photo_identifier,
    require,
    write_text,
)

# ASCII punctuation as Python names it, and what Unicode's Basic Multilingual Plane calls so.
_PUNCTUATION = {
    code: None
    for code in range(0x10000)
    if chr(code) in string.punctuation or unicodedata.category(chr(code)).startswith("P")
}


def split_into_words(caption):
    """Lower-cases a caption, splits it at white space and removes punctuation from each word.

    Args:
        caption: str, as people wrote it.

    Returns:
        list of str, in order; a word of nothing but punctuation is left out.
    """
    words = (word.translate(_PUNCTUATION) for word in caption.lower().split())
    return [word for word in words if word]


def read_captions(data):
    """Reads the captions file: `name.jpg#k<TAB>caption`, one a line.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        dict of str -> list of str: photo identifier -> its captions as written, both in the order
        of the file.

    Raises:
        UserError: if the file is missing, is not UTF-8, holds no caption, or has a line of another
            form.
    """
    path = require(
        data / CAPTIONS,
        f"put the captions there, one a line as name.jpg#0<TAB>caption, then run "
        f"python prepare_text.py --data {data}",
    )
    captions = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        photo, tab, caption = line.partition("\t")
        name, mark, _ = photo.rpartition("#")
        if not tab or not mark or not name:
            raise UserError(
                f"{path} line {number} is not name.jpg#0<TAB>caption: mend the line, then run "
                f"python prepare_text.py --data {data}"
            )
        captions.setdefault(photo_identifier(name), []).append(caption)
    if not captions:
        raise UserError(f"{path} holds no captions: put one a line as name.jpg#0<TAB>caption")
    return captions


def write_descriptions(data, descriptions):
    """Writes the cleaned descriptions, one a line: `identifier word word …`.

    White space and `%` in an identifier are percent-encoded, so that the first blank of a line
    always ends the identifier.

    Args:
        data: pathlib.Path of the data folder.
        descriptions: dict of str -> list of list of str: photo identifier -> the words of each of
            its descriptions.
    """
    lines = [
        f"{_encode_identifier(identifier)} {' '.join(words)}\n"
        for identifier, photo_descriptions in descriptions.items()
        for words in photo_descriptions
    ]
    write_text(data / DESCRIPTIONS, "".join(lines))


def read_descriptions(data):
    """Reads what `write_descriptions` wrote.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        dict of str -> list of list of str: photo identifier -> the words of each description.

    Raises:
        UserError: if the file is missing, is not UTF-8, or holds no description.
    """
    path = require(data / DESCRIPTIONS, f"run python prepare_text.py --data {data} first")
    descriptions = {}
    for line in read_lines(path):
        identifier, *words = line.split() or [""]
        if identifier:
            descriptions.setdefault(unquote(identifier), []).append(words)
    if not descriptions:
        raise UserError(f"{path} is empty: run python prepare_text.py --data {data} again")
    return descriptions


def _encode_identifier(identifier):
    return re.sub(r"[\s%]", lambda match: quote(match.group()), identifier)


def read_lines(path):
    """Reads a text file as lines, whichever way they end.

    Args:
        path: pathlib.Path of the file.

    Returns:
        list of str, without line ends.

    Raises:
        UserError: if the file is not UTF-8.
    """
    try:
        # A byte-order mark, as some editors put first, is no part of a name.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from error
    # Not str.splitlines, which also breaks a line at characters that a caption may hold.
    return text.split("\n")
