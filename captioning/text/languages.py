"""What differs from language to language in how captions are split into words and written.

To add a language, add its line to `LANGUAGES`. A language without a line has the general rules: the
signs within a word are removed, so that its parts become one word, as English does it (`t-shirt`,
`tshirt`).

Sources: Unicode Standard Annex 29, "Word Boundaries", on languages that tailor the apostrophe and
the hyphen; `SpecialCasing.txt` of the Unicode Character Database on the Turkish i; the exemplar
characters and punctuation of the Unicode CLDR.
"""

import argparse
import re
import unicodedata
from typing import NamedTuple

ENGLISH = "en"


class Language(NamedTuple):
    """The rules of a language; signs are as `words.py` has them, `'` for every apostrophe."""

    parting: str = ""  # signs within a word after which another begins: l'école, l' école
    kept: str = ""  # signs within a word that are letters of it: п'ять
    dotted_i: bool = False  # whether i and ı are two letters, with the capitals İ and I
    full_stop: str | None = None  # where it is not that of the script

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


def rules_of(language: str) -> Language:
    """Returns the rules of a language: its own, or the general ones."""
    return LANGUAGES.get(language, Language())


def language_code(text: str) -> str:
    """Checks the form of a language's code, for `SettingsParser`."""
    if not re.fullmatch(r"[A-Za-z]{2,3}", text):
        raise argparse.ArgumentTypeError(
            f"expected the code of a language as ISO 639 has it, such as en, fr or hi, got {text!r}"
        )
    return text.lower()
