"""Lists and opens photos in a bucket, on a server or on any other file system that fsspec knows.

fsspec (https://filesystem-spec.readthedocs.io) is optional, and loaded only for addresses.
"""

import errno
import hashlib
import importlib.util
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from captioning.cli import UserError, one_line


@dataclass(frozen=True)
class RemotePhoto:
    """A photo by its address. Like a path it has a name, and its text says where it is.

    The signature changes when the photo does.
    """

    address: str
    signature: str

    @property
    def name(self) -> str:
        """The name of its file."""
        return PurePosixPath(self.address).name

    def __str__(self):
        return self.address

    def read_bytes(self) -> bytes:
        """Fetches the file."""
        import fsspec

        try:
            with fsspec.open(self.address, "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            # fsspec's says nothing but the address.
            raise FileNotFoundError(
                errno.ENOENT, os.strerror(errno.ENOENT), self.address
            ) from error


@dataclass(frozen=True)
class RemoteFolder:
    """A place with photos by its address, such as s3://bucket/photos."""

    address: str

    def __str__(self):
        return self.address

    def find_photos(self, extensions: set[str], left_out: Counter[str]) -> dict[str, RemotePhoto]:
        """Lists the photos there and below, sorted: path below it -> photo.

        Hidden files are ignored. Other files are left out, and counted in `left_out` by extension.
        The whole list is fetched by as few requests as there can be, none of them for one photo.

        Raises:
            UserError: if the place cannot be listed.
        """
        details, root = self._list_files()
        found = {}
        for path in sorted(details):
            name = PurePosixPath(path).relative_to(root)
            if any(part.startswith(".") for part in name.parts):
                continue
            if name.suffix.lower() in extensions:
                place = f"{self.address.rstrip('/')}/{name}"
                found[str(name)] = RemotePhoto(place, _signature(details[path]))
            else:
                left_out[name.suffix.lower()] += 1
        return found

    def _list_files(self) -> tuple[dict[str, dict[str, Any]], str]:
        """Returns what is known of each file by its path, and the path of this folder."""
        if importlib.util.find_spec("fsspec") is None:
            raise UserError(
                f"fsspec, which {self} needs, is not installed: run python -m pip install "
                "-r requirements-ray.txt in the virtual environment"
            )
        import fsspec

        try:
            files, root = fsspec.url_to_fs(self.address)
            return files.find(root, detail=True), root
        # Each kind of place fails in its own way, and one whose package is missing by ImportError.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self} cannot be listed: {one_line(reason)}") from error


def place_of(text: str) -> Path | RemoteFolder:
    """Returns the folder or the address that a text names."""
    return RemoteFolder(text) if "://" in text else Path(text)


def _signature(details: dict[str, Any]) -> str:
    """Sums up what is known of a file, its size and its time or digest at the least.

    It is what fsspec's `ukey` computes, without a request for each file.
    """
    return hashlib.sha256(repr(sorted(details.items())).encode()).hexdigest()
