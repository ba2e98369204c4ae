"""Photos, names and links that go wrong: each is named with a reason, and the others are done."""

import contextlib
import io
import os
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from support import ROOT, StandIn, iptc_around

import prepare_photos
from captioning.cli import run
from captioning.pages.page import make_thumbnail
from captioning.photos import reading
from captioning.photos.features import read_features
from captioning.photos.listing import find_photos
from captioning.photos.reading import PhotoError, encode_photos, opened, read_photo

SIZE = (32, 32)
RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.fixture
def prepare(tmp_path, monkeypatch, capsys):
    """Gives a function that runs prepare_photos.py with an encoder of a few lines."""
    monkeypatch.setattr("captioning.photos.encoders.Encoder", StandIn)
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (20, 20), RED).save(photos / "good.png")

    def call(*flags):
        status = run(
            prepare_photos.main,
            ["--data", str(tmp_path), "--encoder", "MobileNetV2", "--weights", "none", *flags],
        )
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def jpeg(**options):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "JPEG", **options)
    return content.getvalue()


def png_that_claims(width, height):
    """Makes a small PNG whose header promises any number of pixels."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"

BAD = {
    "empty.jpg": b"",
    "text.jpg": b"This is a text, whatever its name says.\n",
    "short.jpg": jpeg()[:2000],
    "huge.png": png_that_claims(20_000, 20_000),
    "large.png": png_that_claims(10_000, 10_000),
    "thin.png": png_that_claims(1, 89_000_000),
    "wrapped program.jpg": iptc_around(EPS),
    "wrapped large.jpg": iptc_around(png_that_claims(13_000, 13_000)),
    "program.jpg": EPS,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_is_skipped_with_one_line_and_the_others_are_done(prepare, tmp_path, name):
    (tmp_path / "photos" / name).write_bytes(BAD[name])
    status, output, errors = prepare()
    assert status == 1
    (line,) = errors.splitlines()
    assert line.startswith(f"skipped {tmp_path / 'photos' / name}: ")
    assert "1 photo skipped" in output
    assert list(read_features(tmp_path)) == ["good"]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_off_anywhere_is_refused(tmp_path, progressive):
    whole = jpeg(progressive=progressive)
    path = tmp_path / "a.jpg"
    for tenth in range(10):
        path.write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(PhotoError):
            read_photo(path, SIZE)
    path.write_bytes(whole)
    assert read_photo(path, SIZE).shape == (*SIZE, 3)


def test_photos_too_large_are_refused_without_a_warning(tmp_path, recwarn):
    for number, side in enumerate((10_000, 20_000)):
        (tmp_path / f"{number}.png").write_bytes(png_that_claims(side, side))
    results = [result for _, result in encode_photos(find_photos(tmp_path), StandIn(), 4)]
    limit = "and the limit is 89,478,485: raise it with --max-pixels"
    assert str(results[0]) == f"it has 10,000 x 10,000 pixels, {limit}"
    assert str(results[1]) == f"it has more than 178,956,970 pixels, {limit}"
    assert not list(recwarn)


def test_no_photo_starts_ghostscript(tmp_path, monkeypatch):
    """Has Pillow find a program of that name, which leaves a trace."""
    trace, program = tmp_path / "trace", tmp_path / "gs"
    program.write_text(f"#!/bin/sh\necho started >> '{trace}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    path = tmp_path / "dog.jpg"
    path.write_bytes(iptc_around(EPS))
    with Image.open(path) as image, contextlib.suppress(OSError):
        image.load()
    assert trace.exists()
    trace.unlink()
    with pytest.raises(PhotoError, match="cannot identify"):
        read_photo(path, SIZE)
    assert "cannot identify" in make_thumbnail(path)
    assert not trace.exists()


def test_a_wrapper_takes_no_large_photo_past_the_limit(tmp_path):
    path = tmp_path / "dog.jpg"
    path.write_bytes(iptc_around(png_that_claims(13_000, 13_000)))
    with Image.open(path) as image:
        assert image.size == (64, 64)
        with pytest.raises(OSError, match="truncated"):
            image.load()
    with pytest.raises(PhotoError, match="cannot identify"):
        read_photo(path, SIZE)


@pytest.mark.parametrize("kind", [kind for kind in reading.FORMATS if kind != "HEIF"])
def test_no_reader_of_photos_opens_another_file_or_starts_a_program(tmp_path, monkeypatch, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a"
    first, second = (Image.new("RGB", (16, 12), colour) for colour in (RED, BLUE))
    options = {"save_all": True, "append_images": [second]} if kind in ("GIF", "MPO") else {}
    first.save(path, kind, exif=exif, **options)
    asked, ordinary = [], Image.open
    monkeypatch.setattr(Image, "open", lambda *a, **o: asked.append(o) or ordinary(*a, **o))
    monkeypatch.setattr(subprocess, "Popen", None)
    monkeypatch.setattr(os, "system", None)
    assert read_photo(path, SIZE).shape == (*SIZE, 3)
    assert make_thumbnail(path).size in ((16, 12), (12, 16))
    # Once each, by the list.
    assert len(asked) == 2
    assert all(set(options["formats"]) <= set(reading.FORMATS) for options in asked)


def test_a_side_too_long_is_refused_whatever_the_other(tmp_path):
    path = tmp_path / "a.png"
    for size in ((1, 100_001), (100_001, 800)):
        path.write_bytes(png_that_claims(*size))
        limit = "no side may have more than 100,000: make it smaller"
        with pytest.raises(PhotoError, match=f"pixels, and {limit}"):
            read_photo(path, SIZE)
    Image.new("RGB", (100_000, 2), RED).save(path)
    assert read_photo(path, SIZE).shape == (*SIZE, 3)


def test_of_large_photos_one_is_open_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGE_PHOTO", 30 * 40)
    for width in (40, 41):
        Image.new("RGB", (width, 30), RED).save(tmp_path / f"{width}.png")
    turn = reading._DECODING_LARGE
    with opened(tmp_path / "40.png"):
        assert not turn.locked()
    for photo in (tmp_path / "41.png", Image.new("RGB", (41, 30))):
        with opened(photo), opened(tmp_path / "40.png"):
            assert turn.locked()
        assert not turn.locked()
    (tmp_path / "41.png").write_bytes((tmp_path / "41.png").read_bytes()[:60])
    with pytest.raises(PhotoError):
        read_photo(tmp_path / "41.png", SIZE)
    assert not turn.locked()


PEAK = """
import re, sys
from pathlib import Path
from captioning.photos.reading import decoding_threads, read_photo

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

def read(path):
    read_photo(path, (8, 8))

small, large = map(Path, sys.argv[1:])
read(small)
before = peak()
with decoding_threads(2) as threads:
    list(threads.map(read, [large] * 3))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(("mode", "most"), [("RGB", 6), ("I;16", 12)])
def test_a_large_photo_is_held_once(tmp_path, mode, most):
    """Pillow has 4 bytes for each pixel in RGB; more than one, or copies, would fill the memory."""
    side = 6400
    for name, size in (("small.png", (8, 8)), ("large.png", (side, side))):
        Image.new(mode, size).save(tmp_path / name, compress_level=1)
    arguments = [sys.executable, "-c", PEAK, tmp_path / "small.png", tmp_path / "large.png"]
    process = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(process.stdout) * 1024 < most * side * side


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_shapes_are_photos(tmp_path, size):
    Image.new("RGB", size, RED).save(tmp_path / "a.png")
    pixels = read_photo(tmp_path / "a.png", SIZE)
    np.testing.assert_array_equal(pixels, np.full((*SIZE, 3), RED, dtype=np.uint8))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_picture_counts(tmp_path, name):
    first, second = (Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE))
    first.save(tmp_path / name, save_all=True, append_images=[second], lossless=True)
    np.testing.assert_allclose(read_photo(tmp_path / name, SIZE)[5, 5], RED, atol=12)


def test_what_is_no_file_is_neither_read_nor_waited_for(prepare, tmp_path):
    photos = tmp_path / "photos"
    (photos / "folder.jpg").mkdir()
    shutil.copy(photos / "good.png", photos / "folder.jpg" / "below.png")
    os.mkfifo(photos / "pipe.jpg")
    status, _, errors = prepare()
    assert status == 1
    assert errors == f"skipped {photos / 'pipe.jpg'}: it is no file\n"
    assert list(read_features(tmp_path)) == ["below", "good"]


def test_links_do_not_lead_out_of_the_folder(prepare, tmp_path):
    photos, elsewhere = tmp_path / "photos", tmp_path / "photos elsewhere"
    elsewhere.mkdir()
    shutil.copy(photos / "good.png", elsewhere / "private.png")
    (photos / "below").mkdir()
    os.symlink("good.png", photos / "inside.png")
    os.symlink("../good.png", photos / "below" / "upwards.png")
    os.symlink(elsewhere / "private.png", photos / "outside.png")
    os.symlink("inside chain.png", photos / "chain.png")
    os.symlink(elsewhere / "private.png", photos / "inside chain.png")
    os.symlink(elsewhere, photos / "folder outside")
    os.symlink(photos, photos / "below" / "loop")
    os.symlink("circle.png", photos / "circle.png")
    os.symlink("nothing.png", photos / "broken.png")
    status, _, errors = prepare()
    assert status == 1
    lines = errors.splitlines()
    outside = ["chain.png", "folder outside", "inside chain.png", "outside.png"]
    assert lines[:4] == [
        f"skipped {photos / name}: it is a link that points outside {photos}" for name in outside
    ]
    assert sorted(lines[4:]) == [
        f"skipped {photos / 'broken.png'}: No such file or directory",
        f"skipped {photos / 'circle.png'}: Too many levels of symbolic links",
    ]
    assert list(read_features(tmp_path)) == ["upwards", "good", "inside"]


def test_the_folder_itself_may_be_a_link_and_a_photo_named_by_itself_too(prepare, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    os.symlink("elsewhere", tmp_path / "photos")
    os.symlink(tmp_path / "photos" / "good.png", tmp_path / "link.png")
    assert prepare()[0] == 0
    assert read_photo(tmp_path / "link.png", SIZE).shape == (*SIZE, 3)


def test_a_photo_beyond_the_limit_is_done_once_the_limit_is_raised(prepare, tmp_path):
    Image.new("RGB", (40, 30), BLUE).save(tmp_path / "photos" / "large.png")
    status, _, errors = prepare("--max-pixels", "1199")
    assert status == 1
    assert "large.png: it has 40 x 30 pixels, and the limit is 1,199: raise it with" in errors
    status, _, errors = prepare("--max-pixels", "1200")
    assert (status, errors) == (0, "")
    assert list(read_features(tmp_path)) == ["good", "large"]
