"""The files in which vectors wait for the rest of theirs, a few batches in each.

A file of them holds

    the SHA-256 digest of the rest, in hexadecimal digits, and a line break
    a JSON object, the header: what made the vectors, what each was made from, and a line break
    the vectors, float32, little-endian, one after another

What was once written stays on disk until it is asked for, so that memory does not grow with the
number of photos.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioning.storage import atomic_path

FORMAT = 1

# The names of the files; what a killed run was writing has a dot before it.
CHUNKS = "[0-9]*.vectors"

_NUMBER = np.dtype("<f4")


@dataclass(frozen=True)
class Place:
    """Where a vector is.

    Args:
        path: pathlib.Path of the file.
        start: int, bytes before it.
        length: int, numbers in it.
    """

    path: Path
    start: int
    length: int

    def read(self):
        """Reads the vector: numpy.ndarray, float32, (length,)."""
        with open(self.path, "rb") as file:
            file.seek(self.start)
            numbers = file.read(self.length * _NUMBER.itemsize)
        return np.frombuffer(numbers, _NUMBER).astype(np.float32)


class VectorsOnDisk(Mapping):
    """Vectors by identifier, read when they are asked for.

    Args:
        content: dict of str -> Place, or numpy.ndarray, float32, (length,), which is given as it
            is.
    """

    def __init__(self, content):
        self._content = content

    def __getitem__(self, identifier):
        item = self._content[identifier]
        return item.read() if isinstance(item, Place) else item

    def __iter__(self):
        return iter(self._content)

    def __len__(self):
        return len(self._content)


def write_chunk(path, header, vectors):
    """Writes some vectors.

    Args:
        path: pathlib.Path of the file.
        header: dict, as `json.dumps` takes it: `record`, from `Encoder.record`; `photos`, dict of
            str -> str, what the vectors were made from, in their order; and what else is to be
            known.
        vectors: numpy.ndarray, float32, (photos, length).

    Returns:
        list of Place, one a vector.
    """
    header = json.dumps({"format": FORMAT, **header}).encode("ascii") + b"\n"
    content = header + vectors.astype(_NUMBER).tobytes()
    digest = hashlib.sha256(content).hexdigest().encode("ascii") + b"\n"
    with atomic_path(path) as partial:
        partial.write_bytes(digest + content)
    return _places(path, len(digest) + len(header), vectors.shape)


def read_chunk(path):
    """Reads the header of a file and where each vector is.

    Args:
        path: pathlib.Path of the file.

    Returns:
        tuple of dict, the header, and list of Place; or None where the file is not as it was
        written.
    """
    digest, _, content = path.read_bytes().partition(b"\n")
    if digest.decode("latin-1") != hashlib.sha256(content).hexdigest():
        return None
    line, _, numbers = content.partition(b"\n")
    header = json.loads(line)
    if header["format"] != FORMAT:
        return None
    shape = (len(header["photos"]), header["record"]["length"])
    if len(numbers) != shape[0] * shape[1] * _NUMBER.itemsize:
        return None
    return header, _places(path, len(digest) + len(line) + 2, shape)


def _places(path, start, shape):
    count, length = shape
    size = length * _NUMBER.itemsize
    return [Place(path, start + size * number, length) for number in range(count)]
