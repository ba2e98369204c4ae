"""The vocabulary: the words that the decoder knows, and the token id of each."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from captioning.cli import UserError
from captioning.files import DESCRIPTIONS, VOCABULARY
from captioning.languages import ENGLISH
from captioning.places import captions_places, digest_place, portable_path, split_file
from captioning.storage import read_json, write_json

FORMAT = 2
PADDING_ID = 0
START_TOKEN = "startseq"
END_TOKEN = "endseq"


@dataclass(frozen=True)
class Vocabulary:
    """The words of the training split, and their token ids.

    The start and end tokens are among the words. The first word has id 1, since 0 is padding.
    """

    words: tuple[str, ...]
    maximum_length: int  # tokens of the longest training description, with start and end
    cleaning: dict[str, Any]  # the settings that the words were cleaned with
    sources: dict[str, str] = field(default_factory=dict)  # from `digest_sources`

    @property
    def language(self) -> str:
        """Code of the language of the words."""
        # Vocabularies that do not say so are of a time when all were cleaned as English is.
        return self.cleaning.get("language", ENGLISH)

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
    min_word_length: int,
    min_word_count: int,
    language: str = ENGLISH,
) -> Vocabulary:
    """Builds the vocabulary of the training descriptions, which lack the start and end tokens.

    The most frequent words come first, equally frequent ones in the order of first appearance.
    Words rarer than `min_word_count` are left out; `min_word_length` and `language` are only
    recorded.
    """
    # Counter.most_common keeps the order of first appearance among equals.
    counts = Counter(
        chain.from_iterable((START_TOKEN, *words, END_TOKEN) for words in descriptions)
    )
    words = [
        word
        for word, count in counts.most_common()
        if count >= min_word_count or word in (START_TOKEN, END_TOKEN)
    ]
    maximum_length = 2 + max(len(description) for description in descriptions)
    cleaning = {
        "language": language,
        "min_word_length": min_word_length,
        "min_word_count": min_word_count,
    }
    return Vocabulary(tuple(words), maximum_length, cleaning)


def digest_sources(data: Path) -> dict[str, str]:
    """Returns SHA-256 of those files that belong to a vocabulary and are there.

    The names are paths as seen from the data folder, or absolute ones.
    """
    files = [split_file(data, "train"), data / DESCRIPTIONS]
    # Whatever reads the captions says that there are none.
    with contextlib.suppress(UserError):
        files = [*captions_places(data), *files]
    # Not a pipe, which would be waited for.
    there = (path for path in files if path.is_file() or path.is_dir())
    return {portable_path(data, path): digest_place(path) for path in there}


def check_sources(data: Path, vocabulary: Vocabulary) -> None:
    """Raises `UserError` if a file that belongs to a vocabulary has changed.

    A missing file passes: whatever reads it reports that.
    """
    for name, digest in digest_sources(data).items():
        if vocabulary.sources.get(name) != digest:
            hint = "; to change a description, edit the captions" if name == DESCRIPTIONS else ""
            raise UserError(
                f"{data / name} has changed since {data / VOCABULARY} was made: "
                f"run python prepare_text.py --data {data} again{hint}"
            )


def write_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    """Writes `vocabulary.json` to a data or model folder."""
    content = {
        "maximum_length": vocabulary.maximum_length,
        "cleaning": vocabulary.cleaning,
        "padding_id": PADDING_ID,
        "words": list(vocabulary.words),
        "sources": vocabulary.sources,
    }
    write_json(folder / VOCABULARY, content, FORMAT)


def read_vocabulary(folder: Path, remedy: str) -> Vocabulary:
    """Reads and checks `vocabulary.json` of a data or model folder; see `read_json`."""
    path = folder / VOCABULARY
    content = read_json(path, FORMAT, remedy)
    fault = _find_fault(content)
    if fault:
        raise UserError(f"{path} is damaged ({fault}): {remedy}")
    return Vocabulary(
        tuple(content["words"]), content["maximum_length"], content["cleaning"], content["sources"]
    )


def _find_fault(content: dict[str, Any]) -> str | None:
    words, maximum_length = content.get("words"), content.get("maximum_length")
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        return "words is not a list of words"
    if len(set(words)) != len(words):
        return "a word is repeated"
    if START_TOKEN not in words or END_TOKEN not in words:
        return f"{START_TOKEN} or {END_TOKEN} is missing"
    if type(maximum_length) is not int or maximum_length < 2:
        return "maximum_length is not a whole number of at least 2"
    if content.get("padding_id") != PADDING_ID:
        return f"padding_id is not {PADDING_ID}"
    for name in ("cleaning", "sources"):
        if not isinstance(content.get(name), dict):
            return f"{name} is missing"
    return None
