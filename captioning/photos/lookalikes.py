"""Photos that look alike in two splits: what a model has seen before says little when scored.

A hash of a photo, pHash (www.phash.org), holds the signs of its lowest frequencies. A photo keeps
nearly all of its bits when it is saved, resized or brightened anew, and two different photos share
no more of them than chance has it. Colour does not count.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.cli import counted, one_line, quoted, wrapped
from captioning.files import FEATURES_CACHE, PAINTED_SCENES
from captioning.photos.feature_cache import read_hashes

# Rows and columns of frequencies, a bit each; rows and columns of the photo they are taken from.
HASH_SIZE = 16
_SIDE = 64

# The waves of the discrete cosine transform (DCT-II), (HASH_SIZE, _SIDE).
_WAVES = np.cos(np.pi / _SIDE * np.outer(np.arange(HASH_SIZE), np.arange(_SIDE) + 0.5))

# Two photos look alike if at most so many of the 256 bits differ; docs/splits.md has the figures.
MOST_DIFFERING_BITS = 48

# In a mirrored photo the waves of every other column change their sign, and with it their bit.
_MIRRORED_BITS = np.uint64(0x5555555555555555)

# Pairs that are compared at once: more would not stay in the processor's cache.
_PAIRS_AT_ONCE = 1 << 16

# Each split with one whose photos were seen before: in training, or when settings were chosen.
_COMPARED = (("dev", "train"), ("test", "train"), ("test", "dev"))

# Pairs that are named; the rest are counted.
PAIRS_NAMED = 5


def hash_photo(pixels: np.ndarray) -> str:
    """Hashes a photo, uint8, (height, width, 3): the bits as hexadecimal digits, row by row."""
    grey = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    frequencies = _WAVES @ np.asarray(grey, dtype=np.float64) @ _WAVES.T
    return np.packbits(frequencies > np.median(frequencies)).tobytes().hex()


def find_most_alike(hashes: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Finds of each photo the one among others that is most like it, as it is or mirrored.

    Returns:
        The index of each in `others`, and the number of bits that differ; both (photos,).
    """
    rows, columns = _as_words(hashes), np.ascontiguousarray(_as_words(others).T)
    indices = np.empty(len(rows), dtype=np.intp)
    distances = np.empty(len(rows), dtype=np.uint16)
    step = max(1, _PAIRS_AT_ONCE // len(others))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        differing = rows[part, :, None] ^ columns
        as_it_is = np.bitwise_count(differing).sum(axis=1, dtype=np.uint16)
        mirrored = np.bitwise_count(differing ^ _MIRRORED_BITS).sum(axis=1, dtype=np.uint16)
        fewest = np.minimum(as_it_is, mirrored)
        indices[part], distances[part] = fewest.argmin(axis=1), fewest.min(axis=1)
    return indices, distances


def _as_words(hashes: Sequence[str]) -> np.ndarray:
    """Returns the bits of hashes in words of 64: uint64, (hashes, 4)."""
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64)
    return words.reshape(len(hashes), HASH_SIZE * HASH_SIZE // 64)


def find_lookalikes(
    hashes: Mapping[str, str | None], photos: Sequence[str], others: Sequence[str]
) -> dict[str, str]:
    """Finds the photos that look like one of the others: photo id -> id of the one most like it.

    Photos without a hash are passed over.
    """
    photos = [photo for photo in photos if hashes.get(photo)]
    others = [photo for photo in others if hashes.get(photo)]
    if not photos or not others:
        return {}
    nearest = find_most_alike([hashes[photo] for photo in photos], [hashes[x] for x in others])
    return {
        photo: others[index]
        for photo, index, distance in zip(photos, *nearest, strict=True)
        if distance <= MOST_DIFFERING_BITS
    }


def warn_of_lookalikes(data: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Says on stderr which photos look alike in two splits of a data folder."""
    pairs = [pair for pair in _COMPARED if all(splits.get(split) for split in pair)]
    for note in _notes(data, splits, pairs):
        print(wrapped(note), file=sys.stderr)


def notes_on_lookalikes(
    data: Path, split: str, photos: Sequence[str], splits: Mapping[str, Sequence[str]]
) -> list[str]:
    """Returns notes on those of the scored photos of a split that look like training photos.

    The one that warns begins with `warning: `.
    """
    if split == "train":
        return []
    return _notes(data, {"train": splits["train"], split: photos}, [(split, "train")])


def _notes(
    data: Path, splits: Mapping[str, Sequence[str]], pairs: Sequence[tuple[str, str]]
) -> list[str]:
    # Painted scenes are meant to look alike: what is new in the test split is who does what where.
    if (data / PAINTED_SCENES).is_file():
        return []
    hashes = read_hashes(data)
    if not hashes:
        return [
            "photos that look alike could not be found, since there is no "
            f"{data / FEATURES_CACHE}: run python prepare_photos.py --data {quoted(data)} again."
        ]
    notes = []
    for split, other in pairs:
        if alike := find_lookalikes(hashes, splits[split], splits[other]):
            look = "looks like a photo" if len(alike) == 1 else "look like photos"
            notes.append(
                f"warning: {counted(len(alike), 'photo')} of the {split} split {look} of the "
                f"{other} split ({_named(alike)}): a model scores too high on what it has seen. "
                "Remove one photo of each pair from its split, or move it to the other, then run "
                f"python prepare_text.py --data {quoted(data)}, train.py and evaluate.py."
            )
    return notes


def _named(pairs: Mapping[str, str]) -> str:
    named = [f"{one_line(photo)} like {one_line(other)}" for photo, other in pairs.items()]
    rest = len(named) - PAIRS_NAMED
    return ", ".join(named[:PAIRS_NAMED]) + (f", and {rest:,d} more" if rest > 0 else "")
