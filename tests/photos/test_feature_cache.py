"""The cache of features: damaged, on a full disk, and read while photos are encoded."""

import shutil
import sqlite3

import pytest
from support import PHOTO_COUNT, StandIn

from captioning.photos.feature_cache import read_hashes
from captioning.photos.features import read_features

CACHE = "features-cache.sqlite"
ROW = "WHERE id = CAST('photo 0007' AS BLOB)"


@pytest.fixture
def whole(bench):
    """Returns what an undisturbed run writes on photos that can all be read; the cache is there."""
    bench.photo(PHOTO_COUNT // 3).unlink()
    assert bench.run()[0] == 0
    return bench.results()


@pytest.mark.parametrize(
    "change",
    [
        "features = x'00000000'",
        "features = NULL",
        "features = (SELECT features FROM photos WHERE id = CAST('photo 0008' AS BLOB))",
        "hash = 'another'",
        "id = CAST('another' AS BLOB)",
        "crc = crc + 1",
    ],
)
def test_a_damaged_row_is_encoded_again(bench, whole, change):
    with sqlite3.connect(bench.folder / CACHE) as connection:
        assert connection.execute(f"UPDATE photos SET {change} {ROW}").rowcount == 1
    connection.close()
    for encoded in (1, 0):
        assert (bench.run()[0], bench.encoded) == (0, encoded)
        assert len(read_features(bench.folder)) == PHOTO_COUNT - 1


@pytest.mark.parametrize("place", [0, 30, 3000])
def test_a_damaged_file_is_named_and_one_sentence(bench, whole, place):
    path = bench.folder / CACHE
    content = bytearray(path.read_bytes())
    content[place : place + 2000] = b"\xa5" * 2000
    path.write_bytes(content)
    status, _, errors = bench.run()
    assert status == 2
    (line,) = errors.splitlines()
    assert f"{path} cannot be used (" in line
    assert "remove it, and run python prepare_photos.py" in line


def test_a_full_disk_is_told_as_what_it_is_and_what_was_committed_stays(bench, whole, monkeypatch):
    for number in range(200):
        shutil.copy(bench.photo(1), bench.photos / f"more {number}.png")
    connect = sqlite3.connect

    def on_a_small_disk(path):
        connection = connect(path)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", on_a_small_disk)
        status, _, errors = bench.run()
    assert status == 2
    assert f"{CACHE} cannot be used (database or disk" in errors
    assert bench.run()[0] == 0
    assert 0 < bench.encoded < 200


def test_who_reads_hashes_need_not_wait_for_photos_to_be_encoded(bench, monkeypatch):
    encode, found = StandIn.encode, []

    def read_and_encode(self, photos, batch_size=0):
        found.append(len(read_hashes(bench.folder)))
        return encode(self, photos)

    monkeypatch.setattr(StandIn, "encode", read_and_encode)
    assert read_hashes(bench.folder) == {}
    assert bench.run()[0] == 1
    assert found[0] == 0 < found[-1] < PHOTO_COUNT
