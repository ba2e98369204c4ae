"""Reads and writes `features.pkl`, a pickled dict of features that may come from a stranger."""

import mmap
import pickle
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from captioning.cli import UserError
from captioning.old import ENCODER_RECORD, atomic_path

# An instruction of one byte can make an object of two hundred. Features are mostly numbers: 64 of
# them, with their names, take 308 bytes and 24 instructions. So many are allowed in any pickle, and
# besides them one for so many bytes.
INSTRUCTIONS = 2**18
BYTES_AN_INSTRUCTION = 12


def dump_features(path: Path, features: Mapping[str, np.ndarray]) -> None:
    """Writes a plain dict of photo id -> (length,), float32."""
    plain = {name: np.ascontiguousarray(row, dtype="<f4") for name, row in features.items()}
    with atomic_path(path) as partial, open(partial, "wb") as file:
        # A fixed protocol: the same features make the same bytes.
        pickle.dump(plain, file, protocol=4)


class HeldRows:
    """Rows that are in memory, each where it was unpickled to."""

    def __init__(self, rows: list[np.ndarray]):
        self.length = len(rows[0])
        self._rows = rows

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Copies the rows of these numbers: (rows, length), float32."""
        taken = np.empty((len(numbers), self.length), dtype=np.float32)
        for place, number in enumerate(numbers):
            taken[place] = self._rows[number]
        return taken


def load_features(path: Path, length: int, remedy: str) -> dict[str, np.ndarray]:
    """Reads a pickle of features, which may come from a stranger.

    It cannot run code, arrays share the memory of the file's bytes, and the objects besides them
    are bounded by the size of the file; docs/faults.md has the figures. A pickle that is made to
    keep the processor busy, or to exhaust the stack by deep nesting, is not caught.

    Raises:
        UserError: if the file is damaged or holds anything but finite features of that length.
    """
    try:
        with open(path, "rb") as file:
            features = _FeatureUnpickler(file).load()
        if not isinstance(features, dict) or not features:
            raise ValueError("it holds no dict of features")
        rows = {name: _checked(name, item, length) for name, item in features.items()}
        # Whoever selects rows copies each of them, also where all are one in the file.
        if sum(row.nbytes for row in rows.values()) > path.stat().st_size:
            raise ValueError("its arrays have more numbers than the file")
        return rows
    # A damaged pickle fails in as many ways as there are bytes in it.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged ({reason}): {remedy} again") from error


def _checked(name: Any, item: Any, length: int) -> np.ndarray:
    if not isinstance(name, str):
        raise ValueError("a photo id is not a string")
    if not isinstance(item, _Array) or item.values is None:
        raise ValueError(f"{name!r} is not a float32 array")
    if item.values.shape != (length,):
        raise ValueError(
            f"{name!r} has shape {item.values.shape}, where {ENCODER_RECORD} says ({length},)"
        )
    if not np.isfinite(item.values).all():
        raise ValueError(f"{name!r} holds a number that is not finite")
    return item.values


class _Array:
    """Takes the place of an array while it is unpickled, and accepts float32 rows only."""

    values: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, _, content = state
        if not isinstance(dtype, _Float32) or not isinstance(content, bytes | bytearray):
            raise pickle.UnpicklingError("an array is not one of float32 numbers")
        # Shares the memory of the bytes.
        self.values = np.frombuffer(content, "<f4")
        # Not shown: of a shape that holds one tuple many times, the text could fill the memory.
        if shape != self.values.shape:
            raise pickle.UnpicklingError("the shape of an array is not one row of its numbers")


class _Float32:
    """Takes the place of a dtype, and accepts little-endian float32 only."""

    def __init__(self, code: str, align: bool = False, copy: bool = False):
        if code != "f4":
            raise pickle.UnpicklingError("an array is not one of float32 numbers")

    def __setstate__(self, state: tuple) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError("an array is not little-endian")


class _FeatureUnpickler(pickle.Unpickler):
    """Unpickles dicts of float32 arrays, and refuses every other global."""

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        # Reads the instructions without following them: one that claims more bytes than there are
        # fails here, before memory is allocated for it. Mapped, so that a large file is not held
        # besides its features.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self._unencoded = len(content)
            most = INSTRUCTIONS + len(content) // BYTES_AN_INSTRUCTION
            for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
                if number > most:
                    raise pickle.UnpicklingError("it has more instructions than features need")
                if opcode.name.endswith("PUT") and argument > number:
                    raise pickle.UnpicklingError("its memo is larger than what it holds")

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in for one of the few names that NumPy's pickles of arrays hold."""
        allowed = {
            ("numpy._core.multiarray", "_reconstruct"): lambda kind, shape, code: _Array(),
            ("numpy.core.multiarray", "_reconstruct"): lambda kind, shape, code: _Array(),
            ("numpy._core.numeric", "_frombuffer"): _from_buffer,
            ("numpy.core.numeric", "_frombuffer"): _from_buffer,
            ("numpy", "ndarray"): None,
            ("numpy", "dtype"): _Float32,
            ("_codecs", "encode"): self._encode,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no features need")
        return allowed[module, name]

    def _encode(self, text: str, encoding: str) -> bytes:
        """Makes the bytes that the oldest protocols write as text, never more than the file has."""
        self._unencoded -= len(text)
        if encoding != "latin1" or self._unencoded < 0:
            raise pickle.UnpicklingError("its text is encoded in a way that no features need")
        return text.encode("latin1")


def _from_buffer(content: bytes | bytearray, dtype: _Float32, shape: tuple, order: str) -> _Array:
    """Makes the array that protocol 5 writes."""
    array = _Array()
    array.__setstate__((1, shape, dtype, False, content))
    return array
