"""Writes captions as sentences of their language, such as `A dog runs through the snow.`, to read.

Scores are computed from the words alone.
"""

from collections.abc import Sequence

import regex

from captioning.text.languages import ENGLISH, rules_of
from captioning.text.words import blanks_before

# The scripts whose sentences end in another sign than a full stop, or in none.
_FULL_STOPS = (
    ("。", ("Han", "Hira", "Kana", "Bopo")),
    ("", ("Thai", "Laoo")),
    ("।", ("Deva", "Beng", "Guru", "Orya")),
    ("།", ("Tibt",)),
    ("။", ("Mymr",)),
    ("។", ("Khmr",)),
    ("።", ("Ethi",)),
    ("։", ("Armn",)),
)
_FULL_STOP_OF_SCRIPT = [
    (regex.compile("|".join(rf"\p{{scx={script}}}" for script in scripts)), sign)
    for sign, scripts in _FULL_STOPS
]
_LETTER = regex.compile(r"\p{L}")
_ENDED = regex.compile(r"\p{Terminal_Punctuation}$")


def as_sentence(text: str, language: str = ENGLISH) -> str:
    """Returns a text with its first letter in upper case and the full stop of its script.

    A text that ends in a full stop already gets no other, and an empty one stays empty.
    """
    stop = "" if _ENDED.search(text) else full_stop(text, language)
    return rules_of(language).capitalize(text) + stop


def sentence_parts(words: Sequence[str], language: str = ENGLISH) -> list[tuple[str, str]]:
    """Returns each word as it stands in a sentence, after the blank before it if there is one.

    The full stop belongs to no word: `full_stop` tells it.
    """
    parts = list(zip(blanks_before(words), words, strict=True))
    return [(blank, rules_of(language).capitalize(word)) for blank, word in parts[:1]] + parts[1:]


def full_stop(text: str, language: str = ENGLISH) -> str:
    """Returns what ends a sentence of this text in a language: that of its last letter's script.

    It is empty where the script has none, and where there is no letter.
    """
    letters = _LETTER.findall(text)
    if not letters:
        return ""
    signs = (sign for script, sign in _FULL_STOP_OF_SCRIPT if script.match(letters[-1]))
    own = rules_of(language).full_stop
    return next(signs, ".") if own is None else own
