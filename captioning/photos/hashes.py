"""Perceptual hashes: a few bytes of a photo that tell whether another looks like it.

A hash holds the signs of a photo's lowest frequencies (pHash, by the package ImageHash). A photo
keeps nearly all of its bits when it is saved, resized or brightened anew, and two different photos
share no more of them than chance has it. Colour does not count.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

# Rows and columns of frequencies, a bit each.
HASH_SIZE = 16

# Two photos look alike if at most so many of the 256 bits differ; docs/splits.md has the figures.
MOST_DIFFERING_BITS = 48

# In a mirrored photo the waves of every other column change their sign, and with it their bit.
_MIRRORED_BITS = np.uint64(0x5555555555555555)

# Pairs that are compared at once: more would not stay in the processor's cache.
_PAIRS_AT_ONCE = 1 << 16


def hash_photo(pixels: np.ndarray) -> str:
    """Hashes a photo, uint8, (height, width, 3): the bits as hexadecimal digits, row by row."""
    # SciPy, which does the transform, takes a moment to load.
    import imagehash

    return str(imagehash.phash(Image.fromarray(pixels), HASH_SIZE))


def find_most_alike(hashes: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Finds of each photo the one among others that is most like it, as it is or mirrored.

    Returns:
        The place of each in `others`, and the number of bits that differ; both (photos,).
    """
    rows, columns = _as_words(hashes), np.ascontiguousarray(_as_words(others).T)
    places = np.empty(len(rows), dtype=np.intp)
    distances = np.empty(len(rows), dtype=np.uint16)
    step = max(1, _PAIRS_AT_ONCE // len(others))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        differing = rows[part, :, None] ^ columns
        as_it_is = np.bitwise_count(differing).sum(axis=1, dtype=np.uint16)
        mirrored = np.bitwise_count(differing ^ _MIRRORED_BITS).sum(axis=1, dtype=np.uint16)
        fewest = np.minimum(as_it_is, mirrored)
        places[part] = fewest.argmin(axis=1)
        distances[part] = fewest.min(axis=1)
    return places, distances


def _as_words(hashes: Sequence[str]) -> np.ndarray:
    """Returns the bits of hashes in words of 64: uint64, (hashes, 4)."""
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64)
    return words.reshape(len(hashes), HASH_SIZE * HASH_SIZE // 64)
