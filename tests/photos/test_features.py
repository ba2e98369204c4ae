"""Features in both forms: what is written is read, and what is damaged or strange is not."""

import hashlib
import json
import os
import pickle
import pickle as op
import struct
import tracemalloc

import numpy as np
import pytest
from msgspec import structs
from support import ENCODER_RECORD, contents, full_disk

from captioning.cli import UserError
from captioning.photos import features
from captioning.photos.features import (
    MAPPED,
    PICKLE,
    check_same_encoder,
    read_encoder_record,
    read_features,
    write_features,
)
from captioning.storage import write_json

SKIPPED = ({"photo": os.fsdecode(b"caf\xe9\n.jpg"), "reason": "no photo"},)
RECORD = structs.replace(ENCODER_RECORD, length=3, skipped=SKIPPED)
# Photos may have the names that NumPy has.
PHOTOS = ["dtype", "b b", "ç", "f4"]
ROWS = np.array([[1, 2, 3], [0.3, 0, -1], [4, 5, 6.1], [1e-7, 8, 9]], dtype=np.float32)


@pytest.fixture(params=[PICKLE, MAPPED])
def data(request, tmp_path):
    """Gives a data folder with features in either form."""
    write_features(tmp_path, PHOTOS, ROWS, RECORD, request.param)
    return tmp_path


def assert_refused(data, *words):
    with pytest.raises(UserError) as error:
        read_features(data)
    sentence = str(error.value)
    assert len(sentence.splitlines()) == 1
    for word in (f"python prepare_photos.py --data {data}", *words):
        assert word in sentence


def test_features_come_back_as_an_array_by_index_and_by_photo(data):
    found = read_features(data)
    assert (found.ids, len(found)) == (PHOTOS, 4)
    np.testing.assert_array_equal(found[:], ROWS)
    np.testing.assert_array_equal(found[np.array([3, 0, 3])], ROWS[[3, 0, 3]])
    chosen = found.select(["f4", "b b"])
    assert (chosen.ids, chosen.record) == (["f4", "b b"], found.record)
    np.testing.assert_array_equal(chosen[1:], ROWS[1:2])
    np.testing.assert_array_equal(chosen.select(["b b"])[:], ROWS[1:2])
    assert chosen[:].dtype == np.float32
    assert "f4" in chosen
    assert "ç" not in chosen


def test_the_record_says_what_made_the_features_and_what_is_missing(data):
    record = read_encoder_record(data)
    assert (record.count, record.skipped) == (4, SKIPPED)
    digest = hashlib.sha256((data / record.file).read_bytes()).hexdigest()
    assert record.features_sha256 == digest
    assert read_features(data).record == record
    written = json.loads((data / "features.json").read_text())
    assert written["skipped"] == [*SKIPPED]


def test_the_pickle_is_a_plain_dict_that_anyone_can_read(tmp_path):
    write_features(tmp_path, PHOTOS, ROWS, RECORD)
    plain = pickle.loads((tmp_path / "features.pkl").read_bytes())
    assert type(plain) is dict
    assert list(plain) == PHOTOS
    assert {row.dtype for row in plain.values()} == {np.dtype(np.float32)}
    # The same features make the same bytes, whatever they are rows of.
    copies = [np.frombuffer(row.tobytes(), "<f4") for row in ROWS]
    first = (tmp_path / "features.pkl").read_bytes()
    write_features(tmp_path, PHOTOS, copies, RECORD)
    assert (tmp_path / "features.pkl").read_bytes() == first


def test_large_features_are_mapped_and_one_form_replaces_the_other(tmp_path, monkeypatch):
    for most, name in ((47, "features.npy"), (48, "features.pkl"), (47, "features.npy")):
        monkeypatch.setattr(features, "MAPPED_ABOVE", most)
        write_features(tmp_path, PHOTOS, ROWS, RECORD)
        kept = {path.name for path in tmp_path.iterdir()} - {"features-index.json"}
        assert kept == {name, "features.json"}
        np.testing.assert_array_equal(read_features(tmp_path)[:], ROWS)
    # Anyone can read the array.
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), ROWS)


OTHER_ENCODER = {"dtype": "bfloat16", "encoder": "VGG19", "layer": "fc1", "length": 5}
OTHER_ENCODER |= {"weights_sha256": "1" * 64, "input_size": [299, 299], "resizing": "nearest"}


@pytest.mark.parametrize(("key", "value"), OTHER_ENCODER.items())
def test_features_of_another_encoder_do_not_go_together(key, value):
    check_same_encoder(RECORD, "one", structs.replace(RECORD, weights="elsewhere"), "two")
    with pytest.raises(UserError, match=f"one and two do not go together: {key} is ") as error:
        check_same_encoder(RECORD, "one", structs.replace(RECORD, **{key: value}), "two")
    assert str(getattr(RECORD, key)) in str(error.value)
    assert str(value) in str(error.value)


IMPOSSIBLE = {"weights": None, "length": 0, "encoder": 5, "dtype": "int8", "skipped": ["a"]}
IMPOSSIBLE |= {"file": "../elsewhere.pkl"}


@pytest.mark.parametrize(("key", "value"), IMPOSSIBLE.items())
def test_a_record_that_cannot_be_right_is_refused(data, key, value):
    write_json(data / "features.json", structs.replace(RECORD, **{key: value}))
    assert_refused(data, "features.json is damaged")


@pytest.mark.parametrize(
    "name", ["features.json", "features.pkl", "features.npy", "features-index.json"]
)
def test_damage_is_refused_or_changes_nothing(data, name):
    if not (data / name).exists():
        pytest.skip("this form has no such file")
    content, sentences = (data / name).read_bytes(), []
    places = range(0, len(content), max(1, len(content) // 80))
    flips = [content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :] for at in places]
    for copy in (*flips, *(content[:at] for at in places), content + b"\0"):
        (data / name).write_bytes(copy)
        try:
            found = read_features(data)
        except UserError as error:
            sentences.append(str(error))
            continue
        assert found.ids == PHOTOS
        np.testing.assert_array_equal(found[:], ROWS)
    assert len(sentences) > 80
    assert not [sentence for sentence in sentences if len(sentence.splitlines()) > 1]


def test_an_index_of_other_photos_is_refused(tmp_path):
    write_features(tmp_path, PHOTOS, ROWS, RECORD, MAPPED)
    for photos in (PHOTOS[::-1], [*PHOTOS[:3], PHOTOS[0]], PHOTOS[:3], []):
        write_json(tmp_path / "features-index.json", features.FeaturesIndex(photo_ids=photos))
        assert_refused(tmp_path)


def test_a_disk_that_is_full_leaves_the_old_files(data):
    """Writes against a real limit, where the disk says no in the middle of the features."""
    before = contents(data)
    form = MAPPED if "features.npy" in before else PICKLE
    names = [str(index) for index in range(9000)]
    with full_disk(50_000), pytest.raises(OSError, match="File too large") as error:
        write_features(data, names, (ROWS[0] for _ in names), RECORD, form)
    assert error.value.filename == str(data / read_encoder_record(data).file)
    assert contents(data) == before


# Pickles of strangers, each with the digest that makes it the file of the record.


def write_pickle(data, content):
    write_features(data, PHOTOS, ROWS, RECORD)
    (data / "features.pkl").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    record = structs.replace(read_encoder_record(data), features_sha256=digest)
    write_json(data / "features.json", record)


def test_pickles_of_numpy_1_are_read(tmp_path):
    content = pickle.dumps(dict(zip(PHOTOS, ROWS, strict=True)), protocol=4)
    names = b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray"
    assert names[0] in content
    write_pickle(tmp_path, content.replace(*names))
    np.testing.assert_array_equal(read_features(tmp_path)[:], ROWS)


class Calls:
    """Is pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        {"a": [1.0, 2.0, 3.0]},
        {"a": ROWS[0].astype(np.float64)},
        {"a": np.array([{}], dtype=object)},
        {"a": ROWS[0][:2]},
        {"a": ROWS[0], "b": np.ones(4, dtype=np.float32)},
        {"a": np.float32(1)},
        {"a": Calls(os.mkdir, "harm")},
        {"a": Calls(eval, "open('harm', 'w')")},
        {"a": ROWS[0], "b": Calls(np.load, "harm.npy")},
        {"a": Calls(np.ndarray, (2**40,), "f4")},
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_is_no_features_is_refused_unrun(tmp_path, monkeypatch, content, protocol):
    monkeypatch.chdir(tmp_path)
    write_pickle(tmp_path, pickle.dumps(content, protocol))
    before = contents(tmp_path)
    assert_refused(tmp_path, f"{tmp_path / 'features.pkl'} is ")
    assert contents(tmp_path) == before


TEXT = b"\x8c\x01a"
HOSTILE = {
    "sets": op.EMPTY_SET * 2**17 + op.STOP,
    "memo": op.EMPTY_DICT + op.LONG_BINPUT + b"\xff\xff\xff\xff" + op.STOP,
    "exabytes": TEXT + op.BINBYTES8 + struct.pack("<Q", 2**62) + b"x" + op.STOP,
    "gigabytes": TEXT + op.BINBYTES8 + struct.pack("<Q", 2**34) + b"x" + op.STOP,
    "frame": op.FRAME + struct.pack("<Q", 2**62) + op.STOP,
    "half a number": TEXT + op.SHORT_BINBYTES + b"\x0b" + bytes(11) + op.STOP,
    "no photo": op.SHORT_BINBYTES + b"\x0c" + bytes(12) + op.STOP,
    "one photo twice": 2 * (TEXT + op.SHORT_BINBYTES + b"\x0c" + bytes(12)) + op.STOP,
    "no end": TEXT + op.SHORT_BINBYTES + b"\x0c" + bytes(12),
    "nothing": b"",
    "line breaks": TEXT + op.SHORT_BINBYTES + b"\x0c" + bytes(12) + b"\x8c\x03\na\n" + op.STOP,
    "digits": b"I" + b"9" * 100_000 + b"\n.",
    "persistent": b"Pharm\n.",
    "instance": b"(ios\nsystem\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_without_much_memory(tmp_path, name):
    write_pickle(tmp_path, HOSTILE[name])
    tracemalloc.start()
    try:
        assert_refused(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
