"""Extracts the features of a folder of photos, and encodes a photo again only if it has changed.

DATA/features-cache/ holds the features with the size and the time of the file that each was made
from, and the hash of each photo. A file is added every few batches, so that a run that is stopped
loses little; the result is put together from all of them, file by file, so that one file at a time
is in memory.

Whatever encodes photos, one process or many, need only add files to the cache by
`write_cache_file`, each of any number of photos in any order and with a number of its own;
`write_result` joins them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioning.cli import UserError, counted
from captioning.features import (
    AUTOMATIC,
    MAPPED_HALF,
    PICKLE,
    choose_form,
    differing_keys,
    features_path,
    read_encoder_record,
    write_features,
    write_mapped_features,
)
from captioning.files import FEATURES_CACHE, photo_id
from captioning.hashes import hash_photo
from captioning.mapped_features import FLOAT16, FLOAT32
from captioning.photos import PhotoError, encode_photos
from captioning.storage import atomic_path

if TYPE_CHECKING:
    from captioning.encoders import Encoder

# The signature of a photo that has gone.
MISSING = "missing"

# Photos that a kill can cost: features are saved whenever there are so many new ones.
PHOTOS_AT_RISK = 256

# Photos of a file of the cache that `write_result` leaves. A few such files are in memory at once;
# features of 4,096 numbers take 67 MB.
PHOTOS_A_FILE = 4096


@dataclass
class FeatureCache:
    """Which photos have features that an earlier run or this one made of them as they are now.

    The features are in the files of the cache. A photo's name is its path below the folder of
    photos; its signature tells whether it changed.
    """

    data: Path  # the data folder, which the caller has locked
    photos: dict[str, Path]  # by name, in the order of the features
    signatures: dict[str, str]  # by name
    encoded: set[str] = field(default_factory=set)  # the names of those photos
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
    paths = (data / FEATURES_CACHE).glob("[0-9]" * 6 + ".npz")
    # Opening a pipe of such a name would wait for ever.
    return sorted(path for path in paths if path.is_file())


def open_cache(data: Path, photos: dict[str, Path]) -> FeatureCache:
    """Reads what earlier runs left."""
    cache = FeatureCache(data, photos, {name: _signature(path) for name, path in photos.items()})
    for path in cache.files():
        try:
            run, _ = _read_file(path)
        # A damaged file fails in zipfile, zlib, NumPy or json, each with errors of its own.
        except Exception:
            cache.damaged.append(path)
            continue
        cache.records[path.parent] = run["record"]
        cache.unreadable.update(run["unreadable"])
        cache.earlier |= run["photos"]
        unchanged = _unchanged(cache, run)
        cache.encoded.update(unchanged)
        cache.hashes |= {name: run["hashes"][name] for name in unchanged if name in run["hashes"]}
    path = features_path(data)
    if not cache.records and path.exists():
        try:
            cache.records[path] = read_encoder_record(data, "")
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


def _unchanged(cache: FeatureCache, run: dict[str, Any]) -> list[str]:
    """Lists the photos of a file that are what they were when it was written."""
    return [
        name for name, made_of in run["photos"].items() if cache.signatures.get(name) == made_of
    ]


def _signature(path: Path) -> str:
    """Returns the size and time of a file, which change when the file does."""
    try:
        status = path.stat()
    except OSError:
        return MISSING
    return f"{status.st_size} {status.st_mtime_ns}"


def check_encoder(cache: FeatureCache, record: dict[str, Any]) -> None:
    """Raises `UserError`, which names both, if another encoder made the earlier features.

    The record is that of the encoder, or as much of it as is known before it is loaded.
    """
    results = (cache.data / FEATURES_CACHE, features_path(cache.data))
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
            waiting[name] = result
            cache.hashes[name] = hashes[path]
        if waiting and (number % portion == 0 or number == len(names)):
            _write_file(cache, record, waiting)
            waiting = {}
    return errors


def _write_file(
    cache: FeatureCache, record: dict[str, Any], features: dict[str, np.ndarray]
) -> None:
    """Adds a file to the cache."""
    files = cache.files()
    number = int(files[-1].stem) + 1 if files else 1
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
    """
    with atomic_path(data / FEATURES_CACHE / f"{number:06d}.npz") as partial:
        np.savez(partial, run=np.array(json.dumps(run)), features=rows)


def write_result(
    cache: FeatureCache, record: dict[str, Any], skipped: dict[str, str], form: str = AUTOMATIC
) -> None:
    """Writes the features and `features.json`, and leaves in the cache as few files as will do.

    Raises:
        UserError: if no photo has features, or those of some have gone from the cache.
    """
    names = [name for name in cache.photos if name in cache.encoded]
    if not names:
        raise UserError(
            f"none of the {counted(len(skipped), 'photo')} of {cache.data} can be read: name "
            "others with --photos"
        )
    # In an order that does not depend on when a photo was tried.
    sorted_skipped = [{"photo": path, "reason": skipped[path]} for path in sorted(skipped)]
    photo_ids = [photo_id(cache.photos[name].name) for name in names]
    numbers = {name: number for number, name in enumerate(names)}
    blocks = (([numbers[name] for name in block], rows) for block, rows in _read_blocks(cache))
    form = choose_form(form, len(names), record["length"])
    if form == PICKLE:
        rows = dict(chain.from_iterable(zip(*block, strict=True) for block in blocks))
        features = {photo: rows[number] for number, photo in enumerate(photo_ids)}
        write_features(cache.data, features, record, sorted_skipped)
    else:
        dtype = FLOAT16 if form == MAPPED_HALF else FLOAT32
        write_mapped_features(cache.data, photo_ids, blocks, dtype, record, sorted_skipped)
    _merge_files(cache, record, names)


def _read_blocks(cache: FeatureCache) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yields names and features of all photos that have some, each once, file by file.

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
        # Of a photo that was encoded twice the last counts.
        wanted = missing.intersection(_unchanged(cache, run))
        places = [place for place, name in enumerate(run["photos"]) if name in wanted]
        yield [name for name in run["photos"] if name in wanted], rows[places]
        missing -= wanted
    if missing:
        raise UserError(
            f"{cache.data / FEATURES_CACHE} has lost the features of "
            f"{counted(len(missing), 'photo')} during this run: run python prepare_photos.py "
            f"--data {cache.data} again"
        )


def _merge_files(cache: FeatureCache, record: dict[str, Any], names: list[str]) -> None:
    """Writes the files of the cache anew if there are more than needed, or any is out of date."""
    files = cache.files()
    needed = -(-len(names) // PHOTOS_A_FILE)
    # What was added may be gone again: someone may have removed the folder meanwhile.
    current = {name: cache.signatures[name] for name in names}
    if len(files) == needed and cache.earlier == current:
        return
    waiting = {}
    for block, rows in _read_blocks(cache):
        waiting |= zip(block, rows, strict=True)
        while len(waiting) >= PHOTOS_A_FILE:
            portion = [waiting.popitem() for _ in range(PHOTOS_A_FILE)]
            _write_file(cache, record, dict(portion))
    if waiting:
        _write_file(cache, record, waiting)
    # A killed run leaves the file that it was writing.
    for path in [*files, *(cache.data / FEATURES_CACHE).glob(".partial-*")]:
        path.unlink(missing_ok=True)
