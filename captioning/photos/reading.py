"""Reads photos that anybody may have made: which formats, how large, and what becomes of them."""

import functools
import io
import os
import threading
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from captioning.cli import one_line

# A file, or one at an address such as s3://…, for which a UPath stands; the bytes of one, or an
# image that is open already.
Photo = Path | io.BytesIO | Image.Image

# Formats of photos. Others are refused, since some of Pillow's readers start another program (EPS)
# or open what is inside a file whatever that is (IPTC).
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

# An image that is open may be listed twice, and two threads must not read its file at once.
_OPEN_IMAGE = threading.Lock()


class PhotoError(Exception):
    """A photo that cannot be read; the message says why."""


@functools.cache
def _load_readers() -> None:
    """Has Pillow load its readers of photos, and that of HEIF."""
    # Whoever reads no photo need not wait for libheif.
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.init()
    # Of photos up to twice its limit Pillow only warns; `read_rgb` refuses them.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def is_photo_name(name: str) -> bool:
    """Tells whether a file of this name is taken for a photo, by what the name ends in."""
    _load_readers()
    return Image.registered_extensions().get(os.path.splitext(name)[1].lower()) in FORMATS


def limit_pixels(pixels: int) -> None:
    """Sets how many pixels a photo may have, for everything in this process that reads photos."""
    Image.MAX_IMAGE_PIXELS = pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    """Turns an image upright and converts it, whatever its mode, to 8-bit RGB.

    The image itself may be changed: a copy of a large one would fill the memory. Transparent parts
    are laid on white, as a page would show them. Greys of 9 to 16 bits keep their upper 8 bits,
    where Pillow alone would cut them off at 255.
    """
    # Features of photos read in another way must not be mixed with these: whoever changes the
    # pixels changes `resizing` in Encoder.record.
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        greys = np.clip(np.asarray(image), 0, 65535)
        # Files of 12 bits have 16 in which the upper ones are not used.
        greys >>= 8 if greys.max() > 4095 else 4 if greys.max() > 255 else 0
        image = Image.fromarray(greys.astype(np.uint8))
    if image.mode == "F":
        raise PhotoError("its pixels are floats")
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    # Pillow would copy an image that has the mode.
    return image if image.mode == "RGB" else image.convert("RGB")


def resized(image: Image.Image, size: tuple[int, int], resizing: str = "bilinear") -> np.ndarray:
    """Resizes a photo to a height and width by one of Pillow's filters: uint8, (*size, 3)."""
    return np.asarray(image.resize(size[::-1], Image.Resampling[resizing.upper()]))


def read_rgb(photo: Photo, least_side: int = 0) -> Image.Image:
    """Reads a photo that a stranger may have made: upright and in 8-bit RGB, as `_to_rgb` has it.

    With `least_side`, a JPEG of many megapixels may come at a fraction of its size, though no
    smaller than that. An image that is open already stays as it is.

    Raises:
        PhotoError: if it cannot be read, or if it claims more pixels than the limit, by default
            Pillow's, since they could fill the memory.
    """
    _load_readers()
    try:
        with _opened(photo) as image:
            if image.width * image.height > Image.MAX_IMAGE_PIXELS:
                # Pillow itself refuses what has twice as many.
                raise Image.DecompressionBombError
            if least_side:
                image.draft("RGB", (least_side, least_side))
            image.load()
            return _to_rgb(image)
    # Pillow's decoders raise whatever a damaged file makes them stumble over.
    except Exception as error:
        raise PhotoError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Says in one line why a photo cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        # Pillow's message goes on with the path, which is named anyway, or with that of an object.
        return "cannot identify image file"
    if isinstance(error, Image.DecompressionBombError):
        scripts = "prepare_photos.py and generate.py have --max-pixels to raise that"
        return f"it has more than {Image.MAX_IMAGE_PIXELS:,d} pixels: {scripts}"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return one_line(" ".join(words.split()))


def _opened(photo: Photo) -> Image.Image:
    """Opens a file, or copies an image that is open already."""
    if isinstance(photo, Image.Image):
        with _OPEN_IMAGE:
            return photo.copy()
    # A pipe named dog.jpg would have us wait for ever.
    if isinstance(photo, Path) and photo.exists() and not photo.is_file():
        raise PhotoError("it is no file")
    # What is at an address is read whole, since decoders jump to and fro.
    file = photo if isinstance(photo, Path | io.BytesIO) else io.BytesIO(photo.read_bytes())
    # Not every Pillow can read all of them; the reader of JPEG reads MPO too.
    return Image.open(file, formats=[kind for kind in FORMATS if kind in Image.ID])
