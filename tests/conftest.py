"""The fixtures of several tests."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock
from msgspec.structs import replace
from PIL import Image
from support import (
    TRAINED_RECORD,
    VOCABULARY,
    PhotoBench,
    TrainedStandIn,
    make_prepared_data,
    random_captioner,
    run_script,
    write_tiny_data,
)

# Loaded before the first test, so that no script says in what a test captures that it loads it.
import captioning.keras_setup  # noqa: F401
import generate
from captioning.cli import run
from captioning.network.model_folder import SavedModel, save_model


@pytest.fixture(scope="session")
def flickr8k():
    """Gives the folder of the real data, or skips where there is none."""
    if "FLICKR8K_DIR" not in os.environ:
        pytest.skip("FLICKR8K_DIR is not set: it names a folder with the real captions and photos")
    return Path(os.environ["FLICKR8K_DIR"])


@pytest.fixture(autouse=True)
def _limit_of_pixels(monkeypatch):
    """Undoes what --max-pixels sets for the whole process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def tiny_data(tmp_path):
    """Gives a folder with tiny photos, captions and splits, nothing prepared."""
    write_tiny_data(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Gives a folder of small photos, and prepare_photos.py to run on it."""
    return PhotoBench(tmp_path / "data", monkeypatch)


@pytest.fixture
def prepared_data(tmp_path, capsys):
    """Gives the folder of `make_prepared_data`."""
    make_prepared_data(tmp_path / "tiny")
    capsys.readouterr()
    return tmp_path / "tiny"


class Trained(NamedTuple):
    """A tiny model that train.py has trained; nothing of it is to be changed."""

    data: Path
    model: Path
    printed: str


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Trains a model for two epochs and one of rewards, once for all workers of a session."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    data, model, output = (base / f"trained-{name}" for name in ("data", "model", "output"))
    with FileLock(base / "trained.lock"):
        if not output.exists():
            # Of an attempt that failed.
            shutil.rmtree(data, ignore_errors=True)
            make_prepared_data(data)
            flags = ["--epochs", "2", "--batch-size", "4", "--units", "8", "--reward-epochs", "1"]
            process = run_script("train.py", "--data", data, "--model", model, *flags)
            assert process.returncode == 0, process.stderr
            output.write_text(process.stdout)
    return Trained(data, model, output.read_text())


@pytest.fixture
def photo(tmp_path):
    """Gives a photo that is red all over, 60 pixels wide and 40 high."""
    path = tmp_path / "red.png"
    Image.new("RGB", (60, 40), (200, 0, 0)).save(path)
    return path


CHINESE = ("犬", "startseq", "跑", "雪", "endseq", "在", "里")
VOCABULARIES = {
    "english": VOCABULARY,
    "chinese": replace(VOCABULARY, words=CHINESE, cleaning={"language": "zh"}),
    "painted": VOCABULARY,
}


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Gives a folder with models of two languages, and one of painted scenes."""
    folder = tmp_path_factory.mktemp("models")
    model = random_captioner(3, scale=1, length=TRAINED_RECORD.length)
    for name, vocabulary in VOCABULARIES.items():
        saved = SavedModel(model, vocabulary, TRAINED_RECORD)
        save_model(folder / name, saved, {"made_with": {"painted_scenes": name == "painted"}})
    return folder


@pytest.fixture
def run_generate(tmp_path, monkeypatch, capsys):
    """Gives a function that runs generate.py in an empty folder, and returns what it prints."""
    monkeypatch.setattr("captioning.captioner.Encoder", TrainedStandIn)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run_in_process(*arguments):
        capsys.readouterr()
        status = run(generate.main, [str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run_in_process
