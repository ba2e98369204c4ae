"""The features file: what is read, what is refused, and that a refusal runs nothing."""

import errno
import hashlib
import json
import os
import pickle
import resource

import numpy as np
import pytest
from support import ENCODER_RECORD

from captioning.cli import UserError
from captioning.features import (
    check_same_encoder,
    digest_of_features,
    read_encoder_record,
    read_features,
    write_features,
)
from captioning.storage import atomic_path

RECORD = {**ENCODER_RECORD, "weights": "imagenet", "length": 3}
VECTORS = {"a": np.array([1, 2, 3], dtype=np.float32), "b": np.zeros(3, dtype=np.float32)}


@pytest.fixture
def data(tmp_path):
    write_features(tmp_path, VECTORS, RECORD, [])
    return tmp_path


def replace(data, content, protocol=4):
    """Puts another file of vectors there, as another program would: without a digest."""
    (data / "features.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    (data / "features.json").write_text(json.dumps({"format": 1, **RECORD}))


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(data, protocol):
    replace(data, VECTORS, protocol)
    read = read_features(data)
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"], VECTORS["a"])


def test_pickles_of_numpy_1_are_read(data):
    replace(data, VECTORS)
    renamed = pickle.dumps(VECTORS, protocol=2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core" in renamed
    (data / "features.pkl").write_bytes(renamed)
    np.testing.assert_array_equal(read_features(data)["a"], VECTORS["a"])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({}, "no dict of vectors"),
        ([1, 2], "no dict of vectors"),
        ({1: VECTORS["a"]}, "no text"),
        ({None: VECTORS["a"]}, "no text"),
        ({"a": [1.0, 2.0, 3.0]}, "no dict of vectors"),
        ({"a": {"b": VECTORS["a"]}}, "no float32 array"),
        ({"a": VECTORS["a"].astype(np.float64)}, "no float32 array"),
        ({"a": VECTORS["a"][:2]}, "shape"),
        ({"a": VECTORS["a"][None]}, "shape"),
        ({**VECTORS, "c": np.ones(4, dtype=np.float32)}, "shape"),
        ({"a": np.full(3, np.nan, dtype=np.float32)}, "not finite"),
        ({"a": np.full(3, np.inf, dtype=np.float32)}, "not finite"),
    ],
)
def test_wrong_content_is_refused(data, content, fault):
    replace(data, content)
    with pytest.raises(UserError, match=fault) as error:
        read_features(data)
    assert str(data / "features.pkl") in str(error.value)
    assert f"python prepare_photos.py --data {data}" in str(error.value)


def test_truncated_and_missing_files_are_refused(data):
    path = data / "features.pkl"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="is not the file that"):
        read_features(data)
    replace(data, VECTORS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read"):
        read_features(data)
    path.unlink()
    with pytest.raises(UserError, match=r"missing.*prepare_photos.py"):
        read_features(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [("encoder", "VGG19"), ("weights_sha256", "1" * 64), ("length", 4), ("layer", "fc1")],
)
def test_vectors_of_another_encoder_do_not_go_together(key, value):
    check_same_encoder(RECORD, "one", {**RECORD, "weights": "elsewhere"}, "two")
    with pytest.raises(UserError, match="one and two do not go together") as error:
        check_same_encoder(RECORD, "one", {**RECORD, key: value}, "two")
    assert str(RECORD[key]) in str(error.value)
    assert str(value) in str(error.value)


def stop(*arguments):
    raise KeyboardInterrupt


def test_a_stop_between_vectors_and_record_leaves_no_false_pair(data, monkeypatch):
    other = {**RECORD, "layer": "fc1"}
    with monkeypatch.context() as patch:
        patch.setattr("captioning.features.write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            write_features(data, {"c": np.ones(3, dtype=np.float32)}, other, [])
        with pytest.raises(UserError, match=r"is not the file that features\.json describes"):
            read_features(data)
        # A record that someone forgot to remove with its vectors, and that has no digest.
        replace(data, VECTORS)
        (data / "features.pkl").unlink()
        with pytest.raises(KeyboardInterrupt):
            write_features(data, VECTORS, other, [])
    with pytest.raises(UserError, match=r"features\.json is missing"):
        read_features(data)


def test_the_record_holds_the_digest_that_anyone_can_check(data):
    record = json.loads((data / "features.json").read_text())
    digest = hashlib.sha256((data / "features.pkl").read_bytes()).hexdigest()
    assert record["features_sha256"] == digest
    assert digest_of_features(data, VECTORS) == digest == digest_of_features(data)
    write_features(data, read_features(data), RECORD, [])
    assert digest_of_features(data) == digest


@pytest.mark.parametrize("name", ["features.pkl", "features.json"])
def test_any_changed_byte_is_refused_or_changes_nothing(data, name):
    path = data / name
    skipped = [{"photo": os.fsdecode(b"caf\xe9\n.jpg"), "reason": "no photo"}]
    write_features(data, VECTORS, RECORD, skipped)
    record, content = read_encoder_record(data, ""), path.read_bytes()
    refused = 0
    for place in range(len(content)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(content)
            changed[place] ^= flip
            path.write_bytes(changed)
            try:
                vectors = read_features(data)
            except UserError as error:
                assert len(str(error).splitlines()) == 1  # noqa: PT017  Both outcomes are right.
                refused += 1
                continue
            # White space between the parts of a JSON file says nothing.
            assert name == "features.json"
            assert read_encoder_record(data, "") == record
            assert vectors.keys() == VECTORS.keys()
    assert refused > 2.5 * len(content)


def test_a_deep_record_is_refused(data):
    for depth in (300, 900, 950, 990, 100_000):
        deep = "[" * depth + "]" * depth
        record = json.dumps({"format": 1, **RECORD, "features_sha256": "", "x": 0})
        (data / "features.json").write_text(record.replace('"x": 0', f'"x": {deep}'))
        with pytest.raises(UserError, match="damaged"):
            read_features(data)


@pytest.mark.parametrize(("key", "value"), [("weights", None), ("length", "3"), ("encoder", 5)])
def test_a_record_of_wrong_types_is_refused(data, key, value):
    path = data / "features.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UserError, match=f"{key} is missing or wrong"):
        read_features(data)


def test_a_stopped_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def stop_while_writing():
        with atomic_path(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_while_writing()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_path(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_files_and_is_named(data, monkeypatch, call):
    before = {path.name: path.read_bytes() for path in data.iterdir()}

    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left") as error:
        write_features(data, {"c": np.ones(3, dtype=np.float32)}, RECORD, [])
    assert error.value.filename == str(data / "features.pkl")
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def test_a_file_that_may_not_grow_leaves_the_old_files(data):
    """Writes against a real limit, where the disk says no in the middle of the vectors."""
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    vectors = {str(number): np.ones(3, dtype=np.float32) for number in range(5000)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_features(data, vectors, RECORD, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def test_what_is_written_is_flushed_before_and_after_the_move(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        ordinary = getattr(os, name)

        def note(*arguments, name=name, ordinary=ordinary):
            target = os.readlink(f"/proc/self/fd/{arguments[0]}") if name == "fsync" else None
            done.append((name, target == str(tmp_path)))
            return ordinary(*arguments)

        monkeypatch.setattr(os, name, note)
    with atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("content")
    assert done == [("fsync", False), ("replace", False), ("fsync", True)]
