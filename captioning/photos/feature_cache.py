"""The cache of features: what earlier runs and this one encoded, and what each was made from.

A run that is stopped loses the photos since the last commit. Commits come after whole batches, so
that a resumed run makes the same batches, and to the last bit the same features, as any other.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from captioning.cli import UserError, counted, quoted
from captioning.files import FEATURES_CACHE, photo_id, require
from captioning.photos.features import (
    EncoderRecord,
    SkippedPhoto,
    check_same_encoder,
    write_features,
)
from captioning.photos.reading import Photo, PhotoError, read_photo

# Photos that a kill can cost.
PHOTOS_AT_RISK = 256

# A name need not be UTF-8; `made_of` is the size and the time of the file. Without features, a
# photo could not be read.
_TABLES = """
CREATE TABLE IF NOT EXISTS encoder (record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS photos (
    name BLOB PRIMARY KEY, made_of TEXT NOT NULL, hash TEXT NOT NULL, features BLOB, crc INTEGER
);
"""


class FeatureCache:
    """Which photos have features that were made of them as they are now, and those features.

    A photo's name is its path below the folder of photos. `open_cache` makes it.
    """

    def __init__(self, connection: sqlite3.Connection, data: Path, photos: Mapping[str, Path]):
        self.data = data
        self.photos = photos  # by name, in the order of the features
        self.made_of = {name: _made_of(path) for name, path in photos.items()}
        self.encoded: set[str] = set()  # names of those photos
        self.earlier: dict[str, str] = {}  # what each was made of in earlier runs
        self.unreadable: set[str] = set()  # in earlier runs
        self.damaged = 0  # rows
        self._connection = connection
        record = connection.execute("SELECT record FROM encoder").fetchone()
        self.record = msgspec.json.decode(record[0], type=EncoderRecord) if record else None
        for name, made_of, digits, features, crc in connection.execute("SELECT * FROM photos"):
            if crc != _crc(name, made_of, digits, features):
                self.damaged += 1
            elif features is None:
                self.unreadable.add(os.fsdecode(name))
            else:
                self.earlier[os.fsdecode(name)] = made_of
        self.encoded = {
            name for name, made_of in self.earlier.items() if self.made_of.get(name) == made_of
        }

    def missing(self, skipped: dict[str, str]) -> list[str]:
        """Lists the photos to encode; of those that no earlier run could read, what now can be.

        These come last, so that the batches of a resumed run are those of an undisturbed one; the
        paths of the others are added to `skipped` with why. What prevented the reading, say a
        permission, may leave no trace in a file's size and time.
        """
        again = []
        for name in filter(self.unreadable.__contains__, self.photos):
            try:
                read_photo(self.photos[name], size=(1, 1))
                again.append(name)
            except PhotoError as error:
                skipped[str(self.photos[name])] = str(error)
        known = self.encoded | self.unreadable
        return [name for name in self.photos if name not in known] + again

    def check_encoder(self, record: EncoderRecord) -> None:
        """Raises `UserError`, which names both, if another encoder made the features."""
        if self.record:
            path = self.data / FEATURES_CACHE
            asked = f"--encoder {record.encoder} --weights {record.weights}"
            remedy = f", or remove {path} to begin anew"
            check_same_encoder(self.record, path, record, asked, remedy)

    def summary(self) -> str:
        """Says how many photos were added, have changed or are gone since the earlier runs."""
        known = [name for name in self.encoded if name in self.earlier]
        kept = sum(self.earlier[name] == self.made_of[name] for name in known)
        gone = sum(name not in self.encoded for name in self.earlier)
        return (
            f"{counted(len(self.encoded) - len(known), 'photo')} added, "
            f"{len(known) - kept:,d} changed, {gone:,d} gone, {kept:,d} unchanged"
        )

    def add(
        self,
        names: Sequence[str],
        results: Iterable[tuple[Photo, np.ndarray | PhotoError, str]],
        record: EncoderRecord,
        batch_size: int,
    ) -> dict[str, str]:
        """Keeps what was made of photos; returns the paths of the unreadable ones, and why.

        The results are photos in the order of their names, each with its features or an error, and
        its hash.
        """
        errors = {}
        if not self.record:
            text = msgspec.json.encode(record).decode()
            self._connection.execute("INSERT INTO encoder VALUES (?)", (text,))
        portion = max(1, PHOTOS_AT_RISK // batch_size) * batch_size
        pairs = zip(names, results, strict=True)
        for count, (name, (path, result, digits)) in enumerate(pairs, 1):
            features = None
            if isinstance(result, PhotoError):
                errors[str(path)] = str(result)
            else:
                features = result.astype("<f4").tobytes()
                self.encoded.add(name)
            row = os.fsencode(name), self.made_of[name], digits, features
            command = "REPLACE INTO photos VALUES (?, ?, ?, ?, ?)"
            self._connection.execute(command, (*row, _crc(*row)))
            if count % portion == 0:
                self._connection.commit()
        self._connection.commit()
        return errors

    def write_features(self, record: EncoderRecord, skipped: dict[str, str], form: str) -> None:
        """Writes the features of all photos that have some, and forgets photos that have gone."""
        names = [name for name in self.photos if name in self.encoded]
        if not names:
            raise UserError(
                f"none of the {counted(len(skipped), 'photo')} of {self.data} can be read: name "
                "others with --photos"
            )
        # A data folder that was moved meanwhile has its cache; a new one should not be made.
        require(self.data / FEATURES_CACHE)
        query = "SELECT features FROM photos WHERE name = ?"
        rows = (self._connection.execute(query, (os.fsencode(name),)) for name in names)
        features = (np.frombuffer(row.fetchone()[0], "<f4") for row in rows)
        photo_ids = [photo_id(self.photos[name].name) for name in names]
        # In an order that does not depend on when a photo was tried.
        in_order = tuple(SkippedPhoto(path, skipped[path]) for path in sorted(skipped))
        record = msgspec.structs.replace(record, skipped=in_order)
        write_features(self.data, photo_ids, features, record, form)
        gone = [(os.fsencode(name),) for name in self.earlier if name not in self.photos]
        self._connection.executemany("DELETE FROM photos WHERE name = ?", gone)
        self._connection.commit()


@contextlib.contextmanager
def open_cache(data: Path, photos: Mapping[str, Path]) -> Iterator[FeatureCache]:
    """Opens the cache of a data folder that the caller has locked."""
    with _connected(data) as connection:
        connection.executescript(_TABLES)
        yield FeatureCache(connection, data, photos)


@contextlib.contextmanager
def _connected(data: Path) -> Iterator[sqlite3.Connection]:
    """Connects with the file, and says in one sentence what is wrong with it."""
    path = data / FEATURES_CACHE
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            yield connection
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise UserError(
            f"{path} cannot be used ({error}): make room or allow it or, where it is damaged, "
            f"remove it, and run python prepare_photos.py --data {quoted(data)} again"
        ) from error


def read_hashes(data: Path) -> dict[str, str | None]:
    """Reads the hash of each photo in the cache: photo id -> hash, or None if it has none."""
    if not (data / FEATURES_CACHE).is_file():
        return {}
    with _connected(data) as connection:
        rows = connection.execute("SELECT name, hash FROM photos WHERE features IS NOT NULL")
        return {photo_id(os.fsdecode(name)): digits or None for name, digits in rows}


def _made_of(path: Path) -> str:
    """Returns the size and time of a file, or what else tells that it has changed."""
    try:
        if not isinstance(path, Path):
            return path.fs.ukey(path.path)
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


def _crc(name: bytes, made_of: str, digits: str, features: bytes | None) -> int:
    return zlib.crc32(features or b"", zlib.crc32(name + f" {made_of} {digits}".encode()))
