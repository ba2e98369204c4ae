"""Encoding by Ray: the result is that of one process, whatever happens to the workers."""

import importlib.util
import os
import shutil
import signal
import sys
import types

import pytest
from support import PHOTO_COUNT, PHOTO_RESULTS, ROOT, StandIn, draw_photos

import prepare_photos
from captioning.cli import run
from captioning.photos import ray_encoding
from captioning.photos.ray_encoding import LOCAL

# As `cluster` has it, read when Ray is imported: look once for a cluster that does not answer.
os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed: it is optional, docs/scale.md says how to get it",
)


@pytest.fixture(scope="module")
def address():
    """Starts a cluster on this machine, with two workers."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # Workers find the stand-ins there.
        places = [str(ROOT / "tests"), str(ROOT / "tests" / "check")]
        patch.setenv("PYTHONPATH", os.pathsep.join(places))
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield started.address
    started.shutdown()


@pytest.fixture
def prepare(tmp_path, capsys, monkeypatch):
    """Gives a function that runs prepare_photos.py, with an encoder of a few lines."""
    monkeypatch.setattr("captioning.photos.encoders.Encoder", StandIn)
    monkeypatch.setattr(ray_encoding, "PHOTOS_PER_TASK", 4)
    draw_photos(tmp_path / "photos", PHOTO_COUNT)

    def call(*flags):
        arguments = ["--data", str(tmp_path), "--encoder", "MobileNetV2", "--weights", "none"]
        status = run(prepare_photos.main, [*arguments, "--batch-size", "4", *flags])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def expected(prepare, tmp_path):
    """Returns what one process writes, and removes it."""
    status, _, errors = prepare()
    assert (status, errors.count("skipped")) == (1, 1)
    return take_results(tmp_path)


def take_results(folder):
    """Reads and removes all that prepare_photos.py has written."""
    results = {name: (folder / name).read_bytes() for name in PHOTO_RESULTS}
    for path in folder.glob("features*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return results


class Mortal(StandIn):
    """An encoder whose process is killed in the middle, as often as `lives` says."""

    lives = 1

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.folder = os.environ["MORTAL_FOLDER"]

    def encode(self, photos, batch_size=0):
        """Kills its process at the first batches."""
        for life in range(self.lives):
            try:
                open(os.path.join(self.folder, f"life-{life}"), "x").close()
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(photos, batch_size)


class Doomed(Mortal):
    """An encoder whose processes are all killed."""

    lives = 1000


@needs_ray
def test_the_features_are_those_of_one_process(prepare, expected, address, tmp_path):
    status, output, errors = prepare("--ray", address)
    assert (status, errors.count("skipped")) == (1, 1)
    assert "photo 0010.png: cannot identify image file" in errors
    assert f"ray {address}" in " ".join(output.split())
    assert take_results(tmp_path) == expected


@needs_ray
def test_a_stopped_run_goes_on(prepare, expected, address, tmp_path, monkeypatch):
    """Stops it once the second task is done, by a signal, which Ray would handle in its own way."""
    from ray.util import ActorPool

    ordinary, done = ActorPool.get_next, []

    def stop(pool, timeout):
        done.append(1)
        if len(done) == 3:
            signal.raise_signal(signal.SIGTERM)
        return ordinary(pool, timeout=timeout)

    with monkeypatch.context() as patch:
        patch.setattr(ActorPool, "get_next", stop)
        assert prepare("--ray", address)[0] == 143
    assert prepare("--ray", address)[0] == 1
    assert take_results(tmp_path) == expected


@needs_ray
def test_workers_that_are_killed_are_replaced(prepare, expected, address, tmp_path, monkeypatch):
    lives = tmp_path / "lives"
    lives.mkdir()
    monkeypatch.setenv("MORTAL_FOLDER", str(lives))
    monkeypatch.setattr("captioning.photos.encoders.Encoder", Mortal)
    assert prepare("--ray", address)[0] == 1
    assert len(list(lives.iterdir())) == 1
    assert take_results(tmp_path) == expected


@needs_ray
def test_a_cluster_that_stands_still_is_given_up(prepare, address, tmp_path, monkeypatch):
    monkeypatch.setenv("MORTAL_FOLDER", str(tmp_path))
    monkeypatch.setattr("captioning.photos.encoders.Encoder", Doomed)
    monkeypatch.setattr(ray_encoding, "PATIENCE", 3)
    status, _, errors = prepare("--ray", address)
    assert status == 2
    assert "the workers of the Ray cluster fail (Timed out" in errors.splitlines()[-1]
    assert not (tmp_path / "features.pkl").exists()


@needs_ray
def test_a_package_that_workers_lack_is_named(prepare, address, monkeypatch):
    absent = types.ModuleType("absent_package")
    absent.Encoder = type("Encoder", (StandIn,), {"__module__": "absent_package"})
    monkeypatch.setitem(sys.modules, "absent_package", absent)
    monkeypatch.setattr("captioning.photos.encoders.Encoder", absent.Encoder)
    status, _, errors = prepare("--ray", address)
    assert status == 2
    assert "(ModuleNotFoundError: No module named 'absent_package')" in errors.splitlines()[-1]


@needs_ray
@pytest.mark.parametrize("address", ["rubbish", "127.0.0.1:1"])
def test_wrong_addresses_are_refused(prepare, tmp_path, address):
    status, output, errors = prepare("--ray", address)
    assert (status, output) == (2, "")
    assert f"no Ray cluster can be used at --ray {address} (" in errors.splitlines()[-1]
    assert not list(tmp_path.glob("features.*"))


def test_without_ray_there_is_one_sentence(prepare, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name)
    )
    status, output, errors = prepare("--ray", LOCAL)
    assert (status, output) == (2, "")
    (sentence,) = errors.splitlines()
    assert "Ray is not installed: run python -m pip install -r requirements-ray.txt" in sentence


def test_where_nothing_is_to_be_encoded_no_cluster_is_needed(tmp_path, prepare):
    (tmp_path / "photos" / "photo 0010.png").unlink()
    assert prepare()[0] == 0
    assert prepare("--ray", "127.0.0.1:1")[0] == 0
