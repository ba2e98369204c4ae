"""The vocabulary, and the text of a data folder that was prepared with it."""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from captioning.cli import UserError, counted, one_line, quoted, wrapped
from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, SPLITS, VOCABULARY, damaged, require
from captioning.storage import Record, digest_of_file, read_json, write_json, write_text

# The most words of a caption. A longer one is a damaged file, or a text that no LSTM would learn
# and that would need gigabytes of memory for its batch; the longest of Flickr8k has 38.
MAXIMUM_WORDS = 200

COMMON_WORDS = 10  # how many of the commonest words are shown

PADDING_ID = 0
START_TOKEN = "startseq"
END_TOKEN = "endseq"


class Vocabulary(Record, frozen=True, dict=True, tag=2):
    """The words of the training split, and their token ids.

    The start and end tokens are among the words. The first word has id 1, since 0 is padding.
    """

    words: tuple[str, ...]
    maximum_length: int  # tokens of the longest training description, with start and end
    cleaning: dict[str, str | int | bool]  # the settings that the words were cleaned with
    # Those that belong to it: name -> SHA-256.
    files: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `ValueError` for what no vocabulary is, as a file of a stranger may be."""
        # Captions of its words are printed and written: no word may hold a line break.
        if not all(one_line(word) == word and word.split() == [word] for word in self.words):
            raise ValueError("a word holds a blank, a line break or a control character")
        if START_TOKEN not in self.words or END_TOKEN not in self.words:
            raise ValueError(f"{START_TOKEN} or {END_TOKEN} is missing from words")
        if not 2 <= self.maximum_length <= 2 + MAXIMUM_WORDS:
            raise ValueError(f"maximum_length is not from 2 to {2 + MAXIMUM_WORDS}")

    @property
    def language(self) -> str:
        """Code of the language of the words; English where the settings name none."""
        return str(self.cleaning.get("language", "en"))

    @property
    def size(self) -> int:
        """Number of token ids, padding included."""
        return len(self.words) + 1

    @cached_property
    def token_ids(self) -> dict[str, int]:
        """Token id of each word."""
        return {word: token_id for token_id, word in enumerate(self.words, start=1)}

    @property
    def start_id(self) -> int:
        """Id of the token that every description starts with."""
        return self.token_ids[START_TOKEN]

    @property
    def end_id(self) -> int:
        """Id of the token that every description ends with."""
        return self.token_ids[END_TOKEN]

    def tokenize(self, words: Iterable[str]) -> list[int]:
        """Turns the words of a description into token ids, start and end tokens added.

        Unknown words are left out, and what exceeds `maximum_length` is cut off.
        """
        known = [self.token_ids[word] for word in words if word in self.token_ids]
        return [self.start_id, *known, self.end_id][: self.maximum_length]

    def detokenize(self, token_ids: Iterable[int]) -> list[str]:
        """Turns token ids back into words; padding, start and end tokens are left out."""
        special = {PADDING_ID, self.start_id, self.end_id}
        return [self.words[token_id - 1] for token_id in token_ids if token_id not in special]


def build_vocabulary(
    descriptions: Sequence[Sequence[str]],
    cleaning: dict[str, str | int | bool],
    known: Vocabulary | None = None,
) -> Vocabulary:
    """Builds the vocabulary of the training descriptions, which lack the start and end tokens.

    The most frequent words come first, equally frequent ones in the order of first appearance.
    `cleaning` holds language, min_word_length, keep_numbers and min_word_count; words rarer than
    that are left out. The words of a `known` vocabulary keep their ids, before all others.

    Raises `UserError` if no word is left, or a description is too long.
    """
    # Counter.most_common keeps the order of first appearance among equals.
    counts = Counter(word for words in descriptions for word in (START_TOKEN, *words, END_TOKEN))
    least, markers = cleaning["min_word_count"], (START_TOKEN, END_TOKEN)
    common = [word for word, count in counts.most_common() if count >= least or word in markers]
    words = dict.fromkeys((*(known.words if known else ()), *common))
    if len(counts.keys() & words) == len(markers):
        remedy = "lower --min-word-length or --min-word-count"
        raise UserError(f"no word of the training captions is left: {remedy}")
    longest = max(descriptions, key=len)
    if len(longest) > MAXIMUM_WORDS:
        begin = " ".join(longest[:8])
        raise UserError(
            f"the training caption {begin} … has over {MAXIMUM_WORDS} words: shorten it"
        )
    maximum_length = max(2 + len(longest), known.maximum_length if known else 0)
    return Vocabulary(tuple(words), maximum_length, cleaning)


@dataclass(frozen=True)
class PreparedText:
    """Captions, splits and vocabulary of a data folder, which belong together."""

    vocabulary: Vocabulary
    descriptions: dict[str, list[list[str]]]  # photo id -> the words of each cleaned caption
    captions: dict[str, list[str]]  # photo id -> captions as people wrote them
    splits: dict[str, list[str]]  # train, dev, test -> photo ids
    data: Path = Path()  # the folder, for messages

    def describe(self, files: Set[str], known: Sequence[str]) -> str:
        """Describes photos, splits, the captions before and after cleaning, and the training split.

        `files` are the ids of the photos in the folders, of which nothing is said if there are
        none; `known` are the words of a model to start from.
        """
        captioned, vocabulary = self.captions.keys(), self.vocabulary
        others = captioned - set(chain.from_iterable(self.splits.values()))
        rows = [("photos with captions", len(captioned), f"{len(others):,d} of them in no split")]
        for split, photos in self.splits.items():
            missing = counted(len(set(photos) - captioned), "photo")
            rows.append((f"  {split} split", len(photos), f"{missing} without captions left out"))
        if files:
            rows.append(("  without a file", len(captioned - files), ""))
            rows.append(("files without captions", len(files - captioned), ""))
        written = chain.from_iterable(self.captions.values())
        before = Counter(chain.from_iterable(caption.lower().split() for caption in written))
        flat = list(chain.from_iterable(self.descriptions.values()))
        after = Counter(chain.from_iterable(flat))
        training = [words for x in self.splits["train"] for words in self.descriptions.get(x, ())]
        # Each token after the first is to be predicted.
        examples = sum(len(vocabulary.tokenize(words)) - 1 for words in training)
        words = vocabulary.words[len(known) :]
        common = [word for word in words if word not in (START_TOKEN, END_TOKEN)][:COMMON_WORDS]
        tokens = f"with {START_TOKEN} and {END_TOKEN}"
        token_ids = f"token ids: padding, and {len(vocabulary.words):,d} words {tokens}"
        new = f", {len(words):,d} of them new" if known else ""
        rows += [
            ("descriptions", len(flat), f"{flat.count([]):,d} of them empty after cleaning"),
            ("  of the training split", len(training), ""),
            ("words before cleaning", before.total(), f"{len(before):,d} different ones"),
            ("words after cleaning", after.total(), f"{len(after):,d} different ones"),
            ("vocabulary", vocabulary.size, token_ids + new),
            ("longest description", vocabulary.maximum_length, f"words {tokens}"),
            ("examples", examples, "(photo, words so far) -> next word"),
        ]
        # A long explanation goes on below itself.
        lines = [wrapped(f"{name:23s}{n:9,d}   {what}", indent=" " * 35) for name, n, what in rows]
        commonest = f"commonest {'new ' if known else ''}words: {', '.join(common) or '-'}"
        return "\n".join([*lines, wrapped(one_line(commonest))])


def write_prepared_text(text: PreparedText) -> None:
    """Writes the captions, the descriptions, and the vocabulary with the digests of both.

    The vocabulary comes last: while it is of another run than the others, nothing is read.
    """
    data, in_splits = text.data, set(chain.from_iterable(text.splits.values()))
    others = [photo for photo in text.captions if photo not in in_splits]
    rows = [
        f"{photo}\t{split}\t{caption}\n"
        for split, photos in {**text.splits, "": others}.items()
        for photo in photos
        for caption in text.captions.get(photo, ())
    ]
    write_text(data / SPLIT_CAPTIONS, "photo\tsplit\tcaption\n" + "".join(rows))
    # The first blank of a line ends the photo id.
    ids = {photo: re.sub(r"[\s%]", lambda found: quote(found[0]), photo) for photo in text.captions}
    lines = [
        f"{ids[photo]} {' '.join(words)}\n"
        for photo, of_photo in text.descriptions.items()
        for words in of_photo
    ]
    write_text(data / DESCRIPTIONS, "".join(lines))
    digests = {name: digest_of_file(data / name) for name in (SPLIT_CAPTIONS, DESCRIPTIONS)}
    write_json(data / VOCABULARY, msgspec.structs.replace(text.vocabulary, files=digests))


def read_prepared_text(data: Path) -> PreparedText:
    """Reads what `write_prepared_text` wrote; photos without captions are in no split.

    Raises `UserError` if a file is missing or damaged, or the files are not of the same run.
    """
    vocabulary = read_json(data / VOCABULARY, Vocabulary)
    captions: dict[str, list[str]] = {}
    splits: dict[str, dict[str, None]] = {split: {} for split in (*SPLITS, "")}
    descriptions: dict[str, list[list[str]]] = {}
    for line in _read_lines(data / SPLIT_CAPTIONS, vocabulary)[1:]:
        photo, split, caption = line.split("\t", 2)
        splits[split][photo] = None
        captions.setdefault(photo, []).append(caption)
    for line in _read_lines(data / DESCRIPTIONS, vocabulary):
        photo, *words = line.split(" ")
        # The same word of all descriptions is one object.
        of_photo = descriptions.setdefault(unquote(photo), [])
        of_photo.append([sys.intern(word) for word in words if word])
    in_splits = {split: list(splits[split]) for split in SPLITS}
    return PreparedText(vocabulary, descriptions, captions, in_splits, data)


def _read_lines(path: Path, vocabulary: Vocabulary) -> list[str]:
    content = require(path).read_bytes()
    if hashlib.sha256(content).hexdigest() != vocabulary.files.get(path.name):
        raise damaged(path, f"it has changed since {VOCABULARY} was made: edit the captions file")
    return content.decode("utf-8").split("\n")[:-1]


def usable_photos(text: PreparedText, split: str, features: Collection[str]) -> list[str]:
    """Selects the photos of a split that have features, in the order of the split.

    How many have none is said on stderr; prepare_text.py has said how many have no captions.
    Raises `UserError` if there are no features of any of them.
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
