"""Training on many devices gives what one gives; JAX takes one processor for several devices."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pandas as pd
import pytest
from support import ROOT, make_prepared_data

import train
from captioning.cli import run
from captioning.network.model_folder import load_model

needs_jax = pytest.mark.skipif(
    find_spec("jax") is None, reason="JAX is not installed: python -m pip install jax"
)

# A batch of 6 is divided among 2 devices, and among 4 only with two empty rows.
SMALL = ["--units", "8", "--min-steps", "1", "--batch-size", "6", "--shown-photos", "0"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Returns a data folder that is ready to train on."""
    folder = tmp_path_factory.mktemp("devices") / "data"
    make_prepared_data(folder)
    return folder


def start(data, model, *flags, virtual=1):
    """Starts train.py on JAX with so many virtual devices."""
    flag = f"--xla_force_host_platform_device_count={virtual}"
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--data", data, "--model", model, *SMALL, *flags],
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flag},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Waits for a process, which must succeed."""
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors


def losses(model):
    """Returns the losses of all epochs of a model folder."""
    return pd.read_csv(model / "history.csv")[["loss", "val_loss"]].to_numpy()


@pytest.fixture(scope="module")
def of_one_device(data, tmp_path_factory):
    """Returns the losses of two epochs on one device."""
    model = tmp_path_factory.mktemp("one") / "model"
    finish(start(data, model, "--epochs", "2"))
    return losses(model)


@needs_jax
@pytest.mark.parametrize(("count", "virtual"), [("2", 2), ("all", 4)])
def test_the_losses_are_those_of_one_device(data, tmp_path, of_one_device, count, virtual):
    flags = ["--epochs", "2", "--devices", count]
    finish(start(data, tmp_path / "model", *flags, virtual=virtual))
    assert losses(tmp_path / "model") == pytest.approx(of_one_device, abs=1e-4)
    # What was saved knows nothing of devices, nor of JAX.
    assert load_model(tmp_path / "model").captioner.count_params() > 0


@needs_jax
def test_more_devices_than_there_are_is_refused(data, tmp_path):
    process = start(data, tmp_path / "model", "--devices", "3", virtual=2)
    printed, errors = process.communicate(timeout=100)
    assert (process.returncode, printed) == (2, "")
    assert "--devices 3 is more than the 2 devices that jax finds" in errors
    assert not (tmp_path / "model").exists()


def test_an_engine_without_distribution_is_refused(data, tmp_path, capsys):
    arguments = ["--data", str(data), "--model", str(tmp_path / "model"), "--devices", "2"]
    assert run(train.main, arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--devices 2 needs the engine jax, not " in line
    assert not (tmp_path / "model").exists()
