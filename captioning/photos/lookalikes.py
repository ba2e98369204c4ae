"""Photos that look alike in two splits: what a model has seen before says little when scored.

A hash of a photo, pHash (www.phash.org), holds the signs of its lowest frequencies. A photo keeps
nearly all of its bits when it is saved, resized or brightened anew, and two different photos share
no more of them than chance has it. Colour does not count.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.cli import counted, one_line, quoted
from captioning.files import FEATURES_CACHE, PAINTED_SCENES
from captioning.photos.feature_cache import read_hashes

# Waves of the discrete cosine transform (DCT-II), (16 frequencies, 64 pixels); a bit for each pair.
_WAVES = np.cos(np.pi / 64 * np.outer(np.arange(16), np.arange(64) + 0.5))

# Two photos look alike if at most so many of the 256 bits differ; docs/splits.md has the figures.
MOST_DIFFERING_BITS = 48

# In a mirrored photo the waves of every other column change their sign, and with it their bit.
_MIRRORED_BITS = np.uint64(0x5555555555555555)

# Each split with one whose photos were seen before: in training, or when settings were chosen.
_COMPARED = (("dev", "train"), ("test", "train"), ("test", "dev"))

# Pairs that are named.
PAIRS_NAMED = 5


def hash_photo(pixels: np.ndarray) -> str:
    """Hashes a photo, uint8, (height, width, 3): the bits as hexadecimal digits, row by row."""
    grey = Image.fromarray(pixels).convert("L").resize((64, 64), Image.Resampling.LANCZOS)
    frequencies = _WAVES @ np.asarray(grey, dtype=np.float64) @ _WAVES.T
    return np.packbits(frequencies > np.median(frequencies)).tobytes().hex()


def as_words(hashes: Sequence[str]) -> np.ndarray:
    """Returns the bits of hashes in words of 64: uint64, (4, hashes)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 4).T.copy()


def differing_bits(photo: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Counts in how many bits a photo's words, (4, 1), differ from others', as it is or mirrored.

    The words are those of `as_words`; returns (others,).
    """
    differing = np.stack([photo, photo ^ _MIRRORED_BITS]) ^ others
    return np.bitwise_count(differing).sum(axis=1, dtype=np.uint16).min(axis=0)


def find_lookalikes(
    hashes: Mapping[str, str], photos: Sequence[str], others: Sequence[str]
) -> dict[str, str]:
    """Finds the photos that look like one of the others: photo id -> id of the one most like it.

    Photos without a hash are passed over.
    """
    photos, known = ([x for x in group if hashes.get(x)] for group in (photos, others))
    words, found = as_words([hashes[photo] for photo in known]), {}
    for photo in photos if known else ():
        differing = differing_bits(as_words([hashes[photo]]), words)
        nearest = differing.argmin()
        if differing[nearest] <= MOST_DIFFERING_BITS:
            found[photo] = known[nearest]
    return found


def notes_on_lookalikes(data: Path, splits: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns a note on each two splits with photos that look alike, or why none are found."""
    pairs = [pair for pair in _COMPARED if all(splits.get(split) for split in pair)]
    # Painted scenes are meant to look alike: what is new in the test split is who does what where.
    if not pairs or (data / PAINTED_SCENES).is_file():
        return []
    hashes = read_hashes(data)
    if not hashes:
        remedy = f"run python prepare_photos.py --data {quoted(data)} again"
        return [
            f"photos that look alike could not be found without {data / FEATURES_CACHE}: {remedy}."
        ]
    found = {pair: find_lookalikes(hashes, *(splits[split] for split in pair)) for pair in pairs}
    return [_note(data, *pair, alike) for pair, alike in found.items() if alike]


def _note(data: Path, split: str, other: str, alike: Mapping[str, str]) -> str:
    named = [f"{one_line(photo)} like {one_line(alike[photo])}" for photo in alike]
    more = ", …" if len(named) > PAIRS_NAMED else ""
    return (
        f"warning: {counted(len(alike), 'photo')} of the {split} split and some of the {other} "
        f"split look alike ({', '.join(named[:PAIRS_NAMED])}{more}): a model scores too high on "
        "what it has seen. Remove one photo of each pair from its split, or move it to the other, "
        f"then run python prepare_text.py --data {quoted(data)}, train.py and evaluate.py."
    )
