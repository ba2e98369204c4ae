"""Reading photos of every kind, and encoding them."""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features
from support import StandIn, read_photo

from captioning.photos.encoders import encode_photos
from captioning.photos.reading import is_photo_name

SIZE = (64, 64)
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)

pillow_heif.register_heif_opener()


def scene():
    """Paints red left, blue right and a green stripe at the top, so that each way up differs."""
    image = Image.new("RGB", (96, 64), BLUE)
    image.paste(RED, (0, 0, 48, 64))
    image.paste(GREEN, (0, 0, 96, 16))
    return image


def assert_is_scene(photo):
    pixels = read_photo(photo, SIZE)
    assert (pixels.shape, pixels.dtype) == ((*SIZE, 3), np.uint8)
    for (row, column), colour in {(48, 8): RED, (48, 56): BLUE, (6, 32): GREEN}.items():
        np.testing.assert_allclose(pixels[row, column], colour, atol=12)


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow lacks AVIF")


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.png", "P", {}),
        ("a.png", "RGBA", {}),
        ("a.jpg", "CMYK", {"quality": 95}),
        ("a.webp", "RGB", {"lossless": True}),
        ("a.gif", "P", {"save_all": True}),
        ("a.bmp", "RGB", {}),
        ("a.ppm", "RGB", {}),
        ("a.jp2", "RGB", {}),
        ("a.mpo", "RGB", {"quality": 95, "save_all": True}),
        ("a.tiff", "YCbCr", {}),
        ("a.HEIC", "RGB", {"quality": 95, "chroma": 444}),
        ("a.hif", "RGB", {"quality": 95, "chroma": 444}),
        pytest.param("a.avif", "RGB", {"quality": 95}, marks=needs_avif),
    ],
)
def test_every_format_and_mode_becomes_rgb(tmp_path, name, mode, options):
    image = scene().quantize(8) if mode == "P" else scene().convert(mode)
    image.save(tmp_path / name, **options)
    assert is_photo_name(name)
    assert_is_scene(tmp_path / name)
    # Whatever the file is called, and as the bytes that a browser sends.
    (tmp_path / name).rename(tmp_path / "b.jpg")
    assert_is_scene(tmp_path / "b.jpg")
    assert_is_scene(io.BytesIO((tmp_path / "b.jpg").read_bytes()))


def saved(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


# Values of two halves, and the greys that they are.
GREYS = [
    # Of 12 and of 8 bits in 16, and of 32.
    ("tiff", np.uint16, (0x400, 0xC00), (64, 192)),
    ("tiff", np.uint16, (64, 192), (64, 192)),
    ("tiff", np.int32, (0x4000, 0xC000), (64, 192)),
    ("png", np.uint16, (0x4000, 0xC000), (64, 192)),
    ("heic", np.uint16, (0x4000, 0xC000), (64, 192)),
    ("png", np.uint8, (64, 192), (64, 192)),
    ("png", np.bool_, (False, True), (0, 255)),
]


@pytest.mark.parametrize(("extension", "kind", "values", "greys"), GREYS)
def test_greys_of_any_number_of_bits(tmp_path, extension, kind, values, greys):
    levels = np.repeat(np.array([values], kind), 32, axis=1).repeat(64, axis=0)
    if extension == "heic":
        image = pillow_heif.from_bytes("I;16", SIZE, levels.tobytes())
        image.save(tmp_path / "a.heic", quality=-1)
    else:
        Image.fromarray(levels).save(tmp_path / f"a.{extension}")
    pixels = read_photo(tmp_path / f"a.{extension}", SIZE)
    np.testing.assert_allclose(pixels[32, [8, 56]], [[grey] * 3 for grey in greys], atol=2)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_colours_keep_their_upper_bits(tmp_path, monkeypatch, bits):
    levels = np.asarray(scene()).astype(np.uint16) << 8
    image = pillow_heif.from_bytes("RGB;16", (96, 64), levels.tobytes())
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    image.save(tmp_path / "a.heic", quality=95, chroma=444)
    heif = pillow_heif.open_heif(tmp_path / "a.heic", convert_hdr_to_8bit=False)
    assert heif.info["bit_depth"] == bits
    assert_is_scene(tmp_path / "a.heic")


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "HEIF"])
def test_transparent_parts_lie_on_white(kind):
    if kind == "P":
        image = Image.new("P", SIZE, 1)
        image.putpalette([0, 0, 0, 80, 80, 80])
        image.paste(0, (0, 0, 32, 64))
        photo = saved(image, "PNG", transparency=0)
    else:
        image = Image.new("RGBA", SIZE, (80, 80, 80, 255))
        image.paste((0, 0, 0, 0), (0, 0, 32, 64))
        photo = saved(image, "HEIF") if kind == "HEIF" else saved(image.convert(kind), "PNG")
    pixels = read_photo(io.BytesIO(photo), SIZE)
    np.testing.assert_allclose(pixels[32, [8, 56]], [[255] * 3, [80] * 3], atol=12)


# What a camera held in each of the eight ways stores, as the transposition of the scene.
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
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "HEIF"])
def test_a_photo_is_turned_upright_once(orientation, kind):
    method = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene() if method is None else scene().transpose(method)
    photo = saved(stored, kind, exif=exif.tobytes(), **({} if kind == "PNG" else {"quality": 95}))
    assert_is_scene(io.BytesIO(photo))


def test_an_image_that_is_open_is_read_as_its_file_is_and_left_as_it_was(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    scene().transpose(Image.Transpose.ROTATE_180).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        assert_is_scene(image)
        assert_is_scene(image)
        # Two threads must not read its file at once.
        results = list(encode_photos([image, tmp_path / "a.png", image, image], StandIn(), 1))
    for photo, features_of_it, _ in results:
        np.testing.assert_array_equal(features_of_it, results[1][1], err_msg=str(photo))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (100_000, 2)])
def test_odd_shapes_are_photos(size):
    pixels = read_photo(Image.new("RGB", size, RED), SIZE)
    np.testing.assert_array_equal(pixels, np.full((*SIZE, 3), RED, dtype=np.uint8))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.heic"])
def test_of_several_pictures_the_first_or_primary_one_counts(tmp_path, name):
    first, second = (Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE))
    primary = {"primary_index": 1} if name == "a.heic" else {"lossless": True}
    others = [first] if name == "a.heic" else [second]
    image = second if name == "a.heic" else first
    image.save(tmp_path / name, save_all=True, append_images=others, **primary)
    np.testing.assert_allclose(read_photo(tmp_path / name, SIZE)[5, 5], RED, atol=12)
