"""Writes and reads the photos' vectors, and what made them."""

import hashlib
import os
import pickle
from types import SimpleNamespace

import numpy as np

from captioning.cli import UserError
from captioning.files import ENCODER_RECORD, FEATURES, require
from captioning.storage import atomic_path, read_json, write_json
from captioning.unpickling import load_vectors

FORMAT = 1

# Of the pickle. In later ones what may be referred back to is numbered through the whole file, and
# then it cannot be put together from pieces.
PROTOCOL = 3

# Two sets of vectors may be used together only where all of these agree; the type of each.
ENCODER_KEYS = {
    "encoder": str,
    "layer": str,
    "weights_sha256": str,
    "input_size": list,
    "resizing": str,
    "length": int,
}


def write_features(data, features, encoder_record, skipped):
    """Writes `features.pkl` and `features.json`.

    Args:
        data: pathlib.Path of the data folder.
        features: mapping of str -> numpy.ndarray, float32, (length,): photo identifier -> vector.
            It is asked for one vector at a time, so that they need not be in memory together.
        encoder_record: dict, from `Encoder.record`.
        skipped: list of dict, `photo` and `reason` of each photo that could not be read.
    """
    if not (data / FEATURES).exists():
        # A record without its vectors must not come to stand beside those of another encoder. Where
        # there are vectors, a stop between the two writes leaves a record whose digest is another.
        (data / ENCODER_RECORD).unlink(missing_ok=True)
    with atomic_path(data / FEATURES) as partial:
        with open(partial, "wb") as file:
            _dump(features, file)
        digest = _digest_of_file(partial)
    write_encoder_record(data, encoder_record, len(features), skipped, digest)


def write_encoder_record(data, encoder_record, count, skipped, features_sha256):
    """Writes `features.json` alone, beside a `features.pkl` that stays as it is.

    Args:
        data: pathlib.Path of the data folder.
        encoder_record: dict, from `Encoder.record` or `read_encoder_record`.
        count: int, vectors in `features.pkl`.
        skipped: list of dict, `photo` and `reason` of each photo that could not be read.
        features_sha256: str, from `digest_of_features`.
    """
    record = {
        **encoder_record,
        "count": count,
        "skipped": skipped,
        "features_sha256": features_sha256,
    }
    write_json(data / ENCODER_RECORD, record, FORMAT)


def digest_of_features(data, features=None):
    """Computes the SHA-256 digest that `features.pkl` has, or will have.

    Args:
        data: pathlib.Path of the data folder.
        features: mapping of str -> numpy.ndarray that is to be written, or None for the file as it
            is.

    Returns:
        str, 64 hexadecimal digits, or None where there is no file.
    """
    if features is None:
        path = data / FEATURES
        return _digest_of_file(path) if path.is_file() else None
    digest = hashlib.sha256()
    # A pickler writes to anything that has a method `write`.
    _dump(features, SimpleNamespace(write=digest.update))
    return digest.hexdigest()


def _dump(features, file):
    """Writes the pickle of a dict a vector at a time; `pickle.dump` wants all of them at once."""
    file.write(pickle.PROTO + bytes([PROTOCOL]) + pickle.EMPTY_DICT)
    for identifier, vector in features.items():
        file.write(_step(identifier) + _step(vector) + pickle.SETITEM)
    file.write(pickle.STOP)


def _step(item):
    """Pickles one item, without the header and the end of a pickle of its own."""
    return pickle.dumps(item, protocol=PROTOCOL)[2:-1]


def _digest_of_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_features(data):
    """Reads `features.pkl`.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        dict of str -> numpy.ndarray, float32, (length,): photo identifier -> vector, all of the
        length that `features.json` names.

    Raises:
        UserError: if the file is missing, damaged, holds anything but vectors of finite numbers,
            or does not fit `features.json`.
    """
    remedy = f"run python prepare_photos.py --data {data}"
    path = require(data / FEATURES, f"{remedy} first")
    record = read_encoder_record(data, remedy)
    if record.get("features_sha256", digest := digest_of_features(data)) != digest:
        raise UserError(f"{path} is not the file that {ENCODER_RECORD} describes: {remedy} again")
    return load_features(path, record["length"], remedy)


def load_features(path, length, remedy):
    """Reads a file of vectors without asking what `features.json` says of it.

    Args:
        path: pathlib.Path of the file.
        length: int, numbers in each vector.
        remedy: str, the command to run where the file is damaged.

    Returns:
        dict of str -> numpy.ndarray, float32, (length,): photo identifier -> vector.

    Raises:
        UserError: if the file is damaged or holds anything but vectors of finite numbers.
    """
    try:
        with open(path, "rb") as file:
            features = load_vectors(file, os.fstat(file.fileno()).st_size)
    # A damaged pickle fails in as many ways as there are bytes in it.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}): {remedy} again") from error
    for identifier, vector in features.items():
        fault = _fault_of(vector, length)
        if fault:
            raise UserError(f"{path} is damaged ({identifier!r}: {fault}): {remedy} again")
    return features


def _fault_of(vector, length):
    if vector.shape != (length,):
        return f"shape {vector.shape}, where {ENCODER_RECORD} says ({length},)"
    if not np.isfinite(vector).all():
        return "a number that is not finite"
    return None


def read_encoder_record(folder, remedy):
    """Reads and checks `features.json`.

    Args:
        folder: pathlib.Path of a data or model folder.
        remedy: str, the command to run where the file is missing or damaged.

    Returns:
        dict, as `write_features` wrote it.

    Raises:
        UserError: if the file is missing, damaged, or of another format version.
    """
    path = folder / ENCODER_RECORD
    record = read_json(path, FORMAT, remedy)
    types = {**ENCODER_KEYS, "weights": str}
    wrong = [key for key, kind in types.items() if type(record.get(key)) is not kind]
    if not wrong and record["length"] < 1:
        wrong = ["length"]
    if wrong:
        raise UserError(f"{path} is damaged ({wrong[0]} is missing or wrong): {remedy}")
    return record


def differing_keys(record, other):
    """Lists in what two records of encoders differ that changes the vectors.

    Args:
        record: dict, from `Encoder.record`, or a part of it.
        other: dict, the other one.

    Returns:
        list of str. Of another type of numbers the weights are others too, but those who wonder
        should be told of the type; records that other programs wrote may leave it out.
    """
    keys = (key for key in ("dtype", *ENCODER_KEYS) if key in record and key in other)
    return [key for key in keys if record[key] != other[key]]


def check_same_encoder(record, place, other_record, other_place):
    """Checks that two sets of vectors were made alike.

    Args:
        record: dict, from `read_encoder_record` or `Encoder.record`.
        place: str, where it is from, for the message.
        other_record: dict, the other one.
        other_place: str, where that is from.

    Raises:
        UserError: if they differ in anything that changes the vectors; it names both.
    """
    for key in differing_keys(record, other_record):
        raise UserError(
            f"{place} and {other_place} do not go together: {key} is {record[key]} in the one "
            f"and {other_record[key]} in the other ({record['encoder']} and "
            f"{other_record['encoder']}): use the same encoder and weights for both"
        )
