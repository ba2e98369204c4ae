"""The cache of features: what a stopped run leaves, what has changed since, and what is damaged."""

import sqlite3

import numpy as np
import pytest
from support import ENCODER_RECORD as RECORD

from captioning.cli import UserError
from captioning.photos import feature_cache
from captioning.photos.feature_cache import open_cache, read_hashes
from captioning.photos.features import read_encoder_record, read_features
from captioning.photos.reading import PhotoError

COUNT = 20
BAD = "3.png"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Gives a data folder of files that stand for photos; a commit comes after eight."""
    monkeypatch.setattr(feature_cache, "PHOTOS_AT_RISK", 10)
    (tmp_path / "photos").mkdir()
    for index in range(COUNT):
        (tmp_path / "photos" / f"{index}.png").write_text(str(index))
    return tmp_path


def photos_of(data):
    return {path.name: path for path in sorted((data / "photos").iterdir())}


def encode(photos, stop_at=None):
    """Yields features that depend on the batch, and stops at a photo."""
    batches = [photos[start : start + 4] for start in range(0, len(photos), 4)]
    for batch in batches:
        for path in batch:
            if path.name == stop_at:
                raise KeyboardInterrupt
            mean = np.float32(sum(map(len, (each.read_text() for each in batch))))
            row = np.full(6, mean, dtype=np.float32) + np.float32(path.stem)
            yield path, PhotoError("bad") if path.name == BAD else row, f"{int(path.stem):064x}"


def run(data, stop_at=None, record=RECORD):
    """Does what prepare_photos.py does, and returns how many photos it encoded."""
    photos, skipped = photos_of(data), {}
    with open_cache(data, photos) as cache:
        missing = cache.missing(skipped)
        cache.check_encoder(record)
        results = encode([photos[name] for name in missing], stop_at)
        skipped |= cache.add(missing, results, record, batch_size=4)
        cache.write_features(record, skipped, "auto")
        return len(missing), cache.summary()


def test_a_stopped_run_goes_on_after_whole_batches_with_the_same_features(data):
    names = list(photos_of(data))
    with pytest.raises(KeyboardInterrupt):
        run(data, stop_at=names[18])
    assert not (data / "features.pkl").exists()
    # Of 18 photos 16 are kept: four batches of four, in two commits.
    with open_cache(data, photos_of(data)) as cache:
        assert len(cache.encoded | cache.unreadable) == 16
    assert run(data)[0] == 4
    resumed = (data / "features.pkl").read_bytes()
    (data / "features-cache.sqlite").unlink()
    assert run(data)[0] == COUNT
    assert (data / "features.pkl").read_bytes() == resumed


def test_a_photo_that_could_not_be_read_is_tried_again_after_the_others(data, monkeypatch):
    run(data)
    (skipped,) = read_encoder_record(data).skipped
    assert (skipped.photo, skipped.reason) == (str(data / "photos" / BAD), "bad")
    (data / "photos" / "1.png").write_text("changed")
    with open_cache(data, photos_of(data)) as cache:
        left_out = {}
        assert cache.missing(left_out) == ["1.png"]
        assert list(left_out) == [str(data / "photos" / BAD)]
        monkeypatch.setattr(feature_cache, "read_photo", lambda path, size: None)
        assert cache.missing({}) == ["1.png", BAD]


@pytest.mark.parametrize(
    "change",
    [
        "features = x'00000000'",
        "features = NULL",
        "features = (SELECT features FROM photos WHERE name = CAST('8.png' AS BLOB))",
        "hash = 'another'",
        "name = CAST('another.png' AS BLOB)",
        "crc = crc + 1",
    ],
)
def test_a_damaged_row_is_encoded_again(data, change):
    run(data)
    whole = (data / "features.pkl").read_bytes()
    with sqlite3.connect(data / "features-cache.sqlite") as connection:
        connection.execute(f"UPDATE photos SET {change} WHERE name = CAST('7.png' AS BLOB)")
    connection.close()
    with open_cache(data, photos_of(data)) as cache:
        assert (cache.damaged, cache.missing({})) == (1, ["7.png"])
    assert run(data)[0] == 1
    assert len((data / "features.pkl").read_bytes()) == len(whole)
    with open_cache(data, photos_of(data)) as cache:
        assert cache.missing({}) == []


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
    with open_cache(data, photos_of(data)) as cache:
        assert 19 < len(cache.encoded) < 399
    run(data)
    assert len(read_features(data)) == 399


@pytest.mark.parametrize("count", [0, 9, COUNT])
def test_a_data_folder_that_was_moved_away_is_said_and_no_new_one_made(data, count, monkeypatch):
    def encode_and_move(photos, stop_at):
        results = list(ordinary(photos))
        yield from results[:count]
        data.rename(data.with_name(f"moved {data.name}"))
        yield from results[count:]

    ordinary = encode
    monkeypatch.setitem(globals(), "encode", encode_and_move)
    with pytest.raises(UserError, match=r"features-cache\.sqlite"):
        run(data)
    assert not data.exists()


def test_hashes_are_read_by_photo_id_where_there_are_any(data):
    assert read_hashes(data) == {}
    run(data)
    hashes = read_hashes(data)
    assert len(hashes) == COUNT - 1
    assert hashes["12"] == f"{12:064x}"
    assert "3" not in hashes
