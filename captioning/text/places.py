"""Where the photos and captions of a data set lie: in its folder, or at places that were named."""

import filecmp
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from captioning.cli import UserError, quoted
from captioning.old import (
    CAPTIONS,
    DRAWN_SPLITS,
    OWN_FILES,
    PHOTOS,
    PLACES,
    SPLITS,
    digest_of_file,
    read_json,
    write_json,
)
from captioning.photos.remote_photos import RemoteFolder, place_of
from captioning.text.caption_tables import PHOTO_NAME

# Of places.json.
FORMAT = 1

# Captions files as they are downloaded, and others that may be some; the first names found count.
_KNOWN_NAMES = (
    "*.token",
    "*.token.txt",
    "captions.txt",
    "captions.[ct]sv",
    "results.csv",
    "dataset*.json",
    "captions_*.json",
)
_OTHER_NAMES = ("*.csv", "*.tsv", "*.json")
# Flickr8k's archive has the captions a second time, in base forms of the words.
_NO_CAPTIONS = ("*.lemma.token.txt",)
# COCO has a file for each split, which belong together.
_ONE_FOR_EACH_SPLIT = "captions_*.json"

# Folders below the data folder in which captions files are looked for, one within the other.
_DEPTH = 2


@dataclass(frozen=True)
class Places:
    """The places that flags named; what is empty was not named, and is looked for in the folder."""

    photos: tuple[Path | RemoteFolder, ...] = ()  # folders
    captions: tuple[Path, ...] = ()  # files, or folders of photos with a .txt beside each
    photo_column: str = ""  # of a table of captions
    caption_column: str = ""


def read_places(data: Path) -> Places:
    """Reads the places that were named for a data folder in this or an earlier run.

    Raises:
        UserError: if the file of them is damaged.
    """
    if not (data / PLACES).exists():
        return Places()
    remedy = (
        f"remove it, then run python prepare_text.py --data {quoted(data)} with the --captions and "
        "--photos that it named"
    )
    content = read_json(data / PLACES, FORMAT, remedy)
    texts = [content.get(name) for name in ("photo_column", "caption_column")]
    lists = [content.get(name) for name in ("photos", "captions")]
    if not all(isinstance(paths, list) for paths in lists) or not all(
        isinstance(text, str) for text in [*lists[0], *lists[1], *texts]
    ):
        raise UserError(f"{data / PLACES} is damaged: {remedy}")
    photos = (place_of(text) for text in lists[0])
    return Places(
        tuple(place if isinstance(place, RemoteFolder) else data / place for place in photos),
        tuple(data / path for path in lists[1]),
        *texts,
    )


def name_places(
    data: Path,
    photos: Sequence[Path | RemoteFolder] = (),
    captions: Sequence[Path] = (),
    photo_column: str = "",
    caption_column: str = "",
) -> Places:
    """Returns the places that are named now, and for the others those of earlier runs.

    Columns of an earlier run belong to its captions alone.
    """
    earlier = read_places(data)
    if captions:
        earlier = Places(photos=earlier.photos)
    return Places(
        tuple(photos) or earlier.photos,
        tuple(captions) or earlier.captions,
        photo_column or earlier.photo_column,
        caption_column or earlier.caption_column,
    )


def write_places(data: Path, places: Places) -> None:
    """Writes the places for later runs, unless there is nothing to remember.

    What lies in the data folder is written as seen from there, so that it may be moved.
    """
    if places == Places() and not (data / PLACES).exists():
        return
    content: dict[str, Any] = {
        "photos": [portable_path(data, path) for path in places.photos],
        "captions": [portable_path(data, path) for path in places.captions],
        "photo_column": places.photo_column,
        "caption_column": places.caption_column,
    }
    write_json(data / PLACES, content, FORMAT)


def portable_path(data: Path, path: Path | RemoteFolder) -> str:
    """Returns a path in the data folder as seen from there, and another one as absolute."""
    if isinstance(path, RemoteFolder):
        return path.address
    absolute = Path(os.path.abspath(path))
    root = Path(os.path.abspath(data))
    return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)


def photo_places(data: Path, places: Places | None = None) -> list[Path | RemoteFolder]:
    """Returns where a data set's photos are: as named, or in `photos`, or in the whole folder.

    Raises:
        UserError: if a folder that was named is none.
    """
    named = (places or read_places(data)).photos
    for folder in named:
        if isinstance(folder, Path) and not folder.is_dir():
            raise UserError(
                f"{folder} is not a folder: put the photos there again, or run python "
                f"prepare_photos.py --data {quoted(data)} --photos FOLDER"
            )
    if named:
        return list(named)
    return [data if data.is_dir() and not (data / PHOTOS).is_dir() else data / PHOTOS]


def photo_folders(data: Path, places: Places | None = None) -> list[Path]:
    """Returns the folders of `photo_places`, without addresses, whose photos are not at hand."""
    return [place for place in photo_places(data, places) if isinstance(place, Path)]


def captions_places(data: Path, places: Places | None = None) -> list[Path]:
    """Returns where a data set's captions are: files, or a folder with a .txt beside each photo.

    Raises:
        UserError: if none are found, if it cannot be told which of several files holds them, or if
            one that was named is missing or no file.
    """
    places = places or read_places(data)
    command = f"run python prepare_text.py --data {quoted(data)} --captions FILE"
    for path in places.captions:
        if not path.exists():
            raise UserError(f"{path} is missing: put it there again, or {command}")
        # It is read twice, and a device may have no end.
        if not path.is_file() and not path.is_dir():
            raise UserError(
                f"{path} is a device or a pipe: save the captions as a file and {command}"
            )
    if places.captions:
        return list(places.captions)
    if (data / CAPTIONS).is_file():
        return [data / CAPTIONS]
    found = _find_captions_files(data)
    if len(found) > 1 and not all(fnmatch(path.name, _ONE_FOR_EACH_SPLIT) for path in found):
        names = ", ".join(str(path.relative_to(data)) for path in found[:5])
        more = f" and {len(found) - 5:,d} more" if len(found) > 5 else ""
        raise UserError(
            f"{data} holds several files that may be the captions ({names}{more}): {command}"
        )
    if found:
        return found
    folders = [folder for folder in photo_folders(data, places) if _has_texts(folder)]
    if not folders:
        raise UserError(
            f"{data / CAPTIONS} is missing, and no other captions file is there: put the captions "
            f"there, one a line as name.jpg#0<TAB>caption or as a CSV file of photos and captions, "
            f"then run python prepare_text.py --data {quoted(data)}, or name their file with "
            "--captions"
        )
    return folders


def _find_captions_files(data: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(data):
        depth = len(Path(place).relative_to(data).parts)
        folders[:] = sorted(name for name in folders if depth < _DEPTH and name[0] not in "._")
        own = OWN_FILES if depth == 0 else ()
        found += [Path(place, name) for name in names if name not in own and name[0] != "."]
    found = [path for path in found if not _matches(path, _NO_CAPTIONS)]
    for patterns in (_KNOWN_NAMES, _OTHER_NAMES):
        matching = sorted(path for path in found if _matches(path, patterns) and path.is_file())
        if matching:
            return _without_copies(matching)
    return []


def _without_copies(paths: Sequence[Path]) -> list[Path]:
    """Leaves out copies of a file, such as Kaggle's archive of Flickr30k holds."""
    kept: list[Path] = []
    for path in paths:
        if not any(filecmp.cmp(path, other, shallow=False) for other in kept):
            kept.append(path)
    return kept


def _matches(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path.name.lower(), pattern) for pattern in patterns)


def _has_texts(folder: Path) -> bool:
    """Returns whether a photo in the folder, or in one below it, has a .txt of the same name."""
    for _, _, names in os.walk(folder):
        texts = {Path(name).stem for name in names if name.lower().endswith(".txt")}
        if any(Path(name).stem in texts and PHOTO_NAME.fullmatch(name) for name in names):
            return True
    return False


def has_split_files(data: Path) -> bool:
    """Returns whether a person's files say which photos belong to which split."""
    return any((data / name).exists() for name in SPLITS.values())


def split_file(data: Path, split: str) -> Path:
    """Returns the file that says which photos belong to a split: a person's, or what was drawn."""
    is_drawn = not has_split_files(data) and (data / DRAWN_SPLITS).exists()
    return data / (DRAWN_SPLITS if is_drawn else SPLITS[split])


def digest_place(place: Path) -> str:
    """Computes the SHA-256 of a captions file, or of the .txt files in a folder and below."""
    if not place.is_dir():
        return digest_of_file(place)
    whole = hashlib.sha256()
    for path in sorted(place.rglob("*.[tT][xX][tT]")):
        if not path.is_file() or (path.parent == place and path.name in OWN_FILES):
            continue
        content = path.read_bytes()
        name = str(path.relative_to(place)).encode("utf-8", "surrogateescape")
        whole.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return whole.hexdigest()
