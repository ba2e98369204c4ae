"""Which photos belong to a split: as files say, or at random."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from captioning.cli import UserError, counted
from captioning.files import SPLITS
from captioning.text.caption_kinds import SPLIT_NAMES, read_lines
from captioning.text.captions import CaptionedPhotos


def decide_splits(
    captioned: CaptionedPhotos, files: Mapping[str, Path], shares: Mapping[str, float], seed: int
) -> tuple[dict[str, list[str]], str]:
    """Takes the split files; or the splits of the captions files; or splits the photos at random.

    Where the captions files name no test photos, half of the validation photos become the test
    split; another missing split is taken from the training photos. `shares` are those of dev and
    test. Returns the photo ids of each split, and where that comes from.

    Raises `UserError` if a split names no photo with captions, two share a photo, or there are too
    few photos to split.
    """
    photos = captioned.captions
    if files:
        names = ", ".join(path.name for path in files.values())
        return _read_splits(captioned, files), f"from {names}"
    split_of = captioned.split_of or dict.fromkeys(photos, "train")
    # A photo's place in this order does not depend on the other photos, so that adding some moves
    # few of the old ones to another split.
    order = sorted(photos, key=lambda photo: hashlib.sha256(f"{seed} {photo}".encode()).digest())
    counts = Counter(split_of.values())
    missing = [split for split in ("dev", "test") if not counts[split]]
    for split in missing:
        source, count = "train", max(1, int(counts["train"] * shares[split]))
        if split == "test" and counts["dev"] > 1:
            source, count = "dev", counts["dev"] // 2
        others = [photo for photo in order if split_of.get(photo) == source]
        split_of = split_of | dict.fromkeys(others[:count], split)
    parts = {split: [name for name in photos if split_of.get(name) == split] for split in SPLITS}
    if not all(parts.values()):
        what = f"has captions of {counted(len(photos), 'photo')}, too few to split"
        remedy = "add photos, or lower --validation-share and --test-share"
        raise UserError(f"{' and '.join(map(str, captioned.kinds))} {what}: {remedy}")
    origin = ["from the captions file"] if captioned.split_of else []
    origin += [f"{' and '.join(missing)} at random, with seed {seed}"] if missing else []
    return parts, "; ".join(origin)


def find_split_files(data: Path, captions: Sequence[Path]) -> dict[str, Path]:
    """Finds a person's files that say which photos belong to which split: split -> file.

    They have the official names, or are called train.txt, val.txt or dev.txt, and test.txt, in the
    data folder or where the captions files lie. Raises `UserError` if there are two of the three.
    """
    names = SPLIT_NAMES | {Path(name).stem.lower(): split for split, name in SPLITS.items()}
    for folder in (data, *(path if path.is_dir() else path.parent for path in captions)):
        # The official ones, which come last, win.
        texts = sorted(folder.glob("*.[tT][xX][tT]"), reverse=True)
        found = {names.get(path.stem.lower()): path for path in texts if path not in captions}
        found = {split: found[split] for split in SPLITS if split in found}
        if len(found) == len(SPLITS):
            return found
        if len(found) > 1:
            both = " and ".join(path.name for path in found.values())
            raise UserError(f"{folder} has {both}, but not the third: add it, or remove both")
    return {}


def _read_splits(captioned: CaptionedPhotos, files: Mapping[str, Path]) -> dict[str, list[str]]:
    """Reads the photo ids of each split in the order of its file, each once."""
    splits: dict[str, list[str]] = {}
    for split, path in files.items():
        # A name may begin with a blank, but editors leave blanks at the end of a line.
        names = [line.rstrip() for line in read_lines(path)]
        ids = [captioned.photos.id_of(name, path) for name in names if name]
        splits[split] = list(dict.fromkeys(ids))
        if captioned.captions.keys().isdisjoint(ids):
            raise UserError(f"{path} names no photo that has captions: correct it")
    for split, other in combinations(files, 2):
        if shared := sorted({*splits[split]} & {*splits[other]}):
            what = f"share {counted(len(shared), 'photo')}, the first of them {shared[0]!r}"
            remedy = "remove each from one of the two"
            raise UserError(f"{files[split]} and {files[other]} {what}: {remedy}")
    return splits
