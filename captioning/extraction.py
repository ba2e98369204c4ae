"""Extracts the features of a folder of photos, and encodes a photo again only if it has changed.

DATA/features-cache/ holds the features with the size and the time of the file that each was made
from, and the hash of each photo. A file is added every few batches, so that a run that is stopped
loses little; features.pkl is put together from all of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioning.cli import UserError, counted
from captioning.features import differing_keys, read_encoder_record, write_features
from captioning.files import FEATURES, FEATURES_CACHE, photo_id
from captioning.hashes import hash_photo
from captioning.photos import PhotoError, encode_photos
from captioning.storage import atomic_path

if TYPE_CHECKING:
    from captioning.encoders import Encoder

# Photos that a kill can cost: features are saved whenever there are so many new ones.
PHOTOS_AT_RISK = 256


@dataclass
class FeatureCache:
    """The features of photos that have not changed since an earlier run, and those made since.

    A photo's name is its path below the folder of photos; its signature tells whether it changed.
    """

    data: Path  # the data folder, which the caller has locked
    photos: dict[str, Path]  # by name, in the order of features.pkl
    signatures: dict[str, str]  # by name
    features: dict[str, np.ndarray] = field(default_factory=dict)  # name -> (length,), float32
    hashes: dict[str, str] = field(default_factory=dict)  # of those, but not of all old ones
    earlier: dict[str, str] = field(default_factory=dict)  # the signatures in earlier runs
    unreadable: set[str] = field(default_factory=set)  # in earlier runs
    records: dict[Path, dict[str, Any]] = field(default_factory=dict)  # of encoders, by file
    damaged: list[Path] = field(default_factory=list)

    def files(self) -> list[Path]:
        """Lists the files of the cache, oldest first."""
        return _cache_files(self.data)

    def missing(self) -> list[str]:
        """Lists the photos that have no features yet, those that were unreadable before last.

        In this order the batches of a resumed run are those of an undisturbed one.
        """
        names = [name for name in self.photos if name not in self.features]
        return sorted(names, key=lambda name: name in self.unreadable)

    def summary(self) -> str:
        """Says how many photos were added, have changed or are gone since the earlier runs."""
        known = [name for name in self.features if name in self.earlier]
        kept = sum(self.earlier[name] == self.signatures[name] for name in known)
        gone = sum(name not in self.features for name in self.earlier)
        return (
            f"{counted(len(self.features) - len(known), 'photo')} added, "
            f"{len(known) - kept:,d} changed, "
            f"{gone:,d} gone, {kept:,d} unchanged"
        )


def _cache_files(data: Path) -> list[Path]:
    paths = (data / FEATURES_CACHE).glob("[0-9]" * 6 + ".npz")
    # Opening a pipe of such a name would wait for ever.
    return sorted(path for path in paths if path.is_file())


def open_cache(data: Path, photos: dict[str, Path]) -> FeatureCache:
    """Reads what earlier runs left."""
    cache = FeatureCache(data, photos, {name: _signature(path) for name, path in photos.items()})
    for path in cache.files():
        try:
            run, rows = _read_file(path)
        # A damaged file fails in zipfile, zlib, NumPy or json, each with errors of its own.
        except Exception:
            cache.damaged.append(path)
            continue
        cache.records[path.parent] = run["record"]
        cache.unreadable.update(run["unreadable"])
        for (name, signature), row in zip(run["photos"].items(), rows, strict=True):
            cache.earlier[name] = signature
            if cache.signatures.get(name) == signature:
                cache.features[name] = row
                if name in run["hashes"]:
                    cache.hashes[name] = run["hashes"][name]
    if not cache.records and (data / FEATURES).exists():
        try:
            cache.records[data / FEATURES] = read_encoder_record(data, "")
        except UserError:
            # What made these features is unknown, so they are made anew.
            return cache
    return cache


def _read_file(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        run, rows = _read_run(file), file["features"]
    # A shape that damage made smaller leaves a rest unread, and the archive's checksum unchecked.
    if rows.shape != (len(run["photos"]), run["record"]["length"]) or rows.dtype != np.float32:
        raise ValueError(f"{path} does not hold the features that it describes")
    return run, rows


def _read_run(file: Mapping[str, np.ndarray]) -> dict[str, Any]:
    run = json.loads(str(file["run"]))
    # Earlier versions made no hashes.
    return {"hashes": {}, **run}


def read_hashes(data: Path) -> dict[str, str | None]:
    """Reads the hash of each photo in the cache: photo id -> hash, or None if it was not made."""
    hashes = {}
    for path in _cache_files(data):
        try:
            with np.load(path, allow_pickle=False) as file:
                run = _read_run(file)
        # As in `open_cache`.
        except Exception:
            continue
        for name in run["photos"]:
            hashes[photo_id(Path(name).name)] = run["hashes"].get(name)
    return hashes


def _signature(path: Path) -> str:
    """Returns the size and time of a file, which change when the file does."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


def check_encoder(cache: FeatureCache, record: dict[str, Any]) -> None:
    """Raises `UserError`, which names both, if another encoder made the earlier features.

    The record is that of the encoder, or as much of it as is known before it is loaded.
    """
    results = (cache.data / FEATURES_CACHE, cache.data / FEATURES)
    remove = " and ".join(str(path) for path in results if path.exists())
    for place, other in cache.records.items():
        for key in differing_keys(record, other):
            raise UserError(
                f"{place} holds features of {other['encoder']} with weights {other['weights']}, "
                f"not of {record['encoder']} with weights {record['weights']} ({key} is "
                f"{other[key]} there and {record[key]} here), and they must not be mixed: name the "
                f"former with --encoder and --weights, or remove {remove} to begin anew"
            )


def encode_missing(
    cache: FeatureCache, names: list[str], encoder: "Encoder", batch_size: int
) -> dict[str, str]:
    """Encodes photos; returns the paths of those that cannot be read, with the reasons.

    Whole batches are added to the cache, so that a resumed run makes the same batches, and to the
    last bit the same features, as an undisturbed one.
    """
    record, errors, waiting = encoder.record(), {}, {}
    portion = max(1, PHOTOS_AT_RISK // batch_size) * batch_size
    paths = [cache.photos[name] for name in names]
    hashes: dict[Path, str] = {}

    def keep_hash(path: Path, pixels: np.ndarray) -> None:
        hashes[path] = hash_photo(pixels)

    results = encode_photos(paths, encoder, batch_size, keep_hash)
    for number, (name, (path, result)) in enumerate(zip(names, results, strict=True), 1):
        if isinstance(result, PhotoError):
            errors[str(path)] = str(result)
            cache.unreadable.add(name)
        else:
            cache.features[name] = waiting[name] = result
            cache.hashes[name] = hashes[path]
        if waiting and (number % portion == 0 or number == len(names)):
            _write_file(cache, record, waiting)
            waiting = {}
    return errors


def _write_file(
    cache: FeatureCache, record: dict[str, Any], features: dict[str, np.ndarray]
) -> None:
    files = cache.files()
    number = int(files[-1].stem) + 1 if files else 1
    run = {
        "record": record,
        "photos": {name: cache.signatures[name] for name in features},
        "hashes": {name: cache.hashes[name] for name in features if name in cache.hashes},
        "unreadable": sorted(cache.unreadable.difference(cache.features)),
    }
    with atomic_path(cache.data / FEATURES_CACHE / f"{number:06d}.npz") as partial:
        rows = np.stack(list(features.values()))
        np.savez(partial, run=np.array(json.dumps(run)), features=rows)


def write_result(cache: FeatureCache, record: dict[str, Any], skipped: dict[str, str]) -> None:
    """Writes `features.pkl` and `features.json`, and leaves one file in the cache.

    Raises:
        UserError: if no photo has features.
    """
    features = {name: cache.features[name] for name in cache.photos if name in cache.features}
    if not features:
        raise UserError(
            f"none of the {counted(len(skipped), 'photo')} of {cache.data} can be read: name "
            "others with --photos"
        )
    by_id = {photo_id(cache.photos[name].name): row for name, row in features.items()}
    # In an order that does not depend on when a photo was tried.
    sorted_skipped = [{"photo": path, "reason": skipped[path]} for path in sorted(skipped)]
    write_features(cache.data, by_id, record, sorted_skipped)
    files = cache.files()
    # What was added may be gone again: someone may have removed the folder meanwhile.
    if len(files) != 1 or cache.earlier != {name: cache.signatures[name] for name in features}:
        _write_file(cache, record, features)
        # A killed run leaves the file that it was writing.
        for path in [*files, *(cache.data / FEATURES_CACHE).glob(".partial-*")]:
            path.unlink()
