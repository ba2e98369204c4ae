"""What several tests need: running scripts, and a tiny data set made on the spot."""

import contextlib
import importlib
import io
import os
import resource
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import ClassVar, NamedTuple
from zlib import crc32

import numpy as np
from msgspec import structs
from PIL import Image, ImageDraw

import prepare_text
from captioning.cli import run
from captioning.files import CAPTIONS, SPLITS
from captioning.keras_setup import keras
from captioning.network.model import build_captioner, halves
from captioning.photos.features import EncoderRecord, write_features
from captioning.photos.reading import read_rgb, resized
from captioning.storage import LOCK
from captioning.text.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parent.parent

COLOURS = {"red": (200, 30, 30), "green": (20, 150, 40), "blue": (30, 60, 200)}
GROUNDS = {"snow": (240, 240, 245), "grass": (90, 160, 60)}
SCENES = list(product(COLOURS, ("ball", "box"), GROUNDS))


def run_script(script, *arguments, **variables):
    """Runs a script, or Python with -c, as a user does and returns the finished process."""
    command = [sys.executable, script if script == "-c" else ROOT / script, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    options = {"capture_output": True, "text": True, "timeout": 300, "check": False}
    return subprocess.run([*map(str, command)], env=environment, **options)


class Ended(NamedTuple):
    """How a script ended that ran in the tests' own process; named as in `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


def run_here(script, *arguments):
    """Runs a script, named as a module, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(importlib.import_module(script).main, list(map(str, arguments)))
    return Ended(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def assert_refused(process, *words):
    """Checks what every user's mistake must give: status 2, one sentence, no traceback."""
    assert process.returncode == 2, process.stderr
    (line,) = process.stderr.strip().splitlines()
    for word in words:
        assert str(word) in line
    assert process.stdout == ""


def prepare(data, *flags):
    """Runs prepare_text.py in this process and returns its exit status."""
    return run(prepare_text.main, ["--data", str(data), *flags])


def contents(folder):
    """Reads the files of a folder and of those below it, without locks: path -> bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    paths = [path for path in paths if not path.name.startswith(LOCK)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def assert_nothing_done(data, capsys, *words, flags=()):
    """Checks that prepare_text.py refuses a mistake, and touches no file."""
    before = contents(data)
    capsys.readouterr()
    assert_refused(Ended(prepare(data, *flags), *capsys.readouterr()), *words)
    assert contents(data) == before


def stop_at(patch, owner, name, count, *, before=True, error=KeyboardInterrupt):
    """Makes the count-th call of a function a stop, before or after its work."""
    ordinary, calls = getattr(owner, name), []

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) == count and before:
            raise error
        result = ordinary(*arguments, **options)
        if len(calls) == count:
            raise error
        return result

    patch.setattr(owner, name, stop)


@contextlib.contextmanager
def full_disk(size):
    """Lets no file grow over a size, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def draw_photo(path, colour, shape, ground):
    """Draws a shape on a ground, 48 pixels square.

    It has patches of its own, as a photo has, without which it would look like others.
    """
    image = Image.new("RGB", (48, 48), GROUNDS[ground])
    pen = ImageDraw.Draw(image)
    draw = pen.ellipse if shape == "ball" else pen.rectangle
    draw((10, 10, 38, 38), fill=COLOURS[colour])
    generator = np.random.default_rng(crc32(f"{colour}{shape}{ground}".encode()))
    patches = generator.integers(-24, 25, (12, 12, 1)).repeat(4, axis=0).repeat(4, axis=1)
    pixels = np.clip(np.asarray(image) + patches, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def read_photo(photo, size):
    """Reads a photo, resized to a height and width."""
    return resized(read_rgb(photo), size)


def iptc_around(content):
    """Wraps a file as IPTC, whose reader in Pillow opens what is inside by itself."""
    fields = {(3, 60): b"\1\0", (3, 20): b"\0\x40", (3, 30): b"\0\x40", (3, 120): b"\5"}
    fields[8, 10] = content
    return b"".join(
        bytes([0x1C, *tag]) + len(value).to_bytes(2, "big") + value for tag, value in fields.items()
    )


def write_tiny_data(folder):
    """Writes photos, captions and splits: 8 training, 2 validation and 2 test photos."""
    (folder / "photos").mkdir(parents=True)
    captions, names = [], ["_".join(scene) + ".png" for scene in SCENES]
    for name, (colour, shape, ground) in zip(names, SCENES, strict=True):
        draw_photo(folder / "photos" / name, colour, shape, ground)
        captions.append(f"{name}#0\tA {colour} {shape} lies in the {ground} .")
        captions.append(f"{name}#1\tThere 's one {colour} {shape} , on {ground} !")
    (folder / "Flickr8k.token.txt").write_text("\n".join(captions) + "\n")
    for split, part in (("train", names[:8]), ("dev", names[8:10]), ("test", names[10:])):
        (folder / f"Flickr_8k.{split}Images.txt").write_text("\n".join(part) + "\n")


def write_three_photos(folder, captions=("A good dog .", "A cat .", "A cow ."), more="", **splits):
    """Writes a caption of each of three photos, one a split, and other lines.

    A split may have other names, or None for no file; a lone surrogate is a byte that is no UTF-8.
    """
    folder.mkdir(exist_ok=True)
    lines = [f"{name}.jpg#0\t{caption}\n" for name, caption in zip("abc", captions, strict=True)]
    (folder / CAPTIONS).write_text("".join(lines) + more, encoding="utf-8")
    named = {"train": "a.jpg", "dev": "b.jpg", "test": "c.jpg"} | splits
    for split, names in named.items():
        if names is not None:
            content = f"{names}\n".encode("utf-8", "surrogateescape")
            (folder / SPLITS[split]).write_bytes(content)
    return folder


ENCODER_RECORD = EncoderRecord(
    encoder="VGG16",
    layer="fc2",
    weights="none",
    weights_sha256="0" * 64,
    input_size=[224, 224],
    resizing="bilinear",
    length=6,
)


def make_prepared_data(folder):
    """Writes tiny data with its text prepared, and vectors of 6 numbers that tell the photos apart.

    A colour, a shape and a ground set one number each, as a perfect encoder would.
    """
    write_tiny_data(folder)
    write_features_of(folder)
    assert prepare_text.main(["--data", str(folder)]) == 0


def write_features_of(folder, scale=1):
    """Writes the features of tiny data, as they are or other ones."""
    vectors = {}
    for colour, shape, ground in SCENES:
        flags = [*(colour == name for name in COLOURS), shape == "ball", ground == "snow", True]
        vectors[f"{colour}_{shape}_{ground}"] = np.array(flags, dtype=np.float32) * scale
    write_features(folder, list(vectors), vectors.values(), ENCODER_RECORD)


class StandIn:
    """An encoder of a few lines, quick to start, that counts what it does.

    Its features depend a little on the other photos of the batch, as a network's do in the last
    bits, so that batches that are composed differently are noticed.
    """

    length = 6
    input_size = (8, 8)
    digest = "0" * 64
    counts: ClassVar = Counter()

    def __init__(self, name="MobileNetV2", weights="none", dtype="float32"):
        self.name, self.weights = name, weights
        self.counts["loaded"] += 1

    def resize(self, photo):
        """Resizes as an encoder does."""
        return [resized(photo, self.input_size)]

    def encode(self, photos, batch_size=0):
        """Takes means of halves, and a little of the whole batch."""
        self.counts["encoded"] += len(photos)
        images = np.stack([pixels for (pixels,) in photos])
        halves = np.concatenate(np.split(images.mean(axis=2), 2, axis=1), axis=-1)
        return (halves.mean(axis=1) + images.mean() / 1000).astype(np.float32)

    def record(self):
        """Describes itself as an encoder does."""
        names = {"encoder": self.name, "weights": self.weights, "weights_sha256": self.digest}
        form = {"input_size": list(self.input_size), "length": self.length}
        return structs.replace(ENCODER_RECORD, layer="avg_pool", **names, **form)


# Of an encoder that was trained, as the one below claims to be.
TRAINED_RECORD = structs.replace(ENCODER_RECORD, weights="imagenet")


class TrainedStandIn(StandIn):
    """An encoder whose numbers lie around zero, of like size as a network's, to caption with."""

    def encode(self, photos, batch_size=0):
        """Moves and shrinks the means of pixels."""
        return (super().encode(photos) - 127) / 5

    def record(self):
        """Describes itself as `TRAINED_RECORD` does."""
        return TRAINED_RECORD


def draw_photos(folder, count):
    """Draws small photos, all different, and one file that is none."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(1)
    for number in range(count):
        pixels = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photo {number:04d}.png")
    (folder / f"photo {count // 3:04d}.png").write_text("not a photo")


# Photos of a bench, and the files that prepare_photos.py writes for the next stage.
PHOTO_COUNT = 30
PHOTO_RESULTS = ("features.pkl", "features.json")


class PhotoBench:
    """Runs prepare_photos.py on some photos, and tells what its encoder did in the last run."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.photos = folder / "photos"
        monkeypatch.setattr("captioning.photos.encoders.Encoder", StandIn)
        monkeypatch.setattr("captioning.photos.feature_cache.PHOTOS_AT_RISK", 8)
        draw_photos(self.photos, PHOTO_COUNT)

    def run(self, *flags, encoder="MobileNetV2", weights="none"):
        """Runs prepare_photos.py and gives status, output and errors."""
        StandIn.counts.clear()
        flags = ["--encoder", encoder, "--weights", weights, "--batch-size", "4", *flags]
        ended = run_here("prepare_photos", "--data", self.folder, *flags)
        self.encoded, self.loaded = StandIn.counts["encoded"], StandIn.counts["loaded"]
        return ended

    def results(self):
        """Reads what the script has written."""
        return {name: (self.folder / name).read_bytes() for name in PHOTO_RESULTS}

    def photo(self, number):
        """Gives the path of a photo."""
        return self.photos / f"photo {number:04d}.png"

    def clear(self):
        """Removes all but the photos."""
        for path in self.folder.iterdir():
            if path != self.photos:
                path.unlink()


# Of captioners with random weights.
VOCABULARY = Vocabulary(
    words=("ant", "startseq", "bee", "cow", "endseq", "dog", "elk"), maximum_length=7, cleaning={}
)
FEATURE_LENGTH = 4


def random_captioner(seed, scale=2.5, length=FEATURE_LENGTH, vocabulary=VOCABULARY, units=32):
    """Builds a captioner whose weights are large enough that captions differ between photos."""
    keras.utils.set_random_seed(seed)
    captioner = build_captioner(vocabulary.size, length, units=units)
    for variable in captioner.trainable_variables:
        variable.assign(scale * variable.value)
    return captioner


def change_bias(captioner, token_ids, value):
    """Makes some tokens very likely or very unlikely, whatever came before."""
    output = halves(captioner)[1].get_layer("next_token")
    kernel, bias = output.get_weights()
    bias[token_ids] = value
    output.set_weights([kernel, bias])
