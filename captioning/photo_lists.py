"""Lists the photos of a data set, one of each photo id."""

import contextlib
import filecmp
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from captioning.cli import UserError, one_line
from captioning.files import photo_id
from captioning.photos import find_photos, no_photos, photo_extensions
from captioning.remote_photos import RemoteFolder, RemotePhoto


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
