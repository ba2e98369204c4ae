"""Finds photos, reads them in background threads, and turns each into a vector."""

import contextlib
import functools
import os
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from captioning.cli import UserError, one_line

# Threads that decode photos while the network runs, and the batches that they may be ahead of it.
DECODING_THREADS = 2
BATCHES_AHEAD = 2

# Formats that Pillow leaves to other programs to read; EPS is itself a program, which a stranger's
# file would have run.
_LEFT_TO_OTHERS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG"}

_NOT_FINITE = "the encoder makes numbers of it that are not finite: are its weights damaged?"

_WHITE = (255, 255, 255, 255)


class PhotoError(Exception):
    """A photo that cannot be read; the message says why."""


def find_photos(folder, on_skip=None):
    """Lists the photos in a folder and the folders below it.

    Args:
        folder: pathlib.Path of a folder.
        on_skip: callable that is given the path and the reason, both str, of each link that points
            outside the folder and of each folder that cannot be read, or None to leave them out
            unsaid.

    Returns:
        list of pathlib.Path, sorted: the files that have the extension of a format that Pillow
        reads. Hidden files are left out, and so are links that point outside. Links to folders
        inside are not followed, since the photos there are found without.
    """
    report = on_skip or (lambda path, reason: None)
    extensions = _readable_extensions()
    root = os.path.realpath(folder)
    found = []
    for place, folders, names in os.walk(folder, onerror=lambda e: report(e.filename, e.strerror)):
        folders[:] = [name for name in folders if not name.startswith(".")]
        photos = [
            name
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in extensions
        ]
        outside = {name for name in folders + photos if _points_outside(Path(place, name), root)}
        for name in sorted(outside):
            report(str(Path(place, name)), f"it is a link that points outside {folder}")
        found += [Path(place, name) for name in photos if name not in outside]
    return sorted(found)


def _points_outside(path, root):
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)


def _readable_extensions():
    formats = Image.registered_extensions().items()
    readable = {name for name, kind in formats if kind in _readable_formats()}
    # What some cameras write is a JPEG with more photos behind it, and is opened as one.
    return readable | {".mpo"}


@functools.cache
def _readable_formats():
    Image.init()
    return tuple(kind for kind in Image.ID if kind not in _LEFT_TO_OTHERS)


def to_rgb(image):
    """Converts an image of any mode to 8-bit RGB.

    Args:
        image: PIL.Image.Image; transparent parts are laid on white, as a page would show them, and
            16-bit greys keep their upper 8 bits, where Pillow alone would cut them off at 255.

    Returns:
        PIL.Image.Image of mode `RGB`.
    """
    if image.mode.startswith("I"):
        greys = np.clip(np.asarray(image, dtype=np.int64), 0, 65535) >> 8
        image = Image.fromarray(greys.astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer)
    return image.convert("RGB")


def read_photo(path, size):
    """Reads a photo as a network wants it: upright, RGB, resized.

    Args:
        path: pathlib.Path of the photo.
        size: tuple of int, height and width in pixels.

    Returns:
        numpy.ndarray, uint8, (height, width, 3).

    Raises:
        PhotoError: if it cannot be read, wholly, as a photo; see `opened`.
    """
    # Vectors of photos read in another way must not be mixed with these: whoever changes the pixels
    # changes `resizing` in Encoder.record.
    height, width = size
    with opened(path) as image:
        upright = to_rgb(ImageOps.exif_transpose(image))
        return np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR))


@contextlib.contextmanager
def opened(path):
    """Opens a photo that a stranger may have made, and says in one way what is wrong with it.

    Args:
        path: pathlib.Path of the photo.

    Yields:
        PIL.Image.Image, whose pixels are read when they are asked for.

    Raises:
        PhotoError: if it cannot be opened, if what is done with it fails, or if it has more than
            Pillow's limit of 89 million pixels: a small file that claims more may be made to fill
            the memory.
    """
    try:
        # A pipe named dog.jpg would have us wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise PhotoError("it is no file")
        with Image.open(path, formats=_readable_formats()) as image:
            if image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise PhotoError(f"{image.width:,d} x {image.height:,d} pixels are too many")
            yield image
    # Pillow's decoders raise whatever a damaged file makes them stumble over; whichever it is, the
    # photo cannot be read, and the others still can.
    except Exception as error:
        if isinstance(error, UnidentifiedImageError):
            reason = f"cannot identify image file {path.name!r}"
        else:
            reason = getattr(error, "strerror", None) or str(error)
        reason = " ".join(reason.split())
        raise PhotoError(one_line(reason) or type(error).__name__) from error


@contextlib.contextmanager
def decoding_threads(count):
    """Gives threads for work on photos; who leaves does not wait for what they have not begun.

    Args:
        count: int, how many.

    Yields:
        concurrent.futures.ThreadPoolExecutor.
    """
    threads = ThreadPoolExecutor(count)
    with warnings.catch_warnings():
        # Of photos up to twice its limit Pillow only warns; `opened` refuses them.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            yield threads
        finally:
            threads.shutdown(cancel_futures=True)


def encode_photos(paths, encoder, batch_size):
    """Turns photos into vectors, decoding the next ones in threads while the network runs.

    Args:
        paths: list of pathlib.Path.
        encoder: captioning.encoders.Encoder.
        batch_size: int, photos that the network takes at once.

    Yields:
        tuple of pathlib.Path and either a numpy.ndarray, float32, (encoder.length,), or the
        PhotoError that says why there is none; in the order of `paths`.
    """
    batches = deque(paths[start : start + batch_size] for start in range(0, len(paths), batch_size))

    def prepare(path):
        try:
            return encoder.preprocess(read_photo(path, encoder.input_size).astype(np.float32))
        except PhotoError as error:
            return error

    with decoding_threads(DECODING_THREADS) as threads:
        pending = deque()
        while batches or pending:
            while batches and len(pending) <= BATCHES_AHEAD:
                batch = batches.popleft()
                pending.append((batch, [threads.submit(prepare, path) for path in batch]))
            batch, futures = pending.popleft()
            results = _encode_batch([future.result() for future in futures], encoder)
            yield from zip(batch, results, strict=True)


def _encode_batch(prepared, encoder):
    """Encodes the arrays of a batch and leaves its PhotoErrors where they are."""
    images = [item for item in prepared if not isinstance(item, PhotoError)]
    vectors = iter(encoder.encode(np.stack(images)) if images else [])
    results = [item if isinstance(item, PhotoError) else next(vectors) for item in prepared]
    return [
        item if isinstance(item, PhotoError) or np.isfinite(item).all() else PhotoError(_NOT_FINITE)
        for item in results
    ]


def expand_places(
    places: Iterable[Path], on_skip: Callable[[str, str], None] | None = None
) -> list[Path]:
    """Lists the photos at places that a user named, each once: photos, and those of folders.

    Photos that are named stay even if their extension is unknown. `on_skip` is that of
    `find_photos`.

    Raises:
        UserError: if a place does not exist, or a folder holds no photos.
    """
    photos = []
    for place in places:
        if place.is_dir():
            found = find_photos(place, on_skip)
            if not found:
                raise UserError(f"{place} holds no photos: name a photo, or a folder with photos")
            photos += found
        elif place.exists():
            photos.append(place)
        else:
            raise UserError(f"{place} does not exist: name a photo, or a folder with photos")
    return list(dict.fromkeys(photos))
