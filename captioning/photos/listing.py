"""Lists photos: of folders, of paths that a user named, of a data set by photo id.

A folder may be an address, such as s3://bucket/photos: a UPath of universal_pathlib, an extra,
stands where a Path does then.
"""

import filecmp
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from captioning.cli import UserError, one_line
from captioning.files import PHOTO_FOLDERS, PHOTOS, photo_id
from captioning.photos.reading import is_photo_name
from captioning.storage import Record, read_json, write_json


class PhotoFolders(Record):
    """Folders and addresses that were named; those in the data folder as seen from there."""

    folders: list[str]


def path_of(text: str) -> Path:
    """Returns the path or the address that a text names."""
    if "://" not in text:
        return Path(text)
    try:
        from upath import UPath
    except ImportError as error:
        raise UserError(
            f"{text} needs universal_pathlib: python -m pip install -r requirements-ray.txt"
        ) from error
    return UPath(text)


def photo_folders(data: Path, named: Sequence[Path] = ()) -> list[Path]:
    """Returns what was named now or in an earlier run, or DATA/photos, or all of DATA."""
    for folder in named:
        if isinstance(folder, Path) and not folder.is_dir():
            raise UserError(f"{folder} is not a folder: name another with --photos")
    if not named and (data / PHOTO_FOLDERS).exists():
        paths = map(path_of, read_json(data / PHOTO_FOLDERS, PhotoFolders).folders)
        named = [data / path if isinstance(path, Path) else path for path in paths]
    alone = data / PHOTOS if (data / PHOTOS).is_dir() or not data.is_dir() else data
    return list(named) or [alone]


def write_photo_folders(data: Path, named: Sequence[Path]) -> None:
    """Remembers folders for later runs; those in the data folder may be moved with it."""
    root, paths = data.absolute(), [path.absolute() for path in named]
    texts = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in paths]
    write_json(data / PHOTO_FOLDERS, PhotoFolders(folders=texts))


def find_photos(folder: Path) -> list[Path]:
    """Lists the photos in a folder and the folders below it, by their extensions, sorted.

    Hidden files are ignored, and links to folders, which may lead in circles, are not followed.
    """
    found = _walk(folder) if isinstance(folder, Path) else _list_address(folder)
    return sorted(path for path in found if is_photo_name(path.name))


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        # Nor are hidden folders entered, which may hold more than all others.
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _list_address(folder: Path) -> Iterator[Path]:
    try:
        # As few requests as there can be, none of them for one file.
        found = folder.fs.find(folder.path)
    # An unknown kind of address, a package that it needs, or no answer.
    except (ImportError, ValueError, OSError) as error:
        raise UserError(f"{folder} cannot be listed: {one_line(str(error))}") from error
    names = (text.removeprefix(folder.path).strip("/") for text in found)
    return (folder / name for name in names if not name.startswith(".") and "/." not in name)


def expand_paths(paths: Iterable[Path]) -> list[Path]:
    """Lists the photos that a user named, each once: photos, whatever their extension, and folders.

    Raises:
        UserError: if a path does not exist, or a folder holds no photos.
    """
    photos = []
    for path in paths:
        if isinstance(path, Path) and not path.exists():
            raise UserError(f"{path} does not exist: name a photo, or a folder with photos")
        if isinstance(path, Path) and not path.is_dir():
            photos.append(path)
        elif found := find_photos(path):
            photos += found
        else:
            raise UserError(f"{path} holds no photos: name a folder with some")
    return list(dict.fromkeys(photos))


def list_photos(folders: Sequence[Path], skipped: dict[str, str]) -> dict[str, Path]:
    """Lists photos as `expand_paths` does, one of each photo id: photo id -> path.

    Features are found by the photo id alone, so that another photo of the same id is skipped.
    """
    photos: dict[str, Path] = {}
    for photo, path in with_ids(expand_paths(folders)):
        kept = photos.setdefault(photo, path)
        if kept is not path:
            skipped[str(path)] = f"{kept} has the same photo id"
    return photos


def with_ids(paths: Iterable[Path]) -> list[tuple[str, Path]]:
    """Returns each photo after its id: that of its name, or of its folder and name, as `train/001`.

    The folder is there where other folders have photos of the same name, and not mere copies.
    """
    named = [(photo_id(path.name), path) for path in paths]
    first = dict(reversed(named))
    several = {name for name, path in named if _is_another(path, first[name])}
    return [(f"{_folder_of(path)}/{x}" if x in several else x, path) for x, path in named]


def _folder_of(path: Path) -> str:
    # As `photo_id` has the name.
    return unicodedata.normalize("NFC", path.parent.name)


def _is_another(path: Path, first: Path) -> bool:
    # Two of a folder have the same id anyway, and photos at an address are not fetched.
    if path.parent.name == first.parent.name:
        return False
    is_told = all(isinstance(photo, Path) and photo.is_file() for photo in (path, first))
    return is_told and not filecmp.cmp(path, first, shallow=False)


def file_stamp(path: Path) -> str:
    """Returns the size and time of a file, or what else tells that it has changed."""
    try:
        if not isinstance(path, Path):
            return path.fs.ukey(path.path)
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


class PhotoNames:
    """The photos of a data set, which names in captions files and split files may mean."""

    def __init__(self, folders: Iterable[Path] = ()):
        found = with_ids(path for folder in folders for path in find_photos(folder))
        # Of two with the same id the first counts.
        self.files = dict(reversed(found))  # photo id -> its file

    def id_of(self, name: str, file: Path = Path()) -> str:
        """Returns the id of the photo of a name, with or without folders and extension.

        `file` is the one that has the name, for photos in its folder. A name that does not tell
        which of several photos it is has an id that none of them has.
        """
        *folders, whole = re.split(r"[/\\]", unicodedata.normalize("NFC", name))
        folder, photo = [_folder_of(file), *folders][-1], photo_id(name)
        # A name with dots may lack its extension.
        ids = (whole, f"{folder}/{whole}", photo, f"{folder}/{photo}")
        return next((known for known in ids if known in self.files), photo)
