"""The text of a data folder as prepare_text.py has left it: all that later stages know of it."""

import hashlib
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from captioning.cli import UserError, quoted
from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, VOCABULARY, command_for, require
from captioning.text.captions import parse_descriptions, parse_split_captions
from captioning.text.vocabulary import Vocabulary, read_vocabulary


@dataclass(frozen=True)
class PreparedText:
    """Captions, splits and vocabulary of a data folder, which belong together."""

    vocabulary: Vocabulary
    descriptions: dict[str, list[list[str]]]  # photo id -> the words of each cleaned caption
    captions: dict[str, list[str]]  # photo id -> captions as people wrote them
    splits: dict[str, list[str]]  # train, dev, test -> photo ids, all of which have captions
    data: Path = Path()  # the folder, for messages


def read_prepared_text(data: Path) -> PreparedText:
    """Reads what prepare_text.py wrote, each file once.

    Raises:
        UserError: if a file is missing or damaged, or the files are not of the same run.
    """
    vocabulary = read_vocabulary(data)
    captions = parse_split_captions(*_read(data / SPLIT_CAPTIONS, vocabulary))
    descriptions = parse_descriptions(*_read(data / DESCRIPTIONS, vocabulary))
    return PreparedText(vocabulary, descriptions, captions.captions, captions.splits, data)


def _read(path: Path, vocabulary: Vocabulary) -> tuple[Path, bytes]:
    content = require(path).read_bytes()
    if hashlib.sha256(content).hexdigest() != vocabulary.files.get(path.name):
        raise UserError(
            f"{path} has changed since {path.with_name(VOCABULARY)} was made: {command_for(path)} "
            "again; to change a caption, edit the captions file"
        )
    return path, content


def usable_photos(text: PreparedText, split: str, features: Collection[str]) -> list[str]:
    """Selects the photos of a split that have features, in the order of the split.

    How many have none is said on stderr; photos without captions are in no split here.

    Raises:
        UserError: if there are no features of any of them.
    """
    photos = text.splits[split]
    usable = [photo for photo in photos if photo in features]
    if not usable:
        data = quoted(text.data)
        raise UserError(
            f"no {split} photo of {text.data} has both features and captions: run python "
            f"prepare_photos.py --data {data} and python prepare_text.py --data {data} again"
        )
    if missing := len(photos) - len(usable):
        print(
            f"{split} split: {missing:,d} of {len(photos):,d} photos left out, which have no "
            "features",
            file=sys.stderr,
        )
    return usable
