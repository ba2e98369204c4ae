"""Checks the files that a user has written, before any work is done for them."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from captioning.cli import UserError


def check_outputs(outputs: Mapping[str, Path]) -> None:
    """Checks flag -> file, where each flag is named after its file's extension.

    Raises:
        UserError: if one is a folder, a device or a pipe, or has another extension, as a photo has
            that was meant to be read; if its folder cannot be written to; or if two are the same
            file.
    """
    flag_of: dict[Path, str] = {}
    for flag, path in outputs.items():
        extension = f".{flag.removeprefix('--')}"
        if path.is_dir() or path.suffix.lower() != extension:
            kind = "is a folder" if path.is_dir() else f"does not end in {extension}"
            raise UserError(f"{path} {kind}: name a file with {flag}, such as captions{extension}")
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is a device or a pipe, or links to one: name a file")
        target = file_behind(path)
        folder = next(folder for folder in target.parents if folder.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(f"{path}: {folder} is no folder to write to: name another with {flag}")
        if target in flag_of:
            raise UserError(f"{flag_of[target]} and {flag} lead to one file, {target}: name two")
        flag_of[target] = flag


def file_behind(path: Path) -> Path:
    """Returns the file that a path leads to, there or not, so that a link can stay one."""
    return Path(os.path.realpath(path))


def keep_photos(outputs: Mapping[str, Path], photos: Collection[Path]) -> None:
    """Raises `UserError` if a file that is to be written is a photo that is to be read."""
    for flag, path in outputs.items():
        if path.exists() and any(photo.exists() and path.samefile(photo) for photo in photos):
            raise UserError(f"{path} is one of the photos: name another file with {flag}")
