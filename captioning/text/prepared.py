"""The text of a data folder as prepare_text.py leaves it: all that later stages know of it."""

import hashlib
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from captioning.cli import UserError, quoted
from captioning.files import (
    DESCRIPTIONS,
    SPLIT_CAPTIONS,
    SPLITS,
    VOCABULARY,
    command_for,
    damaged,
    require,
)
from captioning.storage import digest_of_file, write_text
from captioning.text.vocabulary import Vocabulary, read_vocabulary, write_vocabulary

# Of SPLIT_CAPTIONS: its first line, and the split of photos that are in none.
_HEADER = "photo\tsplit\tcaption\n"
_NO_SPLIT = ""


@dataclass(frozen=True)
class PreparedText:
    """Captions, splits and vocabulary of a data folder, which belong together."""

    vocabulary: Vocabulary
    descriptions: dict[str, list[list[str]]]  # photo id -> the words of each cleaned caption
    captions: dict[str, list[str]]  # photo id -> captions as people wrote them
    splits: dict[str, list[str]]  # train, dev, test -> photo ids
    data: Path = Path()  # the folder, for messages


def write_prepared_text(text: PreparedText) -> None:
    """Writes the captions, the descriptions, and the vocabulary with the digests of both.

    The vocabulary comes last: while it is of another run than the others, nothing is read.
    """
    data, in_splits = text.data, set(chain.from_iterable(text.splits.values()))
    others = [photo for photo in text.captions if photo not in in_splits]
    rows = [
        f"{photo}\t{split}\t{caption}\n"
        for split, photos in {**text.splits, _NO_SPLIT: others}.items()
        for photo in photos
        for caption in text.captions.get(photo, ())
    ]
    write_text(data / SPLIT_CAPTIONS, _HEADER + "".join(rows))
    lines = [
        f"{_quote_id(photo)} {' '.join(words)}\n"
        for photo, of_photo in text.descriptions.items()
        for words in of_photo
    ]
    write_text(data / DESCRIPTIONS, "".join(lines))
    digests = {name: digest_of_file(data / name) for name in (SPLIT_CAPTIONS, DESCRIPTIONS)}
    write_vocabulary(data, msgspec.structs.replace(text.vocabulary, files=digests))


def _quote_id(photo: str) -> str:
    # White space and `%` are percent-encoded, so that the first blank of a line ends the id; a
    # byte-order mark would be taken for one of the file.
    return re.sub(r"[\s%\ufeff]", lambda match: quote(match.group()), photo)


def read_prepared_text(data: Path) -> PreparedText:
    """Reads what `write_prepared_text` wrote, each file once.

    Photos without captions are in no split.

    Raises:
        UserError: if a file is missing or damaged, or the files are not of the same run.
    """
    vocabulary = read_vocabulary(data)
    captions: dict[str, list[str]] = {}
    splits: dict[str, dict[str, None]] = {split: {} for split in (*SPLITS, _NO_SPLIT)}
    descriptions: dict[str, list[list[str]]] = {}
    try:
        for line in _read_lines(data / SPLIT_CAPTIONS, vocabulary)[1:]:
            photo, split, caption = line.split("\t", 2)
            splits[split][photo] = None
            captions.setdefault(photo, []).append(caption)
    except (ValueError, KeyError) as error:
        raise damaged(data / SPLIT_CAPTIONS, "a line is not photo, split, caption") from error
    for line in _read_lines(data / DESCRIPTIONS, vocabulary):
        photo, *words = line.split(" ")
        # The same word of all descriptions is one object.
        of_photo = descriptions.setdefault(unquote(photo), [])
        of_photo.append([sys.intern(word) for word in words if word])
    return PreparedText(
        vocabulary, descriptions, captions, {split: list(splits[split]) for split in SPLITS}, data
    )


def _read_lines(path: Path, vocabulary: Vocabulary) -> list[str]:
    content = require(path).read_bytes()
    if hashlib.sha256(content).hexdigest() != vocabulary.files.get(path.name):
        raise UserError(
            f"{path} has changed since {path.with_name(VOCABULARY)} was made: {command_for(path)} "
            "again; to change a caption, edit the captions file"
        )
    return content.decode("utf-8", "replace").split("\n")[:-1]


def usable_photos(text: PreparedText, split: str, features: Collection[str]) -> list[str]:
    """Selects the photos of a split that have features, in the order of the split.

    How many have none is said on stderr; prepare_text.py has said how many have no captions.

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
        count = f"{missing:,d} of {len(photos):,d} photos left out"
        print(f"{split} split: {count}, which have no features", file=sys.stderr)
    return usable
