"""Features in both forms: what is written is read, and what is damaged or strange is not."""

import hashlib
import json
import os
import pickle
import pickle as op
import random
import resource
import struct
import tracemalloc

import numpy as np
import pytest
from msgspec import structs
from support import ENCODER_RECORD, contents

from captioning.cli import UserError
from captioning.photos import features
from captioning.photos.features import (
    MAPPED,
    MAPPED_HALF,
    PICKLE,
    SkippedPhoto,
    check_same_encoder,
    read_encoder_record,
    read_features,
    write_features,
)
from captioning.storage import write_json

SKIPPED = (SkippedPhoto(os.fsdecode(b"caf\xe9\n.jpg"), "no photo"),)
RECORD = structs.replace(ENCODER_RECORD, length=3, skipped=SKIPPED)
PHOTOS = ["a", "b b", "ç", "d"]
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
    assert (list(found), len(found), found.shape) == (PHOTOS, 4, (4, 3))
    np.testing.assert_array_equal(found[:], ROWS)
    np.testing.assert_array_equal(found[np.array([3, 0, 3])], ROWS[[3, 0, 3]])
    chosen = found.select(["d", "b b"])
    assert (list(chosen), chosen.shape, chosen.digest) == (["d", "b b"], (2, 3), found.digest)
    np.testing.assert_array_equal(chosen[1:], ROWS[1:2])
    np.testing.assert_array_equal(chosen.select(["b b"])[:], ROWS[1:2])
    assert chosen[:].dtype == np.float32
    assert "d" in chosen
    assert "a" not in chosen


def test_the_record_says_what_made_the_features_and_what_is_missing(data):
    record = read_encoder_record(data)
    assert (record.count, record.skipped) == (4, SKIPPED)
    digest = hashlib.sha256((data / record.file).read_bytes()).hexdigest()
    assert record.features_sha256 == digest == read_features(data).digest
    earlier = json.loads((data / "features.json").read_text())
    assert earlier["format"] == 1
    assert earlier["skipped"] == [{"photo": SKIPPED[0].photo, "reason": "no photo"}]


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


def test_the_array_is_one_that_numpy_reads(tmp_path):
    write_features(tmp_path, PHOTOS, ROWS, RECORD, MAPPED)
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), ROWS)
    write_features(tmp_path, PHOTOS, ROWS, RECORD, MAPPED_HALF)
    half = np.load(tmp_path / "features.npy")
    assert half.dtype == np.float16
    np.testing.assert_array_equal(read_features(tmp_path)[:], half.astype(np.float32))


def test_what_half_precision_cannot_hold_is_said(tmp_path):
    with pytest.raises(UserError, match="float16 cannot hold: choose float32"):
        write_features(tmp_path, PHOTOS, ROWS * 1e5, RECORD, MAPPED_HALF)
    assert contents(tmp_path) == {}


def test_large_features_are_mapped_and_one_form_replaces_the_other(tmp_path, monkeypatch):
    for most, name in ((47, "features.npy"), (48, "features.pkl"), (47, "features.npy")):
        monkeypatch.setattr(features, "MAPPED_ABOVE", most)
        write_features(tmp_path, PHOTOS, ROWS, RECORD)
        kept = {path.name for path in tmp_path.iterdir()} - {"features-index.json"}
        assert kept == {name, "features.json"}
        np.testing.assert_array_equal(read_features(tmp_path)[:], ROWS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dtype", "bfloat16"),
        ("encoder", "VGG19"),
        ("layer", "fc1"),
        ("weights_sha256", "1" * 64),
        ("input_size", [299, 299]),
        ("resizing", "nearest"),
        ("length", 5),
    ],
)
def test_features_of_another_encoder_do_not_go_together(key, value):
    check_same_encoder(RECORD, "one", structs.replace(RECORD, weights="elsewhere"), "two")
    with pytest.raises(UserError, match=f"one and two do not go together: {key} is ") as error:
        check_same_encoder(RECORD, "one", structs.replace(RECORD, **{key: value}), "two")
    assert str(getattr(RECORD, key)) in str(error.value)
    assert str(value) in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weights", None),
        ("length", "3"),
        ("length", 0),
        ("encoder", 5),
        ("dtype", "int8"),
        ("file", "../elsewhere.pkl"),
        ("skipped", ["a"]),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(data, key, value):
    write_json(data / "features.json", structs.replace(RECORD, **{key: value}))
    assert_refused(data, "features.json is damaged")


def damaged_copies(content):
    """Yields flipped bits, beginnings, and changes of a few bytes at random places."""
    generator = random.Random(1)
    for place in range(0, len(content), max(1, len(content) // 80)):
        yield content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        yield content[:place]
        yield content[:place] + generator.randbytes(3) + content[place:]
    yield content + b"\0"


@pytest.mark.parametrize(
    "name", ["features.json", "features.pkl", "features.npy", "features-index.json"]
)
def test_damage_is_refused_or_changes_nothing(data, name):
    if not (data / name).exists():
        pytest.skip("this form has no such file")
    content, sentences = (data / name).read_bytes(), []
    for copy in damaged_copies(content):
        (data / name).write_bytes(copy)
        try:
            found = read_features(data)
        except UserError as error:
            sentences.append(str(error))
            continue
        assert list(found) == PHOTOS
        np.testing.assert_array_equal(found[:], ROWS)
    assert len(sentences) > 80
    assert not [sentence for sentence in sentences if len(sentence.splitlines()) > 1]


def test_an_index_of_other_photos_is_refused(tmp_path):
    write_features(tmp_path, PHOTOS, ROWS, RECORD, MAPPED)
    for photos in (PHOTOS[::-1], ["a", "a", "ç", "d"], PHOTOS[:3], []):
        write_json(tmp_path / "features-index.json", features.FeaturesIndex(photo_ids=photos))
        assert_refused(tmp_path)


def test_a_disk_that_is_full_leaves_the_old_files(data):
    """Writes against a real limit, where the disk says no in the middle of the features."""
    before = contents(data)
    form = MAPPED if "features.npy" in before else PICKLE
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    names = [str(index) for index in range(9000)]
    try:
        with pytest.raises(OSError, match="File too large") as error:
            write_features(data, names, (ROWS[0] for _ in names), RECORD, form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(data / read_encoder_record(data).file)
    assert contents(data) == before


# Hostile pickles, each with the digest that makes it the file of the record.


def write_pickle(data, content):
    write_features(data, PHOTOS, ROWS, RECORD)
    (data / "features.pkl").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    record = structs.replace(read_encoder_record(data), features_sha256=digest)
    write_json(data / "features.json", record)


def test_pickles_of_numpy_1_are_read(tmp_path):
    names = b"numpy._core", b"numpy.core"
    plain = dict(zip(PHOTOS, ROWS, strict=True))
    # Frames of protocol 4 would have another length.
    content = pickle.dumps(plain, protocol=3).replace(*names)
    assert names[1] in content
    write_pickle(tmp_path, content)
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
        {1: ROWS[0]},
        {"a": [1.0, 2.0, 3.0]},
        {"a": {"b": ROWS[0]}},
        {"a": ROWS[0].astype(np.float64)},
        {"a": ROWS[0].astype(">f4")},
        {"a": np.array([{}], dtype=object)},
        {"a": ROWS[0][:2]},
        {"a": ROWS[0], "b": np.ones(4, dtype=np.float32)},
        {"a": np.full(3, np.nan, dtype=np.float32)},
        {"a": np.float32(1)},
        {"a": Calls(os.mkdir, "harm")},
        {"a": Calls(eval, "open('harm', 'w')")},
        {"a": Calls(np.load, "harm.npy")},
        {"a": Calls(np.ndarray, (2**40,), "f4")},
        {"a": Calls(getattr, np.ndarray, "dump")},
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_is_no_features_is_refused_unrun(tmp_path, monkeypatch, content, protocol):
    monkeypatch.chdir(tmp_path)
    write_pickle(tmp_path, pickle.dumps(content, protocol))
    before = contents(tmp_path)
    assert_refused(tmp_path, f"{tmp_path / 'features.pkl'} is damaged")
    assert contents(tmp_path) == before


def text(value):
    return op.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def named(module, name):
    return op.GLOBAL + f"{module}\n{name}\n".encode()


DTYPE = named("numpy", "dtype") + op.MARK + text("f4") + 2 * op.NEWFALSE + op.TUPLE + op.REDUCE
DTYPE += op.MARK + op.BININT1 + b"\3" + text("<") + op.NONE + op.TUPLE + op.BUILD
START = named("numpy.core.multiarray", "_reconstruct") + op.MARK + op.NONE + op.TUPLE + op.REDUCE
MEGABYTE = op.BINBYTES8 + struct.pack("<Q", 2**20) + bytes(2**20)


def array(content):
    """Makes the steps of an array, as NumPy would."""
    state = op.MARK + op.BININT1 + b"\1" + op.NONE + DTYPE + op.NEWFALSE + content + op.TUPLE
    return START + state + op.BUILD


def stored(*values):
    items = b"".join(text(f"{i}") + value + op.SETITEM for i, value in enumerate(values))
    return op.PROTO + b"\4" + op.EMPTY_DICT + items + op.STOP


def test_the_steps_of_these_tests_make_an_array(tmp_path):
    write_pickle(tmp_path, stored(array(op.SHORT_BINBYTES + b"\x0c" + bytes(12))))
    np.testing.assert_array_equal(read_features(tmp_path)[:], np.zeros((1, 3)))


TWELVE_BYTES = op.SHORT_BINBYTES + b"\x0c" + bytes(12)
HOSTILE = {
    "sets": op.PROTO + b"\4" + op.EMPTY_SET * 2**19 + op.STOP,
    "memo": op.PROTO + b"\2" + op.EMPTY_DICT + op.LONG_BINPUT + b"\xff\xff\xff\xff" + op.STOP,
    "exabytes": op.PROTO + b"\4" + op.BINBYTES8 + struct.pack("<Q", 2**62) + b"x" + op.STOP,
    "gigabytes": op.PROTO + b"\4" + op.BINBYTES8 + struct.pack("<Q", 2**34) + b"x" + op.STOP,
    "frame": op.PROTO + b"\4" + op.FRAME + struct.pack("<Q", 2**62) + op.STOP,
    "itself": stored(op.EMPTY_DICT + b"q\0" + text("a") + b"h\0" + op.SETITEM),
    "text": stored(array(text("x" * 12))),
    "half a number": stored(array(op.SHORT_BINBYTES + b"\x0b" + bytes(11))),
    "unfinished": stored(START),
    "a function completed": stored(named("numpy", "dtype") + op.EMPTY_DICT + op.BUILD),
    "nothing": b"",
    "no end": stored(array(TWELVE_BYTES))[:-1],
    "empty stack": op.STOP,
    "line breaks": op.PROTO + b"\4" + text("os\nx") + text("a\nb") + b"\x93" + op.STOP,
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
    assert peak < 50_000_000


def test_rows_that_are_one_in_the_file_are_not_multiplied(tmp_path):
    """A megabyte that is an array of a hundred photos would take a hundred."""
    row = array(MEGABYTE) + b"q\0"
    copies = [row, *[op.BINGET + b"\0"] * 99]
    write_pickle(tmp_path, stored(*copies))
    length = 2**18
    record = structs.replace(read_encoder_record(tmp_path), length=length)
    write_json(tmp_path / "features.json", record)
    assert_refused(tmp_path, "more numbers than the file")


def test_features_of_a_real_length_never_have_too_many_instructions(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "INSTRUCTIONS", 0)
    names, length = [f"{index:04d}" for index in range(500)], 64
    rows = np.ones((500, length), dtype=np.float32)
    write_features(tmp_path, names, rows, structs.replace(RECORD, length=length))
    assert read_features(tmp_path).shape == (500, length)
