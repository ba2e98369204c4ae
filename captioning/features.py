"""Writes and reads the photos' vectors, and what made them."""

import io
import pickle

import numpy as np

from captioning.command_line import UserError
from captioning.files import ENCODER_RECORD, FEATURES, read_json, require, write_json, written_whole

FORMAT = 1

# Two sets of vectors may be used together only where all of these agree; the type of each.
ENCODER_KEYS = {
    "encoder": str,
    "layer": str,
    "weights_sha256": str,
    "input_size": list,
    "resizing": str,
    "length": int,
}

# All that a pickle of a dict of NumPy arrays names, as NumPy 1 and NumPy 2 write it.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


class _FeaturesUnpickler(pickle.Unpickler):
    """Builds dicts, strings and arrays only: an ordinary unpickler runs what a stranger wrote."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is no vector")
        return super().find_class(module, name)


def write_features(data, features, encoder_record, skipped):
    """Writes `features.pkl` and `features.json`.

    Args:
        data: pathlib.Path of the data folder.
        features: dict of str -> numpy.ndarray, float32, (length,): photo identifier -> vector.
        encoder_record: dict, from `Encoder.record`.
        skipped: list of dict, `photo` and `reason` of each photo that could not be read.
    """
    # Without its record no vector is used, so that a stop between the two writes cannot leave new
    # vectors beside the record of others.
    (data / ENCODER_RECORD).unlink(missing_ok=True)
    with written_whole(data / FEATURES) as partial, open(partial, "wb") as file:
        pickle.dump(features, file, protocol=4)
    record = {"format": FORMAT, **encoder_record, "count": len(features), "skipped": skipped}
    write_json(data / ENCODER_RECORD, record)


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
    length = read_encoder_record(data, remedy)["length"]
    try:
        features = _FeaturesUnpickler(io.BytesIO(path.read_bytes())).load()
    # A damaged pickle fails in as many ways as there are bytes in it.
    except Exception as error:
        raise UserError(f"{path} cannot be read ({error}): {remedy} again") from error
    if not isinstance(features, dict) or not features:
        raise UserError(f"{path} holds no dict of vectors: {remedy} again")
    for identifier, vector in features.items():
        fault = _fault_of(identifier, vector, length)
        if fault:
            raise UserError(f"{path} is damaged ({identifier!r}: {fault}): {remedy} again")
    return features


def _fault_of(identifier, vector, length):
    if not isinstance(identifier, str):
        return "an identifier that is no text"
    if not isinstance(vector, np.ndarray) or vector.dtype != np.float32:
        return "no float32 array"
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
    record = read_json(path, remedy)
    if record.get("format") != FORMAT:
        raise UserError(f"{path} has format {record.get('format')}, not {FORMAT}: {remedy}")
    types = {**ENCODER_KEYS, "weights": str}
    wrong = [key for key, kind in types.items() if type(record.get(key)) is not kind]
    if not wrong and record["length"] < 1:
        wrong = ["length"]
    if wrong:
        raise UserError(f"{path} is damaged ({wrong[0]} is missing or wrong): {remedy}")
    return record


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
    for key in ENCODER_KEYS:
        if record[key] != other_record[key]:
            raise UserError(
                f"{place} and {other_place} do not go together: {key} is {record[key]} in the one "
                f"and {other_record[key]} in the other ({record['encoder']} and "
                f"{other_record['encoder']}): use the same encoder and weights for both"
            )
