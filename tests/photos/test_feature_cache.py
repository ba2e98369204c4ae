"""The cache of features: what a stopped run leaves, what has changed since, and what is damaged."""

import contextlib
import sqlite3

import numpy as np
import pytest
from support import ENCODER_RECORD as RECORD

from captioning.cli import UserError
from captioning.photos import feature_cache
from captioning.photos.feature_cache import FeatureCache, connected, read_hashes
from captioning.photos.features import read_encoder_record, read_features
from captioning.photos.reading import PhotoError

COUNT = 20
BAD = "3"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Gives a data folder of files that stand for photos; a commit comes after eight."""
    monkeypatch.setattr(feature_cache, "PHOTOS_AT_RISK", 10)
    (tmp_path / "photos").mkdir()
    for index in range(COUNT):
        (tmp_path / "photos" / f"{index}.png").write_text(str(index))
    return tmp_path


def photos_of(data):
    return {path.stem: path for path in sorted((data / "photos").iterdir())}


@contextlib.contextmanager
def open_cache(data):
    with connected(data) as connection:
        yield FeatureCache(data, connection, photos_of(data))


def encode(photos, stop_at=None):
    """Yields features that depend on the batch, and stops at a photo."""
    batches = [photos[start : start + 4] for start in range(0, len(photos), 4)]
    for batch in batches:
        for path in batch:
            if path.stem == stop_at:
                raise KeyboardInterrupt
            readable = [each.read_text() for each in batch if each.stem != BAD]
            mean = np.float32(sum(map(len, readable)))
            row = np.full(6, mean, dtype=np.float32) + np.float32(path.stem)
            yield path, PhotoError("bad") if path.stem == BAD else row, f"{int(path.stem):064x}"


def run(data, stop_at=None, record=RECORD):
    """Does what prepare_photos.py does, and returns which photos it encoded."""
    photos = photos_of(data)
    with open_cache(data) as cache:
        cache.check_encoder(record)
        results = encode([photos[photo] for photo in cache.missing], stop_at)
        cache.write_features(record, cache.add(results, record, batch_size=4), "auto")
        return cache.missing


def test_a_stopped_run_goes_on_after_whole_batches_with_the_same_features(data):
    names = list(photos_of(data))
    with pytest.raises(KeyboardInterrupt):
        run(data, stop_at=names[18])
    assert not (data / "features.pkl").exists()
    # Of 18 photos 16 are kept: four batches of four, in two commits.
    assert run(data) == [*names[16:], BAD]
    resumed = (data / "features.pkl").read_bytes()
    (data / "features-cache.sqlite").unlink()
    assert run(data) == names
    assert (data / "features.pkl").read_bytes() == resumed


def test_a_photo_that_could_not_be_read_is_tried_again_after_the_others(data, monkeypatch):
    run(data)
    (skipped,) = read_encoder_record(data).skipped
    assert (skipped.photo, skipped.reason) == (str(data / "photos" / f"{BAD}.png"), "bad")
    (data / "photos" / "5.png").write_text("changed")
    assert run(data) == ["5", BAD]
    monkeypatch.setitem(globals(), "BAD", None)
    assert run(data) == [BAD or "3"]
    assert read_encoder_record(data).skipped == ()


@pytest.mark.parametrize(
    "change",
    [
        "features = x'00000000'",
        "features = NULL",
        "features = (SELECT features FROM photos WHERE id = CAST('8' AS BLOB))",
        "hash = 'another'",
        "id = CAST('another' AS BLOB)",
        "crc = crc + 1",
    ],
)
def test_a_damaged_row_is_encoded_again(data, change):
    run(data)
    with connected(data) as connection, connection:
        connection.execute(f"UPDATE photos SET {change} WHERE id = CAST('7' AS BLOB)")
    assert run(data) == ["7", BAD]
    assert len(read_features(data)) == COUNT - 1
    assert run(data) == [BAD]


@pytest.mark.parametrize("place", [0, 30, 3000, 8000])
def test_a_damaged_file_is_named_and_one_sentence(data, place):
    run(data)
    path = data / "features-cache.sqlite"
    content = bytearray(path.read_bytes())
    content[place : place + 2000] = b"\xa5" * 2000
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"sqlite cannot be used \(.*, remove it, and run python p"):
        run(data)


def test_a_full_disk_is_told_as_what_it_is_and_what_was_committed_stays(data, monkeypatch):
    run(data)
    for index in range(COUNT, 400):
        (data / "photos" / f"{index}.png").write_text(str(index))
    connect = sqlite3.connect

    def on_a_small_disk(path):
        connection = connect(path)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", on_a_small_disk)
        with pytest.raises(UserError, match=r"sqlite cannot be used \(database or disk"):
            run(data)
    with open_cache(data) as cache:
        assert 19 < len(cache.encoded) < 399
    run(data)
    assert len(read_features(data)) == 399


def test_hashes_are_read_by_photo_id_where_there_are_any(data):
    assert read_hashes(data) == {}
    run(data)
    hashes = read_hashes(data)
    assert len(hashes) == COUNT - 1
    assert hashes["12"] == f"{12:064x}"
    assert "3" not in hashes
