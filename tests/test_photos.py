"""Reading photos of every kind, and encoding them."""

import io
import os

import numpy as np
import pytest
from PIL import Image, features
from support import StandIn, iptc_around, write_tiny_data

from captioning.photos import reading as photos
from captioning.photos.encoders import Encoder
from captioning.photos.listing import find_photos
from captioning.photos.reading import PhotoError, encode_photos, read_photo

SIZE = (64, 64)
RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.fixture(scope="module")
def small_encoder():
    return Encoder("EfficientNetLite0", "none")


def halves(left, right, size=SIZE):
    """Draws an image of two colours side by side."""
    image = Image.new("RGB", size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def assert_halves(pixels, left, right, tolerance=12):
    middle = SIZE[0] // 2
    np.testing.assert_allclose(pixels[middle, 8], left, atol=tolerance)
    np.testing.assert_allclose(pixels[middle, -8], right, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "convert", "options"),
    [
        ("a.png", lambda image: image.quantize(4), {}),
        ("a.jpg", lambda image: image.convert("CMYK"), {"quality": 95}),
        ("a.webp", lambda image: image, {"lossless": True}),
        ("a.gif", lambda image: image.quantize(4), {"save_all": True}),
        ("a.bmp", lambda image: image, {}),
        ("a.ppm", lambda image: image, {}),
        ("a.jp2", lambda image: image, {}),
        ("a.mpo", lambda image: image, {"quality": 95, "save_all": True}),
        pytest.param(
            "a.avif",
            lambda image: image,
            {"quality": 95},
            marks=pytest.mark.skipif(not features.check("avif"), reason="this Pillow lacks AVIF"),
        ),
        ("a.tiff", lambda image: image.convert("YCbCr"), {}),
        ("a.png", lambda image: image.convert("RGBA"), {}),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, name, convert, options):
    convert(halves(RED, BLUE)).save(tmp_path / name, **options)
    assert find_photos(tmp_path) == [tmp_path / name]
    pixels = read_photo(tmp_path / name, SIZE)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (64, 64, 3)
    assert_halves(pixels, RED, BLUE)


def test_greys_of_1_8_and_16_bits(tmp_path):
    levels = np.zeros(SIZE, dtype=np.uint16)
    levels[:, :32], levels[:, 32:] = 0x4000, 0xC000
    Image.fromarray(levels).save(tmp_path / "sixteen.png")
    Image.fromarray((levels >> 8).astype(np.uint8)).save(tmp_path / "eight.png")
    for name in ("sixteen.png", "eight.png"):
        assert_halves(read_photo(tmp_path / name, SIZE), (0x40,) * 3, (0xC0,) * 3, tolerance=1)
    Image.fromarray(levels > 0x8000).save(tmp_path / "one.png")
    assert_halves(read_photo(tmp_path / "one.png", SIZE), (0,) * 3, (255,) * 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_lie_on_white(tmp_path, mode):
    if mode == "P":
        image = Image.new("P", SIZE, 1)
        image.putpalette([0, 0, 0, 200, 0, 0])
        image.paste(0, (0, 0, 32, 64))
        image.save(tmp_path / "a.png", transparency=0)
        seen = RED
    else:
        image = Image.new("RGBA", SIZE, (80, 80, 80, 255))
        image.paste((0, 0, 0, 0), (0, 0, 32, 64))
        image.convert(mode).save(tmp_path / "a.png")
        seen = (80, 80, 80)
    assert_halves(read_photo(tmp_path / "a.png", SIZE), (255, 255, 255), seen)


# What a camera held in each of the eight ways stores, as the transposition that undoes it.
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    undone_by = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    scene = halves(RED, BLUE, (96, 48))
    scene.paste((0, 200, 0), (0, 0, 96, 6))
    stored = scene
    if orientation != 1:
        stored = scene.transpose(inverse.get(orientation, undone_by[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(scene.resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", SIZE), expected)


def test_resizing_is_bilinear(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    expected = Image.fromarray(noise).resize((50, 40), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", (40, 50)), np.asarray(expected))


def saved(kind):
    content = io.BytesIO()
    halves(RED, BLUE).convert("L").save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize("content", [iptc_around(saved("PNG")), saved("ICO"), saved("TGA")])
def test_formats_that_are_not_listed_are_refused(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with Image.open(path) as image:
        image.load()
    with pytest.raises(PhotoError, match="cannot identify"):
        read_photo(path, SIZE)


def truncated(path):
    halves(RED, BLUE, (200, 200)).save(path)
    path.write_bytes(path.read_bytes()[:400])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not a photo"),
        truncated,
        lambda path: path.mkdir(),
    ],
)
def test_unreadable_photo_is_named_with_a_reason(tmp_path, damage):
    path = tmp_path / "a.jpg"
    damage(path)
    with pytest.raises(PhotoError, match=r"\w") as error:
        read_photo(path, SIZE)
    assert "\n" not in str(error.value)


def test_find_photos_leaves_other_files_and_links_alone(tmp_path):
    for name in (
        "b.JPG",
        "a.png",
        ".hidden.png",
        "notes.txt",
        "report.pdf",
        "figure.eps",
        "icon.ico",
        "below/c.webp",
        ".git/d.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.symlink(tmp_path, tmp_path / "below" / "loop")
    found = [str(path.relative_to(tmp_path)) for path in find_photos(tmp_path)]
    assert found == ["a.png", "b.JPG", "below/c.webp"]


def test_encoding_keeps_order_across_batches_and_gaps(tmp_path, small_encoder):
    write_tiny_data(tmp_path / "tiny")
    paths = find_photos(tmp_path / "tiny" / "photos")
    paths[4].write_bytes(b"")
    one_by_one = {path: next(encode_photos([path], small_encoder, 1))[1] for path in paths}
    for batch_size in (1, 5, 32):
        together = list(encode_photos(paths, small_encoder, batch_size))
        assert [path for path, _ in together] == paths
        for path, vector in together:
            if path == paths[4]:
                assert isinstance(vector, PhotoError)
            else:
                np.testing.assert_allclose(vector, one_by_one[path], rtol=1e-3, atol=1e-4)


def test_a_photo_is_decoded_once_for_joined_encoders(tmp_path, monkeypatch):
    """Gives each network the photo resized from the file, not from another network's size."""

    class Sums:
        input_sizes = (photos.Size(40, 40), photos.Size(30, 20))
        length = 2

        def preprocess(self, photo):
            assert [pixels.shape for pixels in photo] == [(40, 40, 3), (30, 20, 3)]
            return photo

        def encode(self, prepared, batch_size):
            return np.array([[pixels.sum() for pixels in photo] for photo in prepared])

    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    decoded = []
    ordinary = photos.to_rgb
    monkeypatch.setattr(photos, "to_rgb", lambda image: decoded.append(1) or ordinary(image))
    ((_, sums),) = encode_photos([tmp_path / "a.png"], Sums(), 4)
    assert len(decoded) == 1
    for total, size in zip(sums, Sums.input_sizes, strict=True):
        assert total == read_photo(tmp_path / "a.png", size[:2]).sum()


def turned(folder, kind):
    """Writes a photo that its orientation turns upside down."""
    exif = Image.Exif()
    exif[0x0112] = 3
    path = folder / f"a.{kind}"
    halves(BLUE, RED).save(path, exif=exif)
    return path


@pytest.mark.parametrize("kind", ["png", "tiff", "jpg"])
def test_an_image_that_is_open_is_read_as_its_file_is(tmp_path, kind):
    path = turned(tmp_path, kind)
    expected = read_photo(path, SIZE)
    assert_halves(expected, RED, BLUE)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_photo(image, SIZE), expected)
        # It is left open and unchanged.
        np.testing.assert_array_equal(read_photo(image, SIZE), expected)


def test_an_image_that_was_made_here_is_a_photo():
    pixels = read_photo(halves(RED, BLUE).convert("RGBA"), SIZE)
    assert_halves(pixels, RED, BLUE, tolerance=0)


def test_open_images_that_cannot_be_read_say_why(tmp_path, monkeypatch):
    truncated(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image, pytest.raises(PhotoError, match="truncated"):
        read_photo(image, SIZE)
    with pytest.raises(PhotoError, match=r"\w"):
        read_photo(image, SIZE)
    with pytest.raises(PhotoError, match="it has no pixels"):
        read_photo(Image.new("RGB", (0, 0)), SIZE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    with pytest.raises(PhotoError, match="64 x 64 pixels"):
        read_photo(halves(RED, BLUE), SIZE)


def test_one_open_image_may_be_listed_many_times(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        ((_, expected),) = encode_photos([tmp_path / "a.png"], StandIn(), 6)
        results = list(encode_photos([image, tmp_path / "a.png", image, image], StandIn(), 1))
    assert [photo for photo, _ in results] == [image, tmp_path / "a.png", image, image]
    for _, result in results:
        np.testing.assert_array_equal(result, expected)
