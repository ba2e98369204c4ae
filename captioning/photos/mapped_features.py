"""Writes and reads `features.npy`, features that need not fit in memory, and its index.

A plain .npy file: NumPy alone opens it, as an array that the operating system reads page by page
and forgets again, and so does every other program that knows the format. Training takes single rows
in random order, which is the worst case for formats that store compressed or coded chunks of many.
"""

import hashlib
import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioning.cli import UserError
from captioning.old import FEATURES_INDEX, atomic_path, read_json, write_json

# Of features-index.json.
FORMAT = 1

# What the rows may be stored as.
FLOAT32 = "float32"
FLOAT16 = "float16"

# Rows that tell one file from another, evenly spaced: reading all of 100 GB would take minutes.
SAMPLED_ROWS = 256


def write_rows(
    path: Path,
    blocks: Iterable[tuple[Sequence[int], np.ndarray]],
    shape: tuple[int, int],
    dtype: str,
) -> None:
    """Writes an array of that shape from portions, each with the numbers of its rows.

    Raises:
        UserError: if a number is too large for the dtype.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    header = {"descr": stored.str, "fortran_order": False, "shape": shape}
    # Not through a map: where the disk is full, that kills the process.
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for numbers, block in blocks:
            with np.errstate(over="ignore"):
                rows = block.astype(stored)
            if not np.isfinite(rows).all():
                raise UserError(
                    f"the features have numbers that {dtype} cannot hold: choose float32, with "
                    "--format mapped"
                )
            for number, row in zip(numbers, rows, strict=True):
                file.seek(start + number * row.nbytes)
                file.write(row.data)


class MappedRows:
    """Rows of a file, of which only what is taken is read.

    The file may come from a stranger: it can neither run code nor claim memory.

    Raises:
        ValueError: if it holds anything but an array of that shape, is cut off or has a rest.
        Exception: if its header is damaged, whatever NumPy's parser stumbles over.
    """

    def __init__(self, path: Path, shape: tuple[int, int]):
        # Or else a size beyond all numbers is warned of, and no error.
        with np.errstate(over="raise"):
            rows = np.lib.format.open_memmap(path, mode="r")
        if rows.dtype not in (np.dtype("<f4"), np.dtype("<f2")):
            raise ValueError(f"its numbers are {rows.dtype}, not {FLOAT32} or {FLOAT16}")
        if rows.shape != shape or not rows.flags.c_contiguous:
            raise ValueError(f"its shape is {rows.shape}, not {shape}")
        if path.stat().st_size != rows.offset + rows.nbytes:
            raise ValueError("it goes on after its last row")
        self.length = shape[1]
        # A plain array is indexed faster than a memmap.
        self._rows = rows.view(np.ndarray)
        self._map = rows.base
        # A map starts where the system lets it start.
        self._start = rows.offset % mmap.ALLOCATIONGRANULARITY
        self._advise("MADV_RANDOM", 0, len(self._map))

    def _advise(self, advice: str, start: int, length: int) -> None:
        # Windows takes no advice.
        if hasattr(mmap, advice):
            self._map.madvise(getattr(mmap, advice), start, length)

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Reads the rows of these numbers: (rows, length), float32."""
        # The system reads them all at once, and nothing around them. Left alone it reads one after
        # the other, and ten times as much.
        for number in numbers.tolist():
            start = self._start + number * self._rows[0].nbytes
            page = start - start % mmap.PAGESIZE
            self._advise("MADV_WILLNEED", page, start - page + self._rows[0].nbytes)
        return self._rows[numbers].astype(np.float32, copy=False)

    def digest_of_sample(self, photo_ids: Sequence[str]) -> str:
        """Computes the SHA-256 digest of the photo ids and of `SAMPLED_ROWS` of the rows."""
        whole = hashlib.sha256()
        for photo in photo_ids:
            whole.update(repr(photo).encode())
        numbers = np.linspace(0, len(self._rows) - 1, SAMPLED_ROWS, dtype=int)
        whole.update(self.take(np.unique(numbers)).data)
        return whole.hexdigest()


def write_index(data: Path, photo_ids: Sequence[str]) -> None:
    """Writes the photo ids of a data folder in the order of their rows."""
    write_json(data / FEATURES_INDEX, {"photo_ids": list(photo_ids)}, FORMAT)


def read_index(data: Path, remedy: str) -> list[str]:
    """Reads what `write_index` wrote.

    Raises:
        UserError: if it is missing or damaged.
    """
    path = data / FEATURES_INDEX
    photo_ids: Any = read_json(path, FORMAT, remedy).get("photo_ids")
    if not (
        isinstance(photo_ids, list)
        and photo_ids
        and all(isinstance(photo, str) for photo in photo_ids)
        and len(set(photo_ids)) == len(photo_ids)
    ):
        raise UserError(f"{path} is damaged (it is no list of different photo ids): {remedy}")
    return photo_ids
