"""Splits captions into words, cleans them, and joins words to texts and sentences again.

Words are split the same way wherever that is done: in descriptions, in references, in the captions
that scores are computed from. `languages.py` has what differs between languages.
"""

import functools
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise

import regex

from captioning.text.languages import ENGLISH, LANGUAGES, Language, rules_of
from captioning.text.vocabulary import END_TOKEN, START_TOKEN

# A letter with its marks of a script that puts no blanks between words. The extensions of a script
# are what it shares with others, such as the long-vowel mark of both kinds of kana.
_UNSPACED_SCRIPTS = ("Han", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr")
_SCRIPTS = "".join(rf"\p{{scx={script}}}" for script in _UNSPACED_SCRIPTS)
UNSPACED = regex.compile(rf"(?=\p{{L}})(?=[{_SCRIPTS}])\X")

_ZERO_WIDTH_SPACE = "\u200b"

# Of each sign within words, the one that stands for all of its kind.
_SIGNS = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\uff07": "'"})
_SIGNS |= str.maketrans({"\u2010": "-", "\u2011": "-"})

# Punctuation, what Python's string.punctuation has besides, and characters that are not seen.
_REMOVED = r"[\p{P}$+<=>^`|~\p{Cf}]"
# Joiners change how letters look, and the spelling of Persian and of Indian languages.
_JOINERS = r"(?<=[\p{L}\p{M}])[\u200c\u200d](?=\p{L})|(?<=\p{M})\u200d"
# What is left of punctuation then belongs to the word.
_LETTERS = regex.compile(r"\p{L}[\p{L}\p{M}\p{P}\u200c\u200d]*")

# An elided word that stands alone, as in captions that are split already: l' école. It ends in a
# consonant; an Italian word that has lost its end, un po', does not.
_ELIDED = r"(?<=^\p{L}*(?:[b-df-hj-np-tv-xzç]|qu))'(?=\p{P}*$)"

# The signs that words end with only where the next one follows without a blank.
_JOINTS = frozenset(chain.from_iterable(rules.parting for rules in LANGUAGES.values()))

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


def word_splitter(language: str = ENGLISH) -> Callable[[str], list[str]]:
    """Returns a function that splits captions, in lower case, into words without punctuation.

    A word of nothing but punctuation is left out. Words are parted after the signs that do so in
    the language, and each letter of a script that is written without blanks is a word.
    """
    return _for_captions(_token_splitter(rules_of(language)))


def word_cleaner(min_word_length: int, language: str = ENGLISH) -> Callable[[str], list[str]]:
    """Returns a function that reduces captions to words of letters, none below the minimum.

    A letter has its combining marks with it. The minimum, in characters, is not for scripts that
    are written without blanks. The start and end tokens, which captions cleaned elsewhere may hold
    already, are left out.
    """
    split = _token_splitter(rules_of(language))

    def clean(token: str) -> list[str]:
        return [word for word in split(token) if _is_clean(word, min_word_length)]

    return _for_captions(clean)


def clean_captions(
    captions: dict[str, list[str]], min_word_length: int, language: str = ENGLISH
) -> dict[str, list[list[str]]]:
    """Cleans the captions of each photo id; one that cleans to nothing stays, empty."""
    clean = word_cleaner(min_word_length, language)
    return {photo: [clean(text) for text in of_photo] for photo, of_photo in captions.items()}


def _for_captions(split: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """Makes of a function that splits a token one that splits a caption.

    Each different token is split once, and its words are the same strings in all captions.
    """
    known = functools.cache(split)

    def split_caption(caption: str) -> list[str]:
        if not caption.isascii():
            caption = UNSPACED.sub(r" \g<0> ", caption.replace(_ZERO_WIDTH_SPACE, " "))
        return [word for token in caption.split() for word in known(token)]

    return split_caption


def _token_splitter(rules: Language) -> Callable[[str], list[str]]:
    """Returns a function that splits what stands between blanks into words without punctuation."""
    kept = [_JOINERS]
    if rules.parting or rules.kept:
        signs = regex.escape(rules.parting + rules.kept)
        kept.append(rf"(?<=[\p{{L}}\p{{M}}])[{signs}](?=[\p{{P}}\p{{Cf}}]*\p{{L}})")
    if "'" in rules.parting:
        kept.append(_ELIDED)
    removed = regex.compile(rf"(?!{'|'.join(kept)}){_REMOVED}")
    parting = regex.compile(f"[{regex.escape(rules.parting)}]" if rules.parting else r"(?!)")

    def split(token: str) -> list[str]:
        # Composed: an accent that is a character of its own, as some systems write it, is one
        # letter with its base. Once more, since what is removed may have stood between them.
        text = unicodedata.normalize("NFC", rules.lower(token)).translate(_SIGNS)
        text = unicodedata.normalize("NFC", removed.sub("", text))
        return parting.sub(r"\g<0> ", text).split()

    return split


def _is_clean(word: str, min_word_length: int) -> bool:
    return (
        _LETTERS.fullmatch(word) is not None
        and (len(word) >= min_word_length or UNSPACED.match(word) is not None)
        and word not in (START_TOKEN, END_TOKEN)
    )


def join_words(words: Sequence[str]) -> str:
    """Returns words as a text, with blanks between them where their script has blanks."""
    return "".join(chain.from_iterable(zip(_blanks_before(words), words, strict=True)))


def _blanks_before(words: Sequence[str]) -> Iterator[str]:
    """Yields the blank that stands before each word of a text, or nothing."""
    yield from [""] * bool(words)
    for word, following in pairwise(words):
        is_joined = word[-1:] in _JOINTS or UNSPACED.match(word) or UNSPACED.match(following)
        yield "" if is_joined else " "


def as_sentence(text: str, language: str = ENGLISH) -> str:
    """Returns a text with its first letter in upper case and the full stop of its script.

    A text that ends in a full stop already gets no other, and an empty one stays empty. Scores are
    computed from the words alone.
    """
    stop = "" if _ENDED.search(text) else full_stop(text, language)
    return rules_of(language).capitalize(text) + stop


def sentence_parts(words: Sequence[str], language: str = ENGLISH) -> list[tuple[str, str]]:
    """Returns each word as it stands in a sentence, after the blank before it if there is one.

    The full stop belongs to no word: `full_stop` tells it.
    """
    parts = list(zip(_blanks_before(words), words, strict=True))
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
