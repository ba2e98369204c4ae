"""The photos' features, in one of two forms, and `features.json`, what made them.

`features.pkl` is a pickled dict of rows, read whole. Where they need not fit in memory, the array
`features.npy` is mapped, so that the system reads the rows that are asked for, and
`features-index.json` has the photo ids.
"""

import hashlib
import io
import mmap
import pickle
import pickletools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from captioning.cli import UserError, one_line
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

# Two sets of features may be used together only where all of these agree, and their dtype.
ENCODER_KEYS = ("encoder", "layer", "weights_sha256", "input_size", "resizing", "length")

# What features are written as: by default a pickle, and mapped where that would take more bytes.
AUTOMATIC, PICKLE, MAPPED = FORMS = ("auto", "pickle", "mapped")
MAPPED_ABOVE = 10**9

# Rows that tell one mapped file from another: reading all of 100 GB would take minutes.
SAMPLED_ROWS = 256


class EncoderRecord(Record, kw_only=True):
    """What made the features: `features.json`, or as much of it as an encoder knows of itself."""

    encoder: str
    layer: str
    weights: str
    weights_sha256: str
    dtype: Literal["float32", "bfloat16"] = "float32"
    input_size: list[int | list[int]]
    resizing: str
    length: Annotated[int, msgspec.Meta(ge=1)]
    count: int = 0
    skipped: tuple[dict[str, str], ...] = ()  # the path of each `photo`, and the `reason`
    file: Literal["features.pkl", "features.npy"] = FEATURES
    features_sha256: str = ""
    sample_sha256: str = ""  # of mapped features


class FeaturesIndex(Record):
    """The photo of each row of mapped features."""

    photo_ids: Annotated[list[str], msgspec.Meta(min_length=1)]


@dataclass(frozen=True)
class Features:
    """The features of photos; indexed as an array (photos, length), and read then."""

    ids: Sequence[str]  # of the photos
    array: np.ndarray  # the rows of a file, in memory or mapped
    rows: np.ndarray  # which of them each photo has
    record: EncoderRecord  # what made them

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return dict(zip(self.ids, self.rows.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, photo: object) -> bool:
        return photo in self._row_of

    def __getitem__(self, selection: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        return self.array[self.rows[selection]].astype(np.float32, copy=False)

    def select(self, photo_ids: Sequence[str]) -> "Features":
        """Returns the features of some photos, in their order."""
        rows = np.array([self._row_of[photo] for photo in photo_ids], dtype=np.intp)
        return Features(photo_ids, self.array, rows, self.record)


def read_encoder_record(folder: Path) -> EncoderRecord:
    """Reads the `features.json` of a data or model folder, or raises `UserError`."""
    return read_json(folder / ENCODER_RECORD, EncoderRecord)


def check_same_encoder(
    record: EncoderRecord, path: Path | str, other: EncoderRecord, other_path: Path | str
) -> None:
    """Raises `UserError`, which names the paths, if two sets of features were not made alike."""
    # With another dtype the weights differ too, but the dtype is what people should be told of.
    for key in ("dtype", *ENCODER_KEYS):
        one, two = getattr(record, key), getattr(other, key)
        if one != two:
            raise UserError(
                f"{path} and {other_path} do not go together: {key} is {one} in the one and {two} "
                f"in the other ({record.encoder} and {other.encoder}): use the same encoder and "
                "weights for both"
            )


def write_features(
    data: Path,
    photo_ids: Sequence[str],
    rows: Iterable[np.ndarray],
    record: EncoderRecord,
    form: str = AUTOMATIC,
) -> None:
    """Writes features, (length,) each in the order of the photos, and `features.json` for them."""
    shape = len(photo_ids), record.length
    if form == AUTOMATIC:
        form = MAPPED if 4 * shape[0] * shape[1] > MAPPED_ABOVE else PICKLE
    name, other = (FEATURES, MAPPED_FEATURES) if form == PICKLE else (MAPPED_FEATURES, FEATURES)
    path, sample = data / name, ""
    with atomic_path(path) as partial, open(partial, "wb") as file:
        if form == PICKLE:
            plain = {photo: row.astype("<f4") for photo, row in zip(photo_ids, rows, strict=True)}
            # A fixed protocol: the same features make the same bytes.
            pickle.dump(plain, file, protocol=4)
        else:
            file.write(_array_header(shape))
            file.writelines(row.astype("<f4").tobytes() for row in rows)
    if form == MAPPED:
        write_json(data / FEATURES_INDEX, FeaturesIndex(photo_ids=list(photo_ids)))
        sample = _digest_of_sample(photo_ids, _map_array(path, shape))
    digests = {"features_sha256": digest_of_file(path), "sample_sha256": sample}
    record = msgspec.structs.replace(record, count=shape[0], file=name, **digests)
    write_json(data / ENCODER_RECORD, record)
    (data / other).unlink(missing_ok=True)


def read_features(data: Path) -> Features:
    """Reads the features of a data folder; of mapped ones only a sample is read, to check them.

    Raises:
        UserError: if a file is missing or damaged, or does not match `features.json`.
    """
    record = read_encoder_record(data)
    path = require(data / record.file)
    if path.name == FEATURES:
        fits = record.features_sha256 == digest_of_file(path)
        photo_ids, array = _read_pickle(path) if fits else ([], np.empty(0))
    else:
        photo_ids = read_json(data / FEATURES_INDEX, FeaturesIndex).photo_ids
        array = _map_array(path, (len(photo_ids), record.length))
        fits = record.sample_sha256 == _digest_of_sample(photo_ids, array)
    if not fits or array.shape != (len(set(photo_ids)), record.length):
        raise UserError(
            f"{path} is not the file that {ENCODER_RECORD} describes: {command_for(path)} again"
        )
    return Features(photo_ids, array, np.arange(len(photo_ids)), record)


def _array_header(shape: tuple[int, int]) -> bytes:
    header = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def _map_array(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Maps an array whose header, which may come from a stranger, is compared and never parsed."""
    header = _array_header(shape)
    with open(path, "rb") as file:
        fits = file.read(len(header)) == header
    if not fits or path.stat().st_size != len(header) + 4 * shape[0] * shape[1]:
        raise damaged(path, f"it is no float32 array of {shape[0]:,d} x {shape[1]:,d} numbers")
    return np.memmap(path, "<f4", "r", len(header), shape).view(np.ndarray)


def _digest_of_sample(photo_ids: Sequence[str], array: np.ndarray) -> str:
    digest = hashlib.sha256("".join(map(repr, photo_ids)).encode())
    rows = np.unique(np.linspace(0, len(array) - 1, SAMPLED_ROWS, dtype=int))
    digest.update(array[rows].data)
    return digest.hexdigest()


def _read_pickle(path: Path) -> tuple[list[str], np.ndarray]:
    """Reads a pickle of features, which may come from a stranger: photo ids and (photos, length).

    Its instructions are told apart and never followed, so that nothing in it can run or take more
    memory than the file: a photo id is the first string before the bytes of a row, and the others
    are names of NumPy's.
    """
    photo_ids, rows, strings = [], [], []
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for _, argument, _ in pickletools.genops(data):
                if isinstance(argument, str):
                    strings.append(argument)
                # NumPy has the letter b in the place of an empty array.
                elif isinstance(argument, bytes) and argument != b"b":
                    photo, *_ = strings
                    photo_ids.append(photo)
                    rows.append(np.frombuffer(argument, "<f4"))
                    strings = []
        if strings:
            raise ValueError(f"it holds no features of {strings[0][:80]!r}")
        return photo_ids, np.stack(rows)
    except ValueError as error:
        raise damaged(path, one_line(str(error))) from error
