"""The vocabulary: the words that the decoder knows, and the token id of each."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from captioning.cli import UserError, one_line, quoted
from captioning.old import DESCRIPTIONS, DRAWN_SPLITS, SPLITS, VOCABULARY, read_json, write_json
from captioning.text.languages import ENGLISH
from captioning.text.places import (
    Places,
    captions_places,
    digest_place,
    has_split_files,
    portable_path,
)

FORMAT = 2

# The most words of a caption. A longer one is a damaged file, or a text that no LSTM would learn
# and that would need gigabytes of memory for its batch; the longest of Flickr8k has 38.
MAXIMUM_WORDS = 200

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
    sources: dict[str, str] = field(default_factory=dict)  # digests of the files that belong to it

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


def digest_inputs(data: Path, places: Places | None = None) -> dict[str, str]:
    """Returns SHA-256 of the files of a person's that a vocabulary is made from: path -> digest.

    These are the captions, at `places` or where those of `data` say, and the training split. The
    paths are as seen from the data folder, or absolute ones; files that are missing are left out.
    """
    files = [data / SPLITS["train"]]
    # Whatever reads the captions says that there are none.
    with contextlib.suppress(UserError):
        files = [*captions_places(data, places), *files]
    return _digest_files(data, files)


def digest_results(data: Path) -> dict[str, str]:
    """Returns the same of the files that belong to a vocabulary and are made with it."""
    drawn = [] if has_split_files(data) else [data / DRAWN_SPLITS]
    return _digest_files(data, [*drawn, data / DESCRIPTIONS])


def _digest_files(data: Path, files: Iterable[Path]) -> dict[str, str]:
    # A pipe would be waited for; whatever reads it refuses it.
    found = [path for path in files if path.is_file() or path.is_dir()]
    return {portable_path(data, path): digest_place(path) for path in found}


def check_sources(data: Path, vocabulary: Vocabulary) -> None:
    """Raises `UserError` if a file that belongs to a vocabulary has changed.

    A missing file passes: whatever reads it reports that.
    """
    for name, digest in (digest_inputs(data) | digest_results(data)).items():
        if vocabulary.sources.get(name) != digest:
            hint = "; to change a description, edit the captions" if name == DESCRIPTIONS else ""
            raise UserError(
                f"{data / name} has changed since {data / VOCABULARY} was made: "
                f"run python prepare_text.py --data {quoted(data)} again{hint}"
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


def read_vocabulary(folder: Path, remedy: str | None = None) -> Vocabulary:
    """Reads and checks `vocabulary.json` of a data or model folder; see `read_json`.

    The remedy is by default that of a data folder.
    """
    if remedy is None:
        remedy = f"run python prepare_text.py --data {quoted(folder)}"
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
    if not all(one_line(word) == word and word.split() == [word] for word in words):
        return "a word holds a blank, a line break or a control character"
    if len(set(words)) != len(words):
        return "a word is repeated"
    if START_TOKEN not in words or END_TOKEN not in words:
        return f"{START_TOKEN} or {END_TOKEN} is missing"
    longest = 2 + MAXIMUM_WORDS
    if type(maximum_length) is not int or not 2 <= maximum_length <= longest:
        return f"maximum_length is not a whole number from 2 to {longest}"
    if content.get("padding_id") != PADDING_ID:
        return f"padding_id is not {PADDING_ID}"
    for name in ("cleaning", "sources"):
        if not isinstance(content.get(name), dict):
            return f"{name} is missing"
    if not isinstance(content["cleaning"].get("language", ENGLISH), str):
        return "language is not the code of one"
    return None
