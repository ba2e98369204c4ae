"""Where the photos and captions of a data set lie: in its folder, or at places that were named."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioning.cli import UserError, quoted
from captioning.old import (
    PHOTOS,
    PLACES,
    read_json,
    write_json,
)
from captioning.photos.remote_photos import RemoteFolder, place_of

# Of places.json.
FORMAT = 1


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
