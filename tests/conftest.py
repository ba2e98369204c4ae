"""The fixtures of several tests."""

import os
from pathlib import Path

import pytest
from PIL import Image
from support import make_prepared_data, write_tiny_data

# Loaded before the first test, so that no script says in what a test captures that it loads it.
import captioning.keras_setup  # noqa: F401


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
def prepared_data(tmp_path, capsys):
    """Gives the folder of `make_prepared_data`."""
    make_prepared_data(tmp_path / "tiny")
    capsys.readouterr()
    return tmp_path / "tiny"


@pytest.fixture
def photo(tmp_path):
    """Gives a photo that is red all over, 60 pixels wide and 40 high."""
    path = tmp_path / "red.png"
    Image.new("RGB", (60, 40), (200, 0, 0)).save(path)
    return path
