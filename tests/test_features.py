"""The features file: what is read, what is refused, and that a refusal runs nothing."""

import json
import os
import pickle

import numpy as np
import pytest
from conftest import ENCODER_RECORD

from captioning.command_line import UserError
from captioning.features import check_same_encoder, read_features, write_features
from captioning.files import written_whole

RECORD = {**ENCODER_RECORD, "weights": "imagenet", "length": 3}
VECTORS = {"a": np.array([1, 2, 3], dtype=np.float32), "b": np.zeros(3, dtype=np.float32)}


@pytest.fixture
def data(tmp_path):
    write_features(tmp_path, VECTORS, RECORD, [])
    return tmp_path


def replace(data, content, protocol=4):
    (data / "features.pkl").write_bytes(pickle.dumps(content, protocol=protocol))


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(data, protocol):
    replace(data, VECTORS, protocol)
    read = read_features(data)
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"], VECTORS["a"])


def test_pickles_of_numpy_1_are_read(data):
    path = data / "features.pkl"
    renamed = pickle.dumps(VECTORS, protocol=2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core" in renamed
    path.write_bytes(renamed)
    np.testing.assert_array_equal(read_features(data)["a"], VECTORS["a"])


class Harmful:
    """Would make a file when it is unpickled by an ordinary unpickler."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_code_is_refused_unrun(data, protocol):
    replace(data, {"a": Harmful(data / "harm")}, protocol)
    with pytest.raises(UserError, match="mkdir"):
        read_features(data)
    assert not (data / "harm").exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({}, "no dict of vectors"),
        ([1, 2], "no dict of vectors"),
        ({1: VECTORS["a"]}, "no text"),
        ({"a": [1.0, 2.0, 3.0]}, "no float32 array"),
        ({"a": VECTORS["a"].astype(np.float64)}, "no float32 array"),
        ({"a": VECTORS["a"][:2]}, "shape"),
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


def test_a_stop_between_vectors_and_record_leaves_no_false_pair(data, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("captioning.features.write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        write_features(data, {"c": np.ones(3, dtype=np.float32)}, {**RECORD, "layer": "fc1"}, [])
    with pytest.raises(UserError, match=r"features\.json is missing"):
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
        with written_whole(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_while_writing()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with written_whole(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o444 == 0o444
