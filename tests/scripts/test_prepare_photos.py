"""prepare_photos.py: what it encodes, keeps, prints and refuses, and what a stop of it costs."""

import itertools
import os
import shutil
import signal
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import PHOTO_COUNT, StandIn, contents, stop_at

from captioning.photos import feature_cache, features
from captioning.photos.features import read_encoder_record, read_features

BAD_PHOTO = PHOTO_COUNT // 3
READABLE = PHOTO_COUNT - 1


@pytest.fixture
def undisturbed(bench):
    """Returns what an undisturbed run writes; the folder holds it."""
    assert bench.run()[0] == 1
    return bench.results()


def test_a_run_says_what_it_did_and_what_to_run_next(bench):
    status, output, errors = bench.run()
    path = bench.photo(BAD_PHOTO)
    assert status == 1
    assert errors == f"skipped {path}: cannot identify image file\n"
    flat = " ".join(output.split())
    assert "settings changed by recipe or flag: encoder MobileNetV2, weights none" in flat
    assert f"{READABLE} photos, 6 features each, by MobileNetV2" in flat
    assert f"1 photo skipped; {bench.folder / 'features.json'} says why" in flat
    assert f"wrote {bench.folder / 'features.pkl'} and {bench.folder / 'features.json'}" in flat
    assert f"next: python prepare_text.py --data {bench.folder}, then train.py" in flat
    (skipped,) = read_encoder_record(bench.folder).skipped
    assert skipped["photo"] == str(path)
    assert len(read_features(bench.folder)) == READABLE


def test_a_stop_anywhere_costs_little_and_changes_nothing(bench, undisturbed, monkeypatch):
    """Stops before and after everything that a run keeps or encodes."""
    bench.clear()
    stops = [(feature_cache.FeatureCache, "add", 1, True)]
    stops += [(StandIn, "encode", count, True) for count in (1, 4, 8)]
    stops += [(features, "write_features", 1, before) for before in (True, False)]
    stops += [(os, "replace", count, before) for count in (1, 2) for before in (True, False)]
    for owner, name, count, before in stops:
        with monkeypatch.context() as patch:
            stop_at(patch, owner, name, count, before=before)
            status, _, errors = bench.run()
        assert status == 130
        assert errors.splitlines()[-1].endswith("stopped")
        stopped_after = bench.encoded
        status, output, _ = bench.run()
        # Of whole batches that were encoded at most two, and the one that was not kept, are lost.
        assert stopped_after + bench.encoded <= READABLE + 8
        assert (status, bench.results()) == (1, undisturbed)
        if stopped_after >= 8:
            assert "features of earlier runs" in output or bench.encoded == 0
        bench.clear()


def test_only_new_and_changed_photos_are_encoded_and_told(bench, undisturbed):
    bench.photo(1).unlink()
    bench.photo(2).unlink()
    Image.new("RGB", (20, 20), (1, 2, 3)).save(bench.photo(5))
    shutil.copy(bench.photo(3), bench.photos / "another.png")
    status, output, _ = bench.run()
    assert (status, bench.encoded) == (1, 2)
    # The one that could not be read is tried again.
    assert f"found {READABLE - 3} features of earlier runs, 3 to go" in output
    ids = {path.stem for path in bench.photos.iterdir()} - {bench.photo(BAD_PHOTO).stem}
    assert set(read_features(bench.folder).ids) == ids


@pytest.mark.parametrize("name", ["features.pkl", "features.json"])
def test_a_damaged_or_missing_result_is_made_anew_from_the_cache(bench, name):
    """Where no photo is left to encode not even the encoder is loaded."""
    bench.photo(BAD_PHOTO).unlink()
    assert bench.run()[0] == 0
    first = bench.results()
    for damage in (Path.unlink, lambda path: path.write_bytes(b"damaged")):
        damage(bench.folder / name)
        assert bench.run()[0] == 0
        assert (bench.loaded, bench.encoded, bench.results()) == (0, 0, first)


def test_both_forms_hold_the_same(bench, undisturbed):
    expected = read_features(bench.folder)
    status, output, _ = bench.run("--format", "mapped")
    assert (status, bench.encoded) == (1, 0)
    assert f"wrote {bench.folder / 'features.npy'}" in " ".join(output.split())
    found = read_features(bench.folder)
    assert found.ids == expected.ids
    np.testing.assert_array_equal(found[:], expected[:])


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        ({"encoder": "VGG19"}, "encoder is MobileNetV2 in the one and VGG19 in the other"),
        ({"flags": ["--dtype", "bfloat16"]}, "dtype is float32 in the one and bfloat16 in"),
    ],
)
def test_another_encoder_is_refused_before_it_is_loaded(bench, undisturbed, flags, key):
    before = contents(bench.folder)
    status, output, errors = bench.run(*flags.pop("flags", ()), **flags)
    assert (status, output, bench.loaded) == (2, "", 0)
    (sentence,) = errors.splitlines()
    assert key in sentence
    assert f"{bench.folder / 'features-cache.sqlite'} (remove it to begin anew) and" in sentence
    assert contents(bench.folder) == before


def test_other_weights_of_the_same_name_are_refused_and_the_same_under_another_go_on(
    bench, undisturbed, tmp_path, monkeypatch
):
    weights = tmp_path / "weights.h5"
    weights.touch()
    bench.photo(4).unlink()
    assert bench.run(weights=str(weights))[0] == 1
    monkeypatch.setattr(StandIn, "digest", "1" * 64)
    status, output, errors = bench.run(weights=str(weights))
    assert (status, output) == (2, "")
    assert "weights_sha256 is " in errors


def test_folders_that_were_named_are_remembered(bench, tmp_path):
    elsewhere = bench.photos.rename(tmp_path / "elsewhere")
    status, output, errors = bench.run()
    assert (status, output) == (2, "")
    assert f"{bench.folder} holds no photos" in errors
    assert not contents(bench.folder)
    assert bench.run("--photos", str(elsewhere))[0] == 1
    first = bench.results()
    assert bench.run()[0] == 1
    assert bench.results() == first
    elsewhere.rename(tmp_path / "moved")
    status, _, errors = bench.run()
    assert status == 2
    assert f"{elsewhere} does not exist: name" in errors


def test_without_any_features_there_is_one_sentence_and_no_file(bench):
    status, output, errors = bench.run("--max-pixels", "1")
    assert status == 2
    assert "wrote" not in output
    assert f"no photo of {bench.folder} can be read: name others" in errors.splitlines()[-1]
    assert not list(bench.folder.glob("features.*"))


def test_a_run_that_is_killed_goes_on(bench, undisturbed, monkeypatch):
    """Kills a process of its own before the sixth batch."""
    bench.clear()
    batches, encode = itertools.count(1), StandIn.encode

    def encode_five(self, photos, batch_size=0):
        if next(batches) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(self, photos)

    with monkeypatch.context() as patch:
        patch.setattr(StandIn, "encode", encode_five)
        process = get_context("fork").Process(target=bench.run)
        process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (bench.folder / "features.pkl").exists()
    status, output, _ = bench.run()
    assert status == 1
    assert "found 15 features of earlier runs, 15 to go" in output
    assert bench.results() == undisturbed
