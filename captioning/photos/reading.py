"""Reads photos in background threads, and encodes them."""

import contextlib
import ctypes
import errno
import functools
import io
import os
import stat
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Union

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from captioning.cli import one_line

if TYPE_CHECKING:
    from upath import UPath

    from captioning.photos.encoders import Encoder

# A file, one at an address such as s3://…, the bytes of one, or an image that is open already.
Photo = Union[Path, "UPath", io.BytesIO, Image.Image]

# Threads that decode photos while the network runs, and the batches that they may be ahead of it.
DECODING_THREADS = 2
BATCHES_AHEAD = 2

# Formats of photos. Others are refused, since some of Pillow's readers start another program (EPS)
# or open what is inside a file whatever that is (IPTC).
FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

# Pixels that no side of a photo exceeds: resizing costs memory by the side, whatever the number of
# pixels. A panorama of as many pixels as are allowed by default may be 110 times as long as high.
LONGEST_SIDE = 100_000

# Of photos with more pixels one is decoded at a time, whatever the number of threads.
LARGE_PHOTO = 40_000_000

BILINEAR = "bilinear"

_LOADING = threading.Lock()
_ONE_LARGE = threading.Lock()


class PhotoError(Exception):
    """A photo that cannot be read; the message says why."""


class Size(NamedTuple):
    """What a photo is resized to, in pixels, and by which of Pillow's filters."""

    height: int
    width: int
    resizing: str = BILINEAR


@functools.cache
def _load_readers() -> None:
    """Has Pillow load its readers of photos, and that of HEIF.

    Threads that call it at the same time load the same ones twice, which changes nothing.
    """
    # Whoever reads no photo need not wait for libheif.
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.init()


def is_photo_name(name: str) -> bool:
    """Tells whether a file of this name is taken for a photo, by what the name ends in."""
    _load_readers()
    kind = Image.registered_extensions().get(os.path.splitext(name)[1].lower())
    return kind in FORMATS


def limit_pixels(pixels: int) -> None:
    """Sets how many pixels a photo may have, for everything in this process that reads photos."""
    Image.MAX_IMAGE_PIXELS = pixels


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image of any mode to 8-bit RGB.

    Transparent parts are laid on white, as a page would show them, and 16-bit greys keep their
    upper 8 bits, where Pillow alone would cut them off at 255.
    """
    if image.mode.startswith("I"):
        greys = np.clip(np.asarray(image), 0, 65535)
        greys >>= 8
        image = Image.fromarray(greys.astype(np.uint8))
    if image.has_transparency_data:
        layer = _in_mode(image, "RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return _in_mode(image, "RGB")


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    # Pillow would copy an image that has the mode, and large ones fill the memory.
    return image if image.mode == mode else image.convert(mode)


def read_photo(photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """Reads a photo upright, in RGB and resized to a height and width: uint8, (height, width, 3).

    Raises:
        PhotoError: if it cannot be read; see `opened`.
    """
    (pixels,) = read_in_sizes(photo, [size])
    return pixels


def read_in_sizes(photo: Photo, sizes: Sequence[Size | tuple[int, int]]) -> list[np.ndarray]:
    """Decodes a photo once and gives it, as `read_photo` does, in each of several sizes."""
    with opened(photo) as image:
        return _in_sizes(image, [Size(*size) for size in sizes])


def _in_sizes(image: Image.Image, sizes: Sequence[Size]) -> list[np.ndarray]:
    # Features of photos read in another way must not be mixed with these: whoever changes the
    # pixels changes `resizing` in Encoder.record.
    ImageOps.exif_transpose(image, in_place=True)
    upright = to_rgb(image)
    return [
        np.asarray(upright.resize((width, height), Image.Resampling[resizing.upper()]))
        for height, width, resizing in sizes
    ]


@contextlib.contextmanager
def opened(photo: Photo) -> Iterator[Image.Image]:
    """Opens a photo that a stranger may have made; its pixels are read when they are asked for.

    Of large photos one is open at a time. What is given may be changed: of an image that is open
    already it is a copy.

    Raises:
        PhotoError: if it cannot be opened, if what is done with it fails, or if it claims more
            pixels than the limit, by default Pillow's, or a longer side than `LONGEST_SIDE`, since
            they could fill the memory.
    """
    _load_readers()
    try:
        with _image_of(photo) as image:
            _check_size(image)
            is_large = image.width * image.height > LARGE_PHOTO
            with _ONE_LARGE if is_large else contextlib.nullcontext():
                if image is photo:
                    # It may be listed twice, and two threads must not read its file at once.
                    with _LOADING:
                        photo.load()
                    image = photo.copy()
                with contextlib.closing(image):
                    yield image
                if is_large:
                    _return_freed_memory()
    except UnidentifiedImageError as error:
        name = f" {photo.name!r}" if hasattr(photo, "name") else ""
        raise PhotoError(one_line(f"cannot identify image file{name}")) from error
    except Image.DecompressionBombError as error:
        raise _too_large(f"more than {2 * Image.MAX_IMAGE_PIXELS:,d} pixels") from error
    except FileNotFoundError as error:
        # That of an address says nothing but the address.
        raise PhotoError(os.strerror(errno.ENOENT)) from error
    # Pillow's decoders raise whatever a damaged file makes them stumble over.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(one_line(" ".join(reason.split())) or type(error).__name__) from error


def _return_freed_memory() -> None:
    # glibc keeps for a thread what it has freed; other C libraries have no such call.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _image_of(photo: Photo) -> contextlib.AbstractContextManager[Image.Image]:
    """Opens a file; an image that is open already stays so."""
    if isinstance(photo, Image.Image):
        return contextlib.nullcontext(photo)
    # Not every Pillow can read all of them; the reader of JPEG reads MPO too.
    formats = [kind for kind in FORMATS if kind in Image.ID]
    if not isinstance(photo, Path):
        # Whole, since decoders jump to and fro.
        file = photo if isinstance(photo, io.BytesIO) else io.BytesIO(photo.read_bytes())
        return Image.open(file, formats=formats)
    # A pipe named dog.jpg would have us wait for ever.
    if not stat.S_ISREG(os.stat(photo).st_mode):
        raise PhotoError("it is no file")
    return Image.open(photo, formats=formats)


def _check_size(image: Image.Image) -> None:
    pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
    if not pixels:
        raise PhotoError("it has no pixels")
    size = f"{image.width:,d} x {image.height:,d} pixels"
    if limit is not None and pixels > limit:
        raise _too_large(size)
    if max(image.size) > LONGEST_SIDE:
        raise PhotoError(
            f"it has {size}, and no side may have more than {LONGEST_SIDE:,d}: make it smaller"
        )


def _too_large(size: str) -> PhotoError:
    limit = f"the limit is {Image.MAX_IMAGE_PIXELS:,d}"
    return PhotoError(f"it has {size}, and {limit}: raise it with --max-pixels")


@contextlib.contextmanager
def decoding_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Starts threads for work on photos; leaving does not wait for what they have not begun."""
    threads = ThreadPoolExecutor(count)
    with warnings.catch_warnings():
        # Of photos up to twice its limit Pillow only warns; `opened` refuses them.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            yield threads
        finally:
            threads.shutdown(cancel_futures=True)


def encode_photos(
    photos: Sequence[Photo],
    encoder: "Encoder",
    batch_size: int,
    on_pixels: Callable[[Photo, np.ndarray], None] | None = None,
) -> Iterator[tuple[Photo, np.ndarray | PhotoError]]:
    """Encodes photos, decoding the next ones in threads while the network runs, and shows progress.

    Yields each photo, in their order, with its features, float32, (encoder.length,), or with the
    error that says why it has none. Before that, in a thread, `on_pixels` is given each photo that
    can be read with its pixels, uint8, in the first size that the encoder takes.
    """
    # delay: no bar for what is done before a person wonders; disable=None: none in a log file. A
    # single batch has no progress to show.
    hidden = True if len(photos) <= batch_size else None
    progress = tqdm(total=len(photos), unit=" photos", delay=1, disable=hidden)
    starts = range(0, len(photos), batch_size)
    batches = deque(photos[start : start + batch_size] for start in starts)

    def prepare(photo: Photo) -> list[np.ndarray] | PhotoError:
        try:
            pixels = read_in_sizes(photo, encoder.input_sizes)
        except PhotoError as error:
            return error
        if on_pixels:
            on_pixels(photo, pixels[0])
        return encoder.preprocess(pixels)

    with progress, decoding_threads(DECODING_THREADS) as threads:
        pending = deque()
        while batches or pending:
            while batches and len(pending) <= BATCHES_AHEAD:
                batch = batches.popleft()
                pending.append((batch, [threads.submit(prepare, photo) for photo in batch]))
            batch, futures = pending.popleft()
            prepared = [future.result() for future in futures]
            readable = [item for item in prepared if not isinstance(item, PhotoError)]
            features = iter(encoder.encode(readable, batch_size) if readable else ())
            for photo, item in zip(batch, prepared, strict=True):
                yield photo, item if isinstance(item, PhotoError) else _checked(next(features))
                progress.update()


def _checked(features: np.ndarray) -> np.ndarray | PhotoError:
    if np.isfinite(features).all():
        return features
    return PhotoError("the encoder makes numbers of it that are not finite: are its weights bad?")
