"""Cleans the captions and makes the vocabulary of the training split.

    python prepare_text.py --data data/flickr8k

Reads   DATA/Flickr8k.token.txt         the captions, name.jpg#k<TAB>caption
        DATA/Flickr_8k.trainImages.txt  the photos of the training split; with
                                        devImages and testImages, which must
                                        name none of them
        DATA/photos/                    file names only, to count those without
                                        captions
Writes  DATA/descriptions.txt           the cleaned descriptions, one a line
        DATA/vocabulary.json            the words that the decoder will know
        DATA/Flickr_8k.*Images.txt      a random split, where there are none
Takes   about a second for the 40,460 captions of Flickr8k.
Next    python train.py, once python prepare_photos.py has run too.
"""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from captioning.captions import check_lengths, read_captions_file, write_descriptions
from captioning.cli import DONE, UserError, run, wrapped
from captioning.files import CAPTIONS, DESCRIPTIONS, SPLITS, VOCABULARY
from captioning.languages import ENGLISH, language_code
from captioning.settings import SettingsParser, seed_number, whole_number
from captioning.splits import read_or_draw_splits, write_splits
from captioning.text_summary import doubts_about_cleaning, summarize_photos, summarize_text
from captioning.vocabulary import (
    END_TOKEN,
    START_TOKEN,
    build_vocabulary,
    digest_sources,
    write_vocabulary,
)
from captioning.words import clean_captions

# Where things are.
DATA = Path("data/flickr8k")  # holds the captions and the split files; the results go there

# Cleaning.
LANGUAGE = "en"  # of the captions, as ISO 639 codes it: fr, hi, zh; docs/languages.md has more
MIN_WORD_LENGTH = 2  # shorter words are dropped, as "a"; unless set, none are where not in English
MIN_WORD_COUNT = 1  # rarer words of the training split are left out of the vocabulary

# The random split, where there are no split files.
HELD_OUT = 10  # one photo in so many is for validation, and one in so many for the test
SEED = 1  # of the random split, which depends on it and on the names alone


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, cleans, writes, and prints the summary."""
    types = {"LANGUAGE": language_code, "HELD_OUT": whole_number(3), "SEED": seed_number}
    parser = SettingsParser(globals(), types)
    options = parser.parse_settings(arguments)
    if options.language != ENGLISH and "min_word_length" not in parser.replaced(arguments):
        # English loses little with "a"; other languages lose à, y or в.
        options.min_word_length = 1
    data = options.data
    if data.exists() and not data.is_dir():
        raise UserError(f"{data} is not a folder: name with --data the one that holds {CAPTIONS}")

    captions, file_names = read_captions_file(data)
    splits, drawn = read_or_draw_splits(data, captions, options.held_out, options.seed)

    descriptions = clean_captions(captions, options.min_word_length, options.language)
    check_lengths(data, descriptions)
    training = [words for photo in splits["train"] for words in descriptions.get(photo, [])]
    vocabulary = build_vocabulary(
        training, options.min_word_length, options.min_word_count, options.language
    )
    if set(vocabulary.words) == {START_TOKEN, END_TOKEN}:
        raise UserError(
            f"no word of the training captions in {data / CAPTIONS} is left: run python "
            f"prepare_text.py --data {data} with less than --min-word-length "
            f"{options.min_word_length} or --min-word-count {options.min_word_count}, or write "
            "captions that have words"
        )

    # Nothing is written before everything is checked. The vocabulary comes last: it tells by their
    # digests whether the other files are those that it belongs to.
    if drawn:
        write_splits(data, splits, file_names)
    write_descriptions(data, descriptions)
    vocabulary = dataclasses.replace(vocabulary, sources=digest_sources(data))
    write_vocabulary(data, vocabulary)

    print(parser.describe(options))
    print(summarize_photos(data, captions, splits))
    print(summarize_text(captions, descriptions, training, vocabulary))
    for doubt in doubts_about_cleaning(captions, descriptions, options.language):
        print(f"warning: {doubt}", file=sys.stderr)
    if drawn:
        said = f"no split files were there: split the photos at random with seed {options.seed}"
        print(wrapped(f"{said} and wrote {', '.join(str(data / n) for n in SPLITS.values())}"))
    print(wrapped(f"wrote {data / DESCRIPTIONS} and {data / VOCABULARY}"))
    print(f"next: python train.py --data {data}")
    print(f"(once python prepare_photos.py --data {data} has run too)")
    return DONE


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
