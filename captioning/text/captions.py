"""Finds the captions files of a data set and reads them, by photo."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from captioning.cli import UserError, quoted
from captioning.files import CAPTIONS, SPLIT_CAPTIONS, photo_id
from captioning.text.caption_kinds import KindError, Row, find_texts, open_captions

# Names of captions files, in lower case; the files of the first line that has any count.
_OF_COCO = "captions_*.json"  # a file for each split
_NAMES = (
    (CAPTIONS.lower(),),
    ("*.token", "captions.txt", "captions.[ct]sv", "results.csv", "dataset*.json", _OF_COCO),
    ("*.csv", "*.tsv"),
)

# What files call the splits; restval is what COCO's validation photos left for training.
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "restval"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation"), "dev"),
    "test": "test",
}


def find_captions(data: Path, named: Sequence[Path], photo_folders: Sequence[Path]) -> list[Path]:
    """Returns where a data set's captions are: files, or folders with a .txt beside each photo.

    Raises:
        UserError: if none are found, several may be meant, or one that was named is missing.
    """
    command = f"run python prepare_text.py --data {quoted(data)}"
    for path in named:
        if not path.exists():
            raise UserError(f"{path} is missing: put it there, then {command} --captions FILE")
    if named:
        return list(named)
    found = _find_files(data)
    if len(found) > 1 and not all(fnmatch(path.name.lower(), _OF_COCO) for path in found):
        first, second = (path.relative_to(data) for path in found[:2])
        which = f"{len(found):,d} files that may be the captions, such as {first} and {second}"
        raise UserError(f"{data} holds {which}: {command} --captions FILE")
    found = found or [folder for folder in photo_folders if find_texts(folder)]
    if not found:
        raise UserError(
            f"{data / CAPTIONS} is missing, and no other captions file is there: put the captions "
            "there, one a line as name.jpg#0<TAB>caption or as a CSV file of photos and captions, "
            f"then {command}, or name their file with --captions"
        )
    return found


def _find_files(data: Path) -> list[Path]:
    """Lists the files of the most usual names, in the data folder, or else one or two below."""
    # An archive that holds its file twice has the copy in a folder below.
    levels = [list(data.glob(level)) for level in ("[!.]*", "*/[!.]*", "*/*/[!.]*")]
    for names in _NAMES:
        for paths in levels:
            found = [path for path in paths if any(fnmatch(path.name.lower(), n) for n in names)]
            if found := [path for path in found if path.is_file() and path.name != SPLIT_CAPTIONS]:
                return sorted(found)
    return []


@dataclass(frozen=True)
class CaptionedPhotos:
    """What the captions files of a data set say."""

    captions: dict[str, list[str]] = field(default_factory=dict)  # photo id -> as written, in order
    file_names: dict[str, str] = field(default_factory=dict)  # photo id -> file name
    split_of: dict[str, str] = field(default_factory=dict)  # photo id -> split, if the files say so
    kinds: dict[Path, str] = field(default_factory=dict)  # what each file was taken for

    def add(self, row: Row) -> None:
        """Adds a caption; raises `KindError` if it cannot be right."""
        photo, place = photo_id(row.name), row.place
        if not photo or re.search(r"[\t\r\n]", row.name):
            raise KindError(f"{place} names the photo {row.name!r}, which is no name of a file")
        # The official file has dog.jpg.1 once, and other people other upper-case letters.
        name = re.sub(r"\.[0-9]+$", "", row.name.lower())
        if (earlier := self.file_names.setdefault(photo, name)) != name:
            raise KindError(f"{place} names {row.name!r}, which has the photo id of {earlier!r}")
        if row.split is not None:
            split = _SPLIT_NAMES.get(str(row.split).strip().lower())
            if not split:
                known = ", ".join(_SPLIT_NAMES)
                raise KindError(f"{place} has the split {row.split!r:.40}, none of {known}")
            if self.split_of.setdefault(photo, split) != split:
                raise KindError(f"{place} has {row.name!r} in another split than an earlier row")
        if re.search(r"#[0-9]+\t", row.caption):
            raise KindError(f"{place} holds two captions, since a line end is missing")
        self.captions.setdefault(photo, []).append(row.caption)


def read_captioned_photos(
    data: Path, files: Sequence[Path], columns: Sequence[str] = ("", "")
) -> CaptionedPhotos:
    """Reads the captions files of a data set; see `open_captions`.

    Raises:
        UserError: if there are none, or a file or a row of it is of no known kind.
    """
    command = f"run python prepare_text.py --data {quoted(data)} again"
    found = CaptionedPhotos()
    # COCO has a file for each split, and its name tells which.
    names = {path: one for path in files for one in _SPLIT_NAMES if one in path.stem.lower()}
    names = names if 1 < len(files) == len(names) else {}
    for path in files:
        try:
            found.kinds[path], rows = open_captions(path, columns)
            for row in rows:
                found.add(row._replace(split=names.get(path, row.split)))
        except KindError as error:
            raise UserError(f"{path} {error}: correct it, then {command}") from error
    if not found.captions:
        names = " and ".join(map(str, files))
        raise UserError(f"{names} holds no captions: put them there, then {command}")
    return found
