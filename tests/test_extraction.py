"""Stopped and repeated runs of prepare_photos.py: nothing is lost, mixed or done twice."""

import contextlib
import json
import os
import shutil
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from disturber import AT_RISK, Disturber
from support import PHOTO_COUNT as COUNT
from support import PHOTO_RESULTS as RESULTS
from support import PhotoBench, StandIn, draw_photos

from captioning.cli import UserError
from captioning.old import LOCK, PHOTO_SCRIPTS, locked
from captioning.photos.feature_cache import read_hashes
from captioning.photos.features import read_features, write_features


@pytest.fixture
def bench(tmp_path, capsys, monkeypatch):
    return PhotoBench(tmp_path / "data", capsys, monkeypatch)


@pytest.fixture
def undisturbed(bench):
    """Returns what an undisturbed run writes; the folder holds it."""
    assert bench.run()[0] == 1
    assert bench.encoded == COUNT - 1
    return bench.results()


def change_photos(bench):
    """Adds two photos, changes two, and takes two away."""
    shutil.copy(bench.photo(1), bench.photos / "new.png")
    shutil.copy(bench.photo(2), bench.photos / "a new one.png")
    shutil.copy(bench.photo(3), bench.photo(4))
    os.utime(bench.photo(5), ns=(1, 1))
    bench.photo(6).unlink()
    bench.photo(7).unlink()


def test_a_stop_anywhere_costs_little_and_changes_nothing(bench, undisturbed, monkeypatch):
    for name, before, most in (("replace", True, 8), ("replace", False, 8), ("fsync", True, 8)):
        for count in range(1, 100):
            bench.restore({})
            with monkeypatch.context() as patch:
                bench.stop_at(patch, os, name, count, before)
                status, _, _ = bench.run()
                first = bench.encoded
            if status == 1:
                break
            assert status == 130
            assert bench.run()[0] == 1
            assert first + bench.encoded <= COUNT - 1 + most
            assert bench.results() == undisturbed
            assert {path.name for path in bench.folder.iterdir()} == {
                "photos",
                "features-cache",
                LOCK,
                *RESULTS,
            }
            assert len(list((bench.folder / "features-cache").iterdir())) == 1
        assert count > 7


def test_a_stop_in_an_update_costs_little_and_changes_nothing(bench, undisturbed, monkeypatch):
    before_update = bench.state()
    change_photos(bench)
    status, output, _ = bench.run()
    assert status == 1
    assert bench.encoded == 4
    assert "2 photos added, 2 changed, 2 gone, 25 unchanged" in output
    expected = bench.results()
    for before in (True, False):
        for count in range(1, 100):
            bench.restore(before_update)
            with monkeypatch.context() as patch:
                bench.stop_at(patch, os, "replace", count, before)
                status, _, _ = bench.run()
                first = bench.encoded
            if status == 1:
                break
            assert bench.run()[0] == 1
            assert first + bench.encoded <= 4 + 4
            assert bench.results() == expected
        assert count > 4


@pytest.mark.parametrize("number", [1, 3, 5, 7])
def test_a_stop_in_the_network_is_resumed(bench, undisturbed, monkeypatch, number):
    bench.restore({})
    with monkeypatch.context() as patch:
        bench.stop_at(patch, StandIn, "encode", number)
        status, _, errors = bench.run()
    assert status == 130
    assert "stopped" in errors
    assert not (bench.folder / "features.pkl").exists()
    status, output, _ = bench.run()
    kept = (number - 1) // 2 * 8
    kept -= kept > 10  # One of these is no photo.
    assert bench.encoded == COUNT - 1 - kept
    if kept:
        assert f"found {kept} features of earlier runs" in output
    assert bench.results() == undisturbed


def test_a_run_where_nothing_changed_needs_no_network(bench, undisturbed):
    status, output, errors = bench.run()
    assert (status, bench.encoded, bench.loaded) == (1, 0, 0)
    assert "0 photos added, 0 changed, 0 gone, 29 unchanged" in output
    assert "photo 0010.png" in errors
    assert bench.results() == undisturbed
    bench.run("--batch-size", "3")
    assert bench.results() == undisturbed


def test_changed_photos_get_the_vectors_that_a_new_folder_would(bench, undisturbed):
    change_photos(bench)
    draw_photos(bench.folder / "other", COUNT + 3)
    shutil.copy(bench.folder / "other" / "photo 0031.png", bench.photo(10))
    shutil.rmtree(bench.folder / "other")
    bench.photo(11).write_text("no longer a photo")
    status, output, errors = bench.run()
    assert status == 1
    assert "photo 0011.png" in errors
    assert "3 photos added, 2 changed, 3 gone, 24 unchanged" in output
    kept = read_features(bench.folder)
    bench.restore({})
    bench.run()
    anew = read_features(bench.folder)
    assert list(kept) == list(anew)
    for name, vector in anew.items():
        np.testing.assert_allclose(kept[name], vector, atol=1)


@pytest.mark.parametrize(
    ("encoder", "weights", "words"),
    [
        ("VGG16", "none", ["of MobileNetV2 with weights none", "of VGG16 with weights none"]),
        ("MobileNetV2", "other.h5", ["weights none", "weights other.h5", "0" * 64, "1" * 64]),
    ],
)
@pytest.mark.parametrize("unfinished", [False, True])
def test_features_of_other_encoders_are_refused_and_named(
    bench, undisturbed, monkeypatch, encoder, weights, words, unfinished
):
    if unfinished:
        bench.restore({})
        with monkeypatch.context() as patch:
            bench.stop_at(patch, StandIn, "encode", 4)
            assert bench.run()[0] == 130
    cache, features = bench.folder / "features-cache", bench.folder / "features.pkl"
    monkeypatch.chdir(bench.folder)
    (bench.folder / "other.h5").touch()
    before = bench.state()
    bench.digest = "1" * 64
    status, output, errors = bench.run(encoder=encoder, weights=weights)
    assert (status, output, bench.encoded) == (2, "", 0)
    (sentence,) = errors.splitlines()
    remove = cache if unfinished else f"{cache} and {features}"
    for word in [*words, f"remove {remove} to begin anew", "--encoder", "--weights"]:
        assert word in sentence
    assert bench.state() == before
    shutil.rmtree(cache)
    features.unlink(missing_ok=True)
    assert bench.run(encoder=encoder, weights=weights)[0] == 1
    assert bench.encoded == COUNT - 1
    assert json.loads((bench.folder / "features.json").read_text())["encoder"] == encoder


def test_the_same_weights_under_another_name_go_on(bench, undisturbed, monkeypatch):
    monkeypatch.chdir(bench.folder)
    (bench.folder / "a file.h5").touch()
    status, _, _ = bench.run(weights="a file.h5")
    assert (status, bench.encoded, bench.loaded) == (1, 0, 1)
    assert json.loads((bench.folder / "features.json").read_text())["weights"] == "a file.h5"


def test_features_of_another_program_are_refused_or_made_anew(bench, undisturbed):
    bench.restore({})
    other = {**StandIn().record(), "layer": "fc7"}
    write_features(bench.folder, {"a": np.ones(6, dtype=np.float32)}, other, [])
    status, _, errors = bench.run()
    assert status == 2
    assert "layer is fc7 there and avg_pool here" in errors
    write_features(bench.folder, {"a": np.ones(6, dtype=np.float32)}, StandIn().record(), [])
    status, output, _ = bench.run()
    assert status == 1
    assert "has no cache that says which photos it was made from" in output
    assert bench.results() == undisturbed


@contextlib.contextmanager
def before_batches(monkeypatch, batches, act):
    """Calls act() before the network encodes the batches of these numbers, counted from 1."""
    ordinary, calls = StandIn.encode, []

    def encode(encoder, photos):
        calls.append(1)
        if len(calls) in batches:
            act()
        return ordinary(encoder, photos)

    with monkeypatch.context() as patch:
        patch.setattr(StandIn, "encode", encode)
        yield


@pytest.mark.parametrize("removals", [[5], range(1, 9)])
def test_a_cache_removed_during_the_run_is_said_and_mended(
    bench, undisturbed, monkeypatch, removals
):
    """Files of the cache that are written after it was removed have the numbers of lost ones."""
    bench.restore({})

    def remove():
        shutil.rmtree(bench.folder / "features-cache", ignore_errors=True)

    with before_batches(monkeypatch, removals, remove):
        status, _, errors = bench.run()
    assert status == 2
    assert "features-cache has lost the features of " in errors.splitlines()[-1]
    assert errors.endswith(f"run python prepare_photos.py --data {bench.folder} again\n")
    assert not (bench.folder / "features.pkl").exists()
    assert bench.run()[0] == 1
    assert bench.encoded < COUNT - 1
    # Of other batches, the vectors differ a little.
    mended = read_features(bench.folder)
    (bench.folder / "features.pkl").write_bytes(undisturbed["features.pkl"])
    (bench.folder / "features.json").write_bytes(undisturbed["features.json"])
    expected = read_features(bench.folder)
    assert list(mended) == list(expected)
    for name, vector in expected.items():
        np.testing.assert_allclose(mended[name], vector, atol=0.05)


def test_a_cache_swapped_for_that_of_another_encoder_is_not_used(bench, undisturbed, monkeypatch):
    """The photos agree, and so does the length of the features."""
    bench.restore({})
    assert bench.run(encoder="VGG16")[0] == 1
    cache, other = bench.folder / "features-cache", bench.folder.parent / "other"
    cache.rename(other)
    bench.restore({})

    def swap():
        shutil.rmtree(cache)
        shutil.copytree(other, cache)

    with before_batches(monkeypatch, [5], swap):
        status, _, errors = bench.run()
    assert status == 2
    assert "features-cache has lost the features of " in errors.splitlines()[-1]
    assert not (bench.folder / "features.pkl").exists()
    # Now it holds features of both.
    status, _, errors = bench.run()
    assert status == 2
    assert f"{cache} holds features of VGG16 with weights none, not of MobileNetV2" in errors
    shutil.rmtree(cache)
    assert bench.run()[0] == 1
    assert bench.results() == undisturbed


@pytest.mark.parametrize("photos", ["in the data folder", "elsewhere"])
def test_a_data_folder_moved_away_during_the_run_is_said(bench, undisturbed, monkeypatch, photos):
    bench.restore({})
    flags = []
    if photos == "elsewhere":
        bench.photos.rename(bench.folder.parent / "photos")
        flags = ["--photos", str(bench.folder.parent / "photos")]
    away = bench.folder.parent / "away"

    def move():
        bench.folder.rename(away)

    with before_batches(monkeypatch, [4], move):
        status, _, errors = bench.run(*flags)
    assert status == 2
    (sentence,) = errors.splitlines()
    assert f"{bench.folder} was moved or removed during this run: put it there again" in sentence
    assert not bench.folder.exists()
    away.rename(bench.folder)
    status, output, _ = bench.run()
    assert status == 1
    assert "found 8 features of earlier runs" in output
    assert bench.results()["features.pkl"] == undisturbed["features.pkl"]


def flip_somewhere(path, generator):
    content = bytearray(path.read_bytes())
    content[generator.integers(len(content))] ^= 1 << generator.integers(8)
    path.write_bytes(content)


@pytest.mark.parametrize("name", RESULTS)
def test_a_damaged_result_is_made_anew(bench, undisturbed, name):
    generator = np.random.default_rng(2)
    for _ in range(40):
        flip_somewhere(bench.folder / name, generator)
        assert bench.run()[0] == 1
        assert bench.results() == undisturbed


def test_damaged_unfinished_vectors_are_done_again(bench, undisturbed, monkeypatch):
    generator = np.random.default_rng(3)
    bench.restore({})
    with monkeypatch.context() as patch:
        bench.stop_at(patch, StandIn, "encode", 6)
        bench.run()
    stopped = bench.state()
    for trial in range(40):
        bench.restore(stopped)
        path = bench.folder / "features-cache" / "000001.npz"
        if trial % 4:
            flip_somewhere(path, generator)
        else:
            path.write_bytes(path.read_bytes()[: generator.integers(path.stat().st_size)])
        status, output, _ = bench.run()
        assert status == 1
        assert f"{path} is damaged: its photos are encoded again" in output
        assert bench.results() == undisturbed


def test_a_full_disk_keeps_what_there_is(bench, undisturbed, monkeypatch):
    change_photos(bench)
    with monkeypatch.context() as patch:

        def fail(*arguments):
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", fail)
        status, _, errors = bench.run()
    assert status == 2
    assert errors.splitlines()[-1].endswith(".npz: No space left on device")
    assert bench.results() == undisturbed
    assert not list(bench.folder.rglob(".partial-*"))
    assert bench.run()[0] == 1


def test_a_second_run_says_so_and_does_nothing(bench, undisturbed):
    with locked(bench.folder, "a test"):
        status, output, errors = bench.run()
    assert (status, output) == (2, "")
    (sentence,) = errors.splitlines()
    assert f"another run of {PHOTO_SCRIPTS} is at work in {bench.folder}" in sentence
    assert bench.results() == undisturbed
    assert bench.run()[0] == 1


def test_a_killed_script_goes_on(tmp_path):
    """Kills real processes; `make stress` does so many times."""
    disturber = Disturber(tmp_path / "data")
    for share in (0.3, 0.6, 0.95):
        assert disturber.disturb([share * disturber.duration]) <= AT_RISK


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_from_outside_is_said_plainly(tmp_path, stop):
    disturber = Disturber(tmp_path / "data")
    disturber.clear()
    process = disturber.start()
    while disturber.encoded() < AT_RISK:
        time.sleep(0.001)
    process.send_signal(stop)
    output, errors = process.communicate()
    assert process.returncode == 128 + stop
    assert "next:" not in output
    assert errors == "\nprepare_photos.py: stopped\n"
    disturber.finish(disturber.start())
    assert disturber.results() == disturber.expected
    assert disturber.encoded() - disturber.readable <= AT_RISK


def test_a_cache_file_of_another_shape_is_damaged(bench, undisturbed):
    (path,) = (bench.folder / "features-cache").glob("*.npz")
    with np.load(path) as file:
        run, rows = file["run"], file["features"]
    for wrong in (rows[:, :2], rows[:-1], rows.astype(np.float64)):
        np.savez(path, run=run, features=wrong)
        status, output, _ = bench.run()
        assert status == 1
        assert f"{path} is damaged" in output
        assert bench.results() == undisturbed


def test_odd_files_in_the_cache_change_nothing(bench, undisturbed):
    cache = bench.folder / "features-cache"
    (path,) = cache.glob("*.npz")
    shutil.copy(path, cache / "999999 (1).npz")
    (cache / "999998.npz").mkdir()
    os.mkfifo(cache / "999997.npz")
    os.symlink("nowhere", cache / "999999.npz")
    (cache / "notes").write_text("odd")
    assert bench.run()[0] == 1
    assert bench.encoded == 0
    assert bench.results() == undisturbed
    # And where features are added.
    (cache / f"{int(path.stem) + 1:06d}.npz").mkdir()
    shutil.copy(bench.photo(1), bench.photos / "new.png")
    assert bench.run()[0] == 1
    assert bench.encoded == 1
    assert "new" in read_features(bench.folder)
    assert len(read_hashes(bench.folder)) == COUNT
    assert bench.run()[0] == 1
    assert bench.encoded == 0


def test_a_cache_file_of_compressed_zeros_is_not_unpacked(bench, undisturbed):
    (path,) = (bench.folder / "features-cache").glob("*.npz")
    with np.load(path) as file:
        np.savez_compressed(path, run=file["run"], features=np.zeros((2**23, 6), dtype=np.float32))
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        assert bench.run()[0] == 1
        assert read_hashes(bench.folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000
    assert bench.encoded == COUNT - 1
    assert bench.results() == undisturbed


@pytest.mark.parametrize(
    "changes",
    [
        {"record": []},
        {"record": {"length": 6}},
        {"photos": list("a" * (COUNT - 1))},
        {"unreadable": 5},
        {"unreadable": [[]]},
        {"hashes": {"photo 0001.png": "no digits"}},
        {"hashes": 5},
    ],
    ids=str,
)
def test_a_cache_file_of_another_form_is_damaged(bench, undisturbed, changes):
    (path,) = (bench.folder / "features-cache").glob("*.npz")
    with np.load(path) as file:
        run, rows = json.loads(str(file["run"])), file["features"]
    np.savez(path, run=np.array(json.dumps({**run, **changes})), features=rows)
    assert read_hashes(bench.folder) == {}
    status, output, _ = bench.run()
    assert status == 1
    assert f"{path} is damaged" in output
    assert bench.results() == undisturbed


@pytest.mark.parametrize("make", [os.mkfifo, Path.touch, lambda path: os.symlink("nowhere", path)])
def test_a_cache_that_is_no_folder_is_named(bench, make):
    path = bench.folder / "features-cache"
    make(path)
    status, output, errors = bench.run()
    assert (status, output, bench.encoded) == (2, "", 0)
    assert errors.endswith(
        f"{path} is no folder: remove it and run python prepare_photos.py --data {bench.folder}\n"
    )


@pytest.mark.parametrize("name", ["features.pkl", "features.json"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("nowhere", path)])
def test_a_pipe_or_broken_link_in_place_of_a_result_is_replaced(bench, undisturbed, name, make):
    path = bench.folder / name
    path.unlink()
    make(path)
    with pytest.raises(UserError, match=f"{path} is missing: run python prepare_photos.py"):
        read_features(bench.folder)
    assert bench.run()[0] == 1
    assert bench.results() == undisturbed
