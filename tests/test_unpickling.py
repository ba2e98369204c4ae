"""Hostile pickles: whatever the bytes, there are vectors or one sentence, and nothing is run."""

import os
import pickle
import struct
import tracemalloc
from pickle import (
    BINBYTES8,
    BININT1,
    BINUNICODE,
    BUILD,
    EMPTY_DICT,
    FRAME,
    GLOBAL,
    LONG_BINPUT,
    MARK,
    MEMOIZE,
    NEWFALSE,
    NEWTRUE,
    NONE,
    PROTO,
    REDUCE,
    SETITEM,
    SHORT_BINBYTES,
    STOP,
    TUPLE,
    TUPLE1,
)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioning.cli import UserError
from captioning.features import load_features

VECTORS = {name: np.arange(3, dtype=np.float32) + len(name) for name in ("a", "bb", "ccc")}
HUGE = 2**62


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
    return str(error.value)


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
        np.array([1, 2, 3], dtype=">f4"),
        np.zeros(3, dtype=[("x", "f4")]),
        np.float32(1),
        {"a": VECTORS["a"]},
        [VECTORS["a"]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_float32_array_is_refused_unrun(path, value, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(path, pickle.dumps({"a": VECTORS["a"], "b": value}, protocol))
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


def array(shape, content=TWELVE_BYTES):
    """Makes the steps of an array, as NumPy would, of any shape that is claimed."""
    start = RECONSTRUCT + MARK + ARRAY_CLASS + MARK + BININT1 + b"\0" + TUPLE + NONE + TUPLE
    state = MARK + BININT1 + b"\1" + shape + TYPE + NEWFALSE + content + TUPLE
    return start + REDUCE + state + BUILD


def stored(value):
    return PROTO + b"\4" + EMPTY_DICT + text("a") + value + SETITEM + STOP


def test_the_steps_of_these_tests_make_an_array(path):
    (vector,) = load(path, stored(array(BININT1 + b"\3" + TUPLE1))).values()
    np.testing.assert_array_equal(vector, np.zeros(3))


HOSTILE = {
    "a shape of exabytes": stored(array(number(HUGE) + TUPLE1)),
    "shape that overflows": stored(array(number(2**70) + TUPLE1)),
    "negative shape": stored(array(number(-1) + TUPLE1)),
    "shape of no numbers": stored(array(text("3") + TUPLE1)),
    "shape of two": stored(array(MARK + number(3) + number(1) + TUPLE)),
    "empty of exabytes": stored(array(MARK + number(0) + number(HUGE) + TUPLE)),
    "a hundred dimensions": stored(array(MARK + number(1) * 100 + TUPLE)),
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
    "a deep tuple as a name": PROTO
    + b"\4"
    + EMPTY_DICT
    + NONE
    + TUPLE1 * 10**5
    + NONE
    + SETITEM
    + STOP,
    "a deep tuple as a value": stored(NONE + TUPLE1 * 10**5),
    "a deep tuple as a state": stored(TYPE[:-1] + NONE + TUPLE1 * 10**5 + BUILD),
    "a tuple that doubles": stored(NONE + (MEMOIZE + b"h\0" + b"\x86") * 5000),
    "a dict in itself": PROTO + b"\2" + EMPTY_DICT + b"q\0" + text("a") + b"h\0" + SETITEM + STOP,
    "an encoding that unpacks": stored(
        named("_codecs", "encode") + MARK + text("a") + text("zlib") + TUPLE + REDUCE
    ),
    "an encoding of bytes": stored(
        named("_codecs", "encode") + MARK + number(1) + text("latin1") + TUPLE + REDUCE
    ),
    "a function completed": stored(RECONSTRUCT + EMPTY_DICT + text("x") + NONE + SETITEM + BUILD),
    "a class completed": stored(ARRAY_CLASS + NONE + EMPTY_DICT + b"\x86" + BUILD),
    "an array without numbers": stored(RECONSTRUCT + MARK + ARRAY_CLASS + TUPLE + REDUCE),
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
    assert peak < 200_000_000


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
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
@settings(max_examples=500, deadline=None)
def test_changed_pickles_raise_nothing_else(path, protocol, changes, insert):
    content = bytearray(pickle.dumps(VECTORS, protocol))
    for place, value in changes:
        start = int(place * (len(content) - 1))
        content[start : start + (not insert)] = bytes([value])
    try:
        vectors = load(path, bytes(content))
    except UserError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017  Both outcomes are right.
    else:
        assert all(vector.shape == (3,) for vector in vectors.values())


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
@settings(max_examples=200, deadline=None)
def test_any_names_and_numbers_come_back(path, content, protocol):
    vectors = {name: np.array(numbers, dtype=np.float32) for name, numbers in content.items()}
    finite = all(np.isfinite(vector).all() for vector in vectors.values())
    if not finite:
        assert_refused(path, pickle.dumps(vectors, protocol))
        return
    read = load(path, pickle.dumps(vectors, protocol))
    assert list(read) == list(vectors)
    for name, vector in vectors.items():
        np.testing.assert_array_equal(read[name], vector)
