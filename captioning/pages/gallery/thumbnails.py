"""Makes small JPEGs of photos, without what a photo carries besides its pixels."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps
from tqdm import tqdm

from captioning.photos.reading import PhotoError, decoding_threads, opened, to_rgb

# Pixels of the longer side, JPEG quality, and bytes that no thumbnail of a large page exceeds.
LONGEST_SIDE = 256
QUALITY = 70
THUMBNAIL_LIMIT = 20_000
THUMBNAIL_THREADS = 4

# The fewer photos share these bytes, the larger each may be, for the look at a single photo.
PAGE_LIMIT = 20_000_000
LARGEST_THUMBNAIL_LIMIT = 200_000


class Thumbnail(NamedTuple):
    """A JPEG, and its width and height in pixels."""

    jpeg: bytes
    size: tuple[int, int]


def make_thumbnail(path: Path, limit: int = THUMBNAIL_LIMIT) -> Thumbnail:
    """Makes a thumbnail of a photo: upright, RGB, proportions kept, metadata left out.

    It has at most `limit` bytes, and as many more pixels than `LONGEST_SIDE` allows as `limit` is
    above `THUMBNAIL_LIMIT`.

    Raises:
        PhotoError: if the photo cannot be read.
    """
    side = round(LONGEST_SIDE * math.sqrt(limit / THUMBNAIL_LIMIT))
    with opened(path) as image:
        # Lets a JPEG of many megapixels be decoded at a fraction of its size.
        image.draft("RGB", (2 * side, 2 * side))
        return _compress(to_rgb(ImageOps.exif_transpose(image)), side, limit)


def _compress(image: Image.Image, side: int, limit: int) -> Thumbnail:
    # Pillow would copy a comment of any length, and with it what nobody meant to publish.
    image.info = {}
    quality = QUALITY
    while True:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= limit:
            return Thumbnail(buffer.getvalue(), image.size)
        side, quality = side * 9 // 10, max(quality - 10, 40)


def make_thumbnails(paths: Sequence[Path | None]) -> list[Thumbnail | PhotoError]:
    """Makes a thumbnail of each photo, or the error that says why there is none."""
    share = PAGE_LIMIT // max(1, len(paths))
    limit = min(max(share, THUMBNAIL_LIMIT), LARGEST_THUMBNAIL_LIMIT)

    def make(path: Path | None) -> Thumbnail | PhotoError:
        try:
            return make_thumbnail(path, limit) if path else PhotoError("no photo file")
        except PhotoError as error:
            return PhotoError(f"this photo cannot be read: {error}")

    with decoding_threads(THUMBNAIL_THREADS) as threads:
        thumbnails = threads.map(make, paths)
        return list(tqdm(thumbnails, total=len(paths), unit=" photos", delay=1, disable=None))
