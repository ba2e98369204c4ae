"""The cache of features: what earlier runs and this one encoded, and what each was made from.

A run that is stopped loses the photos since the last commit. Commits come after whole batches, so
that a resumed run makes the same batches, and to the last bit the same features, as any other.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from captioning.cli import UserError, quoted
from captioning.files import FEATURES_CACHE
from captioning.photos import features, listing
from captioning.photos.features import EncoderRecord
from captioning.photos.reading import PhotoError

# Photos that a kill can cost.
PHOTOS_AT_RISK = 256

# A photo's id need not be UTF-8; `made_of` is the size and the time of its file. Without features,
# it could not be read.
_TABLES = """
CREATE TABLE IF NOT EXISTS encoder (record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS photos (
    id BLOB PRIMARY KEY, made_of TEXT NOT NULL, hash TEXT NOT NULL, features BLOB, crc INTEGER
);
"""


class FeatureCache:
    """Which photos have features that were made of them as they are now, and those features."""

    def __init__(self, data: Path, connection: sqlite3.Connection, photos: Mapping[str, Path]):
        self._data, self._database = data, connection
        self._photos = photos  # by photo id, in the order of the features
        record = connection.execute("SELECT record FROM encoder").fetchone()
        self.record = msgspec.json.decode(record[0], type=EncoderRecord) if record else None
        self.earlier: dict[str, str] = {}  # ids of encoded photos -> what each was made of
        unreadable = set()
        for photo, made_of, digits, row, crc in connection.execute("SELECT * FROM photos"):
            if crc != _crc(photo, made_of, digits, row):
                continue
            if row is None:
                unreadable.add(os.fsdecode(photo))
            else:
                self.earlier[os.fsdecode(photo)] = made_of
        self._made_of = {photo: listing.file_stamp(path) for photo, path in photos.items()}
        self.encoded = dict(self.earlier.items() & self._made_of.items())
        # Unreadable photos are retried last, so that the others form the same batches as in an
        # undisturbed run.
        missing = (photo for photo in photos if photo not in self.encoded)
        self.missing = sorted(missing, key=unreadable.__contains__)

    def check_encoder(self, record: EncoderRecord) -> None:
        """Raises `UserError`, which names both, if another encoder made the features."""
        if self.record:
            path = f"{self._data / FEATURES_CACHE} (remove it to begin anew)"
            asked = f"--encoder {record.encoder} --weights {record.weights}"
            features.check_same_encoder(self.record, path, record, asked)

    def add(self, results: Iterable[tuple], record: EncoderRecord, batch_size: int) -> dict:
        """Keeps what was made of the missing photos; returns the paths of the bad ones, and why.

        A result is the path of a photo, its features or `PhotoError`, and its hash.
        """
        errors, pairs = {}, zip(self.missing, results, strict=True)
        if not self.record:
            self._database.execute("INSERT INTO encoder VALUES (?)", (msgspec.json.encode(record),))
        portion = max(1, PHOTOS_AT_RISK // batch_size) * batch_size
        while encoded := list(islice(pairs, portion)):
            rows = []
            for photo, (path, result, digits) in encoded:
                made_of, row, name = self._made_of[photo], None, os.fsencode(photo)
                if isinstance(result, PhotoError):
                    errors[str(path)] = str(result)
                else:
                    self.encoded[photo], row = made_of, result.astype("<f4").tobytes()
                rows.append((name, made_of, digits, row, _crc(name, made_of, digits, row)))
            # At once: while SQLite writes, nobody else can read.
            with self._database:
                self._database.executemany("REPLACE INTO photos VALUES (?, ?, ?, ?, ?)", rows)
        return errors

    def write_features(self, record: EncoderRecord, skipped: dict[str, str], form: str) -> None:
        """Writes the features of all photos that have some, and forgets photos that have gone."""
        photo_ids = [photo for photo in self._photos if photo in self.encoded]
        if not photo_ids:
            raise UserError(f"no photo of {self._data} can be read: name others with --photos")
        query = "SELECT features FROM photos WHERE id = ?"
        found = (self._database.execute(query, (os.fsencode(photo),)) for photo in photo_ids)
        rows = (np.frombuffer(row.fetchone()[0], "<f4") for row in found)
        # In an order that does not depend on when a photo was tried.
        in_order = tuple({"photo": x, "reason": skipped[x]} for x in sorted(skipped))
        record = msgspec.structs.replace(record, skipped=in_order)
        features.write_features(self._data, photo_ids, rows, record, form)
        known = self._database.execute("SELECT id FROM photos").fetchall()
        gone = [photo for photo in known if os.fsdecode(*photo) not in self._photos]
        with self._database:
            self._database.executemany("DELETE FROM photos WHERE id = ?", gone)


@contextlib.contextmanager
def connected(data: Path) -> Iterator[sqlite3.Connection]:
    """Connects with the file of a data folder, and says in one sentence what is wrong with it."""
    path = data / FEATURES_CACHE
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(_TABLES)
            yield connection
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise UserError(
            f"{path} cannot be used ({error}): make room or allow it or, where it is damaged, "
            f"remove it, and run python prepare_photos.py --data {quoted(data)} again"
        ) from error


def read_hashes(data: Path) -> dict[str, str]:
    """Reads the hash of each photo in the cache: photo id -> hash."""
    if not (data / FEATURES_CACHE).is_file():
        return {}
    with connected(data) as connection:
        rows = connection.execute("SELECT id, hash FROM photos WHERE features IS NOT NULL")
        return {os.fsdecode(photo): digits for photo, digits in rows}


def _crc(photo: bytes, made_of: str, digits: str, row: bytes | None) -> int:
    return zlib.crc32(row or b"", zlib.crc32(photo + f" {made_of} {digits}".encode()))
