"""Cleans the captions and makes the vocabulary of the training split.

    python prepare_text.py --data data/flickr8k
    python prepare_text.py --data data/kaggle --captions ~/flickr8k/captions.txt
    python prepare_text.py --data data/mine --captions mine.csv --language fr

Reads   the captions    in DATA or at --captions: Flickr8k, Flickr30k, Karpathy,
                        COCO, CSV, TSV, .txt, as data/README.md has it
        DATA/Flickr_8k.trainImages.txt  the photos of the training split; with
                        devImages and testImages, which must name none of them
        the photos      in DATA/photos, in DATA or at --photos: file names only,
                        to count those without captions
Writes  DATA/descriptions.txt   the cleaned descriptions, one a line
        DATA/vocabulary.json    the words that the decoder will know
        DATA/split-captions.tsv the captions as written, with the split of each
        DATA/places.json        what --captions and --photos named, to remember
Takes   about a second for the 40,460 captions of Flickr8k, fifteen for COCO.
Next    python train.py, once python prepare_photos.py has run too.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from captioning.cli import DONE, UserError, one_line, quoted, run, wrapped
from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, SPLITS, VOCABULARY
from captioning.photos.remote_photos import place_of
from captioning.settings import SettingsParser, real_number, seed_number
from captioning.storage import TEXT_LOCK, digest_of_file, locked
from captioning.text.captions import (
    CaptionedPhotos,
    SplitCaptions,
    check_lengths,
    read_captioned_photos,
    write_descriptions,
    write_split_captions,
)
from captioning.text.languages import ENGLISH, language_code
from captioning.text.places import (
    Places,
    captions_places,
    has_split_files,
    name_places,
    photo_folders,
    write_places,
)
from captioning.text.splits import Splits, SplitSettings, decide_splits
from captioning.text.summary import doubts_about_cleaning, summarize_photos, summarize_text
from captioning.text.vocabulary import (
    END_TOKEN,
    START_TOKEN,
    Vocabulary,
    build_vocabulary,
    write_vocabulary,
)
from captioning.text.words import clean_captions

# Where things are. What is named here is remembered in DATA for later runs and scripts.
DATA = Path("data/flickr8k")  # the data folder; the results go there
CAPTIONS = ()  # the captions files, where they are not in DATA
PHOTOS = ()  # the folders of photos, or their addresses (s3://…), where they are not in DATA
PHOTO_COLUMN = ""  # header or number of the photos' column of a CSV or TSV file
CAPTION_COLUMN = ""  # and of the captions' column, where they cannot be told

# Cleaning.
LANGUAGE = "en"  # of the captions, as ISO 639 codes it: fr, hi, zh; docs/languages.md has more
MIN_WORD_LENGTH = 2  # shorter words are dropped, as "a"; unless set, none are where not in English
MIN_WORD_COUNT = 1  # rarer words of the training split are left out of the vocabulary

# The splits, where no file says which photo is in which.
VALIDATION_SHARE = 0.1  # share of the photos that are for validation
TEST_SHARE = 0.1  # share of the photos that are for the test
SPLIT_SEED = 1  # of the random splits, which depend on it and on the names alone


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, cleans, writes, and prints the summary."""
    share = real_number(below=1.0)
    shares = {"VALIDATION_SHARE": share, "TEST_SHARE": share}
    types = {
        **shares,
        "PHOTOS": place_of,
        "SPLIT_SEED": seed_number,
        "LANGUAGE": language_code,
    }
    parser = SettingsParser(globals(), types)
    options = parser.parse_settings(arguments)
    if options.language != ENGLISH and "min_word_length" not in options.replaced:
        # English loses little with "a"; other languages lose à, y or в.
        options.min_word_length = 1
    data = options.data
    check_arguments(options, options.typed)
    columns = options.photo_column, options.caption_column
    named = options.photos, options.captions, *columns
    # Where there are no captions no lock should be left.
    captions_places(data, name_places(data, *named))
    with locked(data, "prepare_text.py", TEXT_LOCK):
        places = name_places(data, *named)
        captioned = read_captioned_photos(data, places)
        shares = options.validation_share, options.test_share
        splits = decide_splits(data, captioned, SplitSettings(*shares, options.split_seed))

        descriptions, training, vocabulary = clean(options, captioned, splits)

        # Nothing is written before everything is checked. The vocabulary comes last: it tells by
        # their digests whether the other files are those that it belongs to. The places are read
        # again, since prepare_photos.py may have named some meanwhile.
        write_places(data, name_places(data, *named))
        write_split_captions(data, SplitCaptions(captioned.captions, splits.photos))
        write_descriptions(data, descriptions)
        digests = {name: digest_of_file(data / name) for name in (SPLIT_CAPTIONS, DESCRIPTIONS)}
        write_vocabulary(data, msgspec.structs.replace(vocabulary, files=digests))

    print(parser.describe(options))
    print_found(data, places, captioned, splits)
    print(summarize_text(captioned.captions, descriptions, training, vocabulary))
    for doubt in doubts_about_cleaning(captioned.captions, descriptions, options.language):
        print(f"warning: {doubt}", file=sys.stderr)
    print(wrapped(f"wrote {data / DESCRIPTIONS} and {data / VOCABULARY}"))
    print(f"next: python train.py --data {quoted(data)}")
    print(f"(once python prepare_photos.py --data {quoted(data)} has run too)")
    return DONE


def clean(
    options: argparse.Namespace, captioned: CaptionedPhotos, splits: Splits
) -> tuple[dict[str, list[list[str]]], list[list[str]], Vocabulary]:
    """Returns the descriptions of each photo id, those of the training split, and the vocabulary.

    Raises:
        UserError: if a description is too long, or no word of the training split is left.
    """
    descriptions = clean_captions(captioned.captions, options.min_word_length, options.language)
    check_lengths(options.data, descriptions)
    training = [words for photo in splits.photos["train"] for words in descriptions.get(photo, [])]
    vocabulary = build_vocabulary(
        training, options.min_word_length, options.min_word_count, options.language
    )
    if set(vocabulary.words) == {START_TOKEN, END_TOKEN}:
        raise UserError(
            f"no word of the training captions in {captioned.files} is left: run python "
            f"prepare_text.py --data {quoted(options.data)} with less than --min-word-length "
            f"{options.min_word_length} or --min-word-count {options.min_word_count}, or write "
            "captions that have words"
        )
    return descriptions, training, vocabulary


def check_arguments(options: argparse.Namespace, typed: set[str]) -> None:
    """Raises `UserError` for flags that contradict each other or the data folder."""
    data = options.data
    if data.exists() and not data.is_dir():
        raise UserError(f"{data} is not a folder: name with --data the one for the results")
    if options.validation_share + options.test_share >= 1:
        raise UserError(
            "--validation-share and --test-share leave nothing to train on: their sum must be "
            "less than 1"
        )
    drawing = sorted(typed & {"split_seed", "validation_share", "test_share"})
    if drawing and has_split_files(data):
        raise UserError(
            f"--{drawing[0].replace('_', '-')} is for random splits, but {data} has files of the "
            f"splits: leave it out, or remove {', '.join(SPLITS.values())}"
        )


def print_found(data: Path, places: Places, captioned: CaptionedPhotos, splits: Splits) -> None:
    """Says what the captions were taken for, and which photos are in which split."""
    for path, kind in captioned.kinds.items():
        print(wrapped(one_line(f"captions: {path}, taken for {kind}")))
    folders = photo_folders(data, places)
    print(summarize_photos(folders, captioned.captions, splits.photos))
    print(wrapped(f"splits: {splits.origin}"))


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
