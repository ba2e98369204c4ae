"""Finds the captions files of a data set and reads them, by photo."""

import ast
import contextlib
import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec

from captioning.cli import UserError, counted, quoted
from captioning.files import CAPTIONS, MAKERS
from captioning.photos.listing import PhotoNames
from captioning.text.caption_kinds import (
    CAPTION_NAMES,
    SPLIT_NAMES,
    KindError,
    Row,
    first_there,
    open_captions,
)
from captioning.text.generated import find_texts

# Names of captions files, in lower case. The first row of _NAMES with a match wins; _OTHER_NAMES
# is tried only if no photo has a text file.
_OF_COCO = "captions_*.json"  # a file for each split
_NAMES = (
    (CAPTIONS.lower(),),
    ("*.token", "captions.txt", "captions.[ct]sv", "results.csv", "dataset_*.json", _OF_COCO),
    ("metadata.jsonl", "metadata.csv"),
    ("*.csv", "*.tsv", "*.jsonl", "*.ndjson"),
)
_OTHER_NAMES = (("*.json", "*.parquet"),)

# What they are called that hold none.
_NO_CAPTIONS = ("dataset_info*.json", "instances_*.json", "*keypoints_*.json", *MAKERS)

# The share of captions that may be several, joined in one cell, from which on a file is refused:
# a few have a line break or a bar of their own.
JOINED_SHARE = 0.2


def find_captions(data: Path, photo_folders: Sequence[Path], photos: PhotoNames) -> list[Path]:
    """Returns where a data set's captions are: files, or folders with a text for each photo.

    Raises `UserError` if none are found, or several may be meant.
    """
    found = _find_files(data, _NAMES)
    for folders in (photo_folders, [data]):
        # To walk the folders of photos takes long.
        found = found or [folder for folder in folders if find_texts(folder, photos)]
    found = found or _find_files(data, _OTHER_NAMES)
    if not found:
        raise UserError(
            f"{data / CAPTIONS} is missing, and no other captions that people wrote are there: put "
            "them there, unpacked, or name their file or folder with --captions, then run python "
            f"prepare_text.py --data {quoted(data)}"
        )
    files = [path for path in found if path.is_file()]
    if len(files) > 1 and not all(split_told(path, data) for path in files):
        first, second = (path.relative_to(data) for path in files[:2])
        which = f"{len(files):,d} files that may be the captions, such as {first} and {second}"
        raise UserError(f"{data} holds {which}: name one with --captions FILE")
    return found


def _find_files(data: Path, table: Sequence[Sequence[str]]) -> list[Path]:
    """Lists the files of the most usual names, in the data folder, or else one or two below."""
    # An archive that holds its file twice has the copy in a folder below.
    levels = [list(data.glob(level)) for level in ("[!.]*", "*/[!.]*", "*/*/[!.]*")]
    for names in table:
        for paths in levels:
            found = [path for path in paths if _is_of(path, names) and path.is_file()]
            if found := [path for path in found if not _is_of(path, _NO_CAPTIONS)]:
                return sorted(found)
    return []


def _is_of(path: Path, names: Sequence[str]) -> bool:
    return any(fnmatch(path.name.lower(), name) for name in names)


def split_told(path: Path, data: Path) -> str:
    """Returns the split that the name of a file or of a folder around it tells, or nothing."""
    below = path.relative_to(data) if path.is_relative_to(data) else Path(*path.parts[-3:])
    nearest_first = " ".join((below.stem, *reversed(below.parts[:-1])))
    words = map(str.lower, re.findall(r"[A-Z]?[a-z]+|[A-Z]+", nearest_first))
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "")


@dataclass
class CaptionedPhotos:
    """What the captions files of a data set say."""

    data: Path  # as seen from which folders may tell splits
    photos: PhotoNames  # by which names are understood
    captions: dict[str, list[str]] = field(default_factory=dict)  # photo id -> as written, in order
    file_names: dict[str, str] = field(default_factory=dict)  # photo id -> file name
    split_of: dict[str, str] = field(default_factory=dict)  # photo id -> split, if the files say so
    kinds: dict[Path, str] = field(default_factory=dict)  # what each file was taken for
    counts: Counter[str] = field(default_factory=Counter)  # of captions that are not as they were
    joined: int = 0  # captions that may be several

    def add(self, row: Row, path: Path) -> None:
        """Adds a row of a file; raises `KindError` if it cannot be right."""
        where, photo = row.where, self.photos.id_of(row.name, path)
        if not photo or re.search(r"[\t\r\n]", row.name):
            raise KindError(f"{where} names the photo {row.name!r}, which is no name of a file")
        texts = texts_in(row.captions, where)
        if not texts:
            self.counts["photos without captions, left out"] += 1
            return
        # The official file has dog.jpg.1 once, and other people other upper-case letters.
        name = re.sub(r"\.[0-9]+$", "", row.name)
        if (earlier := self.file_names.setdefault(photo, name)).lower() != name.lower():
            raise KindError(f"{where} names {row.name!r}, which has the photo id of {earlier!r}")
        # Otherwise the names of the photo's folder and of the file, or of its folders, may tell.
        if row.split is not None:
            split = SPLIT_NAMES.get(row.split.strip().lower())
        elif (split := self.split_of.get(photo)) is None:
            split = split_told(Path(row.name).parent, self.data) or split_told(path, self.data)
        if split is None or self.split_of.setdefault(photo, split) != split:
            rule = f"which must be one of {', '.join(SPLIT_NAMES)}, and the same in all rows"
            raise KindError(f"{where} has {row.name!r} in the split {row.split!r:.40}, {rule}")
        for text in texts:
            caption, is_joined, had_marks = plain_caption(text)
            self.captions.setdefault(photo, []).append(caption)
            self.joined += is_joined
            if had_marks:
                self.counts["captions with marks such as <start>, which were dropped"] += 1


def read_captioned_photos(
    data: Path, files: Sequence[Path], columns: Sequence[str], photos: PhotoNames
) -> CaptionedPhotos:
    """Reads the captions files of a data set; see `open_captions`.

    Raises `UserError` if a file or a row of it is of no known kind, or if there are files of
    photos, but none of a photo with captions.
    """
    found = CaptionedPhotos(data, photos)
    for path in files:
        try:
            found.kinds[path], rows = open_captions(path, photos, columns)
            for row in rows:
                found.add(row, path)
            if found.joined > JOINED_SHARE * sum(map(len, found.captions.values())):
                rule = 'each needs a row or a column of its own, or they a list ["…", "…"]'
                raise KindError(f"has captions that are several, joined by |, ;; or lines; {rule}")
        except KindError as error:
            command = f"run python prepare_text.py --data {quoted(data)} again"
            raise UserError(f"{path} {error}: correct it, then {command}") from error
    names = found.file_names
    if names and photos.files and photos.files.keys().isdisjoint(names):
        file = min(photos.files)
        raise UserError(
            f"none of {counted(len(names), 'photo')} in {data} with captions has a file: the "
            f"captions name {names[min(names)]!r}, and a file is "
            f"{file + photos.files[file].suffix!r}; name them alike, or the folders with --photos"
        )
    # One alone, some photos that have none, or none for training, are no splits.
    told = {*found.split_of.values()}
    if len(told) < 2 or "" in told or "train" not in told:
        found.split_of = {}
    return found


def texts_in(value: Any, where: str) -> list[str]:
    """Returns the captions of a cell, or of the value of a key; what is empty in a list is none.

    They may be a text, a list of texts or of records, or a list of texts written out.
    """
    if value is None:
        return []
    if isinstance(value, str):
        listed = _written_list(value.strip())
        return [value] if listed is None else texts_in(listed, where)
    if isinstance(value, dict) and (keys := first_there(tuple(value), CAPTION_NAMES)):
        return texts_in([*value.values()][keys[0]], where)
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return [text for item in value for text in texts_in(item, where) if text.strip()]
    raise KindError(f"{where} has captions that cannot be right ({value!r:.40})")


# A text in quotes; and a list or tuple of such as JSON, Python or NumPy writes it, NumPy without
# commas, and with a name around it.
_QUOTED = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_LIST = re.compile(
    rf"(?:array\()?[\[(][\s,]*+(?:(?:{_QUOTED}|None|nan|null)[\s,]*+)*+[\])](?:, dtype=\w+)?\)?",
    re.DOTALL,
)


def _written_list(text: str) -> list[str] | None:
    """Reads a list of texts that is written out in a text; nothing is evaluated."""
    if not _LIST.fullmatch(text):
        return None
    with contextlib.suppress(ValueError):
        return msgspec.json.decode(text, type=list[str | None])
    with contextlib.suppress(ValueError, SyntaxError):
        return [ast.literal_eval(item) for item in re.findall(_QUOTED, text, re.DOTALL)]
    return None


# What joins several captions in one text.
_JOINED = re.compile(
    r"(?<!<)\|(?!>)|;;|\\n|\S\s*[\r\n]+\s*\S|<br\s*/?>|<sep>|\[SEP\].*\w"
    r"|^\[(?!start|sos|bos|cls).*\]$",
    re.IGNORECASE,
)

# What other programs put around captions or in place of words, and the marks of a page.
_MARKS = re.compile(
    r"<[|/]?(?:start|end|s|sos|eos|bos|pad|unk|cls|sep|image|startoftext|endoftext)\|?>"
    r"|\[(?:start|end|sos|eos|bos|pad|unk|cls|sep)\]"
    r"|</?(?:p|b|i|u|em|strong|span|div|a|br)(?:\s[^<>]*)?/?>"
    r"|^\s*startseq\b|\bendseq\s*$",
    re.IGNORECASE,
)

# Most captions have none of these and are done at once.
_ODD = re.compile(r"[|;\\<&\[\r\n]|startseq|endseq", re.IGNORECASE)


def plain_caption(caption: str) -> tuple[str, bool, bool]:
    """Puts a caption in one line, with entities decoded and the marks of other programs dropped.

    Returns with it whether it may be several that are joined, and whether there were marks.
    """
    caption = caption.strip()
    if not _ODD.search(caption):
        return caption, False, False
    text = html.unescape(caption)
    without, count = _MARKS.subn(" ", text)
    # Blanks stay as they are where no mark was.
    text = " ".join(without.split()) if count else re.sub(r"\r\n?|\n", " ", text)
    return text.strip(), bool(_JOINED.search(caption)), count > 0
