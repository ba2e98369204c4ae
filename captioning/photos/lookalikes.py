"""Photos that look alike in two splits: what a model has seen before says little when scored."""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from captioning.cli import counted, one_line, quoted, wrapped
from captioning.old import DRAWN_SCENES, FEATURES_CACHE, SPLITS
from captioning.photos.feature_cache import read_hashes
from captioning.photos.hashes import MOST_DIFFERING_BITS, find_most_alike

# Each split with one whose photos were seen before: in training, or when settings were chosen.
_COMPARED = (("dev", "train"), ("test", "train"), ("test", "dev"))

# Pairs that are named, in a warning and in a note; the rest are counted.
PAIRS_IN_WARNING = 10
PAIRS_IN_NOTE = 3


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
    places, distances = find_most_alike(
        [hashes[photo] for photo in photos], [hashes[photo] for photo in others]
    )
    return {
        photo: others[place]
        for photo, place, distance in zip(photos, places, distances, strict=True)
        if distance <= MOST_DIFFERING_BITS
    }


def warn_of_lookalikes(data: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Says on stderr which photos look alike in two splits of a data folder."""
    if _are_drawn(data):
        return
    hashes = read_hashes(data)
    splits = {split: _encoded(photos, hashes) for split, photos in splits.items()}
    texts = []
    for split, other in _COMPARED:
        pairs = find_lookalikes(hashes, splits.get(split, ()), splits.get(other, ()))
        if pairs:
            texts.append(
                f"warning: {counted(len(pairs), 'photo')} of the {split} split "
                f"{_look_like(len(pairs), other)}:"
            )
            texts += [f"  {text}" for text in _name_pairs(pairs, PAIRS_IN_WARNING)]
    if texts:
        texts.append(wrapped(f"A model scores too high on what it has seen. {_remedy(data)}."))
    if unhashed := [
        photo for photos in splits.values() for photo in photos if not hashes.get(photo)
    ]:
        texts.append(wrapped(_not_compared(data, len(unhashed))))
    if texts:
        print(*texts, sep="\n", file=sys.stderr)


def notes_on_lookalikes(
    data: Path, split: str, photos: Sequence[str], splits: Mapping[str, Sequence[str]]
) -> list[str]:
    """Returns notes on those of the scored photos of a split that look like training photos.

    The one that warns begins with `warning: `.
    """
    if split == "train" or _are_drawn(data):
        return []
    hashes = read_hashes(data)
    trained = _encoded(splits["train"], hashes)
    notes = []
    if pairs := find_lookalikes(hashes, photos, trained):
        named = ", ".join(_name_pairs(pairs, PAIRS_IN_NOTE))
        notes.append(
            f"warning: of the {counted(len(photos), 'scored photo')} {len(pairs):,d} "
            f"{_look_like(len(pairs), 'train')} ({named}): a model scores too high on what it was "
            f"trained on. {_remedy(data)}, train.py and evaluate.py."
        )
    if unhashed := sum(not hashes.get(photo) for photo in (*photos, *trained)):
        notes.append(f"{_not_compared(data, unhashed)}.")
    return notes


def _are_drawn(data: Path) -> bool:
    # They are meant to look alike: what is new in the test split is who does what where.
    return (data / DRAWN_SCENES).is_file()


def _look_like(count: int, other: str) -> str:
    look = "looks like a photo" if count == 1 else "look like photos"
    return f"{look} of the {other} split"


def _encoded(photos: Sequence[str], hashes: Collection[str]) -> list[str]:
    """Returns those of the photos that are in the cache; all of them if there is no cache."""
    return [photo for photo in photos if not hashes or photo in hashes]


def _name_pairs(pairs: Mapping[str, str], most: int) -> list[str]:
    named = [f"{one_line(photo)} like {one_line(pairs[photo])}" for photo in list(pairs)[:most]]
    rest = len(pairs) - len(named)
    return [*named, f"and {rest:,d} more"] if rest else named


def _remedy(data: Path) -> str:
    remedy = "Remove one photo of each pair"
    if any((data / name).exists() for name in SPLITS.values()):
        remedy += " from its split file, or move it to the file of the other"
    return f"{remedy}, then run python prepare_text.py --data {quoted(data)}"


def _not_compared(data: Path, count: int) -> str:
    return (
        f"{counted(count, 'photo')} of the splits could not be compared for photos that look "
        f"alike: remove {data / FEATURES_CACHE} and run python prepare_photos.py --data "
        f"{quoted(data)} to have them compared"
    )
