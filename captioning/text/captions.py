"""Finds the captions files of a data set and reads them, by photo."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from captioning.cli import UserError, quoted
from captioning.files import CAPTIONS, MAKERS
from captioning.photos.listing import PhotoNames
from captioning.text.caption_kinds import find_texts, open_captions
from captioning.text.caption_rows import SPLIT_NAMES, KindError, Row, plain_caption, texts_in

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


def find_captions(
    data: Path, named: Sequence[Path], photo_folders: Sequence[Path], photos: PhotoNames
) -> list[Path]:
    """Returns where a data set's captions are: files, or folders with a text for each photo.

    Raises:
        UserError: if none are found, several may be meant, or one that was named is missing.
    """
    command = f"run python prepare_text.py --data {quoted(data)}"
    for path in named:
        if not path.exists():
            raise UserError(f"{path} is missing: put it there, then {command} --captions FILE")
    if named:
        return list(named)
    found, texts = _find_files(data, _NAMES), []
    # To walk the folders of photos takes long.
    if not found:
        by_folder = {folder: find_texts(folder, photos) for folder in [*photo_folders, data]}
        texts = [folder for folder in photo_folders if by_folder[folder][0]]
        texts = texts or [folder for folder in [data] if by_folder[folder][0]]
        found = texts or _find_files(data, _OTHER_NAMES)
        # Why texts that generate.py wrote will not do is said when they are read.
        found = found or [folder for folder, (_, generated) in by_folder.items() if generated][:1]
    if len(found) > 1 and found != texts and not all(split_told(path, data) for path in found):
        first, second = (path.relative_to(data) for path in found[:2])
        which = f"{len(found):,d} files that may be the captions, such as {first} and {second}"
        raise UserError(f"{data} holds {which}: {command} --captions FILE")
    if not found:
        raise UserError(
            f"{data / CAPTIONS} is missing, and no other captions file is there: put the captions "
            "there, unpacked, as name.jpg#0<TAB>caption a line or as CSV of photos and captions, "
            f"then {command}, or name their file or folder with --captions"
        )
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

    Raises:
        UserError: if there are none, or a file or a row of it is of no known kind.
    """
    command = f"run python prepare_text.py --data {quoted(data)} again"
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
            raise UserError(f"{path} {error}: correct it, then {command}") from error
    # One alone, some photos that have none, or none for training, are no splits.
    told = {*found.split_of.values()}
    if len(told) < 2 or "" in told or "train" not in told:
        found.split_of = {}
    return found
