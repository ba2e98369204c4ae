"""The cache of features: where it is damaged, and where the disk is full."""

import contextlib
import sqlite3

import numpy as np
import pytest
from support import ENCODER_RECORD as RECORD

from captioning.cli import UserError
from captioning.photos import feature_cache
from captioning.photos.feature_cache import FeatureCache, connected, read_hashes
from captioning.photos.features import read_features
from captioning.photos.reading import PhotoError

COUNT = 20
BAD = "3"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Gives a data folder of files that stand for photos; a commit comes after eight."""
    monkeypatch.setattr(feature_cache, "PHOTOS_AT_RISK", 8)
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


def encode(paths):
    """Yields features that tell the photos apart, and an error for a bad one."""
    for path in paths:
        row = np.full(6, path.stem, dtype=np.float32)
        yield path, PhotoError("bad") if path.stem == BAD else row, f"{int(path.stem):064x}"


def run(data):
    """Does what prepare_photos.py does, and returns which photos it encoded."""
    photos = photos_of(data)
    with open_cache(data) as cache:
        cache.check_encoder(RECORD)
        results = encode([photos[photo] for photo in cache.missing])
        cache.write_features(RECORD, cache.add(results, RECORD, batch_size=4), "auto")
        return cache.missing


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


def test_who_reads_hashes_need_not_wait_for_photos_to_be_encoded(data):
    def encode_large(cache):
        for photo in cache.missing:
            read_hashes(data)
            yield photo, np.ones(100_000), f"{int(photo):064x}"

    with open_cache(data) as cache:
        cache.add(encode_large(cache), RECORD, batch_size=4)
    assert len(read_hashes(data)) == COUNT


def test_hashes_are_read_by_photo_id_where_there_are_any(data):
    assert read_hashes(data) == {}
    run(data)
    hashes = read_hashes(data)
    assert len(hashes) == COUNT - 1
    assert hashes["12"] == f"{12:064x}"
    assert "3" not in hashes
