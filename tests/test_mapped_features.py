"""Features that need not fit in memory: the file, what is refused, and that no result changes."""

import hashlib
import json
import os
import pickle
import shutil
import tracemalloc

import numpy as np
import pytest
from msgspec import structs
from support import ENCODER_RECORD, PhotoBench

import train
from captioning.cli import UserError
from captioning.old import read_json, write_json
from captioning.photos import extraction, features
from captioning.photos.features import (
    MAPPED_ABOVE,
    choose_form,
    features_path,
    read_encoder_record,
    read_features,
    write_features,
    write_mapped_features,
)
from captioning.text.captions import find_captions

RECORD = structs.replace(ENCODER_RECORD, length=3)
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
PHOTOS = ["a", "ü\n", "c\udc80", "d"]


def write(data, rows=ROWS, dtype="float32", record=RECORD):
    """Writes the rows as two portions, the last first."""
    blocks = [([3, 1], rows[[3, 1]]), ([0, 2], rows[[0, 2]])]
    write_mapped_features(data, PHOTOS, blocks, dtype, record, [])
    return data


@pytest.fixture
def data(tmp_path):
    return write(tmp_path)


def change_record(data, **changes):
    """Changes features.json as someone could who computes its digest anew."""
    record = {**read_encoder_record(data, ""), **changes}
    write_json(data / "features.json", record, features.FORMAT)


def assert_refused(data, *words):
    with pytest.raises(UserError) as error:
        read_features(data)
    (sentence,) = str(error.value).splitlines()
    for word in (*words, f"python prepare_photos.py --data {data}"):
        assert str(word) in sentence


# ---- The file ----


def test_the_file_is_an_array_that_numpy_reads(data):
    np.testing.assert_array_equal(np.load(data / "features.npy", allow_pickle=False), ROWS)
    record = json.loads((data / "features.json").read_text())
    digest = hashlib.sha256((data / "features.npy").read_bytes()).hexdigest()
    assert (record["features_sha256"], record["count"]) == (digest, 4)
    found = read_features(data)
    assert list(found) == PHOTOS
    for photo, row in zip(PHOTOS, ROWS, strict=True):
        np.testing.assert_array_equal(found[photo], row)
    assert "b" not in found


def test_rows_are_selected_as_of_an_array(data):
    rows = read_features(data).select(["d", "a", "ü\n"])
    expected = ROWS[[3, 0, 1]]
    assert rows.shape == expected.shape
    assert len(rows) == 3
    for selection in (slice(None), slice(1, 2), slice(0), [2, 0, 2], np.array([1])):
        selected = rows[selection]
        assert selected.dtype == np.float32
        np.testing.assert_array_equal(selected, expected[selection])


def test_both_forms_give_the_same(data, tmp_path):
    other = tmp_path / "other"
    write_features(other, dict(zip(PHOTOS, ROWS, strict=True)), RECORD, [])
    one, two = read_features(data), read_features(other)
    assert list(one) == list(two)
    np.testing.assert_array_equal(one.select(PHOTOS)[:], two.select(PHOTOS)[:])


def test_half_precision_takes_half_and_comes_back_as_float32(tmp_path):
    write(tmp_path, dtype="float16")
    stored = np.load(tmp_path / "features.npy")
    assert stored.dtype == np.float16
    rows = read_features(tmp_path).select(PHOTOS)[:]
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, stored.astype(np.float32))
    np.testing.assert_allclose(rows, ROWS, rtol=1e-3)


def test_what_half_precision_cannot_hold_is_said(tmp_path):
    with pytest.raises(UserError, match=r"numbers that float16 cannot hold.*--format mapped"):
        write(tmp_path, rows=ROWS * 1e6, dtype="float16")
    assert not list(tmp_path.iterdir())


def test_one_form_replaces_the_other(data):
    by_id = dict(zip(PHOTOS, ROWS, strict=True))
    write_features(data, by_id, RECORD, [])
    assert features_path(data) == data / "features.pkl"
    assert {path.name for path in data.iterdir()} == {"features.pkl", "features.json"}
    write(data)
    assert features_path(data) == data / "features.npy"
    names = {"features.npy", "features-index.json", "features.json"}
    assert {path.name for path in data.iterdir()} == names


def test_large_features_are_mapped_unless_asked_otherwise():
    assert choose_form("auto", MAPPED_ABOVE // 4, 1) == "pickle"
    assert choose_form("auto", MAPPED_ABOVE // 4 + 1, 1) == "mapped"
    assert choose_form("pickle", MAPPED_ABOVE, 4096) == "pickle"


# ---- What is refused ----


def rewrite(array):
    def change(path):
        np.save(path, array, allow_pickle=True)

    return change


class Harm:
    """Would make a folder where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


HEADER = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"


def claim(shape):
    return lambda path: path.write_bytes(HEADER.replace(b"%s", shape).ljust(127) + b"\n" + bytes(9))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "after its last row"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(pickle.dumps(Harm())), "damaged"),
        (rewrite(np.array([Harm()] * 12).reshape(4, 3)), "damaged"),
        (rewrite(ROWS.astype(np.float64)), "float64"),
        (rewrite(ROWS.astype(np.int32)), "int32"),
        (rewrite(ROWS.astype(">f4")), ">f4"),
        (rewrite(ROWS[:3]), "(3, 3), not (4, 3)"),
        (rewrite(ROWS[:, :2]), "(4, 2), not (4, 3)"),
        (rewrite(ROWS.ravel()), "(12,), not (4, 3)"),
        (rewrite(np.asfortranarray(ROWS)), "its shape"),
        (rewrite(ROWS + 1), "is not the file that features.json describes"),
        (claim(b"4, 3"), "damaged"),
        (claim(b"4611686018427387904, 3"), "damaged"),
        (claim(b"-4, 3"), "damaged"),
        (claim(b"()" * 30), "damaged"),
    ],
)
def test_another_array_is_refused_unrun(data, monkeypatch, change, fault):
    monkeypatch.chdir(data)
    change(data / "features.npy")
    tracemalloc.start()
    try:
        assert_refused(data, data / "features.npy", fault)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert not (data / "harm").exists()


def test_every_damaged_byte_of_the_header_is_refused(data):
    path = data / "features.npy"
    content = path.read_bytes()
    for place in range(len(content) - ROWS.nbytes):
        changed = bytearray(content)
        changed[place] ^= 4
        path.write_bytes(changed)
        try:
            found = read_features(data)
        except UserError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017  Both outcomes are right.
        else:
            np.testing.assert_array_equal(found.select(PHOTOS)[:], ROWS)


def test_a_record_of_other_features_is_refused(data, tmp_path):
    """All but the numbers agrees: the same photos, encoded by another network."""
    other = write(
        tmp_path / "other", rows=ROWS + 1, record=structs.replace(RECORD, encoder="VGG19")
    )
    shutil.copy(other / "features.json", data)
    assert_refused(data, data / "features.npy", "is not the file that features.json describes")


def test_an_index_of_other_photos_is_refused(data):
    path = data / "features-index.json"
    content = read_json(path, 1, "")
    for photo_ids in (PHOTOS[::-1], PHOTOS[:3], [*PHOTOS, "e"], ["a", "a", "c", "d"], [1, 2, 3, 4]):
        write_json(path, {**content, "photo_ids": photo_ids}, 1)
        assert_refused(data, "features")
    path.write_text(path.read_text().replace("a", "b", 1))
    assert_refused(data, path)
    path.unlink()
    assert_refused(data, path, "missing")


def test_a_missing_array_is_named(data):
    (data / "features.npy").unlink()
    assert_refused(data, data / "features.npy", "missing")


@pytest.mark.parametrize("name", ["features.npy", "features-index.json", "features.json"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_neither_opened_nor_waited_for(data, name, make):
    (data / name).unlink()
    make(data / name)
    # Without the record the features are looked for in the other form.
    named = "features.pkl" if name == "features.json" else name
    assert_refused(data, data / named, "missing")


def test_the_index_is_not_taken_for_captions(data):
    (data / "mine.json").write_text("[]")
    assert find_captions(data, (), ()) == [data / "mine.json"]


def test_a_record_names_no_other_file(data):
    change_record(data, file="../features.npy")
    assert_refused(data, data / "features.pkl", "missing")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_stop_while_files_are_replaced_leaves_no_false_pair(data, monkeypatch, count):
    """Between any two of the three files; the features before and after are of the same photos."""
    ordinary, calls = os.replace, []

    def stop(*paths):
        calls.append(1)
        if len(calls) == count:
            raise KeyboardInterrupt
        ordinary(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            write(data, rows=ROWS + 1)
    if count == 1:
        np.testing.assert_array_equal(read_features(data).select(PHOTOS)[:], ROWS)
    else:
        assert_refused(data, "is not the file that features.json describes")
    np.testing.assert_array_equal(
        read_features(write(data, rows=ROWS + 1)).select(PHOTOS)[:], ROWS + 1
    )


# ---- The scripts ----


def as_mapped(data):
    """Turns the features of a data folder into mapped ones."""
    found, record = read_features(data), read_encoder_record(data, "")
    photos = list(found)
    rows = np.stack(list(found.values()))
    block = (range(len(photos)), rows)
    write_mapped_features(data, photos, [block], "float32", record, record["skipped"])


def train_model(data, model, *flags):
    arguments = ["--data", data, "--model", model, "--epochs", 2, "--batch-size", 4, *flags]
    assert train.main([*map(str, arguments), "--min-steps", "1"]) == 0


def test_training_and_its_rewards_are_the_same_to_the_last_bit(prepared_data, tmp_path):
    pickled, mapped = tmp_path / "pickled", tmp_path / "mapped"
    rewards = ["--reward-epochs", "1", "--reward-photos", "4"]
    train_model(prepared_data, pickled, *rewards)
    as_mapped(prepared_data)
    train_model(prepared_data, mapped, *rewards)
    from captioning.network.saved_model import load_model

    weights = [load_model(folder).captioner.get_weights() for folder in (pickled, mapped)]
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_evaluation_is_the_same(prepared_data, tmp_path, monkeypatch):
    import evaluate

    train_model(prepared_data, tmp_path / "model")
    arguments = ["--data", str(prepared_data), "--model", str(tmp_path / "model")]
    assert evaluate.main(arguments) == 0
    names = ("scores.json", "captions.csv", "captions.html")
    before = [(tmp_path / "model" / name).read_bytes() for name in names]
    as_mapped(prepared_data)
    assert evaluate.main(arguments) == 0
    assert [(tmp_path / "model" / name).read_bytes() for name in names] == before


def test_a_run_is_not_resumed_on_other_features(prepared_data, tmp_path, monkeypatch):
    as_mapped(prepared_data)
    model = tmp_path / "model"
    with monkeypatch.context() as patch:

        def stop(folder):
            raise KeyboardInterrupt

        patch.setattr(train, "remove_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train_model(prepared_data, model)
    found = dict(read_features(prepared_data))
    write_features(prepared_data, {**found, "red_ball_snow": np.ones(6)}, ENCODER_RECORD, [])
    as_mapped(prepared_data)
    with pytest.raises(UserError, match="a run with inputs"):
        train_model(prepared_data, model, "--resume")
    write_features(prepared_data, found, ENCODER_RECORD, [])
    as_mapped(prepared_data)
    train_model(prepared_data, model, "--resume")


# ---- Made by prepare_photos.py ----


@pytest.fixture
def bench(tmp_path, capsys, monkeypatch):
    bench = PhotoBench(tmp_path / "data", capsys, monkeypatch)
    monkeypatch.setattr(extraction, "PHOTOS_A_FILE", 10)
    return bench


def test_photos_have_the_same_features_in_either_form(bench):
    bench.run("--format", "pickle")
    pickled = read_features(bench.folder)
    photos = list(pickled)
    rows = pickled.select(photos)[:]
    status, output, _ = bench.run("--format", "mapped")
    assert (status, bench.encoded) == (1, 0)
    assert str(bench.folder / "features.npy") in output
    assert not (bench.folder / "features.pkl").exists()
    mapped = read_features(bench.folder)
    assert list(mapped) == photos
    np.testing.assert_array_equal(mapped.select(photos)[:], rows)
    bench.run("--format", "mapped-half")
    half = read_features(bench.folder)
    np.testing.assert_array_equal(half.select(photos)[:], rows.astype(np.float16))
    # Nothing was lost by it: the cache holds all digits.
    bench.run("--format", "pickle")
    np.testing.assert_array_equal(read_features(bench.folder).select(photos)[:], rows)


def test_large_features_are_mapped_by_themselves(bench, monkeypatch):
    monkeypatch.setattr(features, "MAPPED_ABOVE", 29 * 6 * 4 - 1)
    bench.run()
    assert features_path(bench.folder).name == "features.npy"
    bench.photo(3).unlink()
    bench.run()
    assert features_path(bench.folder).name == "features.pkl"


def test_the_cache_keeps_files_of_a_bounded_size(bench):
    bench.run("--format", "mapped")
    paths = sorted((bench.folder / "features-cache").iterdir())
    sizes = []
    for path in paths:
        with np.load(path) as file:
            sizes.append(len(file["features"]))
    assert sizes == [10, 10, 9]
    before = [path.stat().st_mtime_ns for path in paths]
    bench.run("--format", "mapped")
    assert [path.stat().st_mtime_ns for path in paths] == before
    bench.photo(3).unlink()
    bench.run("--format", "mapped")
    assert len(list((bench.folder / "features-cache").iterdir())) == 3


def test_a_stop_anywhere_changes_nothing(bench, monkeypatch):
    names = ("features.npy", "features-index.json", "features.json")
    bench.run("--format", "mapped")
    undisturbed = [(bench.folder / name).read_bytes() for name in names]
    for count in range(1, 100):
        bench.restore({})
        with monkeypatch.context() as patch:
            bench.stop_at(patch, os, "replace", count)
            status, _, _ = bench.run("--format", "mapped")
        if status == 1:
            break
        assert bench.run("--format", "mapped")[0] == 1
        assert [(bench.folder / name).read_bytes() for name in names] == undisturbed
        assert len(list((bench.folder / "features-cache").iterdir())) == 3
    assert count > 9


def test_features_of_another_encoder_are_named_in_either_form(bench):
    bench.run("--format", "mapped")
    status, _, errors = bench.run(encoder="VGG16")
    assert status == 2
    cache, path = bench.folder / "features-cache", bench.folder / "features.npy"
    assert f"remove {cache} and {path} to begin anew" in errors
