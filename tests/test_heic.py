"""HEIC and HEIF, as phones store photos: upright, in 8 bits, and harmless when damaged."""

import io
import struct
import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from support import ROOT

from captioning.pages.page import make_thumbnail
from captioning.photos.listing import find_photos
from captioning.photos.reading import PhotoError, read_photo

SIZE = (64, 64)
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)

pillow_heif.register_heif_opener()


def scene():
    """Draws red left, blue right and a green stripe at the top, so that each way up differs."""
    image = Image.new("RGB", (96, 64), BLUE)
    image.paste(RED, (0, 0, 48, 64))
    image.paste(GREEN, (0, 0, 96, 16))
    return image


def heic(image, **options):
    content = io.BytesIO()
    image.save(content, "HEIF", **{"quality": 95, "chroma": 444} | options)
    return content.getvalue()


def assert_is_scene(path):
    pixels = read_photo(path, SIZE)
    assert pixels.shape == (*SIZE, 3)
    assert pixels.dtype == np.uint8
    for (row, column), colour in {(48, 8): RED, (48, 56): BLUE, (6, 32): GREEN}.items():
        np.testing.assert_allclose(pixels[row, column], colour, atol=12)


@pytest.mark.parametrize("name", ["a.heic", "b.HEIC", "c.heif", "d.hif"])
def test_heic_is_found_by_its_extensions_and_read(tmp_path, name):
    (tmp_path / name).write_bytes(heic(scene()))
    assert find_photos(tmp_path) == [tmp_path / name]
    assert_is_scene(tmp_path / name)


def test_heic_is_read_whatever_the_file_is_called(tmp_path):
    (tmp_path / "a.jpg").write_bytes(heic(scene()))
    assert_is_scene(tmp_path / "a.jpg")


# What a phone held in each of the eight ways stores, as the transposition of the scene.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
def test_heic_is_turned_upright_once(tmp_path, orientation):
    method = STORED[orientation]
    stored = scene() if method is None else scene().transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.heic"
    path.write_bytes(heic(stored, exif=exif.tobytes()))
    assert_is_scene(path)
    assert make_thumbnail(path).size == (96, 64)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_colours_keep_their_upper_bits(tmp_path, bits):
    levels = np.asarray(scene()).astype(np.uint16) << 8
    image = pillow_heif.from_bytes("RGB;16", (96, 64), levels.tobytes())
    path = tmp_path / "a.heic"
    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    try:
        image.save(path, quality=95, chroma=444)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    assert pillow_heif.open_heif(path, convert_hdr_to_8bit=False).info["bit_depth"] == bits
    assert_is_scene(path)


def test_deep_greys_keep_their_upper_bits(tmp_path):
    levels = np.zeros((64, 96), dtype=np.uint16)
    levels[:, :48], levels[:, 48:] = 0x4000, 0xC000
    path = tmp_path / "a.heic"
    pillow_heif.from_bytes("I;16", (96, 64), levels.tobytes()).save(path, quality=-1)
    pixels = read_photo(path, SIZE)
    np.testing.assert_allclose(pixels[32, 8], 0x40, atol=2)
    np.testing.assert_allclose(pixels[32, 56], 0xC0, atol=2)


def test_transparent_parts_of_heic_lie_on_white(tmp_path):
    image = scene().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 16, 48, 64))
    path = tmp_path / "a.heic"
    path.write_bytes(heic(image))
    pixels = read_photo(path, SIZE)
    np.testing.assert_allclose(pixels[48, 8], (255,) * 3, atol=12)
    np.testing.assert_allclose(pixels[48, 56], BLUE, atol=12)


def test_of_several_images_the_primary_one_counts(tmp_path):
    path = tmp_path / "a.heic"
    others = [Image.new("RGB", (64, 64), GREEN), scene()]
    path.write_bytes(heic(others[0], save_all=True, append_images=others[1:], primary_index=1))
    assert_is_scene(path)


def test_heic_cut_off_anywhere_is_refused(tmp_path):
    whole = heic(scene())
    path = tmp_path / "a.heic"
    for tenth in range(10):
        path.write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(PhotoError, match=r"\w") as error:
            read_photo(path, SIZE)
        assert "\n" not in str(error.value)


def test_damaged_heic_is_read_or_refused_but_nothing_else(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = np.frombuffer(heic(Image.fromarray(noise)), dtype=np.uint8)
    generator = np.random.default_rng(1)
    path = tmp_path / "a.heic"
    refused = 0
    for _ in range(200):
        damaged = whole.copy()
        # Of the first bytes, where the structure is, more than their share.
        places = generator.integers(0, generator.choice([400, len(whole)]), 4)
        damaged[places] = generator.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        try:
            assert read_photo(path, SIZE).shape == (*SIZE, 3)
        except PhotoError:
            refused += 1
    assert 20 < refused < 200


def claiming(width, height):
    """Makes a small HEIC whose header promises any number of pixels."""
    content = heic(scene())
    place = content.index(b"ispe") + 8
    return content[:place] + struct.pack(">II", width, height) + content[place + 8 :]


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (10_000, 10_000, "10,000 x 10,000 pixels, and the limit is 89,478,485: raise it with"),
        (20_000, 20_000, "more than 178,956,970 pixels, and the limit is 89,478,485: raise it"),
        (60_000, 60_000, r"\w"),
        (0, 0, r"\w"),
    ],
)
def test_heic_that_claims_too_many_pixels_is_not_decoded(
    tmp_path, monkeypatch, width, height, reason
):
    path = tmp_path / "a.heic"
    path.write_bytes(claiming(width, height))
    decoded = []
    reader = pillow_heif.as_plugin.HeifImageFile
    monkeypatch.setattr(reader, "load", lambda image: decoded.append(1))
    with pytest.raises(PhotoError, match=reason):
        read_photo(path, SIZE)
    assert not decoded


PROGRAM = """
import sys
import threading
from pathlib import Path

from PIL import Image

from captioning.photos import reading as photos

assert "pillow_heif" not in sys.modules
assert ".heic" not in Image.registered_extensions()
gate, read = threading.Barrier(8), []

def read_one():
    gate.wait()
    read.append(photos.read_photo(Path(sys.argv[1]), (8, 8)).shape)

threads = [threading.Thread(target=read_one) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert read == [(8, 8, 3)] * 8
"""


def test_the_reader_is_loaded_when_it_is_needed_by_any_thread(tmp_path):
    path = tmp_path / "a.heic"
    path.write_bytes(heic(scene()))
    command = [sys.executable, "-W", "error", "-c", PROGRAM, path]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (process.returncode, process.stderr) == (0, "")
