"""Which photos belong to a split: as files say, or at random."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from captioning.cli import UserError, counted, quoted
from captioning.files import SPLITS, photo_id
from captioning.text.caption_rows import read_lines
from captioning.text.captions import CaptionedPhotos


def decide_splits(
    data: Path, captioned: CaptionedPhotos, shares: Mapping[str, float], seed: int
) -> tuple[dict[str, list[str]], str]:
    """Takes the split files; or the splits of the captions files; or splits the photos at random.

    Where the captions files lack the test or the validation split, a part of another takes its
    place. `shares` are those of dev and test. Returns the photo ids of each split, and where that
    comes from.

    Raises:
        UserError: if some of the files are missing or damaged, a split names no photo with
            captions, two share a photo, or there are too few photos to split.
    """
    photos, split_of = captioned.captions, captioned.split_of
    if has_split_files(data):
        return _read_splits(data, photos), f"from {', '.join(SPLITS.values())}"
    origin = f"at random, with seed {seed}"
    if is_named := "train" in split_of.values():
        origin = "from the captions file"
    else:
        split_of = dict.fromkeys(photos, "train")
    parts = {split: [name for name in photos if split_of.get(name) == split] for split in SPLITS}
    if not parts["test"] and len(parts["dev"]) > 1:
        order = _in_random_order(parts["dev"], seed)
        parts |= {"dev": order[len(order) // 2 :], "test": order[: len(order) // 2]}
        origin += f", whose validation photos are halved at random, with seed {seed}"
    missing = [split for split in ("dev", "test") if not parts[split]]
    rest, total = _in_random_order(parts["train"], seed), len(parts["train"])
    if total <= len(missing):
        raise UserError(
            f"{captioned.files} has captions of {counted(len(photos), 'photo')}, too few to split: "
            f"add photos, then run python prepare_text.py --data {quoted(data)}"
        )
    for split, others in zip(missing, reversed(range(len(missing))), strict=True):
        # One photo at least stays for each split after this one, and for training.
        count = max(1, min(int(total * shares[split]), len(rest) - others - 1))
        parts[split], rest = rest[:count], rest[count:]
    if missing and is_named:
        origin += f", with {' and '.join(missing)} taken from its training photos at random"
    chosen = {photo: split for split, part in {**parts, "train": rest}.items() for photo in part}
    in_order = {split: [name for name in photos if chosen.get(name) == split] for split in SPLITS}
    return in_order, origin


def _in_random_order(photos: Collection[str], seed: int) -> list[str]:
    # A photo's place in this order does not depend on the other photos, so that adding some moves
    # few of the old ones to another split.
    return sorted(photos, key=lambda photo: hashlib.sha256(f"{seed} {photo}".encode()).digest())


def has_split_files(data: Path) -> bool:
    """Returns whether a person's files say which photos belong to which split."""
    return any((data / name).exists() for name in SPLITS.values())


def _read_splits(data: Path, captioned: Collection[str]) -> dict[str, list[str]]:
    """Reads the photo ids of each split in the order of its file, each once."""
    command = f"run python prepare_text.py --data {quoted(data)}"
    splits: dict[str, list[str]] = {}
    for split, name in SPLITS.items():
        path = data / name
        remedy = f"put the names of {split} photos that have captions there, one a line"
        if not path.is_file():
            others = "remove the files of the other splits to have the photos split at random"
            raise UserError(f"{path} is missing: {remedy}, or {others}, then {command}")
        # A name may begin with a blank, but editors leave blanks at the end of a line.
        names = [line.rstrip() for line in read_lines(path)]
        photos = list(dict.fromkeys(photo_id(name) for name in names if name))
        if not any(photo in captioned for photo in photos):
            raise UserError(f"{path} names no photo that has captions: {remedy}, then {command}")
        for other, photos_of_other in splits.items():
            if shared := sorted({*photos} & {*photos_of_other}):
                count = f"{counted(len(shared), 'photo')}, the first of them {shared[0]!r}"
                raise UserError(
                    f"{path} and {data / SPLITS[other]} share {count}: a photo that is scored must "
                    f"not be trained on, so remove each from one of the two, then {command}"
                )
        splits[split] = photos
    return splits
