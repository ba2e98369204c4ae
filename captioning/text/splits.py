"""Which photos belong to a split, and which of them can be used."""

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from captioning.cli import UserError, counted, quoted
from captioning.files import SPLIT_CAPTIONS, SPLITS, photo_id, require
from captioning.text.captions import CaptionedPhotos, parse_split_captions
from captioning.text.places import has_split_files
from captioning.text.text_files import read_lines


@dataclass(frozen=True)
class SplitSettings:
    """How photos are split where no file says which belongs to which split."""

    validation_share: float = 0.1
    test_share: float = 0.1
    seed: int = 1


@dataclass(frozen=True)
class Splits:
    """The photos of each split, and where that comes from."""

    photos: dict[str, list[str]]  # split -> photo ids
    origin: str  # as a person is told it


def read_split(data: Path, split: str) -> list[str]:
    """Reads the photo ids of a split in the order of its file, each once.

    Raises:
        UserError: if the file is missing, is not UTF-8, names no photo, or names one that another
            split names too.
    """
    if not has_split_files(data):
        path = data / SPLIT_CAPTIONS
        return parse_split_captions(path, require(path).read_bytes()).splits[split]
    remedy = f"put the names of the {split} photos there, one a line"
    path = data / SPLITS[split]
    if not path.is_file():
        raise UserError(
            f"{path} is missing: {remedy}, or remove the files of the other splits and python "
            f"prepare_text.py --data {quoted(data)} will split the photos at random"
        )
    photos = _read_photo_ids(path)
    if not photos:
        raise UserError(f"{path} is empty: {remedy}")
    for other, name in SPLITS.items():
        if other != split and (data / name).is_file():
            _check_disjoint(path, photos, data / name, data)
    return photos


def _read_photo_ids(path: Path) -> list[str]:
    # A name may begin with a blank, but editors leave blanks at the end of a line.
    names = [line.rstrip() for line in read_lines(path)]
    return list(dict.fromkeys(photo_id(name) for name in names if name))


def _check_disjoint(path: Path, photos: list[str], other_path: Path, data: Path) -> None:
    others = set(_read_photo_ids(other_path))
    shared = [photo for photo in photos if photo in others]
    if shared:
        raise UserError(
            f"{path} and {other_path} share {counted(len(shared), 'photo')}, the first of them "
            f"{shared[0]!r}: a photo that is scored must not be trained on, so remove each from "
            f"one of the two, then run python prepare_text.py --data {quoted(data)}"
        )


def draw_splits(photos: Collection[str], settings: SplitSettings) -> dict[str, list[str]]:
    """Splits at least three photos at random into training, validation and test photos.

    The same seed and photos give the same split, whatever the order of the photos.
    """
    order = _in_random_order(photos, settings.seed)
    # One photo at least for each split.
    dev = max(1, min(math.floor(len(order) * settings.validation_share), len(order) - 2))
    test = max(1, min(math.floor(len(order) * settings.test_share), len(order) - dev - 1))
    parts = {"train": order[dev + test :], "dev": order[:dev], "test": order[dev : dev + test]}
    return _in_order_of(photos, parts)


def _in_random_order(photos: Collection[str], seed: int) -> list[str]:
    # A photo's place in this order does not depend on the other photos, so that adding some moves
    # few of the old ones to another split.
    return sorted(photos, key=lambda photo: hashlib.sha256(f"{seed} {photo}".encode()).digest())


def _in_order_of(photos: Collection[str], parts: dict[str, list[str]]) -> dict[str, list[str]]:
    chosen = {photo: split for split, part in parts.items() for photo in part}
    return {split: [photo for photo in photos if chosen.get(photo) == split] for split in SPLITS}


def decide_splits(data: Path, captioned: CaptionedPhotos, settings: SplitSettings) -> Splits:
    """Takes the split files; or the splits of the captions files; or splits the photos at random.

    Where the captions files lack the test or the validation split, a part of another takes its
    place.

    Raises:
        UserError: if some of the files are missing or damaged, a split names no photo with
            captions, two share a photo, or there are too few photos to split.
    """
    photos = captioned.captions
    if has_split_files(data):
        splits = {split: read_split(data, split) for split in SPLITS}
        for split, names in splits.items():
            if photos.keys().isdisjoint(names):
                raise UserError(
                    f"{data / SPLITS[split]} names no photo that has captions: put names of "
                    f"captioned photos there, then run python prepare_text.py --data {quoted(data)}"
                )
        return Splits(splits, f"from {', '.join(SPLITS.values())}")
    if len(photos) < len(SPLITS):
        raise UserError(
            f"{captioned.files} has captions of {counted(len(photos), 'photo')}, too few to split: "
            f"add photos, then run python prepare_text.py --data {quoted(data)}"
        )
    if "train" not in captioned.splits:
        return Splits(draw_splits(photos, settings), f"at random, with seed {settings.seed}")
    return Splits(*_complete_splits(captioned, settings))


def _complete_splits(
    captioned: CaptionedPhotos, settings: SplitSettings
) -> tuple[dict[str, list[str]], str]:
    """Returns the splits that the captions files name, all three of them, and how they came."""
    parts, origin = dict(captioned.splits), "from the captions file"
    if "test" not in parts and len(parts.get("dev", [])) > 1:
        order = _in_random_order(parts["dev"], settings.seed)
        half = len(order) // 2
        parts |= {"dev": order[half:], "test": order[:half]}
        origin += f", whose validation photos are halved at random, with seed {settings.seed}"
    missing = [split for split in ("dev", "test") if split not in parts]
    for split in missing:
        share = settings.validation_share if split == "dev" else settings.test_share
        order = _in_random_order(parts["train"], settings.seed)
        count = max(1, math.floor(len(order) * share))
        parts |= {split: order[:count], "train": order[count:]}
    if not all(parts.values()):
        raise UserError(
            f"{captioned.files} names too few training photos to draw others from: add some, or "
            f"put the names of the photos of each split into {', '.join(SPLITS.values())}"
        )
    if missing:
        drawn = " and ".join(missing)
        origin += f", with {drawn} drawn from its training photos, with seed {settings.seed}"
    return _in_order_of(captioned.captions, parts), origin
