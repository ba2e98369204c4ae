"""What several tests need: running scripts, and a tiny data set drawn on the spot."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import prepare_text
from captioning.features import write_features

ROOT = Path(__file__).resolve().parent.parent

COLOURS = {"red": (200, 30, 30), "green": (20, 150, 40), "blue": (30, 60, 200)}
SHAPES = ("ball", "box")
GROUNDS = {"snow": (240, 240, 245), "grass": (90, 160, 60)}


def run_script(script, *arguments):
    """Runs a script as a user does and returns the finished process."""
    return subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def assert_refused(process, *words):
    """Checks what every user's mistake must give: status 2, one sentence, no traceback."""
    assert process.returncode == 2, process.stderr
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1, process.stderr
    for word in words:
        assert str(word) in lines[0]
    assert process.stdout == ""


def draw_photo(path, colour, shape, ground):
    """Draws a shape on a ground, 48 pixels square."""
    image = Image.new("RGB", (48, 48), GROUNDS[ground])
    pen = ImageDraw.Draw(image)
    draw = pen.ellipse if shape == "ball" else pen.rectangle
    draw((10, 10, 38, 38), fill=COLOURS[colour])
    image.save(path)


def write_tiny_data(folder):
    """Writes photos, captions and splits: 8 training, 2 validation and 2 test photos."""
    (folder / "photos").mkdir(parents=True)
    captions, names = [], []
    for colour in COLOURS:
        for shape in SHAPES:
            for ground in GROUNDS:
                name = f"{colour}_{shape}_{ground}.png"
                draw_photo(folder / "photos" / name, colour, shape, ground)
                captions.append(f"{name}#0\tA {colour} {shape} lies in the {ground} .")
                captions.append(f"{name}#1\tThere 's one {colour} {shape} , on {ground} !")
                names.append(name)
    (folder / "Flickr8k.token.txt").write_text("\n".join(captions) + "\n")
    for split, part in (("train", names[:8]), ("dev", names[8:10]), ("test", names[10:])):
        path = folder / f"Flickr_8k.{split}Images.txt"
        path.write_text("\n".join(part) + "\n")


ENCODER_RECORD = {
    "encoder": "VGG16",
    "layer": "fc2",
    "weights": "none",
    "weights_sha256": "0" * 64,
    "input_size": [224, 224],
    "resizing": "bilinear",
    "length": 6,
}


def make_prepared_data(folder):
    """Writes tiny data with its text prepared, and vectors of 6 numbers that tell the photos apart.

    A colour, a shape and a ground set one number each, as a perfect encoder would.
    """
    write_tiny_data(folder)
    vectors = {}
    for colour in COLOURS:
        for shape in SHAPES:
            for ground in GROUNDS:
                flags = [colour == name for name in COLOURS]
                flags += [shape == "ball", ground == "snow", True]
                vectors[f"{colour}_{shape}_{ground}"] = np.array(flags, dtype=np.float32)
    write_features(folder, vectors, ENCODER_RECORD, [])
    assert prepare_text.main(["--data", str(folder)]) == 0
