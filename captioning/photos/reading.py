"""Reads photos in background threads, and encodes them."""

import contextlib
import ctypes
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
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from captioning.cli import one_line

if TYPE_CHECKING:  # Whoever only looks for photos need not wait for Keras.
    from upath import UPath

    from captioning.photos.encoders import Encoder

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

_NOT_FINITE = "the encoder makes numbers of it that are not finite: are its weights damaged?"

_WHITE = (255, 255, 255, 255)

_LOADING = threading.Lock()
_DECODING_LARGE = threading.Lock()

# A file, the bytes of one, or an image that is open already; or a UPath, a file at an address.
Photo = Path | io.BytesIO | Image.Image


class PhotoError(Exception):
    """A photo that cannot be read; the message says why."""


@functools.cache
def _load_readers() -> None:
    """Has Pillow load its readers of photos, and that of HEIF.

    Threads that call it at the same time load the same ones twice, which changes nothing.
    """
    # Whoever reads no photo need not wait for libheif.
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.init()


def photo_extensions() -> set[str]:
    """Returns what the names of photos end in, such as `.jpg`."""
    _load_readers()
    return {name for name, kind in Image.registered_extensions().items() if kind in FORMATS}


def is_photo_name(name: str) -> bool:
    """Tells whether a file of this name is taken for a photo, by what the name ends in."""
    return os.path.splitext(name)[1].lower() in photo_extensions()


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts an image of any mode to 8-bit RGB.

    Transparent parts are laid on white, as a page would show them, and 16-bit greys keep their
    upper 8 bits, where Pillow alone would cut them off at 255.
    """
    if image.mode.startswith("I"):
        image = _in_8_bits(image)
    if image.has_transparency_data:
        layer = _in_mode(image, "RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer)
    return _in_mode(image, "RGB")


def _in_8_bits(image: Image.Image) -> Image.Image:
    greys = np.clip(np.asarray(image), 0, 65535)
    greys >>= 8
    return Image.fromarray(greys.astype(np.uint8))


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


def read_in_sizes(photo: Photo, sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Decodes a photo once and gives it, as `read_photo` does, in each of several sizes."""
    with opened(photo) as image:
        return _in_sizes(image, sizes)


def _in_sizes(image: Image.Image, sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    # Features of photos read in another way must not be mixed with these: whoever changes the
    # pixels changes `resizing` in Encoder.record.
    ImageOps.exif_transpose(image, in_place=True)
    upright = to_rgb(image)
    return [
        np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR))
        for height, width in sizes
    ]


def limit_pixels(pixels: int) -> None:
    """Sets how many pixels a photo may have, for everything in this process that reads photos."""
    Image.MAX_IMAGE_PIXELS = pixels


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
    # Not every Pillow can read all of them; the reader of JPEG reads MPO too.
    formats = [kind for kind in FORMATS if kind in Image.ID]
    try:
        if isinstance(photo, Image.Image):
            with _room_for(photo):
                # It may be listed twice, and two threads must not read its file at once.
                with _LOADING:
                    photo.load()
                with contextlib.closing(photo.copy()) as image:
                    yield image
            return
        with (
            Image.open(_readable(photo), formats=formats) as image,
            _room_for(image),
            contextlib.closing(image),
        ):
            yield image
    except UnidentifiedImageError as error:
        name = "" if isinstance(photo, io.BytesIO) else f" {photo.name!r}"
        raise PhotoError(one_line(f"cannot identify image file{name}")) from error
    except Image.DecompressionBombError as error:
        raise _too_large(f"more than {2 * Image.MAX_IMAGE_PIXELS:,d} pixels") from error
    # Pillow's decoders raise whatever a damaged file makes them stumble over.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(one_line(" ".join(reason.split())) or type(error).__name__) from error


def _readable(photo: "Path | UPath | io.BytesIO") -> Path | io.BytesIO:
    if isinstance(photo, io.BytesIO):
        return photo
    if not isinstance(photo, Path):
        return io.BytesIO(photo.read_bytes())
    # A pipe named dog.jpg would have us wait for ever.
    if not stat.S_ISREG(os.stat(photo).st_mode):
        raise PhotoError("it is no file")
    return photo


@contextlib.contextmanager
def _room_for(image: Image.Image) -> Iterator[None]:
    """Refuses an image that is too large, and waits for its turn with one that is large."""
    _check_size(image)
    is_large = image.width * image.height > LARGE_PHOTO
    with _DECODING_LARGE if is_large else contextlib.nullcontext():
        try:
            yield
        finally:
            if is_large:
                _return_freed_memory()


def _return_freed_memory() -> None:
    """Has glibc return to the system what a thread has freed, which it keeps for that thread.

    Other C libraries have no such call.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


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
            results = encode_prepared(prepared, encoder, batch_size)
            for photo, result in zip(batch, results, strict=True):
                yield photo, result
                progress.update()


def encode_prepared(
    prepared: Sequence[list[np.ndarray] | PhotoError], encoder: "Encoder", batch_size: int
) -> list[np.ndarray | PhotoError]:
    """Encodes a batch of photos from `Encoder.preprocess`; errors among them stay where they are.

    Photos whose features are not finite get an error that says so.
    """
    readable = [item for item in prepared if not isinstance(item, PhotoError)]
    features = iter(encoder.encode(readable, batch_size) if readable else [])
    results = [item if isinstance(item, PhotoError) else next(features) for item in prepared]
    return [
        item if isinstance(item, PhotoError) or np.isfinite(item).all() else PhotoError(_NOT_FINITE)
        for item in results
    ]
