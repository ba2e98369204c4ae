"""Reads, cleans and writes captions: the captions file, and the cleaned descriptions."""

import re
import string
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from captioning.cli import UserError, counted
from captioning.files import CAPTIONS, DESCRIPTIONS, photo_id, require
from captioning.storage import write_text
from captioning.vocabulary import END_TOKEN, START_TOKEN, check_sources, read_vocabulary

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

# What no text holds, and what a message says of it.
_DAMAGE = {
    "[\udc80-\udcff]": "is not UTF-8 text: save the file as UTF-8",
    "\0": "holds a NUL byte, as a damaged file does: correct the line, or save the file as UTF-8",
}


def split_into_words(caption: str) -> list[str]:
    """Lower-cases a caption, splits it at white space and removes punctuation from each word.

    A word of nothing but punctuation is left out.
    """
    # Composed: an accent that is a character of its own, as some systems write it, is no letter.
    composed = unicodedata.normalize("NFC", caption.lower())
    return composed.translate(_PUNCTUATION).split()


def clean_caption(caption: str, min_word_length: int) -> list[str]:
    """Reduces a caption to words that are purely alphabetic and not shorter than the minimum.

    The start and end tokens, which captions cleaned elsewhere may hold already, are left out.
    """
    return [
        word
        for word in split_into_words(caption)
        if len(word) >= min_word_length and word.isalpha() and word not in (START_TOKEN, END_TOKEN)
    ]


def clean_captions(
    captions: dict[str, list[str]], min_word_length: int
) -> dict[str, list[list[str]]]:
    """Cleans the captions of each photo id; one that cleans to nothing stays, empty."""
    return {
        photo: [clean_caption(caption, min_word_length) for caption in photo_captions]
        for photo, photo_captions in captions.items()
    }


def read_captions(data: Path) -> dict[str, list[str]]:
    """Reads the captions of each photo id; see `read_captions_file`."""
    return read_captions_file(data)[0]


def read_captions_of(data: Path, photos: Iterable[str]) -> dict[str, list[str]]:
    """Reads the captions of some photo ids from a captions file that was checked before.

    Raises:
        UserError: if the file is missing.
    """
    path = require(
        data / CAPTIONS, f"put the captions there, then run python prepare_text.py --data {data}"
    )
    captions = {photo: [] for photo in photos}
    for line in read_lines(path):
        name, caption = _split_line(line)
        if photo_id(name) in captions:
            captions[photo_id(name)].append(caption)
    return captions


def read_captions_file(data: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Reads the captions file of a data folder: `name.jpg#k<TAB>caption`, one a line.

    A line that is repeated, with the same photo, number and caption, counts once; stderr says how
    many are. Returns photo id -> captions as written, in the order of the file, and photo id ->
    file name.

    Raises:
        UserError: if the file is missing, is not UTF-8, holds no caption, or has a line of another
            form.
    """
    command = f"then run python prepare_text.py --data {data}"
    form = "one a line as name.jpg#0<TAB>caption"
    path = require(data / CAPTIONS, f"put the captions there, {form}, {command}")
    captions, file_names, seen, repeated = {}, {}, set(), []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        name, caption = _split_line(line)
        photo = photo_id(name)
        fault = _find_fault(name, photo, file_names.setdefault(photo, name), caption)
        if fault:
            raise UserError(f"{path} line {number} {fault}: correct the line, {command}")
        if line in seen:
            repeated.append(number)
            continue
        seen.add(line)
        captions.setdefault(photo, []).append(caption)
    if not captions:
        raise UserError(f"{path} holds no captions: put them there, {form}, {command}")
    if repeated:
        count = counted(len(repeated), "repeated line")
        print(f"{path}: {count} ignored, the first of them line {repeated[0]}", file=sys.stderr)
    return captions, file_names


def _split_line(line: str) -> tuple[str, str]:
    """Returns the photo's file name and the caption; no name if the line has another form."""
    photo, tab, caption = line.partition("\t")
    name, _, number = photo.rpartition("#")
    return name.rstrip() if tab and number.strip().isdecimal() else "", caption


def _find_fault(name: str, photo: str, earlier_name: str, caption: str) -> str | None:
    if not name:
        return "is not name.jpg#0<TAB>caption"
    if not photo:
        return f"names a photo {name!r}, which is nothing but an extension"
    plain, earlier_plain = (_COPY_NUMBER.sub("", text).lower() for text in (name, earlier_name))
    if plain != earlier_plain:
        return f"names {name!r}, which has the same photo id as {earlier_name!r} in an earlier line"
    if _SECOND_CAPTION.search(caption):
        return "holds two captions, since a line end is missing"
    words = len(caption.split())
    if words > MAXIMUM_WORDS:
        limit = f"the {MAXIMUM_WORDS} that MAXIMUM_WORDS in captioning/captions.py allows"
        return f"has a caption of {words:,d} words, more than {limit}"
    return None


def write_descriptions(data: Path, descriptions: dict[str, list[list[str]]]) -> None:
    """Writes the cleaned descriptions of each photo id, one a line: `id word word …`.

    White space and `%` in an id are percent-encoded, so that the first blank of a line always ends
    the id.
    """
    lines = [
        f"{_quote_photo_id(photo)} {' '.join(words)}\n"
        for photo, photo_descriptions in descriptions.items()
        for words in photo_descriptions
    ]
    write_text(data / DESCRIPTIONS, "".join(lines))


def read_descriptions(data: Path) -> dict[str, list[list[str]]]:
    """Reads what `write_descriptions` wrote: photo id -> the words of each of its descriptions.

    Raises:
        UserError: if the file or the vocabulary is missing or damaged, or if the captions or the
            training split have changed since.
    """
    remedy = f"run python prepare_text.py --data {data}"
    path = require(data / DESCRIPTIONS, f"{remedy} first")
    check_sources(data, read_vocabulary(data, remedy))
    descriptions = {}
    for line in read_lines(path):
        photo, *words = line.split() or [""]
        if photo:
            # The same word of all descriptions is one object.
            descriptions.setdefault(unquote(photo), []).append([*map(sys.intern, words)])
    return descriptions


def _quote_photo_id(photo: str) -> str:
    # A byte-order mark at its start would be taken for one of the file.
    return re.sub(rf"[\s%{_BYTE_ORDER_MARK}]", lambda match: quote(match.group()), photo)


def read_lines(path: Path) -> Iterator[str]:
    """Reads a text file line by line, without their ends, which may be those of any system.

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
            yield line.removesuffix("\n").removeprefix(_BYTE_ORDER_MARK)
