"""Reads and writes captions: the captions file, and the cleaned descriptions."""

import re
import string
import sys
import unicodedata
from urllib.parse import quote, unquote

from captioning.cli import UserError
from captioning.files import CAPTIONS, DESCRIPTIONS, photo_id, require
from captioning.storage import write_text
from captioning.vocabulary import check_sources, read_vocabulary

# The most words of a caption. A longer one is a damaged file, or a text that no LSTM would learn
# and that would need gigabytes of memory for its batch; the longest of Flickr8k has 38.
MAXIMUM_WORDS = 200

# ASCII punctuation as Python names it, and what Unicode's Basic Multilingual Plane calls so.
_PUNCTUATION = {
    code: None
    for code in range(0x10000)
    if chr(code) in string.punctuation or unicodedata.category(chr(code)).startswith("P")
}

# What a missing line end leaves in a caption: the number and the tab of the next photo.
_SECOND_CAPTION = re.compile(r"#[0-9]+\t")

# What the Flickr8k file has once after an extension, as in dog.jpg.1.
_COPY_NUMBER = re.compile(r"\.[0-9]+$")

_BYTE_ORDER_MARK = "\ufeff"


def split_into_words(caption):
    """Lower-cases a caption, splits it at white space and removes punctuation from each word.

    Args:
        caption: str, as people wrote it.

    Returns:
        list of str, in order; a word of nothing but punctuation is left out.
    """
    # Composed: an accent that is a character of its own, as some systems write it, is no letter.
    composed = unicodedata.normalize("NFC", caption.lower())
    return composed.translate(_PUNCTUATION).split()


def read_captions(data):
    """Reads the captions alone; see `read_captions_file`.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        dict of str -> list of str: photo identifier -> its captions as written, both in the order
        of the file.

    Raises:
        UserError: if the file is missing, is not UTF-8, holds no caption, or has a line of another
            form.
    """
    return read_captions_file(data)[0]


def read_captions_file(data):
    """Reads the captions file: `name.jpg#k<TAB>caption`, one a line.

    A line that stands in it twice, the same photo, number and caption, counts once; how many do is
    said on stderr.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        tuple of dict of str -> list of str, as from `read_captions`; and dict of str -> str, photo
        identifier -> the file name that the captions give it.

    Raises:
        UserError: as `read_captions`.
    """
    again = f"then run python prepare_text.py --data {data}"
    form = "one a line as name.jpg#0<TAB>caption"
    path = require(data / CAPTIONS, f"put the captions there, {form}, {again}")
    captions, file_names, seen, repeated = {}, {}, set(), []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        name, caption = _split_line(line)
        identifier = photo_id(name)
        fault = _fault_of(name, identifier, file_names.setdefault(identifier, name), caption)
        if fault:
            raise UserError(f"{path} line {number} {fault}: mend the line, {again}")
        if line in seen:
            repeated.append(number)
            continue
        seen.add(line)
        captions.setdefault(identifier, []).append(caption)
    if not captions:
        raise UserError(f"{path} holds no captions: put them there, {form}, {again}")
    if repeated:
        print(
            f"{path}: {len(repeated):,d} lines stand further up already and count once, the first "
            f"of them line {repeated[0]}",
            file=sys.stderr,
        )
    return captions, file_names


def _split_line(line):
    """Gives the photo's file name and the caption; no name where the line has another form."""
    photo, tab, caption = line.partition("\t")
    name, _, number = photo.rpartition("#")
    return name.rstrip() if tab and number.strip().isdecimal() else "", caption


def _fault_of(name, identifier, earlier_name, caption):
    if not name:
        return "is not name.jpg#0<TAB>caption"
    if not identifier:
        return f"names a photo {name!r}, which is nothing but an extension"
    if name != earlier_name and _plain_name(name) != _plain_name(earlier_name):
        return f"names {name!r}, which has the same identifier as {earlier_name!r} further up"
    if _SECOND_CAPTION.search(caption):
        return "holds two captions, since a line end is missing"
    words = len(caption.split())
    if words > MAXIMUM_WORDS:
        return (
            f"has a caption of {words:,d} words, more than the {MAXIMUM_WORDS} that MAXIMUM_WORDS "
            "in captioning/captions.py allows"
        )
    return None


def _plain_name(name):
    return _COPY_NUMBER.sub("", name).lower()


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
    """Reads what `write_descriptions` wrote, if it is unchanged since.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        dict of str -> list of list of str: photo identifier -> the words of each description.

    Raises:
        UserError: if the file or the vocabulary is missing or damaged, or if the captions or the
            training split have changed since.
    """
    remedy = f"run python prepare_text.py --data {data}"
    path = require(data / DESCRIPTIONS, f"{remedy} first")
    check_sources(data, read_vocabulary(data, remedy))
    descriptions = {}
    for line in read_lines(path):
        identifier, *words = line.split() or [""]
        if identifier:
            descriptions.setdefault(unquote(identifier), []).append(words)
    return descriptions


def _encode_identifier(identifier):
    # A byte-order mark at its start would be taken for one of the file.
    return re.sub(rf"[\s%{_BYTE_ORDER_MARK}]", lambda match: quote(match.group()), identifier)


def read_lines(path):
    """Reads a text file as lines, whichever way they end.

    Args:
        path: pathlib.Path of the file.

    Returns:
        list of str, without line ends.

    Raises:
        UserError: if the file is not UTF-8, or holds NUL bytes.
    """
    content = path.read_bytes()
    try:
        text = _with_plain_line_ends(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        # In Latin-1 every byte is a character, so that the lines before the fault can be counted.
        before = _with_plain_line_ends(content[: error.start].decode("latin-1"))
        raise UserError(
            f"{path} line {before.count(chr(10)) + 1} is not UTF-8 text: save the file as UTF-8"
        ) from error
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise UserError(
            f"{path} line {number} holds a NUL byte, as a damaged file does: mend the line, or "
            "save the file as UTF-8"
        )
    # A byte-order mark, as some editors put first, is no part of a name; files that were joined
    # have it further down. Not str.splitlines, which also breaks a line at characters that a
    # caption may hold.
    return [line.removeprefix(_BYTE_ORDER_MARK) for line in text.split("\n")]


def _with_plain_line_ends(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")
