"""Splits captions into words, cleans them, and joins words to texts and sentences again.

Words are split the same way wherever that is done: in descriptions, in references, in the captions
that scores are computed from. To add a language, add its line to `LANGUAGES`; one without a line
has the general rules: the signs within a word are removed, so that its parts become one word, as
English does it (`t-shirt`, `tshirt`).

Sources: Unicode Standard Annex 29, "Word Boundaries", on languages that tailor the apostrophe and
the hyphen; `SpecialCasing.txt` of the Unicode Character Database on the Turkish i; the exemplar
characters and punctuation of the Unicode CLDR.
"""

import argparse
import functools
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import regex

from captioning.cli import counted, one_line, wrapped
from captioning.text.vocabulary import END_TOKEN, START_TOKEN

ENGLISH = "en"

# The share of captions that lose numbers or most of their words, above which that is said, and
# how many of them are shown. Of the official captions of Flickr8k it is 1 in 230.
DAMAGED_SHARE = 0.05
DAMAGED_SHOWN = 3


class Language(NamedTuple):
    """The rules of a language; `'` stands for every apostrophe, `-` for every hyphen."""

    parting: str = ""  # signs within a word after which another begins: l'école, l' école
    kept: str = ""  # signs within a word that are letters of it: п'ять
    dotted_i: bool = False  # whether i and ı are two letters, with the capitals İ and I
    full_stop: str = ""  # where it is not that of the script

    def lower(self, text: str) -> str:
        """Returns a text in lower case."""
        if self.dotted_i:
            text = unicodedata.normalize("NFC", text).replace("İ", "i").replace("I", "ı")
        return text.lower()

    def capitalize(self, text: str) -> str:
        """Returns a text whose first letter is in upper case."""
        if self.dotted_i and text.startswith("i"):
            return f"İ{text[1:]}"
        # Titlecase, since Georgian has capitals, but does not begin sentences with them.
        return text[:1].title() + text[1:]


LANGUAGES = {
    "az": Language(dotted_i=True),
    "be": Language(kept="'"),  # сям'я
    "bo": Language(parting="་"),  # ཁྱི་ནག་པོ: it stands after every syllable
    "br": Language(kept="'"),  # marc'h
    "ca": Language(parting="'-", kept="·"),  # l'aigua, col·lecció
    "dz": Language(parting="་"),  # as Tibetan
    "fr": Language(parting="'-"),  # l'école, est-il
    "gl": Language(parting="-"),  # comprou-no
    "he": Language(parting="־", kept="'׳״"),  # בית־ספר
    "it": Language(parting="'"),  # dell'acqua
    "lb": Language(parting="'"),  # d'Kand
    "mr": Language(full_stop="."),  # unlike Hindi, which has the same script
    "mt": Language(parting="-"),  # il-kelb
    "nl": Language(kept="'"),  # foto's
    "oc": Language(parting="'-", kept="·"),  # l'aiga
    "pt": Language(parting="-"),  # senta-se
    "ro": Language(parting="-"),  # într-o
    "tr": Language(dotted_i=True),
    "uk": Language(kept="'"),  # п'ять
    "ur": Language(full_stop="۔"),  # unlike Arabic and Persian
    "uz": Language(kept="'"),  # o'g'il
}


def language_code(text: str) -> str:
    """Checks the form of a language's code, for `SettingsParser`."""
    if not regex.fullmatch(r"[A-Za-z]{2,3}", text):
        raise argparse.ArgumentTypeError(
            f"expected the code of a language as ISO 639 has it, such as en, fr or hi, got {text!r}"
        )
    return text.lower()


# A letter with its marks of a script that puts no blanks between words. The extensions of a script
# are what it shares with others, such as the long-vowel mark of both kinds of kana.
_UNSPACED_SCRIPTS = ("Han", "Hira", "Kana", "Bopo", "Thai", "Laoo", "Khmr", "Mymr")
_SCRIPTS = "".join(rf"\p{{scx={script}}}" for script in _UNSPACED_SCRIPTS)
UNSPACED = regex.compile(rf"(?=\p{{L}})(?=[{_SCRIPTS}])\X")

# Of each sign within words, the one that stands for all of its kind.
_SIGNS = str.maketrans("\u2019\u2018\u02bc\uff07\u2010\u2011", "''''--")

# Punctuation, what Python's string.punctuation has besides, and characters that are not seen.
_REMOVED = r"[\p{P}$+<=>^`|~\p{Cf}]"
# Joiners change how letters look, and the spelling of Persian and of Indian languages.
_JOINERS = r"(?<=[\p{L}\p{M}])[\u200c\u200d](?=\p{L})|(?<=\p{M})\u200d"
# What is left of punctuation then belongs to the word.
_LETTERS = regex.compile(r"\p{L}[\p{L}\p{M}\p{P}\u200c\u200d]*")
# Of digits of any script.
NUMBER = regex.compile(r"\p{N}")

# An elided word that stands alone, as in captions that are split already: l' école. It ends in a
# consonant; an Italian word that has lost its end, un po', does not.
_ELIDED = r"(?<=^\p{L}*(?:[b-df-hj-np-tv-xzç]|qu))'(?=\p{P}*$)"

# The signs that words end with only where the next one follows without a blank.
_JOINTS = frozenset(chain.from_iterable(rules.parting for rules in LANGUAGES.values()))

# The scripts whose sentences end in another sign than a full stop, or in none.
_FULL_STOPS = {
    r"[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}]": "。",
    r"[\p{scx=Thai}\p{scx=Laoo}]": "",
    r"[\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}\p{scx=Orya}]": "।",
    r"\p{scx=Tibt}": "།",
    r"\p{scx=Mymr}": "။",
    r"\p{scx=Khmr}": "។",
    r"\p{scx=Ethi}": "።",
    r"\p{scx=Armn}": "։",
}
_LETTER = regex.compile(r"\p{L}")


def word_splitter(
    language: str = ENGLISH, is_kept: Callable[[str], bool] = bool
) -> Callable[[str], list[str]]:
    """Returns a function that splits captions, in lower case, into words without punctuation.

    A word of nothing but punctuation is left out. Words are parted after the signs that do so in
    the language, and each letter of a script that is written without blanks is a word. `is_kept`
    tells which words stay.
    """
    rules = LANGUAGES.get(language, Language())
    kept = [_JOINERS]
    if rules.parting or rules.kept:
        signs = regex.escape(rules.parting + rules.kept)
        kept.append(rf"(?<=[\p{{L}}\p{{M}}])[{signs}](?=[\p{{P}}\p{{Cf}}]*\p{{L}})")
    if "'" in rules.parting:
        kept.append(_ELIDED)
    removed = regex.compile(rf"(?!{'|'.join(kept)}){_REMOVED}")
    parting = regex.compile(f"[{regex.escape(rules.parting)}]" if rules.parting else r"(?!)")

    # Each different token is split once, and its words are the same strings in all captions.
    @functools.cache
    def split_token(token: str) -> list[str]:
        # Composed: an accent that is a character of its own, as some systems write it, is one
        # letter with its base. Once more, since what is removed may have stood between them.
        text = unicodedata.normalize("NFC", rules.lower(token)).translate(_SIGNS)
        text = unicodedata.normalize("NFC", removed.sub("", text))
        return [word for word in parting.sub(r"\g<0> ", text).split() if is_kept(word)]

    def split_caption(caption: str) -> list[str]:
        if not caption.isascii():
            # A zero-width space parts words.
            caption = UNSPACED.sub(r" \g<0> ", caption.replace("\u200b", " "))
        return [word for token in caption.split() for word in split_token(token)]

    return split_caption


def word_cleaner(
    min_word_length: int, language: str = ENGLISH, *, keep_numbers: bool = False
) -> Callable[[str], list[str]]:
    """Returns a function that reduces captions to words of letters, none below the minimum.

    A letter has its combining marks with it. The minimum, in characters, is not for scripts that
    are written without blanks, nor for words with digits, which stay only with `keep_numbers`. The
    start and end tokens, which captions cleaned elsewhere may hold already, are left out.
    """

    def is_clean(word: str) -> bool:
        if keep_numbers and NUMBER.search(word):
            return True
        is_long = len(word) >= min_word_length or UNSPACED.match(word)
        return bool(_LETTERS.fullmatch(word) and is_long) and word not in (START_TOKEN, END_TOKEN)

    return word_splitter(language, is_clean)


def warn_of_cleaning(
    captions: Mapping[str, Sequence[str]], descriptions: Mapping[str, Sequence[Sequence[str]]]
) -> str:
    """Returns a warning with examples if many captions have lost numbers or most words, or ""."""
    written, words = (chain.from_iterable(x.values()) for x in (captions, descriptions))
    cleaned = list(zip(written, words, strict=True))
    damaged = [f"  {one_line(a)} -> {' '.join(b)}" for a, b in cleaned if _is_damaged(a, b)]
    if len(damaged) <= DAMAGED_SHARE * len(cleaned):
        return ""
    share = f"{len(damaged):,d} of {counted(len(cleaned), 'caption')}"
    what = f"warning: {share} lose words with digits or more than half of their words"
    remedy = (
        "  --keep-numbers keeps numbers, --language fr (or another) the words of a language, and "
        "--min-word-length 1 short words"
    )
    return "\n".join([wrapped(what), *damaged[:DAMAGED_SHOWN], wrapped(remedy)])


def _is_damaged(caption: str, words: Sequence[str]) -> bool:
    tokens = sum(any(map(str.isalpha, token)) for token in caption.split())
    has_lost_numbers = NUMBER.search(caption) and not NUMBER.search(" ".join(words))
    return not words or 2 * len(words) < tokens or bool(has_lost_numbers)


def join_words(words: Sequence[str]) -> str:
    """Returns words as a text, with blanks between them where their script has blanks."""
    return "".join(chain.from_iterable(_with_blanks(words)))


def _with_blanks(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields each word of a text after the blank that stands before it, or nothing."""
    for before, word in pairwise(["", *words]):
        is_joined = before[-1:] in _JOINTS or UNSPACED.match(before) or UNSPACED.match(word)
        yield " " if before and not is_joined else "", word


def sentence_parts(words: Sequence[str], language: str = ENGLISH) -> list[tuple[str, str]]:
    """Returns each word as it stands in a sentence, after the blank before it if there is one.

    The last part is (full stop, ""): that of the last letter's script, or "" where the script has
    none and where there is no letter.
    """
    rules = LANGUAGES.get(language, Language())
    first = map(rules.capitalize, words[:1])
    letters, stop = _LETTER.findall("".join(words)), ""
    if letters:
        signs = (sign for script, sign in _FULL_STOPS.items() if regex.match(script, letters[-1]))
        stop = rules.full_stop or next(signs, ".")
    return [*_with_blanks([*first, *words[1:]]), (stop, "")]
