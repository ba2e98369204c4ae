"""Cleans the captions and makes the vocabulary of the training split.

    python prepare_text.py --data data/flickr8k
    python prepare_text.py --data data/kaggle --captions ~/flickr8k/captions.txt
    python prepare_text.py --data data/mine --captions mine.csv --language fr
    python prepare_text.py --data data/own --start-from models/pretrained

Reads   the captions    in DATA or at --captions: Flickr8k, Flickr30k, Karpathy,
                        COCO, CSV, JSON, .txt …, as data/README.md has it
        Flickr_8k.trainImages.txt  or train.txt, in DATA or beside the captions:
                        the training photos; with those of the other splits
        the photos      in DATA, where prepare_photos.py found them or at
                        --photos: names only, to count those without captions
        START_FROM/     the words of the model to start from, if there is one
Writes  DATA/split-captions.tsv the captions as written, with their splits
        DATA/descriptions.txt   the cleaned descriptions, one a line
        DATA/vocabulary.json    the words that the decoder will know
Takes   about a second for the 40,460 captions of Flickr8k, 24 for COCO.
Next    python train.py, once python prepare_photos.py has run too.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from captioning.cli import DONE, one_line, quoted, run, wrapped
from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, VOCABULARY
from captioning.network.starting import Start, read_start
from captioning.photos.listing import PhotoNames, path_of, photo_folders
from captioning.settings import SettingsParser, seed_number, share
from captioning.storage import TEXT_LOCK, locked
from captioning.text.captions import find_captions, read_captioned_photos
from captioning.text.splits import decide_splits, find_split_files
from captioning.text.vocabulary import PreparedText, build_vocabulary, write_prepared_text
from captioning.text.words import ENGLISH, language_code, warn_of_cleaning, word_cleaner

# Where things are.
DATA = Path("data/flickr8k")  # the data folder; the results go there
CAPTIONS = ()  # the captions files, where they are not in DATA
PHOTOS = ()  # the folders of photos, where they are not in DATA
PHOTO_COLUMN = ""  # header or number of the photos' column of a CSV or TSV file
CAPTION_COLUMN = ""  # and of the captions' column, where they cannot be told

# Cleaning.
LANGUAGE = "en"  # of the captions, as ISO 639 codes it: fr, hi, zh; docs/languages.md has more
MIN_WORD_LENGTH = 2  # shorter words are dropped, as "a"; unless set, none are where not in English
KEEP_NUMBERS = False  # keep words with digits too, as "10" and "2nd", whatever their length
MIN_WORD_COUNT = 1  # rarer words of the training split are left out of the vocabulary
START_FROM = ""  # the trained model that train.py will start from: its words keep their ids

# The splits, where no file says which photo is in which.
VALIDATION_SHARE = 0.1  # share of the photos that are for validation
TEST_SHARE = 0.1  # share of the photos that are for the test
SPLIT_SEED = 1  # of the random splits, which depend on it and on the names alone


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, cleans, writes, and prints the summary."""
    types = {"VALIDATION_SHARE": share, "TEST_SHARE": share, "SPLIT_SEED": seed_number}
    parser = SettingsParser(globals(), {**types, "LANGUAGE": language_code, "PHOTOS": path_of})
    options = parser.parse_settings(arguments)
    if start := read_start(options.start_from):
        start.take_cleaning(options)
    if options.language != ENGLISH and "min_word_length" not in options.replaced:
        # English loses little with "a"; other languages lose à, y or в.
        options.min_word_length = 1
    data = options.data
    # Names of photos at an address are not fetched.
    folders = [path for path in photo_folders(data, options.photos) if isinstance(path, Path)]
    photos = PhotoNames(folders)
    # Where there are no captions no lock should be left.
    files = list(options.captions) or find_captions(data, folders, photos)
    split_files = find_split_files(data, files)
    with locked(data, "prepare_text.py", TEXT_LOCK):
        columns = options.photo_column, options.caption_column
        captioned = read_captioned_photos(data, files, columns, photos)
        shares = {"dev": options.validation_share, "test": options.test_share}
        splits, origin = decide_splits(captioned, split_files, shares, options.split_seed)
        text = clean(options, captioned.captions, splits, start)
        # Nothing is written before everything is checked.
        write_prepared_text(text)

    print(parser.describe(options))
    for path, kind in captioned.kinds.items():
        print(wrapped(one_line(f"captions: {path}, taken for {kind}")))
    for what, count in captioned.counts.items():
        print(f"{what}: {count:,d}")
    print(wrapped(f"splits: {origin}"))
    known = start.vocabulary.words if start else ()
    print(text.describe(photos.files.keys(), known))
    if not split_files and not captioned.split_of:
        what = "no file, column, key or folder tells others, as data/README.md has them"
        print(wrapped(f"warning: the splits are random: {what}"), file=sys.stderr)
    if warning := warn_of_cleaning(text.captions, text.descriptions):
        print(warning, file=sys.stderr)
    print(wrapped(f"wrote {SPLIT_CAPTIONS}, {DESCRIPTIONS} and {VOCABULARY} to {data}"))
    flags = f" --recipe recipes/own.toml --start-from {quoted(start.folder)}" if start else ""
    print(f"next: python train.py --data {quoted(data)}{flags}")
    print(f"(once python prepare_photos.py --data {quoted(data)} has run too)")
    return DONE


def clean(
    options: argparse.Namespace,
    captions: dict[str, list[str]],
    splits: dict[str, list[str]],
    start: Start | None,
) -> PreparedText:
    """Cleans the captions of every photo, and makes the vocabulary of the training photos'."""
    names = ["language", "min_word_length", "keep_numbers", "min_word_count"]
    names += ["start_from"] if start else []
    cleaning = {name: getattr(options, name) for name in names}
    words_of = word_cleaner(
        options.min_word_length, options.language, keep_numbers=options.keep_numbers
    )
    # A caption that cleans to nothing stays, empty.
    descriptions = {photo: [words_of(text) for text in captions[photo]] for photo in captions}
    training = chain.from_iterable(descriptions.get(photo, []) for photo in splits["train"])
    vocabulary = build_vocabulary(list(training), cleaning, start.vocabulary if start else None)
    return PreparedText(vocabulary, descriptions, captions, splits, options.data)


if __name__ == "__main__":
    sys.exit(run(main))
