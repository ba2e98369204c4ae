"""Which photos belong to a split, and which of them can be used."""

import sys

from captioning.captions import read_lines
from captioning.command_line import UserError
from captioning.files import CAPTIONS, FEATURES, SPLITS, photo_identifier, require


def read_split(data, split):
    """Reads which photos belong to a split.

    Args:
        data: pathlib.Path of the data folder.
        split: str, `train`, `dev` (validation) or `test`.

    Returns:
        list of str, the photo identifiers in the order of the file, each once.

    Raises:
        UserError: if the file is missing, is not UTF-8, or names no photo.
    """
    path = require(data / SPLITS[split], f"put the names of the {split} photos there, one a line")
    names = [line.strip() for line in read_lines(path)]
    identifiers = list(dict.fromkeys(photo_identifier(name) for name in names if name))
    if not identifiers:
        raise UserError(f"{path} is empty: put the names of the {split} photos there, one a line")
    return identifiers


def usable_photos(data, split, features, captions):
    """Picks the photos of a split that have both a vector and captions, and says how many do not.

    Args:
        data: pathlib.Path of the data folder.
        split: str, `train`, `dev` or `test`.
        features: dict of str -> vector, by photo identifier.
        captions: dict of str -> captions, by photo identifier.

    Returns:
        list of str, the photo identifiers in the order of the split file.

    Raises:
        UserError: if the split file is missing or none of its photos can be used.
    """
    identifiers = read_split(data, split)
    without_vector = sum(identifier not in features for identifier in identifiers)
    without_captions = sum(identifier not in captions for identifier in identifiers)
    usable = [name for name in identifiers if name in features and name in captions]
    if not usable:
        raise UserError(
            f"{data / SPLITS[split]} names no photo that has both a vector in {FEATURES} and "
            f"captions in {CAPTIONS}: mend it, or run python prepare_photos.py --data {data} and "
            f"python prepare_text.py --data {data} again"
        )
    if len(usable) < len(identifiers):
        print(
            f"{split} split: {len(identifiers) - len(usable):,d} of {len(identifiers):,d} photos "
            f"left out ({without_vector:,d} without a vector, {without_captions:,d} without "
            "captions)",
            file=sys.stderr,
        )
    return usable
