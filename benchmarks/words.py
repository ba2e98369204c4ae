"""Counts how often captions name things that nobody who described the photo named.

    python benchmarks/words.py --model models/flickr8k --decoding "beam 3"

A word is confirmed if any reference of the photo has it or one of its variants (man: men, guy), and
missed where at least two references have one of them and the caption has none.

Reads   MODEL/captions.csv, from evaluate.py
Prints  a table: each word, how often it is said, confirmed and missed
Takes   a second.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.files import GENERATED_CAPTIONS, require

# What captions of Flickr8k speak of; the kin of a word confirms it too.
SUBJECTS = {
    "dog": "dog dogs puppy",
    "man": "man men guy guys male",
    "woman": "woman women lady ladies female",
    "boy": "boy boys",
    "girl": "girl girls",
    "child": "child children kid kids toddler baby",
    "people": "people crowd group men women children kids",
    "player": "player players team",
    "ball": "ball balls football soccer basketball baseball tennis volleyball",
    "bike": "bike bikes bicycle bicycles bicyclist biker cyclist motorcycle motorbike",
    "water": "water ocean sea lake river pool wave waves surf pond stream",
    "snow": "snow snowy",
    "beach": "beach shore sand",
    "grass": "grass grassy field lawn",
}
COLOURS = ("black", "white", "brown", "red", "blue", "green", "yellow", "pink", "orange")
NUMBERS = {"two": "two couple pair both", "three": "three", "four": "four"}
ACTIONS = {
    "running": "running runs run",
    "jumping": "jumping jumps jump leaping leaps",
    "playing": "playing plays play",
    "sitting": "sitting sits sit seated",
    "standing": "standing stands stand",
    "riding": "riding rides ride",
    "wearing": "wearing wears wear",
}
GROUPS = {
    "subjects": SUBJECTS,
    "colours": {colour: colour for colour in COLOURS},
    "numbers": NUMBERS,
    "actions": ACTIONS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the captions, counts, and prints."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--model", type=Path, metavar="DIR", default=Path("models/flickr8k"))
    parser.add_argument("--decoding", metavar="NAME", default="beam 3", help="a column of the file")
    options = parser.parse_args(arguments)
    path = require(options.model / GENERATED_CAPTIONS)

    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if options.decoding not in table:
        raise UserError(f"{path} has no column {options.decoding!r}: name another with --decoding")
    captions = [set(text.split()) for text in table[options.decoding]]
    references = [
        [set(text.lower().split()) for text in texts.split(" | ")] for texts in table["references"]
    ]
    print(f"{'':12}{'said':>6}{'confirmed':>11}{'in percent':>12}{'missed':>8}")
    for group, words in GROUPS.items():
        print(f"{group}")
        counts = [count(set(kin.split()), captions, references) for kin in words.values()]
        total = [sum(column) for column in zip(*counts, strict=True)]
        for word, numbers in zip([*words, "all"], [*counts, total], strict=True):
            said, confirmed, missed = numbers
            share = f"{confirmed / said:.0%}" if said else ""
            print(f"  {word:10}{said:6d}{confirmed:11d}{share:>12}{missed:8d}")
    return DONE


def count(
    kin: set[str], captions: list[set[str]], references: list[list[set[str]]]
) -> tuple[int, int, int]:
    """Returns in how many photos words are said, confirmed by a reference, and missed."""
    said = confirmed = missed = 0
    for caption, texts in zip(captions, references, strict=True):
        named = sum(not kin.isdisjoint(text) for text in texts)
        if kin.isdisjoint(caption):
            missed += named >= 2
        else:
            said += 1
            confirmed += named >= 1
    return said, confirmed, missed


if __name__ == "__main__":
    sys.exit(run(main))
