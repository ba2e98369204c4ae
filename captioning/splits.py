"""Which photos belong to a split, and which of them can be used."""

import hashlib
import sys
from collections.abc import Collection
from pathlib import Path

from captioning.captions import read_lines
from captioning.cli import UserError, counted
from captioning.files import CAPTIONS, SPLITS, photo_id, require
from captioning.storage import write_text


def read_split(data: Path, split: str) -> list[str]:
    """Reads the photo ids of a split in the order of its file, each once.

    Raises:
        UserError: if the file is missing, is not UTF-8, names no photo, or names one that another
            split names too.
    """
    remedy = f"put the names of the {split} photos there, one a line"
    path = require(
        data / SPLITS[split],
        f"{remedy}, or remove the files of the other splits and python prepare_text.py "
        f"--data {data} will split the photos at random",
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
            f"one of the two, then run python prepare_text.py --data {data}"
        )


def draw_splits(photos: Collection[str], held_out: int, seed: int) -> dict[str, list[str]]:
    """Splits at least three photos at random into training, validation and test photos.

    One photo in `held_out` is for validation, and one for the test. The same seed and photos give
    the same split, whatever the order of the photos.
    """
    # A photo's place in this order does not depend on the other photos, so that adding some moves
    # few of the old ones to another split.
    order = sorted(photos, key=lambda photo: hashlib.sha256(f"{seed} {photo}".encode()).digest())
    count = max(1, len(order) // held_out)
    parts = {"train": order[2 * count :], "dev": order[:count], "test": order[count : 2 * count]}
    chosen = {photo: split for split, part in parts.items() for photo in part}
    return {split: [photo for photo in photos if chosen[photo] == split] for split in SPLITS}


def read_or_draw_splits(
    data: Path, captioned: Collection[str], held_out: int, seed: int
) -> tuple[dict[str, list[str]], bool]:
    """Reads the split files, or splits the captioned photos at random if there is none of them.

    Returns:
        Split -> the ids of its photos; and whether the split was drawn.

    Raises:
        UserError: if some of the files are missing or damaged, a split names no photo with
            captions, two share a photo, or there are too few photos to split.
    """
    if not any((data / name).exists() for name in SPLITS.values()):
        if len(captioned) < len(SPLITS):
            raise UserError(
                f"{data / CAPTIONS} has captions of {counted(len(captioned), 'photo')}, too few to "
                f"split: add photos, then run python prepare_text.py --data {data}"
            )
        return draw_splits(captioned, held_out, seed), True
    splits = {split: read_split(data, split) for split in SPLITS}
    for split, photos in splits.items():
        if set(captioned).isdisjoint(photos):
            raise UserError(
                f"{data / SPLITS[split]} names no photo of {data / CAPTIONS}: put names of "
                f"captioned photos there, then run python prepare_text.py --data {data}"
            )
    return splits, False


def write_splits(data: Path, splits: dict[str, list[str]], file_names: dict[str, str]) -> None:
    """Writes the split files: the file name of each photo id, one a line."""
    for split, photos in splits.items():
        write_text(data / SPLITS[split], "".join(f"{file_names[photo]}\n" for photo in photos))


def usable_photos(
    data: Path, split: str, features: Collection[str], captions: Collection[str]
) -> list[str]:
    """Selects the photos of a split that have features and captions, in the order of the file.

    How many lack one or the other is said on stderr.

    Raises:
        UserError: if the split file is missing or none of its photos can be used.
    """
    photos = read_split(data, split)
    usable = [photo for photo in photos if photo in features and photo in captions]
    if not usable:
        raise UserError(
            f"{data / SPLITS[split]} names no photo that has both features and captions "
            f"in {CAPTIONS}: correct it, or run python prepare_photos.py --data {data} "
            f"and python prepare_text.py --data {data} again"
        )
    if len(usable) < len(photos):
        without_features = sum(photo not in features for photo in photos)
        without_captions = sum(photo not in captions for photo in photos)
        print(
            f"{split} split: {len(photos) - len(usable):,d} of {len(photos):,d} photos left out "
            f"({without_features:,d} without features, {without_captions:,d} without captions)",
            file=sys.stderr,
        )
    return usable
