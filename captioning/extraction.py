"""Keeps vectors over stops and changes: what each was made from, and those of a stopped run.

DATA/features-photos.json says of every vector in features.pkl which file it was made from, and that
file's size and time. DATA/unfinished-features/ holds the vectors of a run that has not ended, a
file for every 256 photos or fewer; captioning/chunks.py says what is in them.
"""

import shutil
from dataclasses import dataclass

import numpy as np

from captioning.chunks import CHUNKS, VectorsOnDisk, read_chunk, write_chunk
from captioning.cli import UserError
from captioning.features import (
    differing_keys,
    digest_of_features,
    load_features,
    read_encoder_record,
    write_encoder_record,
    write_features,
)
from captioning.files import FEATURES, PHOTO_TABLE, PHOTOS, UNFINISHED_FEATURES, photo_id
from captioning.photos import PhotoError
from captioning.storage import read_json, write_json

FORMAT = 1

# What is lost at most when a run is killed.
PHOTOS_AT_RISK = 256


def signature(path):
    """Returns what tells a file from the one that was there before: its size and time.

    Args:
        path: pathlib.Path of a photo.

    Returns:
        str, bytes and nanoseconds, or None where there is no such file.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_size} {status.st_mtime_ns}"


@dataclass
class Changes:
    """How the photos differ from those of the last finished run, in numbers.

    Args:
        added: int, photos that had no vector.
        changed: int, photos whose file is another.
        gone: int, vectors whose photo is no longer there, or can no longer be read.
        kept: int, vectors that are as before.
    """

    added: int
    changed: int
    gone: int
    kept: int


class VectorKeeper:
    """Finds the vectors that earlier runs left, and keeps those of this run as they come.

    Args:
        data: pathlib.Path of the data folder, which the caller has locked.
        photos: dict of str -> pathlib.Path, in the order that `features.pkl` shall have: where a
            photo lies below the folder of photos, and the same from here.

    Attributes:
        table: dict that says what the vectors in `features.pkl` were made from, or None.
        record: dict, the encoder's record of the vectors that are there already, or None.
        failed: set of str, photos that an earlier run could not read.
        damaged: list of pathlib.Path, files of the unfinished run that are of no use.
        found: int, photos whose vectors an unfinished run left.
    """

    def __init__(self, data, photos):
        self.data = data
        self.photos = photos
        self._folder = data / UNFINISHED_FEATURES
        self._signatures = {name: signature(path) for name, path in photos.items()}
        self.table = self._read_table()
        self._finished = self.table["photos"] if self.table else {}
        self.failed = set(self.table["unreadable"] if self.table else [])
        self._made_by = self._finished_record()
        self._stored = {}
        self.damaged = []
        for path in sorted(self._folder.glob(CHUNKS)):
            self._take_chunk(path)
        self.record = self._made_by[0][1] if self._made_by else None
        self.found = len(self._stored)

    def _read_table(self):
        digest = digest_of_features(self.data)
        # A run that was killed at its very end has left the new table among the unfinished; whether
        # the vectors have come to their place, the digest tells.
        for folder in (self.data, self._folder):
            try:
                table = read_json(folder / PHOTO_TABLE, FORMAT, "")
            except UserError:
                continue
            if table.get("features_sha256") == digest:
                return table
        return None

    def _finished_record(self):
        """Lists `features.pkl` with what made it, if it is there and that can be known."""
        path = self.data / FEATURES
        if self.table:
            return [(path, self.table["record"])]
        try:
            return [(path, read_encoder_record(self.data, ""))] if path.exists() else []
        except UserError:
            return []  # Of these vectors nothing is known, so none is used.

    def _take_chunk(self, path):
        """Takes those vectors of a file whose photos are still the same."""
        chunk = read_chunk(path)
        if chunk is None:
            self.damaged.append(path)
            return
        header, places = chunk
        self._made_by.append((self._folder, header["record"]))
        self.failed.update(header["unreadable"])
        for (name, made_from), place in zip(header["photos"].items(), places, strict=True):
            if self._is_unchanged(name, made_from) and not self._is_finished(name):
                self._stored[name] = place

    def _is_unchanged(self, name, made_from):
        return made_from is not None and self._signatures.get(name) == made_from

    def _is_finished(self, name):
        return self._is_unchanged(name, self._finished.get(name))

    def refuse_others(self, record):
        """Checks that what made the vectors that are there will also make those of this run.

        Args:
            record: dict, `Encoder.record` or, before there is an encoder, a part of it with at
                least `encoder` and `weights`.

        Raises:
            UserError: if they differ; it names both.
        """
        for place, other in self._made_by:
            for key in differing_keys(record, other):
                raise UserError(
                    f"{place} holds vectors of {other['encoder']} with weights "
                    f"{other['weights']}, not of {record['encoder']} with weights "
                    f"{record['weights']} ({key} is {other[key]} there and {record[key]} "
                    "here), and they must not be mixed: name the former with --encoder and "
                    f"--weights, or remove {place} to begin anew"
                )

    def missing(self):
        """Lists the photos that have no vector yet.

        Returns:
            list of str, keys of `photos`.
        """
        return [name for name in self.photos if not self._has_vector(name)]

    def _has_vector(self, name):
        return name in self._stored or self._is_finished(name)

    def keep(self, results, record, batch_size):
        """Takes vectors as they come, and puts every few batches where they outlast a stop.

        Args:
            results: iterable of tuple of str, a key of `photos`, and numpy.ndarray, float32,
                (length,), or PhotoError.
            record: dict, from `Encoder.record`.
            batch_size: int, results that were made together. What is kept ends with a batch, so
                that a run that goes on makes the same batches, and to the last bit the same
                vectors, as a run left alone.
        """
        waiting = {}
        for name, result in results:
            waiting[name] = result
            if len(waiting) == max(1, PHOTOS_AT_RISK // batch_size) * batch_size:
                self._put(waiting, record)
                waiting = {}
        self._put(waiting, record)

    def _put(self, results, record):
        vectors = {name: x for name, x in results.items() if not isinstance(x, PhotoError)}
        if not vectors:
            return
        numbers = [int(path.stem) for path in self._folder.glob(CHUNKS)]
        path = self._folder / f"{max(numbers, default=0) + 1:06d}.vectors"
        header = {
            "record": record,
            "photos": {name: self._signatures[name] for name in vectors},
            "unreadable": [name for name in results if name not in vectors],
        }
        places = write_chunk(path, header, np.stack(list(vectors.values())))
        self._stored.update(zip(vectors, places, strict=True))

    def finish(self, record, skipped):
        """Writes `features.pkl`, if anything in it changes, and what describes it.

        Args:
            record: dict, from `Encoder.record`.
            skipped: list of dict, `photo` and `reason` of each photo that was left out.

        Returns:
            Changes.

        Raises:
            UserError: if there is no vector at all.
        """
        names = [name for name in self.photos if self._has_vector(name)]
        if not names:
            place = self.data / PHOTOS
            raise UserError(f"none of the {len(skipped)} photos in {place} can be read")
        changes = self._compare(names)
        unchanged = changes.kept == len(names) and not changes.gone
        features = {} if unchanged else self._gather(names)
        digest = digest_of_features(self.data, None if unchanged else features)
        table = {
            "record": record,
            "features_sha256": digest,
            "photos": {name: self._signatures[name] for name in names},
            "unreadable": [name for name in self.photos if not self._has_vector(name)],
        }
        if unchanged:
            write_encoder_record(self.data, record, len(names), skipped, digest)
        else:
            write_json(self._folder / PHOTO_TABLE, table, FORMAT)
            write_features(self.data, features, record, skipped)
        write_json(self.data / PHOTO_TABLE, table, FORMAT)
        shutil.rmtree(self._folder, ignore_errors=not self._folder.exists())
        return changes

    def _compare(self, names):
        known = sum(name in self._finished for name in names)
        kept = sum(self._is_finished(name) for name in names)
        return Changes(len(names) - known, known - kept, len(self._finished) - known, kept)

    def _gather(self, names):
        """Puts the vectors together, those of the last finished run and those since."""
        earlier = {}
        if any(name not in self._stored for name in names):
            remedy = f"remove it and run python prepare_photos.py --data {self.data}"
            earlier = load_features(self.data / FEATURES, self.table["record"]["length"], remedy)
        identifiers = {name: photo_id(self.photos[name].name) for name in names}
        return VectorsOnDisk(
            {
                identifier: self._stored.get(name, earlier.get(identifier))
                for name, identifier in identifiers.items()
            }
        )
