"""Which photos belong to a split: as files say, or at random."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from captioning.cli import UserError, counted, quoted
from captioning.files import SPLITS, photo_id
from captioning.text.caption_kinds import read_lines
from captioning.text.captions import CaptionedPhotos


def decide_splits(
    data: Path, captioned: CaptionedPhotos, shares: Mapping[str, float], seed: int
) -> tuple[dict[str, list[str]], str]:
    """Takes the split files; or the splits of the captions files; or splits the photos at random.

    Where the captions files name no test photos, half of the validation photos are; what is missing
    then is a share of the training photos. `shares` are those of dev and test. Returns the photo
    ids of each split, and where that comes from.

    Raises:
        UserError: if some of the files are missing or damaged, a split names no photo with
            captions, two share a photo, or there are too few photos to split.
    """
    photos, split_of = captioned.captions, captioned.split_of
    if has_split_files(data):
        return _read_splits(data, photos), f"from {', '.join(SPLITS.values())}"
    is_named = "train" in split_of.values()
    split_of = split_of if is_named else dict.fromkeys(photos, "train")
    # A photo's place in this order does not depend on the other photos, so that adding some moves
    # few of the old ones to another split.
    order = sorted(photos, key=lambda photo: hashlib.sha256(f"{seed} {photo}".encode()).digest())
    parts = {split: [name for name in order if split_of.get(name) == split] for split in SPLITS}
    missing = [split for split in ("dev", "test") if not parts[split]]
    total, half = len(parts["train"]), len(parts["dev"]) // 2
    for split in missing:
        source, count = "train", max(1, int(total * shares[split]))
        if split == "test" and half:
            source, count = "dev", half
        parts |= {split: parts[source][:count], source: parts[source][count:]}
    if not all(parts.values()):
        raise UserError(
            f"{' and '.join(map(str, captioned.kinds))} has captions of "
            f"{counted(len(photos), 'photo')}, too few to split: add photos, then run python "
            f"prepare_text.py --data {quoted(data)}"
        )
    chosen = {photo: split for split, part in parts.items() for photo in part}
    in_order = {split: [name for name in photos if chosen.get(name) == split] for split in SPLITS}
    if not missing:
        return in_order, "from the captions file"
    named = "from the captions file; " if is_named else ""
    return in_order, f"{named}{' and '.join(missing)} at random, with seed {seed}"


def has_split_files(data: Path) -> bool:
    """Returns whether a person's files say which photos belong to which split."""
    return any((data / name).exists() for name in SPLITS.values())


def _read_splits(data: Path, captioned: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Reads the photo ids of each split in the order of its file, each once."""
    command = f"run python prepare_text.py --data {quoted(data)}"
    splits: dict[str, list[str]] = {}
    for split, name in SPLITS.items():
        path = data / name
        if not path.is_file():
            raise UserError(
                f"{path} is missing: put the names of the {split} photos there, one a line, or "
                f"remove the files of the other splits to have random ones, then {command}"
            )
        # A name may begin with a blank, but editors leave blanks at the end of a line.
        names = [line.rstrip() for line in read_lines(path)]
        photos = list(dict.fromkeys(photo_id(name) for name in names if name))
        if captioned.keys().isdisjoint(photos):
            raise UserError(f"{path} names no photo that has captions: correct it, then {command}")
        for other, photos_of_other in splits.items():
            if shared := sorted({*photos} & {*photos_of_other}):
                raise UserError(
                    f"{path} and {data / SPLITS[other]} share {counted(len(shared), 'photo')}, the "
                    f"first of them {shared[0]!r}: a photo that is scored must not be trained on, "
                    f"so remove each from one of the two, then {command}"
                )
        splits[split] = photos
    return splits
