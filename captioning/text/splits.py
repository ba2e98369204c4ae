"""Which photos belong to a split: as files say, or at random."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from captioning.cli import UserError, counted, quoted
from captioning.files import SPLITS, photo_id
from captioning.text.caption_rows import read_lines
from captioning.text.captions import CaptionedPhotos


@dataclass(frozen=True)
class SplitSettings:
    """How photos are split where no file says which belongs to which split."""

    validation_share: float = 0.1
    test_share: float = 0.1
    seed: int = 1


def decide_splits(
    data: Path, captioned: CaptionedPhotos, settings: SplitSettings
) -> tuple[dict[str, list[str]], str]:
    """Takes the split files; or the splits of the captions files; or splits the photos at random.

    Where the captions files lack the test or the validation split, a part of another takes its
    place. Returns the photo ids of each split, and where that comes from.

    Raises:
        UserError: if some of the files are missing or damaged, a split names no photo with
            captions, two share a photo, or there are too few photos to split.
    """
    photos, seed = captioned.captions, settings.seed
    if has_split_files(data):
        return _read_splits(data, photos), f"from {', '.join(SPLITS.values())}"
    split_of, origin = captioned.split_of, "from the captions file"
    is_named = "train" in split_of.values()
    if not is_named:
        split_of, origin = dict.fromkeys(photos, "train"), f"at random, with seed {seed}"
    parts = {split: [name for name in photos if split_of.get(name) == split] for split in SPLITS}
    if not parts["test"] and len(parts["dev"]) > 1:
        order = _in_random_order(parts["dev"], seed)
        parts |= {"dev": order[len(order) // 2 :], "test": order[: len(order) // 2]}
        origin += f", whose validation photos are halved at random, with seed {seed}"
    missing = [split for split in ("dev", "test") if not parts[split]]
    if len(parts["train"]) <= len(missing):
        raise UserError(
            f"{captioned.files} has captions of {counted(len(photos), 'photo')}, too few to split: "
            f"add photos, then run python prepare_text.py --data {quoted(data)}"
        )
    parts |= _take_from_training(parts["train"], missing, settings)
    if missing and is_named:
        origin += f", with {' and '.join(missing)} taken from its training photos at random, with "
        origin += f"seed {seed}"
    chosen = {photo: split for split, part in parts.items() for photo in part}
    in_order = {split: [name for name in photos if chosen.get(name) == split] for split in SPLITS}
    return in_order, origin


def _take_from_training(
    photos: Collection[str], missing: Sequence[str], settings: SplitSettings
) -> dict[str, list[str]]:
    """Returns the training photos that are left, and those of the splits that are missing."""
    shares = {"dev": settings.validation_share, "test": settings.test_share}
    parts, rest = {}, _in_random_order(photos, settings.seed)
    for after, split in zip(reversed(range(len(missing))), missing, strict=True):
        # One photo at least stays for each split after this one, and for training.
        count = max(1, min(int(len(photos) * shares[split]), len(rest) - after - 1))
        parts[split], rest = rest[:count], rest[count:]
    return {**parts, "train": rest}


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
            raise UserError(
                f"{path} is missing: {remedy}, or remove the files of the other splits to have the "
                f"photos split at random, then {command}"
            )
        # A name may begin with a blank, but editors leave blanks at the end of a line.
        names = [line.rstrip() for line in read_lines(path)]
        photos = list(dict.fromkeys(photo_id(name) for name in names if name))
        if not any(photo in captioned for photo in photos):
            raise UserError(f"{path} names no photo that has captions: {remedy}, then {command}")
        for other, others in splits.items():
            if shared := sorted({*others} & {*photos}):
                raise UserError(
                    f"{path} and {data / SPLITS[other]} share {counted(len(shared), 'photo')}, the "
                    f"first of them {shared[0]!r}: a photo that is scored must not be trained on, "
                    f"so remove each from one of the two, then {command}"
                )
        splits[split] = photos
    return splits


def read_split(data: Path, split: str) -> list[str]:
    """Reads the photo ids of a split, until the tests that ask for them have moved."""
    from captioning.text.prepared import read_prepared_text

    if has_split_files(data):
        return [photo_id(name) for name in read_lines(data / SPLITS[split]) if name.strip()]
    return read_prepared_text(data).splits[split]
