"""The vocabulary: the words that the decoder knows, and the token id of each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import ClassVar

import msgspec

from captioning.cli import UserError, one_line
from captioning.files import VOCABULARY
from captioning.storage import Record, read_json, write_json
from captioning.text.languages import ENGLISH

# The most words of a caption. A longer one is a damaged file, or a text that no LSTM would learn
# and that would need gigabytes of memory for its batch; the longest of Flickr8k has 38.
MAXIMUM_WORDS = 200

PADDING_ID = 0
START_TOKEN = "startseq"
END_TOKEN = "endseq"


class Vocabulary(Record, frozen=True, dict=True):
    """The words of the training split, and their token ids.

    The start and end tokens are among the words. The first word has id 1, since 0 is padding.
    """

    FORMAT: ClassVar[int] = 2

    words: tuple[str, ...]
    maximum_length: int  # tokens of the longest training description, with start and end
    cleaning: dict[str, str | int]  # the settings that the words were cleaned with
    padding_id: int = PADDING_ID
    # Name -> SHA-256 of the files that were made with it.
    files: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `ValueError` for what no vocabulary is, as a file of a stranger may be."""
        # Captions of its words are printed and written: no word may hold a line break.
        if not all(one_line(word) == word and word.split() == [word] for word in self.words):
            raise ValueError("a word holds a blank, a line break or a control character")
        if len(set(self.words)) != len(self.words):
            raise ValueError("a word is repeated")
        if START_TOKEN not in self.words or END_TOKEN not in self.words:
            raise ValueError(f"{START_TOKEN} or {END_TOKEN} is missing from words")
        longest = 2 + MAXIMUM_WORDS
        if not 2 <= self.maximum_length <= longest:
            raise ValueError(f"maximum_length is not a whole number from 2 to {longest}")
        if self.padding_id != PADDING_ID:
            raise ValueError(f"padding_id is not {PADDING_ID}")

    @property
    def language(self) -> str:
        """Code of the language of the words."""
        # Vocabularies that do not say so are of a time when all were cleaned as English is.
        return str(self.cleaning.get("language", ENGLISH))

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
    descriptions: Sequence[Sequence[str]], cleaning: dict[str, str | int]
) -> Vocabulary:
    """Builds the vocabulary of the training descriptions, which lack the start and end tokens.

    The most frequent words come first, equally frequent ones in the order of first appearance.
    `cleaning` holds language, min_word_length and min_word_count; rarer words are left out.

    Raises:
        UserError: if no word is left, or a description is too long.
    """
    # Counter.most_common keeps the order of first appearance among equals.
    counts = Counter(
        chain.from_iterable([START_TOKEN, *words, END_TOKEN] for words in descriptions)
    )
    words = tuple(
        word
        for word, count in counts.most_common()
        if count >= cleaning["min_word_count"] or word in (START_TOKEN, END_TOKEN)
    )
    if len(words) == len((START_TOKEN, END_TOKEN)):
        raise UserError(
            "no word of the training captions is left: run python prepare_text.py with less than "
            f"--min-word-length {cleaning['min_word_length']} or --min-word-count "
            f"{cleaning['min_word_count']}, or write captions that have words"
        )
    longest = max(map(len, descriptions))
    # A caption in a script without blanks has more words than can be told before it is split.
    if longest > MAXIMUM_WORDS:
        raise UserError(
            f"a training caption has {longest:,d} words, more than the {MAXIMUM_WORDS} that "
            "MAXIMUM_WORDS in captioning/text/vocabulary.py allows: shorten it in the captions file"
        )
    return Vocabulary(words, 2 + longest, cleaning)


def write_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    """Writes `vocabulary.json` to a data or model folder."""
    write_json(folder / VOCABULARY, vocabulary)


def read_vocabulary(folder: Path) -> Vocabulary:
    """Reads and checks `vocabulary.json` of a data or model folder; see `read_json`."""
    return read_json(folder / VOCABULARY, Vocabulary)
