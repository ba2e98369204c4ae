"""Which photos belong to a split, and which of them can be used."""

import hashlib
import sys

from captioning.captions import read_lines
from captioning.cli import UserError
from captioning.files import CAPTIONS, FEATURES, SPLITS, photo_id, require
from captioning.storage import write_text


def read_split(data, split):
    """Reads which photos belong to a split, and checks that no other split names one of them.

    Args:
        data: pathlib.Path of the data folder.
        split: str, `train`, `dev` (validation) or `test`.

    Returns:
        list of str, the photo identifiers in the order of the file, each once.

    Raises:
        UserError: if the file is missing, is not UTF-8, names no photo, or names one that another
            split has too.
    """
    remedy = f"put the names of the {split} photos there, one a line"
    path = require(
        data / SPLITS[split],
        f"{remedy}, or remove the files of the other splits and python prepare_text.py "
        f"--data {data} will split the photos at random",
    )
    identifiers = _read_identifiers(path)
    if not identifiers:
        raise UserError(f"{path} is empty: {remedy}")
    for other, name in SPLITS.items():
        if other != split and (data / name).is_file():
            _check_apart(path, identifiers, data / name, data)
    return identifiers


def _read_identifiers(path):
    # A name may begin with a blank, but what stands behind one is an editor's leaving.
    names = [line.rstrip() for line in read_lines(path)]
    return list(dict.fromkeys(photo_id(name) for name in names if name))


def _check_apart(path, identifiers, other_path, data):
    others = set(_read_identifiers(other_path))
    shared = [identifier for identifier in identifiers if identifier in others]
    if shared:
        raise UserError(
            f"{path} and {other_path} share {len(shared):,d} photos, the first of them "
            f"{shared[0]!r}: what is scored must not be trained on, so take each out of one of the "
            f"two, then run python prepare_text.py --data {data}"
        )


def draw_splits(names, held_out, seed):
    """Splits photos at random into training, validation and test photos.

    Args:
        names: collection of str, the photo identifiers, at least three.
        held_out: int; one photo in so many is for validation, and one in so many for the test.
        seed: int; the same seed and photos give the same split, in whatever order they are named.

    Returns:
        dict of str -> list of str: split -> the identifiers of its photos, in the order of `names`.
    """
    # A photo's place in this order does not depend on the other photos, so that adding some moves
    # few of the old ones to another split.
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    count = max(1, len(order) // held_out)
    parts = {"train": order[2 * count :], "dev": order[:count], "test": order[count : 2 * count]}
    chosen = {name: split for split, part in parts.items() for name in part}
    return {split: [name for name in names if chosen[name] == split] for split in SPLITS}


def find_splits(data, captions, held_out, seed):
    """Reads the split files, or draws a split where there is none of them.

    Args:
        data: pathlib.Path of the data folder.
        captions: dict of str -> captions, by photo identifier.
        held_out: int, for `draw_splits`.
        seed: int, for `draw_splits`.

    Returns:
        tuple of dict of str -> list of str, split -> identifiers of its photos; and bool, whether
        it was drawn.

    Raises:
        UserError: if some of the files are missing or damaged, a split names no photo with
            captions, two share a photo, or there are too few photos to split.
    """
    if not any((data / name).exists() for name in SPLITS.values()):
        if len(captions) < len(SPLITS):
            raise UserError(
                f"{data / CAPTIONS} has captions of {len(captions)} photos, too few to split: add "
                f"photos, then run python prepare_text.py --data {data}"
            )
        return draw_splits(captions, held_out, seed), True
    splits = {split: read_split(data, split) for split in SPLITS}
    for split, identifiers in splits.items():
        if captions.keys().isdisjoint(identifiers):
            raise UserError(
                f"{data / SPLITS[split]} names no photo of {data / CAPTIONS}: put names of "
                f"captioned photos there, then run python prepare_text.py --data {data}"
            )
    return splits, False


def write_splits(data, splits, file_names):
    """Writes the split files.

    Args:
        data: pathlib.Path of the data folder.
        splits: dict of str -> list of str: split -> identifiers of its photos.
        file_names: dict of str -> str: photo identifier -> file name.
    """
    for split, identifiers in splits.items():
        lines = [f"{file_names[identifier]}\n" for identifier in identifiers]
        write_text(data / SPLITS[split], "".join(lines))


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
