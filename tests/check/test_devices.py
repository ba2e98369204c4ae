"""Training on many devices gives what one gives; JAX takes one processor for several devices."""

from importlib.util import find_spec

import pandas as pd
import pytest
from support import assert_refused, make_prepared_data, run_script

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


def train(data, model, *flags, virtual=1):
    """Runs train.py on JAX with so many virtual devices."""
    variables = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={virtual}"}
    flags = ["--data", data, "--model", model, *SMALL, *flags]
    return run_script("train.py", *flags, KERAS_BACKEND="jax", **variables)


def losses(data, model, *flags, virtual=1):
    """Returns the losses of two epochs."""
    process = train(data, model, "--epochs", "2", *flags, virtual=virtual)
    assert process.returncode == 0, process.stderr
    return pd.read_csv(model / "history.csv")[["loss", "val_loss"]].to_numpy()


@needs_jax
def test_the_losses_are_those_of_one_device(data, tmp_path):
    expected = losses(data, tmp_path / "one")
    for count, virtual in (("2", 2), ("all", 4)):
        found = losses(data, tmp_path / count, "--devices", count, virtual=virtual)
        assert found == pytest.approx(expected, abs=1e-4)
        # What was saved knows nothing of devices, nor of JAX.
        assert load_model(tmp_path / count).captioner.count_params() > 0


@needs_jax
def test_more_devices_than_there_are_is_refused(data, tmp_path):
    process = train(data, tmp_path / "model", "--devices", "3", virtual=2)
    assert_refused(process, "--devices 3 is more than the 2 devices that jax finds")
    assert not (tmp_path / "model").exists()


def test_an_engine_without_distribution_is_refused(data, tmp_path):
    flags = ["--data", data, "--model", tmp_path / "model", "--devices", "2"]
    assert_refused(run_script("train.py", *flags), "--devices 2 needs the engine jax, not ")
    assert not (tmp_path / "model").exists()
