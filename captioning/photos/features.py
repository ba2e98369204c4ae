"""The photos' features, in one of two forms, and `features.json`, what made them.

`features.pkl` is a pickled dict of rows, read whole. Where they need not fit in memory, the array
`features.npy` is mapped, so that the system reads the rows that are asked for, and
`features-index.json` has the photo ids. Whatever reads features gets a `Features` of either.
"""

import hashlib
import io
import mmap
import pickle
import pickletools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Literal

import msgspec
import numpy as np

from captioning.cli import UserError
from captioning.files import (
    ENCODER_RECORD,
    FEATURES,
    FEATURES_INDEX,
    MAPPED_FEATURES,
    command_for,
    damaged,
    require,
)
from captioning.storage import Record, atomic_path, digest_of_file, read_json, write_json

# Two sets of features may be used together only where all of these agree. With another dtype the
# weights differ too, but the dtype is what people should be told of.
ENCODER_KEYS = ("encoder", "layer", "weights_sha256", "input_size", "resizing", "length")
_COMPARED = ("dtype", *ENCODER_KEYS)

# What features are written as: by default a pickle, and mapped where that would take more bytes.
AUTOMATIC, PICKLE, MAPPED, MAPPED_HALF = FORMS = ("auto", "pickle", "mapped", "mapped-half")
MAPPED_ABOVE = 10**9

# Rows that tell one mapped file from another: reading all of 100 GB would take minutes.
SAMPLED_ROWS = 256

# An instruction of a pickle takes one byte and may make an object of two hundred. So many are
# allowed in any file, and one more for so many bytes, three times as many as features have.
INSTRUCTIONS = 2**18
BYTES_AN_INSTRUCTION = 12

# What a damaged pickle raises, and a stand-in that it is at odds with.
_FAULTS = (pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError)
_FAULTS += (MemoryError, TypeError, ValueError)


class SkippedPhoto(msgspec.Struct, frozen=True):
    """A photo that has no features, and why."""

    photo: str  # its path
    reason: str


class EncoderRecord(Record, kw_only=True):
    """What made the features: `features.json`, or as much of it as an encoder knows of itself."""

    FORMAT: ClassVar[int] = 1

    encoder: str
    layer: str
    weights: str
    weights_sha256: str
    dtype: Literal["float32", "bfloat16"] = "float32"
    input_size: list[int | list[int]]
    resizing: str
    length: Annotated[int, msgspec.Meta(ge=1)]
    count: int = 0
    skipped: tuple[SkippedPhoto, ...] = ()
    file: Literal["features.pkl", "features.npy"] = FEATURES
    features_sha256: str = ""
    sample_sha256: str = ""  # of mapped features


class FeaturesIndex(Record):
    """The photo of each row of mapped features."""

    photo_ids: list[str]


@dataclass(frozen=True)
class Features:
    """The features of photos; indexed as an array (photos, length), and read then."""

    ids: Sequence[str]  # of the photos
    array: np.ndarray  # the rows of a file, in memory or mapped
    rows: np.ndarray  # which of them each photo has
    digest: str  # of the file

    @property
    def shape(self) -> tuple[int, int]:
        """The number of photos, and that of the numbers of each."""
        return len(self.ids), self.array.shape[1]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return dict(zip(self.ids, self.rows.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, photo: object) -> bool:
        return photo in self._row_of

    def __getitem__(self, selection: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        return self.array[self.rows[selection]].astype(np.float32, copy=False)

    def select(self, photo_ids: Sequence[str]) -> "Features":
        """Returns the features of some photos, in their order."""
        rows = np.array([self._row_of[photo] for photo in photo_ids], dtype=np.intp)
        return Features(photo_ids, self.array, rows, self.digest)


def read_encoder_record(folder: Path) -> EncoderRecord:
    """Reads the `features.json` of a data or model folder, or raises `UserError`."""
    return read_json(folder / ENCODER_RECORD, EncoderRecord)


def differing_keys(record: EncoderRecord, other: EncoderRecord) -> list[str]:
    """Lists the keys by which two encoders make other features."""
    return [key for key in _COMPARED if getattr(record, key) != getattr(other, key)]


def check_same_encoder(
    record: EncoderRecord,
    path: Path | str,
    other: EncoderRecord,
    other_path: Path | str,
    remedy: str = "",
) -> None:
    """Raises `UserError`, which names the paths, if two sets of features were not made alike."""
    for key in differing_keys(record, other):
        raise UserError(
            f"{path} and {other_path} do not go together: {key} is {getattr(record, key)} in the "
            f"one and {getattr(other, key)} in the other ({record.encoder} and {other.encoder}): "
            f"use the same encoder and weights for both{remedy}"
        )


def write_features(
    data: Path,
    photo_ids: Sequence[str],
    rows: Iterable[np.ndarray],
    record: EncoderRecord,
    form: str = AUTOMATIC,
) -> None:
    """Writes features, (length,) each in the order of the photos, and `features.json` for them.

    Raises:
        UserError: if a number is too large for the form.
    """
    count, length = len(photo_ids), record.length
    if form == AUTOMATIC:
        form = MAPPED if 4 * count * length > MAPPED_ABOVE else PICKLE
    name, other = (FEATURES, MAPPED_FEATURES) if form == PICKLE else (MAPPED_FEATURES, FEATURES)
    path = data / name
    with atomic_path(path) as partial, open(partial, "wb") as file:
        if form == PICKLE:
            plain = {photo: row.astype("<f4") for photo, row in zip(photo_ids, rows, strict=True)}
            # A fixed protocol: the same features make the same bytes.
            pickle.dump(plain, file, protocol=4)
        else:
            dtype = "<f2" if form == MAPPED_HALF else "<f4"
            file.write(_array_header((count, length), dtype))
            _write_rows(file, rows, dtype)
    sample = ""
    if form != PICKLE:
        write_json(data / FEATURES_INDEX, FeaturesIndex(photo_ids=list(photo_ids)))
        sample = _digest_of_sample(photo_ids, _map_array(path, (count, length)))
    digests = {"features_sha256": digest_of_file(path), "sample_sha256": sample}
    record = msgspec.structs.replace(record, count=count, file=name, **digests)
    write_json(data / ENCODER_RECORD, record)
    (data / other).unlink(missing_ok=True)


def _write_rows(file: BinaryIO, rows: Iterable[np.ndarray], dtype: str) -> None:
    for row in rows:
        with np.errstate(over="ignore"):
            stored = row.astype(dtype)
        if not np.isfinite(stored).all():
            raise UserError(
                f"the features have numbers that {stored.dtype} cannot hold: choose float32, with "
                "--format mapped"
            )
        file.write(stored.data)


def _array_header(shape: tuple[int, int], dtype: str) -> bytes:
    header = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def _map_array(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Maps an array whose header, which may come from a stranger, is compared and never parsed."""
    with open(path, "rb") as file:
        for dtype in ("<f4", "<f2"):
            header = _array_header(shape, dtype)
            size = len(header) + shape[0] * shape[1] * np.dtype(dtype).itemsize
            file.seek(0)
            if file.read(len(header)) == header and path.stat().st_size == size:
                return np.memmap(path, dtype, "r", len(header), shape).view(np.ndarray)
    raise damaged(path, f"it is no array of {shape[0]:,d} x {shape[1]:,d} numbers")


def _digest_of_sample(photo_ids: Sequence[str], array: np.ndarray) -> str:
    digest = hashlib.sha256()
    for photo in photo_ids:
        digest.update(repr(photo).encode())
    rows = np.unique(np.linspace(0, len(array) - 1, SAMPLED_ROWS, dtype=int))
    digest.update(array[rows].astype(np.float32).data)
    return digest.hexdigest()


def read_features(data: Path) -> Features:
    """Reads the features of a data folder, of mapped ones no more than says whether they fit.

    Raises:
        UserError: if a file is missing or damaged, or does not match `features.json`.
    """
    record = read_encoder_record(data)
    path = require(data / record.file)
    if path.name == FEATURES:
        fits = record.features_sha256 == digest_of_file(path)
        photo_ids, array = _unpickle(path, record.length) if fits else ([], None)
    else:
        photo_ids = read_json(data / FEATURES_INDEX, FeaturesIndex).photo_ids
        array = _map_array(path, (len(photo_ids), record.length))
        fits = record.sample_sha256 == _digest_of_sample(photo_ids, array)
    if not fits or len(set(photo_ids)) < len(photo_ids):
        raise UserError(
            f"{path} is not the file that {ENCODER_RECORD} describes: {command_for(path)} again"
        )
    return Features(photo_ids, array, np.arange(len(photo_ids)), record.features_sha256)


def _unpickle(path: Path, length: int) -> tuple[list[str], np.ndarray]:
    """Reads a pickle of features, which may come from a stranger: photo ids and (photos, length).

    It cannot run code, and what it makes is bounded by the size of the file.
    """
    try:
        with open(path, "rb") as file:
            _check_instructions(file)
            found = _FeatureUnpickler(file).load()
        if not isinstance(found, dict) or not found:
            raise ValueError("it holds no dict of features")
        # In the file all rows may be one.
        if 4 * length * len(found) > path.stat().st_size:
            raise ValueError("its arrays have more numbers than the file")
        array = np.empty((len(found), length), dtype=np.float32)
        for row, (photo, item) in zip(array, found.items(), strict=True):
            if not isinstance(photo, str):
                raise ValueError("a photo id is not a string")
            values = item.values if isinstance(item, _Array) else np.empty(0)
            if values.shape != (length,) or not np.isfinite(values).all():
                raise ValueError(f"{photo!r} is no float32 array of {length} finite numbers")
            row[:] = values
        return list(found), array
    except _FAULTS as error:
        raise damaged(path, " ".join(str(error).split()) or type(error).__name__) from error


def _check_instructions(file: BinaryIO) -> None:
    """Reads a pickle's instructions without following them, before any can claim memory."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        most = INSTRUCTIONS + len(content) // BYTES_AN_INSTRUCTION
        for index, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if index > most or (opcode.name.endswith("PUT") and argument > index):
                raise pickle.UnpicklingError("it has instructions that no features need")


class _Array:
    """Takes the place of an array while it is unpickled; `values` share the file's bytes."""

    values = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, _, dtype, _, content = state
        if (dtype.code, dtype.order) == ("f4", "<") and isinstance(content, bytes):
            self.values = np.frombuffer(content, "<f4")


class _Dtype:
    """Takes the place of a dtype."""

    def __init__(self, code: str, *_: bool):
        self.code, self.order = code, ""

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]


class _FeatureUnpickler(pickle.Unpickler):
    """Unpickles dicts of float32 arrays, and refuses every other global."""

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in for one of the few names that NumPy's pickles of arrays hold."""
        allowed = {
            "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
            "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
            "numpy.ndarray": None,
            "numpy.dtype": _Dtype,
        }
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no features need")
        return allowed[f"{module}.{name}"]
