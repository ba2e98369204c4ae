"""The vocabulary: which words the decoder knows, and the id of each."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from captioning.cli import UserError
from captioning.files import CAPTIONS, DESCRIPTIONS, SPLITS, VOCABULARY
from captioning.storage import read_json, write_json

FORMAT = 2
PADDING_ID = 0
START_WORD = "startseq"
END_WORD = "endseq"

# The files in DATA that belong to a vocabulary: its words are those of the first two, and the third
# is written together with it.
SOURCES = (CAPTIONS, SPLITS["train"], DESCRIPTIONS)


@dataclass(frozen=True)
class Vocabulary:
    """The words of the training split and how captions become ids.

    Args:
        words: tuple of str in id order, `startseq` and `endseq` among them; the first has id 1,
            since 0 is padding.
        maximum_length: int, words of the longest training description, both markers counted.
        cleaning: dict, the settings that the words were cleaned with.
        sources: dict of str -> str, from `digest_sources`: the files that it belongs to.
    """

    words: tuple
    maximum_length: int
    cleaning: dict
    sources: dict = field(default_factory=dict)

    @property
    def size(self):
        """Number of ids, padding included: int."""
        return len(self.words) + 1

    @cached_property
    def ids(self):
        """Id of each word: dict of str -> int."""
        return {word: word_id for word_id, word in enumerate(self.words, start=1)}

    @property
    def start_id(self):
        """Id of the word that every description starts with: int."""
        return self.ids[START_WORD]

    @property
    def end_id(self):
        """Id of the word that every description ends with: int."""
        return self.ids[END_WORD]

    def encode(self, words):
        """Turns a description into ids, markers added, unknown words left out.

        Args:
            words: list of str, without markers.

        Returns:
            list of int, at most `maximum_length` long.
        """
        known = [self.ids[word] for word in words if word in self.ids]
        return [self.start_id, *known, self.end_id][: self.maximum_length]

    def decode(self, word_ids):
        """Turns ids back into words, leaving out padding and markers.

        Args:
            word_ids: iterable of int.

        Returns:
            list of str.
        """
        markers = {PADDING_ID, self.start_id, self.end_id}
        return [self.words[word_id - 1] for word_id in word_ids if word_id not in markers]


def digest_sources(data):
    """Identifies the files that a vocabulary belongs to.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        dict of str -> str: the name of each file that is there -> its SHA-256, in hexadecimal.
    """
    paths = {name: data / name for name in SOURCES}
    return {name: _sha256(path.read_bytes()) for name, path in paths.items() if path.is_file()}


def check_sources(data, vocabulary):
    """Checks that the files that a vocabulary belongs to are as they were.

    A source that is gone is not missed here: who needs it will say so.

    Args:
        data: pathlib.Path of the data folder.
        vocabulary: Vocabulary of that folder.

    Raises:
        UserError: if one of them has changed.
    """
    again = f"run python prepare_text.py --data {data} again"
    for name, digest in digest_sources(data).items():
        if vocabulary.sources.get(name) == digest:
            continue
        if name == DESCRIPTIONS:
            raise UserError(
                f"{data / name} is not as it was written together with {VOCABULARY}: {again}; what "
                f"is to be changed, change in {CAPTIONS}"
            )
        raise UserError(
            f"{data / name} has changed since {data / DESCRIPTIONS} and {VOCABULARY} were made of "
            f"it: {again}"
        )


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def write_vocabulary(folder, vocabulary):
    """Writes `vocabulary.json`, with a digest by which damage is noticed.

    Args:
        folder: pathlib.Path of a data or model folder.
        vocabulary: Vocabulary.
    """
    content = {
        "maximum_length": vocabulary.maximum_length,
        "cleaning": vocabulary.cleaning,
        "padding_id": PADDING_ID,
        "words": list(vocabulary.words),
        "sources": vocabulary.sources,
    }
    write_json(folder / VOCABULARY, content, FORMAT)


def read_vocabulary(folder, remedy):
    """Reads and checks `vocabulary.json`.

    Args:
        folder: pathlib.Path of a data or model folder.
        remedy: str, the command to run where the file is missing or damaged.

    Returns:
        Vocabulary.

    Raises:
        UserError: if the file is missing, damaged, or of another format version.
    """
    path = folder / VOCABULARY
    content = read_json(path, FORMAT, remedy)
    fault = _fault_of(content)
    if fault:
        raise UserError(f"{path} is damaged ({fault}): {remedy}")
    return Vocabulary(
        tuple(content["words"]), content["maximum_length"], content["cleaning"], content["sources"]
    )


def _fault_of(content):
    words, maximum_length = content.get("words"), content.get("maximum_length")
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        return "its words are no list of words"
    if len(set(words)) != len(words):
        return "a word stands in it twice"
    if START_WORD not in words or END_WORD not in words:
        return f"{START_WORD} or {END_WORD} is missing"
    if type(maximum_length) is not int or maximum_length < 2:
        return "its maximum length is no whole number of at least 2"
    if content.get("padding_id") != PADDING_ID or not isinstance(content.get("cleaning"), dict):
        return "the padding id or the cleaning settings are missing"
    if not isinstance(content.get("sources"), dict):
        return "the digests of its sources are missing"
    return None
