"""Encoding by Ray: the result is that of one process, whatever happens to the workers."""

import importlib.util
import os
import signal
import sys
import types

import pytest
from support import ROOT, StandIn

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
def expected(bench, monkeypatch):
    """Returns what one process writes, and removes it."""
    monkeypatch.setattr(ray_encoding, "PHOTOS_PER_TASK", 4)
    assert bench.run()[0] == 1
    results = bench.results()
    bench.clear()
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
def test_the_features_are_those_of_one_process(bench, expected, address):
    status, output, errors = bench.run("--ray", address)
    assert (status, errors.count("skipped")) == (1, 1)
    assert "photo 0010.png: cannot identify image file" in errors
    assert f"ray {address}" in " ".join(output.split())
    assert bench.results() == expected


@needs_ray
def test_a_stopped_run_goes_on(bench, expected, address, monkeypatch):
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
        assert bench.run("--ray", address)[0] == 143
    assert bench.run("--ray", address)[0] == 1
    assert bench.results() == expected


@needs_ray
def test_workers_that_are_killed_are_replaced(bench, expected, address, tmp_path, monkeypatch):
    lives = tmp_path / "lives"
    lives.mkdir()
    monkeypatch.setenv("MORTAL_FOLDER", str(lives))
    monkeypatch.setattr("captioning.photos.encoders.Encoder", Mortal)
    assert bench.run("--ray", address)[0] == 1
    assert len(list(lives.iterdir())) == 1
    assert bench.results() == expected


@needs_ray
def test_workers_that_fail_are_one_sentence(bench, address, tmp_path, monkeypatch):
    """Kills all of them; then has them lack a package."""
    monkeypatch.setenv("MORTAL_FOLDER", str(tmp_path))
    absent = types.ModuleType("absent_package")
    absent.Encoder = type("Encoder", (StandIn,), {"__module__": "absent_package"})
    monkeypatch.setitem(sys.modules, "absent_package", absent)
    for encoder, patience, words in (
        (Doomed, 3, "the workers of the Ray cluster fail (Timed out"),
        (absent.Encoder, 60, "(ModuleNotFoundError: No module named 'absent_package')"),
    ):
        monkeypatch.setattr(ray_encoding, "PATIENCE", patience)
        monkeypatch.setattr("captioning.photos.encoders.Encoder", encoder)
        status, _, errors = bench.run("--ray", address)
        assert status == 2
        assert words in errors.splitlines()[-1]
        assert not (bench.folder / "features.pkl").exists()


@needs_ray
@pytest.mark.parametrize("address", ["rubbish", "127.0.0.1:1"])
def test_wrong_addresses_are_refused(bench, address):
    status, output, errors = bench.run("--ray", address)
    assert (status, output) == (2, "")
    assert f"no Ray cluster can be used at --ray {address} (" in errors.splitlines()[-1]
    # Where nothing is to be encoded none is needed.
    bench.photo(10).unlink()
    assert bench.run()[0] == bench.run("--ray", address)[0] == 0


def test_without_ray_there_is_one_sentence(bench, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name)
    )
    status, output, errors = bench.run("--ray", LOCAL)
    assert (status, output) == (2, "")
    (sentence,) = errors.splitlines()
    assert "Ray is not installed: run python -m pip install -r requirements-ray.txt" in sentence
