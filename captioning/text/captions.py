"""Reads and writes captions: the captions file, and the cleaned descriptions."""

import functools
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from captioning.cli import UserError, counted, one_line, quoted
from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, SPLITS, damaged, photo_id, require
from captioning.storage import write_text
from captioning.text.caption_kinds import SPLIT_NAMES, Row, open_captions
from captioning.text.caption_tables import KindError
from captioning.text.places import Places, captions_places, read_places
from captioning.text.text_files import BYTE_ORDER_MARK
from captioning.text.vocabulary import MAXIMUM_WORDS

# The most characters of a caption.
MAXIMUM_CHARACTERS = 4000
_WORD_LIMIT = f"the {MAXIMUM_WORDS} that MAXIMUM_WORDS in captioning/text/vocabulary.py allows"

# What a missing line end leaves in a caption: the number and the tab of the next photo.
_SECOND_CAPTION = re.compile(r"#[0-9]+\t")

# Of SPLIT_CAPTIONS.
_HEADER = "photo\tsplit\tcaption\n"
_NO_SPLIT = ""

# What the Flickr8k file has once after an extension, as in dog.jpg.1.
_COPY_NUMBER = re.compile(r"\.[0-9]+$")


@dataclass(frozen=True)
class CaptionedPhotos:
    """What the captions files of a data set say."""

    captions: dict[str, list[str]]  # photo id -> captions as written, in the order of the files
    file_names: dict[str, str]  # photo id -> file name
    splits: dict[str, list[str]]  # split -> photo ids; empty where the files name no splits
    kinds: dict[Path, str]  # what each file was taken for

    @property
    def files(self) -> str:
        """The captions files, as a message names them."""
        return " and ".join(map(str, self.kinds))


def read_captions(data: Path) -> dict[str, list[str]]:
    """Reads the captions of each photo id; see `read_captioned_photos`."""
    return read_captioned_photos(data).captions


def read_captioned_photos(data: Path, places: Places | None = None) -> CaptionedPhotos:
    """Reads the captions of a data set, of any kind that `open_captions` knows.

    A caption that is repeated, with the same photo and number, counts once; stderr says how many
    are. Places are those that were named for the data folder, unless others are given.

    Raises:
        UserError: if there are none, or a file is not text, is of no known kind, or has a row that
            is not of its kind.
    """
    places = places or read_places(data)
    command = f"run python prepare_text.py --data {quoted(data)}"
    if places.captions:
        command += f" --captions {' '.join(map(quoted, places.captions))}"
    reader = _CaptionsReader()
    files = captions_places(data, places)
    splits = _splits_by_name(files)
    for path in files:
        try:
            reader.read(path, places, splits.get(path))
        except KindError as error:
            raise UserError(f"{path} {error}: correct it, then {command}") from error
    if not reader.captions:
        names = " and ".join(map(str, files))
        raise UserError(f"{names} holds no captions: put them there, then {command}")
    return CaptionedPhotos(reader.captions, reader.file_names, reader.splits(), reader.kinds)


def _splits_by_name(files: Sequence[Path]) -> dict[Path, str]:
    """Returns the split of each of COCO's files, if there are several and their names tell it."""
    found = {}
    for path in files:
        named = [split for word, split in SPLIT_NAMES.items() if word in path.stem.lower()]
        if named:
            found[path] = named[0]
    return found if len(files) > 1 and len(found) == len(files) else {}


class _CaptionsReader:
    """Collects the rows of captions files by photo."""

    def __init__(self) -> None:
        self.captions: dict[str, list[str]] = {}
        self.file_names: dict[str, str] = {}
        self.kinds: dict[Path, str] = {}
        self._split_of: dict[str, str] = {}
        self._seen: set[tuple] = set()

    def read(self, path: Path, places: Places, split_of_file: str | None) -> None:
        """Reads a file, all of whose photos are in one split if there is one for it."""
        kind = open_captions(path, places.photo_column, places.caption_column)
        if kind is None:
            return
        self.kinds[path] = kind.name
        repeated = []
        id_of = functools.cache(photo_id)
        for row in kind.rows:
            photo = id_of(row.name)
            split = split_of_file or row.split
            fault = self._find_fault(row, photo, split, kind.form)
            if fault:
                raise KindError(f"{row.place} {fault}")
            if not self._add(row, photo, split):
                repeated.append(row.place)
        if repeated:
            count = counted(len(repeated), "repeated caption")
            text = f"{path}: {count} ignored, the first {repeated[0]}"
            print(one_line(text), file=sys.stderr)

    def _add(self, row: Row, photo: str, split: str | None) -> bool:
        """Adds a caption, unless it is there already."""
        key = (photo, row.number, row.caption)
        if key in self._seen:
            return False
        self._seen.add(key)
        self.captions.setdefault(photo, []).append(row.caption)
        if split:
            self._split_of[photo] = split
        return True

    def splits(self) -> dict[str, list[str]]:
        """Returns the photo ids of each split that the files name."""
        found: dict[str, list[str]] = {}
        for photo, split in self._split_of.items():
            found.setdefault(split, []).append(photo)
        return found

    def _find_fault(self, row: Row, photo: str, split: str | None, form: str) -> str | None:
        if not row.name:
            return f"is not {form}"
        if not photo:
            return f"names a photo {row.name!r}, which is nothing but an extension"
        earlier = self.file_names.setdefault(photo, row.name)
        if earlier != row.name and _plain_name(earlier) != _plain_name(row.name):
            return (
                f"names {row.name!r}, which has the same photo id as {earlier!r} in an earlier row"
            )
        if split and self._split_of.get(photo, split) != split:
            return f"has {row.name!r} in another split than an earlier row"
        return _fault_of_caption(row.caption)


def _plain_name(name: str) -> str:
    return _COPY_NUMBER.sub("", unicodedata.normalize("NFC", name)).lower()


def _fault_of_caption(caption: str) -> str | None:
    if "\t" in caption and _SECOND_CAPTION.search(caption):
        return "holds two captions, since a line end is missing"
    words = len(caption.split()) if len(caption) > MAXIMUM_WORDS else 0
    if words > MAXIMUM_WORDS:
        return f"has a caption of {words:,d} words, more than {_WORD_LIMIT}"
    if len(caption) > MAXIMUM_CHARACTERS:
        limit = f"the {MAXIMUM_CHARACTERS:,d} of MAXIMUM_CHARACTERS in captioning/text/captions.py"
        return f"has a caption of {len(caption):,d} characters, more than {limit}"
    return None


def check_lengths(data: Path, descriptions: dict[str, list[list[str]]]) -> None:
    """Raises `UserError` if a description has too many words.

    A caption in a script without blanks has more words than can be told before it is split.
    """
    for photo, of_photo in descriptions.items():
        longest = max(map(len, of_photo))
        if longest > MAXIMUM_WORDS:
            raise UserError(
                f"a caption of {photo!r} is split into {longest:,d} words, more than "
                f"{_WORD_LIMIT}: shorten it, then run python prepare_text.py --data {quoted(data)}"
            )


@dataclass(frozen=True)
class SplitCaptions:
    """The captions as people wrote them, and which photo is in which split."""

    captions: dict[str, list[str]]  # photo id -> captions, in the order of the captions file
    splits: dict[str, list[str]]  # train, dev, test -> photo ids


def write_split_captions(data: Path, split_captions: SplitCaptions) -> None:
    """Writes a row a caption: photo id, split, caption.

    The photos of the splits come first, in their order; quotes are characters like others.
    """
    captions, lines = split_captions.captions, [_HEADER]
    in_splits = {photo for photos in split_captions.splits.values() for photo in photos}
    others = [photo for photo in captions if photo not in in_splits]
    for split, photos in {**split_captions.splits, _NO_SPLIT: others}.items():
        for photo in photos:
            lines += [f"{photo}\t{split}\t{text}\n" for text in captions.get(photo, ())]
    write_text(data / SPLIT_CAPTIONS, "".join(lines))


def parse_split_captions(path: Path, content: bytes) -> SplitCaptions:
    """Reads what `write_split_captions` wrote.

    Raises:
        UserError: if it was written by something else.
    """
    captions: dict[str, list[str]] = {}
    splits: dict[str, dict[str, None]] = {split: {} for split in (*SPLITS, _NO_SPLIT)}
    try:
        _, *lines, _ = content.decode("utf-8").split("\n")
        for line in lines:
            photo, split, text = line.split("\t", 2)
            splits[split][photo] = None
            captions.setdefault(photo, []).append(text)
    except (ValueError, KeyError) as error:
        raise damaged(path, "a row is not photo, split and caption") from error
    return SplitCaptions(captions, {split: list(splits[split]) for split in SPLITS})


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


def parse_descriptions(path: Path, content: bytes) -> dict[str, list[list[str]]]:
    """Reads what `write_descriptions` wrote: photo id -> the words of each of its descriptions.

    Raises:
        UserError: if it is no text.
    """
    descriptions: dict[str, list[list[str]]] = {}
    try:
        lines = content.decode("utf-8").split("\n")
    except ValueError as error:
        raise damaged(path, error) from error
    for line in lines[:-1]:
        photo, *words = line.split(" ")
        # The same word of all descriptions is one object.
        of_photo = descriptions.setdefault(unquote(photo), [])
        of_photo.append([sys.intern(word) for word in words if word])
    return descriptions


def _quote_photo_id(photo: str) -> str:
    # A byte-order mark at its start would be taken for one of the file.
    return re.sub(rf"[\s%{BYTE_ORDER_MARK}]", lambda match: quote(match.group()), photo)


def read_descriptions(data: Path) -> dict[str, list[list[str]]]:
    """Reads the descriptions of a data folder, until those who ask use `PreparedText`."""
    return parse_descriptions(data / DESCRIPTIONS, require(data / DESCRIPTIONS).read_bytes())
