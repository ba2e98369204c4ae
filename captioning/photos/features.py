"""The photos' features, in one of two forms, and `features.json`, what made them.

`features.pkl` is one pickle, read whole. Where they need not fit in memory, `features.npy` holds a
row for each photo, in float32 or float16, read row by row as it is asked for, and
`features-index.json` the photo ids in the order of the rows. `features.json` says which of the two
it describes; whatever reads features gets a `Features` of either.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol

import msgspec
import numpy as np

from captioning.cli import UserError, quoted
from captioning.files import (
    ENCODER_RECORD,
    FEATURES,
    FEATURES_INDEX,
    MAPPED_FEATURES,
    require,
)
from captioning.photos.mapped_features import MappedRows, read_index, write_index, write_rows
from captioning.photos.pickled_features import HeldRows, dump_features, load_features
from captioning.storage import Record, digest_of_file, read_json, write_json

# Two sets of features may be used together only where all of these agree.
ENCODER_KEYS = ("encoder", "layer", "weights_sha256", "input_size", "resizing", "length")

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
    length: Annotated[int, msgspec.Meta(ge=1, le=MAXIMUM_LENGTH)]
    count: int = 0
    skipped: tuple[SkippedPhoto, ...] = ()
    file: str = FEATURES
    features_sha256: str = ""
    sample_sha256: str = ""  # of mapped features, which take long to read


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
    encoder_record: EncoderRecord,
    skipped: Sequence[SkippedPhoto],
) -> None:
    """Writes `features.pkl`, a plain dict of photo id -> (length,), and `features.json`."""
    dump_features(data / FEATURES, features)
    write_encoder_record(data, encoder_record, len(features), skipped)
    for name in (MAPPED_FEATURES, FEATURES_INDEX):
        (data / name).unlink(missing_ok=True)


def write_encoder_record(
    data: Path, encoder_record: EncoderRecord, count: int, skipped: Sequence[SkippedPhoto]
) -> None:
    """Writes `features.json` for the `features.pkl` that is there, with its digest."""
    record = msgspec.structs.replace(
        encoder_record,
        count=count,
        skipped=tuple(skipped),
        file=FEATURES,
        features_sha256=digest_of_file(data / FEATURES),
        sample_sha256="",
    )
    write_json(data / ENCODER_RECORD, record)


def write_mapped_features(
    data: Path,
    photo_ids: Sequence[str],
    blocks: Iterable[tuple[Sequence[int], np.ndarray]],
    dtype: str,
    encoder_record: EncoderRecord,
    skipped: Sequence[SkippedPhoto],
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
    shape = len(photo_ids), encoder_record.length
    write_rows(data / MAPPED_FEATURES, blocks, shape, dtype)
    write_index(data, photo_ids)
    record = msgspec.structs.replace(
        encoder_record,
        count=len(photo_ids),
        skipped=tuple(skipped),
        file=MAPPED_FEATURES,
        features_sha256=digest_of_file(data / MAPPED_FEATURES),
        sample_sha256=MappedRows(data / MAPPED_FEATURES, shape).digest_of_sample(photo_ids),
    )
    write_json(data / ENCODER_RECORD, record)
    (data / FEATURES).unlink(missing_ok=True)


def features_path(data: Path) -> Path:
    """Returns where a data folder has its features, or should have them."""
    try:
        record = read_encoder_record(data)
    except UserError:
        return data / FEATURES
    return data / (MAPPED_FEATURES if record.file == MAPPED_FEATURES else FEATURES)


def read_features(data: Path) -> Features:
    """Reads the features of a data folder, of mapped ones no more than says whether they fit.

    Raises:
        UserError: if a file is missing or damaged, or does not match `features.json`.
    """
    remedy = f"run python prepare_photos.py --data {quoted(data)}"
    path = require(features_path(data))
    record = read_encoder_record(data)
    digest = record.features_sha256
    mismatch = UserError(f"{path} is not the file that {ENCODER_RECORD} describes: {remedy} again")
    if path.name == FEATURES:
        if digest != digest_of_file(path):
            raise mismatch
        features = load_features(path, record.length, remedy)
        return Features(features, HeldRows([*features.values()]), digest)
    photo_ids = read_index(data, remedy)
    try:
        rows = MappedRows(path, (len(photo_ids), record.length))
    # A damaged file fails in NumPy's parser of headers in as many ways as there are bytes in it.
    except Exception as error:
        raise UserError(f"{path} is damaged ({error}): {remedy} again") from error
    if record.sample_sha256 != rows.digest_of_sample(photo_ids):
        raise mismatch
    return Features(photo_ids, rows, digest)


def read_encoder_record(folder: Path) -> EncoderRecord:
    """Reads the `features.json` of a data or model folder.

    Raises:
        UserError: if it is missing, damaged or of another version.
    """
    return read_json(folder / ENCODER_RECORD, EncoderRecord)


def differing_keys(record: EncoderRecord, other: EncoderRecord) -> list[str]:
    """Lists the keys by which two encoders make other features."""
    # With another dtype the weights differ too, but the dtype is what people should be told of.
    keys = ("dtype", *ENCODER_KEYS)
    return [key for key in keys if getattr(record, key) != getattr(other, key)]


def check_same_encoder(
    record: EncoderRecord, path: Path | str, other: EncoderRecord, other_path: Path | str
) -> None:
    """Raises `UserError`, which names the paths, if two sets of features were not made alike."""
    for key in differing_keys(record, other):
        raise UserError(
            f"{path} and {other_path} do not go together: {key} is {getattr(record, key)} in the "
            f"one and {getattr(other, key)} in the other ({record.encoder} and {other.encoder}): "
            "use the same encoder and weights for both"
        )
