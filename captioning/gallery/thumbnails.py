"""Makes thumbnails of photos, small enough that a page can hold a thousand of them."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps
from tqdm import tqdm

from captioning.photos import PhotoError, decoding_threads, opened, to_rgb

LONGEST_SIDE = 256  # pixels
QUALITY = 70  # of the JPEG
SIZE_LIMIT = 20_000  # bytes
THREADS = 4

# A JPEG, and its width and height in pixels.
Thumbnail = tuple[bytes, tuple[int, int]]


def make_thumbnail(path: Path) -> Thumbnail:
    """Makes a thumbnail: upright, RGB, its proportions kept, its metadata left out.

    Raises:
        PhotoError: if the photo cannot be read.
    """
    with opened(path) as image:
        # Lets a JPEG of many megapixels be decoded at a fraction of its size.
        image.draft("RGB", (2 * LONGEST_SIDE, 2 * LONGEST_SIDE))
        return _compress(to_rgb(ImageOps.exif_transpose(image)))


def _compress(image: Image.Image) -> Thumbnail:
    # Pillow would copy a comment of any length, and with it what nobody meant to publish.
    image.info = {}
    side, quality = LONGEST_SIDE, QUALITY
    while True:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= SIZE_LIMIT:
            return buffer.getvalue(), image.size
        side, quality = side * 9 // 10, max(quality - 10, 40)


def make_thumbnails(paths: Sequence[Path | None]) -> list[Thumbnail | PhotoError]:
    """Makes a thumbnail of each photo, or the PhotoError that says why there is none."""

    def make(path: Path | None) -> Thumbnail | PhotoError:
        try:
            return make_thumbnail(path) if path else PhotoError("no photo file")
        except PhotoError as error:
            return PhotoError(f"this photo cannot be read: {error}")

    with decoding_threads(THREADS) as threads:
        made = threads.map(make, paths)
        return list(tqdm(made, total=len(paths), unit=" photos", delay=1, disable=None))
