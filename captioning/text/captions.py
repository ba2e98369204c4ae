"""Finds the captions files of a data set and reads them, by photo."""

import filecmp
import functools
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from captioning.cli import UserError, counted, one_line, quoted
from captioning.files import (
    CAPTIONS,
    ENCODER_RECORD,
    FEATURES_INDEX,
    PAINTED_SCENES,
    PHOTO_FOLDERS,
    SPLIT_CAPTIONS,
    VOCABULARY,
    photo_id,
)
from captioning.text.caption_kinds import find_texts, open_captions
from captioning.text.caption_rows import KindError, Row
from captioning.text.vocabulary import MAXIMUM_WORDS

# Captions files as they are downloaded, and others that may be some; the first names found count.
_KNOWN_NAMES = (
    *("*.token", "*.token.txt", "captions.txt", "captions.[ct]sv", "results.csv"),
    *("dataset*.json", "captions_*.json"),
)
_OTHER_NAMES = ("*.csv", "*.tsv", "*.json")
# Flickr8k's archive has the captions a second time, in base forms of the words.
_NO_CAPTIONS = ".lemma.token.txt"

# What earlier versions remembered, and the scripts do not read any more.
IGNORED_FILES = ("places.json", "splits.json")

# Files of the data folder that may hold no captions of a person's, whatever their names.
_OWN_FILES = {
    *(ENCODER_RECORD, FEATURES_INDEX, PAINTED_SCENES, PHOTO_FOLDERS, SPLIT_CAPTIONS, VOCABULARY),
    *IGNORED_FILES,
}

# Folders below the data folder in which captions files are looked for, one within the other.
_DEPTH = 2

# What files call the splits; restval is what COCO's validation photos left for training.
_NAMES_OF_SPLITS = {
    "train": ("train", "training", "restval"),
    "dev": ("dev", "val", "valid", "validation"),
    "test": ("test",),
}
_SPLIT_NAMES = {name: split for split, names in _NAMES_OF_SPLITS.items() for name in names}

# The most characters of a caption.
MAXIMUM_CHARACTERS = 4000


def find_captions(data: Path, named: Sequence[Path], photo_folders: Sequence[Path]) -> list[Path]:
    """Returns where a data set's captions are: files, or folders with a .txt beside each photo.

    Raises:
        UserError: if none are found, if it cannot be told which of several files holds them, or if
            one that was named is missing or no file.
    """
    command = f"run python prepare_text.py --data {quoted(data)}"
    for path in named:
        # A pipe would be waited for, and a device may have no end.
        if not path.is_file() and not path.is_dir():
            fault = "no file: save them as one" if path.exists() else "missing: put it there"
            raise UserError(f"{path} is {fault}, then {command} --captions FILE")
    if named:
        return list(named)
    if (data / CAPTIONS).is_file():
        return [data / CAPTIONS]
    found = _find_files(data, _KNOWN_NAMES) or _find_files(data, _OTHER_NAMES)
    # COCO has a file for each split, which belong together.
    if len(found) > 1 and not all(fnmatch(path.name, "captions_*.json") for path in found):
        names = ", ".join(str(path.relative_to(data)) for path in found[:5])
        names += f" and {len(found) - 5:,d} more" if len(found) > 5 else ""
        which = f"several files that may be the captions ({names})"
        raise UserError(f"{data} holds {which}: {command} --captions FILE")
    found = found or [folder for folder in photo_folders if find_texts(folder)[0]]
    if not found:
        raise UserError(
            f"{data / CAPTIONS} is missing, and no other captions file is there: put the captions "
            "there, one a line as name.jpg#0<TAB>caption or as a CSV file of photos and captions, "
            f"then {command}, or name their file with --captions"
        )
    return found


def _find_files(data: Path, patterns: Sequence[str]) -> list[Path]:
    """Lists the files of such names in a data folder and below, without copies."""
    found: list[Path] = []
    for place, folders, names in os.walk(data):
        depth = len(Path(place).relative_to(data).parts)
        folders[:] = sorted(name for name in folders if depth < _DEPTH and name[0] not in "._")
        for name in sorted(names):
            is_own = depth == 0 and name in _OWN_FILES
            is_named = any(fnmatch(name.lower(), pattern) for pattern in patterns)
            if is_own or not is_named or name[0] == "." or name.endswith(_NO_CAPTIONS):
                continue
            path = Path(place, name)
            # Kaggle's archive of Flickr30k holds its file twice.
            if path.is_file() and not any(filecmp.cmp(path, one, shallow=False) for one in found):
                found.append(path)
    return sorted(found)


@dataclass
class CaptionedPhotos:
    """What the captions files of a data set say."""

    captions: dict[str, list[str]] = field(default_factory=dict)  # photo id -> as written, in order
    file_names: dict[str, str] = field(default_factory=dict)  # photo id -> file name
    split_of: dict[str, str] = field(default_factory=dict)  # photo id -> split, if the files say so
    kinds: dict[Path, str] = field(default_factory=dict)  # what each file was taken for
    seen: set[tuple] = field(default_factory=set)

    @property
    def files(self) -> str:
        """The captions files, as a message names them."""
        return " and ".join(map(str, self.kinds))

    def add(self, row: Row, photo: str) -> bool:
        """Adds a caption, unless it is there already; returns whether it was not.

        Raises:
            KindError: if it cannot be right.
        """
        if fault := self._fault_of(row, photo):
            raise KindError(f"{row.place} {fault}")
        if (key := (photo, row.number, row.caption)) in self.seen:
            return False
        self.seen.add(key)
        self.captions.setdefault(photo, []).append(row.caption)
        return True

    def _fault_of(self, row: Row, photo: str) -> str:
        if not photo or re.search(r"[\t\r\n]", row.name):
            return f"names the photo {row.name!r}, which is no name of a file"
        earlier = self.file_names.setdefault(photo, row.name)
        if earlier != row.name and _plain_name(earlier) != _plain_name(row.name):
            fault = f"which has the same photo id as {earlier!r} in an earlier row"
            return f"names {row.name!r}, {fault}"
        if row.split is not None:
            split = _SPLIT_NAMES.get(row.split.strip().lower())
            if not split:
                known = ", ".join(_SPLIT_NAMES)
                return f"is in the split {row.split!r:.40}, which is none of {known}"
            if self.split_of.setdefault(photo, split) != split:
                return f"has {row.name!r} in another split than an earlier row"
        # A missing line end leaves the number and the tab of the next photo.
        if re.search(r"#[0-9]+\t", row.caption):
            return "holds two captions, since a line end is missing"
        characters, words = len(row.caption), len(row.caption[: 2 * MAXIMUM_CHARACTERS].split())
        if characters > MAXIMUM_CHARACTERS or words > MAXIMUM_WORDS:
            count = f"{words:,d} words, {characters:,d} characters"
            most = f"{MAXIMUM_WORDS} or {MAXIMUM_CHARACTERS:,d}"
            return f"has a caption of {count}, more than {most}"
        return ""


def _plain_name(name: str) -> str:
    # The official file has dog.jpg.1 once, and other people other upper-case letters.
    return re.sub(r"\.[0-9]+$", "", unicodedata.normalize("NFC", name)).lower()


def read_captioned_photos(
    data: Path, files: Sequence[Path], columns: Sequence[str] = ("", "")
) -> CaptionedPhotos:
    """Reads the captions files of a data set; see `open_captions`.

    A caption that is repeated, with the same photo and number, counts once; stderr says how many
    are.

    Raises:
        UserError: if there are none, or a file is not text, is of no known kind, or has a row that
            is not of its kind.
    """
    command = f"run python prepare_text.py --data {quoted(data)} again"
    found, id_of = CaptionedPhotos(), functools.cache(photo_id)
    splits = _splits_by_name(files)
    for path in files:
        try:
            found.kinds[path], rows = open_captions(path, columns) or ("no captions", ())
            rows = (row._replace(split=splits.get(path, row.split)) for row in rows)
            repeated = [row.place for row in rows if not found.add(row, id_of(row.name))]
        except KindError as error:
            raise UserError(f"{path} {error}: correct it, then {command}") from error
        if repeated:
            count = counted(len(repeated), "repeated caption")
            print(one_line(f"{path}: {count} ignored, the first {repeated[0]}"), file=sys.stderr)
    if not found.captions:
        raise UserError(f"{found.files} holds no captions: put them there, then {command}")
    return found


def _splits_by_name(files: Sequence[Path]) -> dict[Path, str]:
    """Returns the split of each of COCO's files, if there are several and their names tell it."""
    found = {}
    for path in files:
        named = [split for name, split in _SPLIT_NAMES.items() if name in path.stem.lower()]
        if named:
            found[path] = named[0]
    return found if len(files) > 1 and len(found) == len(files) else {}
