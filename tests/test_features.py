"""The features file: what is read, what is refused, and that a refusal runs nothing."""

import errno
import hashlib
import json
import os
import pickle
import pickletools
import resource
import struct
import tracemalloc
from pickle import (
    BINBYTES8,
    BINGET,
    BININT1,
    BINUNICODE,
    BUILD,
    BYTEARRAY8,
    EMPTY_DICT,
    EMPTY_LIST,
    EMPTY_SET,
    FRAME,
    FROZENSET,
    GLOBAL,
    LONG_BINPUT,
    MARK,
    MEMOIZE,
    NEWFALSE,
    NEWTRUE,
    NONE,
    POP,
    PROTO,
    REDUCE,
    SETITEM,
    SHORT_BINBYTES,
    STOP,
    TUPLE,
    TUPLE1,
    TUPLE2,
)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from support import ENCODER_RECORD

from captioning.cli import UserError
from captioning.photos.features import (
    check_same_encoder,
    load_features,
    read_features,
    write_encoder_record,
    write_features,
)
from captioning.photos.pickled_features import BYTES_AN_INSTRUCTION

RECORD = structs.replace(ENCODER_RECORD, weights="imagenet", length=3)
FEATURES = {"a": np.array([1, 2, 3], dtype=np.float32), "b": np.zeros(3, dtype=np.float32)}
HUGE = 2**62


@pytest.fixture
def data(tmp_path):
    write_features(tmp_path, FEATURES, RECORD, [])
    return tmp_path


def replace(data, content, protocol=4):
    """Writes another features.pkl, as another program would, and a record that fits it."""
    (data / "features.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    write_encoder_record(data, RECORD, 1, [])


def test_the_file_is_a_plain_pickle_that_anyone_can_read(data):
    with open(data / "features.pkl", "rb") as file:
        plain = pickle.load(file)
    assert type(plain) is dict
    assert list(plain) == ["a", "b"]
    assert plain["a"].dtype == np.float32
    record = json.loads((data / "features.json").read_text())
    digest = hashlib.sha256((data / "features.pkl").read_bytes()).hexdigest()
    assert record["features_sha256"] == digest
    write_features(data, read_features(data), RECORD, [])
    assert hashlib.sha256((data / "features.pkl").read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(data, protocol):
    replace(data, FEATURES, protocol)
    read = read_features(data)
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"], FEATURES["a"])


def test_pickles_of_numpy_1_are_read(data):
    renamed = pickle.dumps(FEATURES, protocol=2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core" in renamed
    (data / "features.pkl").write_bytes(renamed)
    write_encoder_record(data, RECORD, 2, [])
    np.testing.assert_array_equal(read_features(data)["a"], FEATURES["a"])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({}, "no dict of features"),
        ([1, 2], "no dict of features"),
        ({1: FEATURES["a"]}, "not a string"),
        ({None: FEATURES["a"]}, "not a string"),
        ({"a": [1.0, 2.0, 3.0]}, "not a float32 array"),
        ({"a": {"b": FEATURES["a"]}}, "not a float32 array"),
        ({"a": FEATURES["a"].astype(np.float64)}, "float32"),
        ({"a": FEATURES["a"].astype(">f4")}, "little-endian"),
        ({"a": np.array([{}], dtype=object)}, "float32"),
        ({"a": np.zeros(3, dtype=[("x", "f4")])}, "float32"),
        ({"a": FEATURES["a"][:2]}, "shape"),
        ({"a": FEATURES["a"][None]}, "shape"),
        ({**FEATURES, "c": np.ones(4, dtype=np.float32)}, "shape"),
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
    write_encoder_record(data, RECORD, 2, [])
    with pytest.raises(UserError, match="is damaged"):
        read_features(data)
    path.unlink()
    with pytest.raises(UserError, match=r"missing.*prepare_photos.py"):
        read_features(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [("encoder", "VGG19"), ("weights_sha256", "1" * 64), ("length", 4), ("layer", "fc1")],
)
def test_features_of_another_encoder_do_not_go_together(key, value):
    check_same_encoder(RECORD, "one", structs.replace(RECORD, weights="elsewhere"), "two")
    with pytest.raises(UserError, match="one and two do not go together") as error:
        check_same_encoder(
            RECORD,
            "one",
            structs.replace(RECORD, **{key: value}),
            "two",
        )
    assert str(getattr(RECORD, key)) in str(error.value)
    assert str(value) in str(error.value)


def stop(*arguments):
    raise KeyboardInterrupt


def test_a_stop_between_features_and_record_leaves_no_false_pair(data, monkeypatch):
    other = structs.replace(RECORD, layer="fc1")
    monkeypatch.setattr("captioning.photos.features.write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        write_features(data, {"c": np.ones(3, dtype=np.float32)}, other, [])
    with pytest.raises(UserError, match=r"is not the file that features\.json describes"):
        read_features(data)
    # A record whose features someone removed.
    (data / "features.pkl").unlink()
    with pytest.raises(KeyboardInterrupt):
        write_features(data, {"c": np.ones(3, dtype=np.float32)}, other, [])
    with pytest.raises(UserError, match=r"is not the file that features\.json describes"):
        read_features(data)


@pytest.mark.parametrize(("key", "value"), [("weights", None), ("length", "3"), ("encoder", 5)])
def test_a_record_of_wrong_types_is_refused(data, key, value):
    write_encoder_record(
        data,
        structs.replace(RECORD, **{key: value}),
        2,
        [],
    )
    with pytest.raises(UserError, match=f"{key} is missing or wrong"):
        read_features(data)


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
    """Writes against a real limit, where the disk says no in the middle of the features."""
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    features = {str(number): np.ones(3, dtype=np.float32) for number in range(5000)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_features(data, features, RECORD, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


# Hostile pickles: whatever the bytes, there are features or one sentence, and nothing is run.


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("pickles") / "features.pkl"


def load(path, content):
    path.write_bytes(content)
    return load_features(path, 3, "run prepare_photos.py")


def assert_refused(path, content):
    with pytest.raises(UserError) as error:
        load(path, content)
    assert len(str(error.value).splitlines()) == 1


class Calls:
    """Is pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        Calls(os.mkdir, "harm"),
        Calls(eval, "open('harm', 'w')"),
        Calls(np.load, "harm.npy"),
        Calls(np.ndarray, (2**40,), "f4"),
        Calls(np.dtype, "O"),
        Calls(getattr, np.ndarray, "dump"),
        np.array([{}], dtype=object),
        np.array(["text"]),
        np.array([1, 2, 3]),
        np.float32(1),
        [FEATURES["a"]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_float32_array_is_refused_unrun(path, value, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(path, pickle.dumps({"a": FEATURES["a"], "b": value}, protocol))
    assert not list(tmp_path.iterdir())


def text(value):
    content = value.encode()
    return BINUNICODE + struct.pack("<I", len(content)) + content


def named(module, name):
    return GLOBAL + f"{module}\n{name}\n".encode()


def number(value):
    return pickle.dumps(value, 2)[2:-1]


TYPE = b"".join(
    [
        *(named("numpy", "dtype"), MARK, text("f4"), NEWFALSE, NEWTRUE, TUPLE, REDUCE),
        *(MARK, BININT1, b"\3", text("<"), NONE, TUPLE, BUILD),
    ]
)
RECONSTRUCT = named("numpy.core.multiarray", "_reconstruct")
ARRAY_CLASS = named("numpy", "ndarray")
TWELVE_BYTES = SHORT_BINBYTES + b"\x0c" + bytes(12)
START = RECONSTRUCT + MARK + ARRAY_CLASS + MARK + BININT1 + b"\0" + TUPLE + NONE + TUPLE + REDUCE


def array(shape, content=TWELVE_BYTES):
    """Makes the steps of an array, as NumPy would, of any shape that is claimed."""
    state = MARK + BININT1 + b"\1" + shape + TYPE + NEWFALSE + content + TUPLE
    return START + state + BUILD


def stored(value):
    return PROTO + b"\4" + EMPTY_DICT + text("a") + value + SETITEM + STOP


def test_the_steps_of_these_tests_make_an_array(path):
    (row,) = load(path, stored(array(BININT1 + b"\3" + TUPLE1))).values()
    np.testing.assert_array_equal(row, np.zeros(3))


ENCODE = named("_codecs", "encode")
MEGABYTE = text("x" * 2**20) + b"q\0" + b"0"
FROM_BUFFER = named("numpy._core.numeric", "_frombuffer")


def memoized(*values):
    """Makes steps that leave values in the memo, and nothing on the stack."""
    return b"".join(value + b"q" + bytes([place]) + POP for place, value in enumerate(values))


def buffer(content, size):
    return MARK + content + TYPE + number(size) + TUPLE1 + text("C") + TUPLE


TWO_MEGABYTES = 2**21
FIRST, SECOND = BINGET + b"\0", BINGET + b"\1"
HALF_OF_IT = BINBYTES8 + struct.pack("<Q", 2**20) + bytes(2**20)
BOMBS = {
    # Of objects made by instructions of a few bytes.
    **{
        f"nothing but {name}": PROTO + b"\5" + NONE + step * (TWO_MEGABYTES // len(step)) + STOP
        for name, step in {
            "sets": EMPTY_SET,
            "frozen sets": MARK + FROZENSET,
            "dicts": EMPTY_DICT,
            "lists": EMPTY_LIST,
            "tuples": TUPLE1,
        }.items()
    },
    "a byte array given to many arrays": PROTO
    + b"\5"
    + memoized(BYTEARRAY8 + HALF_OF_IT[1:], FROM_BUFFER)
    + buffer(FIRST, 2**18)
    + MEMOIZE
    + (SECOND + BINGET + b"\2" + REDUCE) * 3000
    + STOP,
    "a number for a buffer": stored(FROM_BUFFER + buffer(number(2**30), 2**28) + REDUCE),
    "a memo far ahead": PROTO
    + b"\2"
    + NONE
    + LONG_BINPUT
    + struct.pack("<I", 2 * TWO_MEGABYTES)
    + HALF_OF_IT * 4
    + STOP,
    "a shape of a shape of a shape": PROTO
    + b"\2"
    + NONE
    + (b"q\0" + FIRST + TUPLE2) * 22
    + b"q\0"
    + array(FIRST)
    + STOP,
}
HOSTILE = BOMBS | {
    "a shape of exabytes": stored(array(number(HUGE) + TUPLE1)),
    "shape that overflows": stored(array(number(2**70) + TUPLE1)),
    "negative shape": stored(array(number(-2) + TUPLE1)),
    "shape of no numbers": stored(array(text("3") + TUPLE1)),
    "shape of two": stored(array(MARK + number(3) + number(1) + TUPLE)),
    "too few numbers": stored(array(number(4) + TUPLE1)),
    "text for numbers": stored(array(number(3) + TUPLE1, text("x" * 12))),
    "the class called": stored(ARRAY_CLASS + MARK + number(2**40) + TUPLE1 + TUPLE + REDUCE),
    "reconstructed of exabytes": stored(
        RECONSTRUCT + MARK + ARRAY_CLASS + number(HUGE) + TUPLE1 + text("b") + TUPLE + REDUCE
    ),
    "bytes of exabytes": PROTO + b"\4" + BINBYTES8 + struct.pack("<Q", HUGE) + b"x" + STOP,
    "bytes of gigabytes": PROTO + b"\4" + BINBYTES8 + struct.pack("<Q", 2**34) + b"x" + STOP,
    "a frame of exabytes": PROTO + b"\4" + FRAME + struct.pack("<Q", HUGE) + STOP,
    "a memo of gigabytes": PROTO + b"\2" + EMPTY_DICT + LONG_BINPUT + b"\xff\xff\xff\xff" + STOP,
    "a dict in itself": PROTO + b"\2" + EMPTY_DICT + b"q\0" + text("a") + b"h\0" + SETITEM + STOP,
    "an encoding that unpacks": stored(ENCODE + MARK + text("a") + text("zlib") + TUPLE + REDUCE),
    "an encoding of bytes": stored(ENCODE + MARK + number(1) + text("latin1") + TUPLE + REDUCE),
    "a text encoded again and again": PROTO
    + b"\2"
    + MEGABYTE
    + (ENCODE + MARK + b"h\0" + text("latin1") + TUPLE + REDUCE) * 3000
    + STOP,
    "bytes given to many arrays": PROTO
    + b"\4"
    + (BINBYTES8 + struct.pack("<Q", 2**20) + bytes(2**20) + b"q\0")
    + array(number(2**18) + TUPLE1, b"h\0") * 3000
    + STOP,
    "a function completed": stored(RECONSTRUCT + EMPTY_DICT + text("x") + NONE + SETITEM + BUILD),
    "a class completed": stored(ARRAY_CLASS + NONE + EMPTY_DICT + b"\x86" + BUILD),
    "an array without numbers": stored(START),
    "nothing": b"",
    "no end": stored(array(BININT1 + b"\3" + TUPLE1))[:-1],
    "an empty stack": STOP,
    "a mark": MARK + STOP,
    "a name with line breaks": PROTO + b"\4" + text("os\nx") + text("a\nb") + b"\x93" + STOP,
    "a number of many digits": b"I" + b"9" * 100_000 + b"\n.",
    "a persistent object": b"Pharm\n.",
    "an instance": b"(ios\nsystem\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_without_much_memory(path, name):
    tracemalloc.start()
    try:
        assert_refused(path, HOSTILE[name])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000


def test_an_array_of_many_names_is_refused(path):
    """Or else as many copies would be made of it when the rows are taken."""
    one = memoized(HALF_OF_IT, array(number(2**18) + TUPLE1, FIRST))
    items = b"".join(text(str(name)) + SECOND + SETITEM for name in range(2))
    path.write_bytes(PROTO + b"\4" + one + EMPTY_DICT + items + STOP)
    with pytest.raises(UserError, match="more numbers than the file"):
        load_features(path, 2**18, "run prepare_photos.py")


@pytest.mark.parametrize(("length", "protocol"), [(64, 4), *((1280, each) for each in range(6))])
def test_features_of_a_real_length_never_have_too_many_instructions(length, protocol):
    numbers = np.random.default_rng(0).normal(size=(100, length)).astype(np.float32)
    content = pickle.dumps({str(place): row for place, row in enumerate(numbers)}, protocol)
    count = sum(1 for _ in pickletools.genops(content))
    assert count < len(content) / BYTES_AN_INSTRUCTION


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_else(path, content):
    try:
        load(path, content)
    except UserError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  Both outcomes are right.


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_changed_pickles_raise_nothing_else(path, protocol, changes, insert):
    content = bytearray(pickle.dumps(FEATURES, protocol))
    for place, value in changes:
        start = int(place * (len(content) - 1))
        content[start : start + (not insert)] = bytes([value])
    try:
        features = load(path, bytes(content))
    except UserError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  Both outcomes are right.
    else:
        assert all(row.shape == (3,) for row in features.values())


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text() | st.integers(), PLAIN), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_other_pickles_are_refused(path, content, protocol):
    assert_refused(path, pickle.dumps(content, protocol))


THREE_NUMBERS = st.lists(st.floats(width=32), min_size=3, max_size=3)


@given(st.dictionaries(st.text(), THREE_NUMBERS, min_size=1), st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_any_names_and_numbers_come_back(path, content, protocol):
    features = {name: np.array(numbers, dtype=np.float32) for name, numbers in content.items()}
    if not all(np.isfinite(row).all() for row in features.values()):
        assert_refused(path, pickle.dumps(features, protocol))
        return
    read = load(path, pickle.dumps(features, protocol))
    assert list(read) == list(features)
    for name, row in features.items():
        np.testing.assert_array_equal(read[name], row)
