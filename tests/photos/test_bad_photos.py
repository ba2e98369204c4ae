"""Photos that are none, are damaged, too large or hostile: each is refused with a reason."""

import io
import os
import shutil
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from support import iptc_around, read_photo

from captioning.cli import one_line
from captioning.photos.features import read_features
from captioning.photos.reading import PhotoError

SIZE = (32, 32)

pillow_heif.register_heif_opener()


def saved(kind, mode="RGB", **options):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).convert("L").convert(mode).save(content, kind, **options)
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
NO_PHOTO = "cannot identify image file"

# What a file holds, and what is said of it.
BAD = {
    "empty.jpg": (b"", NO_PHOTO),
    "text.jpg": (b"This is a text, whatever its name says.\n", NO_PHOTO),
    "icon.png": (saved("ICO"), NO_PHOTO),
    "targa.png": (saved("TGA", "L"), NO_PHOTO),
    "program.jpg": (EPS, NO_PHOTO),
    "wrapped program.jpg": (iptc_around(EPS), NO_PHOTO),
    "wrapped photo.jpg": (iptc_around(saved("PNG")), NO_PHOTO),
    "wrapped large.jpg": (iptc_around(png_that_claims(13_000, 13_000)), NO_PHOTO),
    "short.jpg": (saved("JPEG")[:2000], "truncated"),
    "large.png": (png_that_claims(10_000, 10_000), LIMIT),
    "huge.png": (png_that_claims(20_000, 20_000), LIMIT),
    "large too.heic": (heic_that_claims(10_000, 10_000), LIMIT),
    "huge too.heic": (heic_that_claims(20_000, 20_000), LIMIT),
    "no pixels.heic": (heic_that_claims(0, 0), ""),
    "floats.tiff": (saved("TIFF", mode="F"), "its pixels are floats"),
}


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
    status, output, errors = bench.run()
    assert status == 1
    lines = errors.removesuffix("\n").split("\n")
    # One of the bench is bad too.
    assert len(lines) == len(names) + 2
    for name in names:
        begin = f"skipped {bench.photos}/{one_line(name)}: "
        (reason,) = (line.removeprefix(begin) for line in lines if line.startswith(begin))
        assert BAD.get(name, (b"", NO_PHOTO))[1] in reason != ""
    assert f"skipped {bench.photos / 'pipe.jpg'}: it is no file" in lines
    assert f"{len(lines)} photos skipped" in output
    assert all(name in read_features(bench.folder) for name in ODD_NAMES)
    # One beyond the limit is done once the limit is raised.
    Image.new("RGB", (40, 30)).save(bench.photos / "limit.png")
    assert "limit.png: it has more than 1,199" in bench.run("--max-pixels", "1199")[2]
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


def test_open_images_that_cannot_be_read_say_why(monkeypatch):
    with (
        Image.open(io.BytesIO(saved("PNG")[:900])) as image,
        pytest.raises(PhotoError, match="truncated"),
    ):
        read_photo(image, SIZE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    with pytest.raises(PhotoError, match="more than 4,095 pixels"):
        read_photo(Image.new("RGB", (64, 64)), SIZE)
