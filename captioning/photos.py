"""Finds photos, reads them in background threads, and turns each into a vector."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# Threads that decode photos while the network runs, and the batches that they may be ahead of it.
DECODING_THREADS = 2
BATCHES_AHEAD = 2

# Formats that Pillow knows by name but leaves to other programs to read.
_UNREADABLE_FORMATS = {"BUFR", "GRIB", "HDF5", "MPEG"}

_WHITE = (255, 255, 255, 255)


class PhotoError(Exception):
    """A photo that cannot be read; the message says why."""


def find_photos(folder):
    """Lists the photos in a folder and the folders below it.

    Args:
        folder: pathlib.Path of a folder.

    Returns:
        list of pathlib.Path, sorted: the files that have the extension of a format that Pillow
        reads. Hidden files are left out, and links to folders are not followed.
    """
    extensions = _readable_extensions()
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in extensions
        ]
    return sorted(found)


def _readable_extensions():
    formats = Image.registered_extensions().items()
    readable = {name for name, kind in formats if kind in Image.OPEN}
    stubs = {name for name, kind in formats if kind in _UNREADABLE_FORMATS}
    # What some cameras write is a JPEG with more photos behind it, and is opened as one.
    return readable - stubs | {".mpo"}


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
        PhotoError: if it cannot be read.
    """
    height, width = size
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            resized = to_rgb(upright).resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(resized)
    # Pillow's decoders raise whatever a damaged file makes them stumble over; whichever it is, the
    # photo cannot be read, and the others still can.
    except Exception as error:
        reason = " ".join(str(error).replace(str(path), path.name).split())
        raise PhotoError(reason or type(error).__name__) from error


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

    with ThreadPoolExecutor(DECODING_THREADS) as threads:
        pending = deque()
        while batches or pending:
            while batches and len(pending) <= BATCHES_AHEAD:
                batch = batches.popleft()
                pending.append((batch, [threads.submit(prepare, path) for path in batch]))
            batch, futures = pending.popleft()
            yield from zip(
                batch, _encode_batch([future.result() for future in futures], encoder), strict=True
            )


def _encode_batch(prepared, encoder):
    """Encodes the arrays of a batch and leaves its PhotoErrors where they are."""
    images = [item for item in prepared if not isinstance(item, PhotoError)]
    vectors = iter(encoder.encode(np.stack(images)) if images else [])
    return [item if isinstance(item, PhotoError) else next(vectors) for item in prepared]
