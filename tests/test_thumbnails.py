"""The small JPEGs of photos that a page shows."""

import io

import numpy as np
import pytest
from gallery_pages import BLUE, RED
from PIL import Image

from captioning.pages.gallery import thumbnails
from captioning.pages.gallery.thumbnails import make_thumbnail, make_thumbnails
from captioning.photos.reading import PhotoError


def opened(thumbnail):
    jpeg, size = thumbnail
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
    return image


@pytest.mark.parametrize("size", [(900, 600), (256, 256), (3000, 40)])
def test_thumbnail_of_noise_keeps_to_the_limit(tmp_path, size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    thumbnail = make_thumbnail(tmp_path / "noise.png")
    width, height = opened(thumbnail).size
    assert len(thumbnail[0]) <= 20_000
    assert 100 <= max(width, height) <= 256
    assert height == pytest.approx(width * size[1] / size[0], abs=1)


def test_the_fewer_photos_the_larger_their_thumbnails(tmp_path):
    gradient = np.linspace(0, 255, 1200 * 900 * 3).reshape(900, 1200, 3).astype(np.uint8)
    Image.fromarray(gradient).save(tmp_path / "a.jpg")
    sizes = [make_thumbnails([tmp_path / "a.jpg", *[None] * others])[0].size for others in (0, 399)]
    assert sizes[0] == pytest.approx((810, 607), abs=1)
    # 400 share 20 MB: each may have 2.5 times the bytes of one of very many.
    assert sizes[1] == pytest.approx((405, 304), abs=1)
    assert make_thumbnail(tmp_path / "a.jpg").size == (256, 192)


def test_thumbnail_has_no_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    options = {
        "comment": b"secret" * 9000,
        "exif": exif,
        "xmp": b"secret",
        "icc_profile": b"secret",
    }
    Image.new("RGB", (400, 300), RED).save(tmp_path / "a.jpg", **options)
    jpeg, size = make_thumbnail(tmp_path / "a.jpg")
    assert size == (256, 192)
    assert len(jpeg) < 5000
    assert b"secret" not in jpeg
    assert b"where I live" not in jpeg


def test_thumbnail_is_upright_and_never_larger_than_the_photo(tmp_path):
    image = Image.new("RGB", (80, 40), BLUE)
    image.paste(RED, (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned 90 degrees clockwise: the left side comes on top.
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright = opened(make_thumbnail(tmp_path / "turned.jpg"))
    assert upright.size == (40, 80)
    np.testing.assert_allclose(upright.getpixel((20, 10)), RED, atol=20)
    np.testing.assert_allclose(upright.getpixel((20, 70)), BLUE, atol=20)


def test_large_jpegs_are_decoded_at_a_fraction_of_their_size(tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        thumbnails, "to_rgb", lambda image: decoded.append(image.size) or image.convert("RGB")
    )
    Image.new("RGB", (4096, 4096), RED).save(tmp_path / "large.jpg")
    assert opened(make_thumbnail(tmp_path / "large.jpg")).size == (256, 256)
    assert decoded == [(512, 512)]


def test_an_unreadable_photo_says_why(tmp_path, monkeypatch):
    (tmp_path / "bad.jpg").write_bytes(b"no photo at all")
    with pytest.raises(PhotoError, match="cannot identify image file") as caught:
        make_thumbnail(tmp_path / "bad.jpg")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(PhotoError, match="No such file"):
        make_thumbnail(tmp_path / "missing.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("RGB", (40, 40)).save(tmp_path / "bomb.png")
    with pytest.raises(PhotoError, match="the limit is 100: raise it"):
        make_thumbnail(tmp_path / "bomb.png")
