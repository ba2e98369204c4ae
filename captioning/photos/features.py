"""The photos' features, in one of two forms, and `features.json`, what made them.

`features.pkl` is one pickle, read whole. Where they need not fit in memory, `features.npy` holds a
row for each photo, in float32 or float16, read row by row as it is asked for, and
`features-index.json` the photo ids in the order of the rows. `features.json` says which of the two
it describes; whatever reads features gets a `Features` of either.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from captioning.cli import UserError, quoted
from captioning.old import (
    ENCODER_RECORD,
    FEATURES,
    FEATURES_INDEX,
    MAPPED_FEATURES,
    digest_of_file,
    read_json,
    require,
    write_json,
)
from captioning.photos.architectures import BFLOAT16, FLOAT32
from captioning.photos.mapped_features import MappedRows, read_index, write_index, write_rows
from captioning.photos.pickled_features import HeldRows, dump_features, load_features

# Of features.json.
FORMAT = 1

# Two sets of features may be used together only where all of these agree; the type of each.
ENCODER_KEYS = {
    "encoder": str,
    "layer": str,
    "weights_sha256": str,
    "input_size": list,
    "resizing": str,
    "length": int,
}

# The most features of a photo. The largest layer that anyone would take, an unpooled convolution,
# has a tenth as many.
MAXIMUM_LENGTH = 1_000_000

# What features are written as: by default a pickle, and mapped where that would take more bytes
# than MAPPED_ABOVE.
AUTOMATIC = "auto"
PICKLE = "pickle"
MAPPED = "mapped"
MAPPED_HALF = "mapped-half"
FORMS = (AUTOMATIC, PICKLE, MAPPED, MAPPED_HALF)
MAPPED_ABOVE = 10**9

# The key of features.json that names the file of the features; without it, they are pickled.
_FILE = "file"


class Rows(Protocol):
    """The rows of a file of features."""

    length: int  # numbers of a row

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Reads the rows of these numbers: (rows, length), float32."""


class FeatureRows:
    """The features of photos in a certain order, float32; what is selected is read then.

    It is indexed by a slice or by numbers of photos, as an array (photos, length) would be.
    """

    def __init__(self, rows: Rows, numbers: np.ndarray, digest: str):
        self.shape = len(numbers), rows.length
        self.digest = digest  # of all features of the file
        self._rows = rows
        self._numbers = numbers  # the row of each photo

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, selection: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        return self._rows.take(self._numbers[selection])


class Features(Mapping[str, np.ndarray]):
    """Photo id -> (length,), float32, read when it is asked for."""

    def __init__(self, photo_ids: Iterable[str], rows: Rows, digest: str):
        self._numbers = {photo: number for number, photo in enumerate(photo_ids)}
        self._rows = rows
        self._digest = digest

    def __getitem__(self, photo: str) -> np.ndarray:
        return self._rows.take(np.array([self._numbers[photo]]))[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def select(self, photo_ids: Sequence[str]) -> FeatureRows:
        """Returns the features of some photos, in their order."""
        numbers = np.array([self._numbers[photo] for photo in photo_ids])
        return FeatureRows(self._rows, numbers, self._digest)


def choose_form(form: str, count: int, length: int) -> str:
    """Returns the form that AUTOMATIC stands for with so many photos and features of each."""
    if form != AUTOMATIC:
        return form
    size = count * length * np.dtype(np.float32).itemsize
    return MAPPED if size > MAPPED_ABOVE else PICKLE


def write_features(
    data: Path,
    features: Mapping[str, np.ndarray],
    encoder_record: dict[str, Any],
    skipped: list[dict[str, str]],
) -> None:
    """Writes `features.pkl`, a plain dict of photo id -> (length,), and `features.json`.

    `skipped` holds `photo` and `reason` of each photo that could not be read.
    """
    dump_features(data / FEATURES, features)
    write_encoder_record(data, encoder_record, len(features), skipped)
    for name in (MAPPED_FEATURES, FEATURES_INDEX):
        (data / name).unlink(missing_ok=True)


def write_encoder_record(
    data: Path, encoder_record: dict[str, Any], count: int, skipped: list[dict[str, str]]
) -> None:
    """Writes `features.json` for the `features.pkl` that is there, with its digest."""
    record = {
        **encoder_record,
        "count": count,
        "skipped": skipped,
        "features_sha256": digest_of_file(data / FEATURES),
    }
    write_json(data / ENCODER_RECORD, record, FORMAT)


def write_mapped_features(
    data: Path,
    photo_ids: Sequence[str],
    blocks: Iterable[tuple[Sequence[int], np.ndarray]],
    dtype: str,
    encoder_record: dict[str, Any],
    skipped: list[dict[str, str]],
) -> None:
    """Writes `features.npy`, `features-index.json` and `features.json`.

    Args:
        data: the data folder.
        photo_ids: the photo of each row.
        blocks: all rows, (rows, length), in portions of any size and in any order, each with the
            numbers of its rows. One portion at a time is in memory.
        dtype: float32 or float16.
        encoder_record: what made the features.
        skipped: as `write_features` takes it.

    Raises:
        UserError: if a number is too large for the dtype.
    """
    shape = len(photo_ids), encoder_record["length"]
    write_rows(data / MAPPED_FEATURES, blocks, shape, dtype)
    write_index(data, photo_ids)
    record = {
        **encoder_record,
        "count": len(photo_ids),
        "skipped": skipped,
        _FILE: MAPPED_FEATURES,
        "features_sha256": digest_of_file(data / MAPPED_FEATURES),
        "sample_sha256": MappedRows(data / MAPPED_FEATURES, shape).digest_of_sample(photo_ids),
    }
    write_json(data / ENCODER_RECORD, record, FORMAT)
    (data / FEATURES).unlink(missing_ok=True)


def features_path(data: Path) -> Path:
    """Returns where a data folder has its features, or should have them."""
    try:
        record = read_encoder_record(data, "")
    except UserError:
        return data / FEATURES
    return data / (MAPPED_FEATURES if record.get(_FILE) == MAPPED_FEATURES else FEATURES)


def read_features(data: Path) -> Features:
    """Reads the features of a data folder, of mapped ones no more than says whether they fit.

    Raises:
        UserError: if a file is missing or damaged, or does not match `features.json`.
    """
    remedy = f"run python prepare_photos.py --data {quoted(data)}"
    path = require(features_path(data), f"{remedy} first")
    record = read_encoder_record(data, remedy)
    digest = record.get("features_sha256")
    mismatch = UserError(f"{path} is not the file that {ENCODER_RECORD} describes: {remedy} again")
    if path.name == FEATURES:
        if digest != digest_of_file(path):
            raise mismatch
        features = load_features(path, record["length"], remedy)
        return Features(features, HeldRows([*features.values()]), digest)
    photo_ids = read_index(data, remedy)
    try:
        rows = MappedRows(path, (len(photo_ids), record["length"]))
    # A damaged file fails in NumPy's parser of headers in as many ways as there are bytes in it.
    except Exception as error:
        raise UserError(f"{path} is damaged ({error}): {remedy} again") from error
    if record.get("sample_sha256") != rows.digest_of_sample(photo_ids):
        raise mismatch
    return Features(photo_ids, rows, digest)


def read_encoder_record(folder: Path, remedy: str | None = None) -> dict[str, Any]:
    """Reads and checks the `features.json` of a data or model folder.

    Raises:
        UserError: if it is missing, damaged or of another version, with the remedy, by default that
            of a data folder.
    """
    if remedy is None:
        remedy = f"run python prepare_photos.py --data {quoted(folder)}"
    path = folder / ENCODER_RECORD
    record = read_json(path, FORMAT, remedy)
    if fault := find_fault(record):
        raise UserError(f"{path} is damaged ({fault} is missing or wrong): {remedy}")
    return record


def find_fault(record: dict[str, Any]) -> str | None:
    """Returns the key of a record of an encoder whose value cannot be right, if there is one."""
    for key, kind in {**ENCODER_KEYS, "weights": str}.items():
        if type(record.get(key)) is not kind:
            return key
    if not 1 <= record["length"] <= MAXIMUM_LENGTH:
        return "length"
    # Records of earlier versions have none.
    if record.get("dtype", FLOAT32) not in (FLOAT32, BFLOAT16):
        return "dtype"
    skipped = record.get("skipped", [])
    if not isinstance(skipped, list) or not all(map(_is_skipped_photo, skipped)):
        return "skipped"
    return None


def _is_skipped_photo(item: Any) -> bool:
    return isinstance(item, dict) and all(
        isinstance(item.get(key), str) for key in ("photo", "reason")
    )


def differing_keys(record: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Lists the keys by which two records of encoders, or parts of them, make other features."""
    # With another dtype the weights differ too, but the dtype is what people should be told of.
    keys = (key for key in ("dtype", *ENCODER_KEYS) if key in record and key in other)
    return [key for key in keys if record[key] != other[key]]


def check_same_encoder(
    record: dict[str, Any], place: Path | str, other_record: dict[str, Any], other_place: Path | str
) -> None:
    """Raises `UserError`, which names the places, if two sets of features were not made alike."""
    for key in differing_keys(record, other_record):
        raise UserError(
            f"{place} and {other_place} do not go together: {key} is {record[key]} in the one "
            f"and {other_record[key]} in the other ({record['encoder']} and "
            f"{other_record['encoder']}): use the same encoder and weights for both"
        )
