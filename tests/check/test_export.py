"""models/export.py: what it writes captions photos as generate.py does, without Keras."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
from PIL import Image
from support import ROOT, assert_refused, run_here, run_script

MODEL = ROOT / "models" / "pretrained-lite"

# Runs a script with Keras, TensorFlow and the project out of reach.
ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys(("captioning", "keras", "tensorflow")))
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.mark.skipif(
    not (find_spec("tf2onnx") and find_spec("onnxruntime")),
    reason="requirements-export.txt is not installed: it is optional, see docs/export.md",
)
def test_captions_are_those_of_generate(tmp_path, flickr8k):
    folder = tmp_path / "exported"
    process = run_script("models/export.py", MODEL, folder)
    assert (process.returncode, process.stderr) == (0, "")
    photos = sorted((flickr8k / "photos").glob("*.jpg"))[:24]
    turned, transparent = tmp_path / "turned.jpg", tmp_path / "transparent.png"
    with Image.open(photos[0]) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(turned, exif=exif)
        image.putalpha(image.convert("L"))
        image.save(transparent)
    photos += [turned, transparent]
    generated = run_script("generate.py", *photos, "--model", MODEL, "--beam", "1").stdout
    assert len(generated.splitlines()) == len(photos)
    command = [sys.executable, "-c", ALONE, folder / "caption.py", *photos]
    assert subprocess.run(command, capture_output=True, text=True).stdout == generated
    assert len((folder / "caption.py").read_text().splitlines()) <= 60


def test_without_tf2onnx_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("export.find_spec", lambda name: None)
    process = run_here("export", MODEL, tmp_path / "exported")
    assert_refused(process, "tf2onnx is not installed", "requirements-export.txt")
    assert not (tmp_path / "exported").exists()
