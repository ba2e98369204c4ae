"""Lists photos: of folders, of paths that a user named, of a data set by photo id.

A folder may be an address, such as s3://bucket/photos: a UPath of universal_pathlib, an extra,
stands where a Path does then.
"""

import contextlib
import filecmp
import importlib.util
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from captioning.cli import UserError, one_line, quoted
from captioning.files import PHOTO_FOLDERS, PHOTOS, photo_id
from captioning.photos.reading import is_photo_name
from captioning.storage import Record, read_json, write_json

# Kinds of files left out that are named; the rest are counted together.
KINDS_NAMED = 8


class PhotoFolders(Record):
    """Folders and addresses that were named; those in the data folder as seen from there."""

    folders: list[str]


def path_of(text: str) -> Path:
    """Returns the path or the address that a text names."""
    if "://" not in text:
        return Path(text)
    if importlib.util.find_spec("upath") is None:
        raise UserError(
            f"universal_pathlib, which {text} needs, is not installed: run python -m pip install "
            "-r requirements-ray.txt in the virtual environment"
        )
    from upath import UPath

    return UPath(text)


def photo_folders(data: Path, named: Sequence[Path] = ()) -> list[Path]:
    """Returns where a data set's photos are.

    It is what was named now or in an earlier run, or DATA/photos, or all of DATA.

    Raises:
        UserError: if a folder that was named is none.
    """
    if not named and (data / PHOTO_FOLDERS).exists():
        paths = map(path_of, read_json(data / PHOTO_FOLDERS, PhotoFolders).folders)
        named = [data / path if isinstance(path, Path) else path for path in paths]
    for folder in named:
        if isinstance(folder, Path) and not folder.is_dir():
            raise UserError(
                f"{folder} is not a folder: put the photos there, or run python prepare_photos.py "
                f"--data {quoted(data)} --photos FOLDER"
            )
    if named:
        return list(named)
    return [data if data.is_dir() and not (data / PHOTOS).is_dir() else data / PHOTOS]


def write_photo_folders(data: Path, named: Sequence[Path]) -> None:
    """Remembers folders for later runs; those in the data folder may be moved with it."""
    root = Path(os.path.abspath(data))
    paths = [Path(os.path.abspath(path)) if isinstance(path, Path) else path for path in named]
    texts = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in paths]
    write_json(data / PHOTO_FOLDERS, PhotoFolders(folders=texts))


def find_photos(
    folder: Path, skipped: dict[str, str] | None = None, left_out: Counter[str] | None = None
) -> list[Path]:
    """Lists the photos in a folder and the folders below it, by their extensions, sorted.

    Hidden files are ignored. Other files are left out, and counted in `left_out` by extension. Left
    out are links that point outside the folder and folders that cannot be read, too: the path of
    each is added to `skipped` with the reason.
    """
    skipped = {} if skipped is None else skipped
    left_out = Counter() if left_out is None else left_out
    found = []
    for path in _walk(folder, skipped) if isinstance(folder, Path) else _list_address(folder):
        if not is_photo_name(path.name):
            left_out[path.suffix.lower()] += 1
        elif isinstance(path, Path) and _is_outside(path, folder):
            skipped[str(path)] = f"it is a link that points outside {folder}"
        else:
            found.append(path)
    return sorted(found)


def _walk(folder: Path, skipped: dict[str, str]) -> Iterator[Path]:
    def report(error: OSError) -> None:
        skipped[error.filename] = error.strerror

    for parent, folders, names in os.walk(folder, onerror=report):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in folders):
            if _is_outside(path, folder):
                skipped[str(path)] = f"it is a link that points outside {folder}"
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _is_outside(path: Path, folder: Path) -> bool:
    # Path.resolve fails where links go round in a circle.
    root = os.path.realpath(folder)
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)


def _list_address(folder: Path) -> Iterator[Path]:
    """Lists files by as few requests as there can be, none of them for one file."""
    try:
        found = folder.fs.find(folder.path)
    # An unknown kind of address, a package that it needs, or no answer.
    except (ImportError, ValueError, OSError) as error:
        reason = one_line(str(error)) or type(error).__name__
        raise UserError(f"{folder} cannot be listed: {reason}") from error
    for text in found:
        name = text.removeprefix(folder.path).strip("/")
        if not any(part.startswith(".") for part in name.split("/")):
            yield folder / name


def describe_left_out(left_out: Counter[str]) -> str:
    """Says what `find_photos` counted: `left out: 3 .mov, 1 without extension`, or nothing."""
    kinds = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    texts = [
        f"{count:,d} {one_line(kind) or 'without extension'}" for kind, count in kinds[:KINDS_NAMED]
    ]
    if rest := sum(count for _, count in kinds[KINDS_NAMED:]):
        texts.append(f"{rest:,d} of other kinds")
    return f"left out: {', '.join(texts)}" if texts else ""


def _find_some(
    folder: Path, skipped: dict[str, str], left_out: Counter[str], remedy: str
) -> list[Path]:
    """Lists photos as `find_photos` does, and raises `UserError` if there are none."""
    of_folder, kinds = {}, Counter()
    found = find_photos(folder, of_folder, kinds)
    if not found and (reason := of_folder.get(str(folder))):
        raise UserError(f"{folder} cannot be read ({reason}): allow it, or name another folder")
    if not found:
        reason = next(iter(of_folder.values()), describe_left_out(kinds))
        raise UserError(f"{folder} holds no photos{f' ({reason})' if reason else ''}: {remedy}")
    skipped |= of_folder
    left_out.update(kinds)
    return found


def expand_paths(
    paths: Iterable[Path], skipped: dict[str, str], left_out: Counter[str]
) -> list[Path]:
    """Lists the photos that a user named, each once: photos, and those of folders.

    Photos that are named stay whatever their extension. `skipped` and `left_out` are those of
    `find_photos`.

    Raises:
        UserError: if a path does not exist, or a folder holds no photos.
    """
    photos = []
    for path in dict.fromkeys(paths):
        if path.is_dir():
            remedy = "name a photo, or a folder with some"
            photos += _find_some(path, skipped, left_out, remedy)
        elif path.exists():
            photos.append(path)
        else:
            raise UserError(f"{path} does not exist: name a photo, or a folder with photos")
    return list(dict.fromkeys(photos))


def list_photos(
    folders: Sequence[Path], skipped: dict[str, str], left_out: Counter[str]
) -> dict[str, Path]:
    """Lists the photos of folders, sorted, one of each photo id: path below its folder -> path.

    Features are found by the photo id alone: a second photo of the same id is added to `skipped`,
    or counted in `left_out` as copied if it is the same file, which an archive may hold twice.

    Raises:
        UserError: if a folder is missing or holds no photo.
    """
    first: dict[str, Path] = {}
    names: dict[str, Path] = {}
    remedy = "put some there, such as dog.jpg, or name their folder with --photos"
    for folder in folders:
        for path in _find_some(folder, skipped, left_out, remedy):
            kept = first.setdefault(photo_id(path.name), path)
            if kept is path:
                # Paths below two folders cannot be the same: their photo ids would be.
                names[str(path.relative_to(folder))] = path
            elif _are_copies(kept, path):
                left_out["copied"] += 1
            else:
                skipped[str(path)] = f"{one_line(kept.name)} has the same photo id"
    return names


def _are_copies(path: Path, other: Path) -> bool:
    # To compare photos elsewhere they would have to be fetched.
    if isinstance(path, Path) and isinstance(other, Path) and path.name == other.name:
        with contextlib.suppress(OSError):
            return filecmp.cmp(path, other, shallow=False)
    return False
