"""Lists photos: those of folders, of places that a user named, and of a data set by photo id."""

import contextlib
import filecmp
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from captioning.cli import UserError, one_line
from captioning.old import photo_id
from captioning.photos.reading import photo_extensions
from captioning.photos.remote_photos import RemoteFolder, RemotePhoto

# Kinds of files left out that are named; the rest are counted together.
KINDS_NAMED = 8


def find_photos(
    folder: Path,
    on_skip: Callable[[str, str], None] | None = None,
    left_out: Counter[str] | None = None,
) -> list[Path]:
    """Lists the photos in a folder and the folders below it, by their extensions, sorted.

    Hidden files are ignored. Other files are left out, and counted in `left_out` by extension. Left
    out are links that point outside the folder and folders that cannot be read, too: `on_skip` is
    given the path of each and the reason.
    """
    report = on_skip or (lambda path, reason: None)
    others = Counter() if left_out is None else left_out
    extensions = photo_extensions()
    root = os.path.realpath(folder)
    found = []
    for place, folders, names in os.walk(folder, onerror=lambda e: report(e.filename, e.strerror)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = {name for name in names if not name.startswith(".")}
        photos = {name for name in names if Path(name).suffix.lower() in extensions}
        others.update(Path(name).suffix.lower() for name in names - photos)
        for name in sorted(photos.union(folders)):
            path = Path(place, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                report(str(path), f"it is a link that points outside {folder}")
            elif name in photos:
                found.append(path)
    return sorted(found)


def describe_left_out(left_out: Counter[str]) -> str:
    """Says what `find_photos` counted: `left out: 3 .mov, 1 file without extension`.

    The text is empty if it counted nothing.
    """
    by_count = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    texts = []
    for extension, count in by_count[:KINDS_NAMED]:
        files = "file" if count == 1 else "files"
        texts.append(f"{count:,d} {one_line(extension) or f'{files} without extension'}")
    if rest := sum(count for _, count in by_count[KINDS_NAMED:]):
        texts.append(f"{rest:,d} of other kinds")
    return f"left out: {', '.join(texts)}" if texts else ""


def no_photos(
    folder: Path, skipped: Mapping[str, str], left_out: Counter[str], remedy: str
) -> UserError:
    """Makes the error for a folder in which `find_photos` found none, from what it reported."""
    if reason := skipped.get(str(folder)):
        return UserError(f"{folder} cannot be read ({reason}): allow it, or name another folder")
    reason = next(iter(skipped.values()), describe_left_out(left_out))
    return UserError(f"{folder} holds no photos{f' ({reason})' if reason else ''}: {remedy}")


def expand_places(
    places: Iterable[Path],
    on_skip: Callable[[str, str], None] | None = None,
    left_out: Counter[str] | None = None,
) -> list[Path]:
    """Lists the photos at places that a user named, each once: photos, and those of folders.

    Photos that are named stay whatever their extension. `on_skip` and `left_out` are those of
    `find_photos`.

    Raises:
        UserError: if a place does not exist, or a folder holds no photos.
    """
    photos, others = [], Counter() if left_out is None else left_out
    for place in dict.fromkeys(places):
        if place.is_dir():
            skipped, kinds = {}, Counter()
            found = find_photos(place, skipped.__setitem__, kinds)
            if not found:
                remedy = "name a photo, or a folder with some"
                raise no_photos(place, skipped, kinds, remedy)
            for item in skipped.items() if on_skip else ():
                on_skip(*item)
            others.update(kinds)
            photos += found
        elif place.exists():
            photos.append(place)
        else:
            raise UserError(f"{place} does not exist: name a photo, or a folder with photos")
    return list(dict.fromkeys(photos))


def list_photos(
    folders: Sequence[Path | RemoteFolder], skipped: dict[str, str], left_out: Counter[str]
) -> dict[str, Path | RemotePhoto]:
    """Lists the photos of folders, sorted, one of each photo id: name -> path.

    The name is the path below its folder. The path of each photo that is left out is added to
    `skipped`, with the reason; copies of a photo, which an archive may hold, and other files are
    counted in `left_out`.

    Raises:
        UserError: if a folder is missing or holds no photo.
    """
    # Features are found by the photo id alone.
    first: dict[str, Path | RemotePhoto] = {}
    names: dict[str, Path | RemotePhoto] = {}
    for folder in folders:
        of_folder: dict[str, str] = {}
        found = _find_photos(folder, of_folder, left_out)
        if not found:
            remedy = "put some there, such as dog.jpg, or name their folder with --photos"
            raise no_photos(folder, of_folder, left_out, remedy)
        skipped |= of_folder
        for name, path in found.items():
            kept = first.setdefault(photo_id(path.name), path)
            if kept is path:
                # Paths below two folders cannot be the same: their photo ids would be.
                names[name] = path
            elif _are_copies(kept, path):
                left_out["copied"] += 1
            else:
                skipped[str(path)] = f"{one_line(kept.name)} has the same photo id"
    return names


def _find_photos(
    folder: Path | RemoteFolder, skipped: dict[str, str], left_out: Counter[str]
) -> dict[str, Path] | dict[str, RemotePhoto]:
    if isinstance(folder, RemoteFolder):
        return folder.find_photos(photo_extensions(), left_out)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: put the photos there")
    paths = find_photos(folder, skipped.__setitem__, left_out)
    return {str(path.relative_to(folder)): path for path in paths}


def _are_copies(path: Path | RemotePhoto, other: Path | RemotePhoto) -> bool:
    # To compare photos elsewhere they would have to be fetched.
    if isinstance(path, RemotePhoto) or isinstance(other, RemotePhoto):
        return False
    with contextlib.suppress(OSError):
        return path.name == other.name and filecmp.cmp(path, other, shallow=False)
    return False
