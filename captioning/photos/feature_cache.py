"""The cache of features: what earlier runs and this one encoded, and what each was made from.

DATA/features-cache/ holds the features with the size and the time of the file that each was made
from, and the hash of each photo. A file is added every few batches, so that a run that is stopped
loses little; the files are read one by one, so that one at a time is in memory.

Whatever encodes photos, one process or many, need only add files by `write_cache_file`, each of any
number of photos in any order and with a number of its own; `extraction.write_result` joins them.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from captioning.cli import UserError, counted, quoted
from captioning.old import FEATURES_CACHE, atomic_path, open_arrays, photo_id
from captioning.photos.features import (
    EncoderRecord,
    differing_keys,
    features_path,
    read_encoder_record,
)
from captioning.photos.hashes import HASH_SIZE
from captioning.photos.remote_photos import RemotePhoto

# The signature of a photo that has gone.
MISSING = "missing"

# The digits of a hash.
_HASH = re.compile(f"[0-9a-f]{{{HASH_SIZE * HASH_SIZE // 4}}}")


@dataclass
class FeatureCache:
    """Which photos have features that an earlier run or this one made of them as they are now.

    The features are in the files of the cache. A photo's name is its path below the folder of
    photos; its signature tells whether it changed.
    """

    data: Path  # the data folder, which the caller has locked
    photos: dict[str, Path | RemotePhoto]  # by name, in the order of the features
    signatures: dict[str, str]  # by name
    encoded: set[str] = field(default_factory=set)  # the names of those photos
    hashes: dict[str, str] = field(default_factory=dict)  # of those, but not of all old ones
    earlier: dict[str, str] = field(default_factory=dict)  # the signatures in earlier runs
    unreadable: set[str] = field(default_factory=set)  # in earlier runs
    records: dict[Path, EncoderRecord] = field(default_factory=dict)  # of encoders, by file
    damaged: list[Path] = field(default_factory=list)

    def files(self) -> list[Path]:
        """Lists the files of the cache, oldest first."""
        return _cache_files(self.data)

    def missing(self) -> list[str]:
        """Lists the photos that have no features yet, those that were unreadable before last.

        In this order the batches of a resumed run are those of an undisturbed one.
        """
        names = [name for name in self.photos if name not in self.encoded]
        return sorted(names, key=lambda name: name in self.unreadable)

    def summary(self) -> str:
        """Says how many photos were added, have changed or are gone since the earlier runs."""
        known = [name for name in self.encoded if name in self.earlier]
        kept = sum(self.earlier[name] == self.signatures[name] for name in known)
        gone = sum(name not in self.encoded for name in self.earlier)
        return (
            f"{counted(len(self.encoded) - len(known), 'photo')} added, "
            f"{len(known) - kept:,d} changed, "
            f"{gone:,d} gone, {kept:,d} unchanged"
        )


def _cache_files(data: Path) -> list[Path]:
    # Opening a pipe of such a name would wait for ever.
    return [path for path in _numbered(data) if path.is_file()]


def _numbered(data: Path) -> list[Path]:
    """Lists what has the name of a file of the cache, whatever it is, by its number."""
    paths = (data / FEATURES_CACHE).glob("[0-9]" * 6 + "*.npz")
    return sorted(
        (path for path in paths if path.stem.isdecimal()), key=lambda path: int(path.stem)
    )


def open_cache(data: Path, photos: dict[str, Path | RemotePhoto]) -> FeatureCache:
    """Reads what earlier runs left.

    Raises:
        UserError: if something else has the name of the cache.
    """
    folder = data / FEATURES_CACHE
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(
            f"{folder} is no folder: remove it and run python prepare_photos.py --data "
            f"{quoted(data)}"
        )
    cache = FeatureCache(data, photos, {name: _signature(path) for name, path in photos.items()})
    for path in cache.files():
        try:
            run, _ = _read_file(path)
        # A damaged file fails in zipfile, zlib, NumPy or json, each with errors of its own.
        except Exception:
            cache.damaged.append(path)
            continue
        cache.records[path] = run["record"]
        cache.unreadable.update(run["unreadable"])
        cache.earlier |= run["photos"]
        unchanged = _unchanged(cache, run)
        cache.encoded.update(unchanged)
        hashes = run["hashes"]
        cache.hashes |= {name: hashes[name] for name in unchanged if name in hashes}
    path = features_path(data)
    if not cache.records and path.exists():
        try:
            cache.records[path] = read_encoder_record(data)
        except UserError:
            # What made these features is unknown, so they are made anew.
            return cache
    return cache


def _read_file(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    with open_arrays(path) as file:
        run, rows = _read_run(file), file["features"]
    # A shape that damage made smaller leaves a rest unread, and the archive's checksum unchecked.
    if rows.shape != (len(run["photos"]), run["record"].length) or rows.dtype != np.float32:
        raise ValueError(f"{path} does not hold the features that it describes")
    return run, rows


def _read_run(file: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Reads what a file says of its features.

    Raises:
        ValueError: if it is not what `write_cache_file` wrote.
    """
    # Earlier versions made no hashes.
    run = {"hashes": {}, **json.loads(str(file["run"]))}
    photos, hashes = run["photos"], run["hashes"]
    run["record"] = msgspec.convert(run["record"], EncoderRecord)
    is_ours = (
        all(isinstance(texts, dict) for texts in (photos, hashes))
        and all(isinstance(text, str) for text in (*photos.values(), *run["unreadable"]))
        and all(_HASH.fullmatch(digits) for digits in hashes.values())
    )
    if not is_ours:
        raise ValueError("it holds no record of features")
    return run


def read_hashes(data: Path) -> dict[str, str | None]:
    """Reads the hash of each photo in the cache: photo id -> hash, or None if it was not made."""
    hashes = {}
    for path in _cache_files(data):
        try:
            with open_arrays(path) as file:
                run = _read_run(file)
        # As in `open_cache`.
        except Exception:
            continue
        for name in run["photos"]:
            hashes[photo_id(Path(name).name)] = run["hashes"].get(name)
    return hashes


def _unchanged(cache: FeatureCache, run: dict[str, Any]) -> list[str]:
    """Lists the photos of a file that are what they were when it was written."""
    return [
        name for name, made_of in run["photos"].items() if cache.signatures.get(name) == made_of
    ]


def _signature(path: Path | RemotePhoto) -> str:
    """Returns the size and time of a file, which change when the file does."""
    if isinstance(path, RemotePhoto):
        return path.signature
    try:
        status = path.stat()
    except OSError:
        return MISSING
    return f"{status.st_size} {status.st_mtime_ns}"


def add_to_cache(
    cache: FeatureCache, record: EncoderRecord, features: dict[str, np.ndarray]
) -> None:
    """Adds a file of some photos to the cache."""
    numbered = _numbered(cache.data)
    number = int(numbered[-1].stem) + 1 if numbered else 1
    run = {
        "record": record,
        "photos": {name: cache.signatures[name] for name in features},
        "hashes": {name: cache.hashes[name] for name in features if name in cache.hashes},
        "unreadable": sorted(cache.unreadable.difference(cache.encoded, features)),
    }
    write_cache_file(cache.data, number, run, np.stack(list(features.values())))
    cache.encoded.update(features)


def write_cache_file(data: Path, number: int, run: dict[str, Any], rows: np.ndarray) -> None:
    """Writes a file of the cache.

    Args:
        data: the data folder.
        number: that of the file; where two files have features of a photo, the higher counts.
        run: `record`, of the encoder; `photos`, the signature of each by name, in the order of the
            rows; and `unreadable`, the names of photos that could not be read.
        rows: the features, float32, (photos, length).

    Raises:
        UserError: if the data folder has gone.
    """
    check_data(data)
    with atomic_path(data / FEATURES_CACHE / f"{number:06d}.npz") as partial:
        np.savez(partial, run=np.array(msgspec.json.encode(run).decode()), features=rows)


def check_data(data: Path) -> None:
    """Raises `UserError` if the data folder has gone; what is written would lie in a new one."""
    if not data.is_dir():
        raise UserError(
            f"{data} was moved or removed during this run: put it there again, and run "
            f"python prepare_photos.py --data {quoted(data)} again"
        )


def read_blocks(
    cache: FeatureCache, record: EncoderRecord
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yields names and features of all photos that have some, each once, file by file.

    Files of features that another encoder made than that of the record are left out.

    Raises:
        UserError: if features that the files had are no longer there.
    """
    missing = set(cache.encoded)
    for path in reversed(cache.files()):
        try:
            run, rows = _read_file(path)
        # As above; what is lost by it is counted.
        except Exception:
            continue
        if differing_keys(record, run["record"]):
            continue
        # Of a photo that was encoded twice the last counts.
        wanted = missing.intersection(_unchanged(cache, run))
        places = [place for place, name in enumerate(run["photos"]) if name in wanted]
        yield [name for name in run["photos"] if name in wanted], rows[places]
        missing -= wanted
    if missing:
        raise UserError(
            f"{cache.data / FEATURES_CACHE} has lost the features of "
            f"{counted(len(missing), 'photo')} during this run: run python prepare_photos.py "
            f"--data {quoted(cache.data)} again"
        )
