"""Photos that are none, are damaged, too large or hostile: each is refused with a reason."""

import contextlib
import io
import os
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import EpsImagePlugin, Image
from support import ROOT, StandIn, iptc_around, read_photo

from captioning.cli import one_line
from captioning.photos import reading
from captioning.photos.encoders import encode_photos
from captioning.photos.features import read_features
from captioning.photos.reading import PhotoError, opened

SIZE = (32, 32)
RED, BLUE = (200, 0, 0), (0, 0, 200)

pillow_heif.register_heif_opener()


def saved(kind, **options):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).convert("L" if kind == "TGA" else "RGB").save(content, kind, **options)
    return content.getvalue()


def png_that_claims(width, height):
    """Makes a small PNG whose header promises any number of pixels."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def heic_that_claims(width, height):
    content = saved("HEIF")
    start = content.index(b"ispe") + 8
    return content[:start] + struct.pack(">II", width, height) + content[start + 8 :]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
LIMIT = (
    "it has more than 89,478,485 pixels: prepare_photos.py and generate.py have --max-pixels to "
    "raise that"
)
SIDES = "each side must have 1 to 100,000 pixels"
NO_PHOTO = "cannot identify image file"

# What a file holds, and what is said of it.
BAD = {
    "empty.jpg": (b"", NO_PHOTO),
    "text.jpg": (b"This is a text, whatever its name says.\n", NO_PHOTO),
    "icon.png": (saved("ICO"), NO_PHOTO),
    "targa.png": (saved("TGA"), NO_PHOTO),
    "program.jpg": (EPS, NO_PHOTO),
    "wrapped program.jpg": (iptc_around(EPS), NO_PHOTO),
    "wrapped photo.jpg": (iptc_around(saved("PNG")), NO_PHOTO),
    "wrapped large.jpg": (iptc_around(png_that_claims(13_000, 13_000)), NO_PHOTO),
    "short.jpg": (saved("JPEG")[:2000], "truncated"),
    "large.png": (png_that_claims(10_000, 10_000), LIMIT),
    "huge.png": (png_that_claims(20_000, 20_000), LIMIT),
    "thin.png": (png_that_claims(1, 100_001), SIDES),
    "long.png": (png_that_claims(100_001, 800), SIDES),
    "large too.heic": (heic_that_claims(10_000, 10_000), LIMIT),
    "huge too.heic": (heic_that_claims(20_000, 20_000), LIMIT),
    "no pixels.heic": (heic_that_claims(0, 0), ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_is_refused_in_one_line_before_it_is_decoded(
    tmp_path, name, monkeypatch, recwarn
):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    decoded, ordinary = [], Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda *given: decoded.append(1) or ordinary(*given))
    ((_, error, _),) = encode_photos([tmp_path / name], StandIn(), 4)
    assert isinstance(error, PhotoError)
    assert reason in str(error)
    assert one_line(str(error)) == str(error) != ""
    assert not decoded
    # What another test has left open may be collected meanwhile.
    assert not [each for each in recwarn if each.category is not ResourceWarning]


# What makes a message of more than one line, or changes a terminal, and what is no UTF-8.
ODD_NAMES = ["line\nbreak", "quote\"and'quote", "\x1b[2Jclears the screen", "犬🐕\u200d🦺"]
ODD_NAMES += [os.fsdecode(b"caf\xe9")]


def test_the_bad_are_named_in_a_line_each_and_the_good_are_done(bench):
    names = [*BAD, *(f"bad {name}.png" for name in ODD_NAMES)]
    for name in names:
        (bench.photos / name).write_bytes(BAD.get(name, (b"no photo",))[0])
    for name in ODD_NAMES:
        shutil.copy(bench.photo(0), bench.photos / f"{name}.png")
    os.mkfifo(bench.photos / "pipe.jpg")
    Image.new("RGB", (40, 30), BLUE).save(bench.photos / "limit.png")
    status, output, errors = bench.run("--max-pixels", "1199")
    assert status == 1
    lines = errors.removesuffix("\n").split("\n")
    # One of the bench is bad too.
    assert len(lines) == len(names) + 3
    begins = [f"skipped {bench.photos}/{one_line(name)}: " for name in names]
    assert all(sum(line.startswith(begin) for line in lines) == 1 for begin in begins)
    assert f"skipped {bench.photos / 'pipe.jpg'}: it is no file" in lines
    assert f"{len(lines)} photos skipped" in output
    assert all(name in read_features(bench.folder) for name in ODD_NAMES)
    # One beyond the limit is done once the limit is raised.
    assert "limit.png" not in bench.run("--max-pixels", "1200")[2]
    assert "limit" in read_features(bench.folder)


@pytest.mark.parametrize(
    "whole", [saved("JPEG"), saved("JPEG", progressive=True), saved("PNG"), saved("HEIF")]
)
def test_a_photo_cut_off_anywhere_is_refused(whole):
    for tenth in range(10):
        with pytest.raises(PhotoError, match=r"\w") as error:
            read_photo(io.BytesIO(whole[: len(whole) * tenth // 10]), SIZE)
        assert "\n" not in str(error.value)
    assert read_photo(io.BytesIO(whole), SIZE).shape == (*SIZE, 3)


def test_no_photo_starts_ghostscript(tmp_path, monkeypatch):
    """Has Pillow find a program of that name, which leaves a trace."""
    trace, program = tmp_path / "trace", tmp_path / "gs"
    program.write_text(f"#!/bin/sh\necho started >> '{trace}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    photo = iptc_around(EPS)
    with Image.open(io.BytesIO(photo)) as image, contextlib.suppress(OSError):
        image.load()
    assert trace.exists()
    trace.unlink()
    with pytest.raises(PhotoError, match="cannot identify"):
        read_photo(io.BytesIO(photo), SIZE)
    assert not trace.exists()


def test_open_images_that_cannot_be_read_say_why(monkeypatch):
    with (
        Image.open(io.BytesIO(saved("PNG")[:900])) as image,
        pytest.raises(PhotoError, match="truncated"),
    ):
        read_photo(image, SIZE)
    with pytest.raises(PhotoError, match=SIDES):
        read_photo(Image.new("RGB", (0, 0)), SIZE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    with pytest.raises(PhotoError, match="more than 4,095 pixels"):
        read_photo(Image.new("RGB", (64, 64)), SIZE)


PEAK = """
import ctypes, re, sys
from pathlib import Path
from captioning.photos.reading import decoding_threads, opened, resized
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
# As captioning.keras_setup has it, which takes longer to load.
ctypes.CDLL(None).mallopt(-4, 0)
ctypes.CDLL(None).mallopt(-1, 2**31 - 1)
def read(path):
    with opened(path) as image:
        resized(image, (8, 8))
small, large = map(Path, sys.argv[1:])
read(small)
before = peak()
with decoding_threads(2) as threads:
    list(threads.map(read, [large] * 3))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(("mode", "most"), [("RGB", 6), ("I;16", 12)])
def test_of_large_photos_one_is_held_and_once(tmp_path, mode, most):
    """Pillow has 4 bytes for each pixel in RGB; more than one, or copies, would fill the memory."""
    for name, side in (("small.png", 8), ("large.png", 6400)):
        Image.new(mode, (side, side)).save(tmp_path / name, compress_level=1)
    arguments = [sys.executable, "-c", PEAK, tmp_path / "small.png", tmp_path / "large.png"]
    process = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(process.stdout) * 1024 < most * 6400 * 6400


def test_a_large_photo_that_fails_lets_the_next_one_in(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGE_PHOTO", 30 * 40)
    (tmp_path / "bad.png").write_bytes(saved("PNG")[:900])
    Image.new("RGB", (41, 30), RED).save(tmp_path / "good.png")
    photos = [tmp_path / "bad.png", tmp_path / "good.png"] * 2
    results = [result for _, result, _ in encode_photos(photos, StandIn(), 1)]
    assert [isinstance(result, PhotoError) for result in results] == [True, False] * 2
    with opened(tmp_path / "good.png") as image:
        assert image.size == (41, 30)
