"""Cleans the captions and makes the vocabulary of the training split.

    python prepare_text.py --data data/flickr8k

Reads   DATA/Flickr8k.token.txt             the captions, name.jpg#k<TAB>caption
        DATA/Flickr_8k.trainImages.txt      the photos of the training split; with devImages and
                                            testImages, which must name none of them
        DATA/photos/                        file names only, to count those without captions
Writes  DATA/descriptions.txt               the cleaned descriptions, one a line
        DATA/vocabulary.json                the words that the decoder will know
        DATA/Flickr_8k.*Images.txt          a random split, where there is none of the three
Takes   about a second for the 40,460 captions of Flickr8k.
Next    python train.py, once python prepare_photos.py has run too.
"""

import dataclasses
import os
import sys
from collections import Counter
from pathlib import Path

from captioning.captions import read_captions_file, split_into_words, write_descriptions
from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.files import CAPTIONS, DESCRIPTIONS, PHOTOS, SPLITS, VOCABULARY, photo_id
from captioning.settings import positive_integer, seed_number
from captioning.splits import find_splits, write_splits
from captioning.vocabulary import (
    END_WORD,
    START_WORD,
    Vocabulary,
    digest_sources,
    write_vocabulary,
)

# Where things are.
DATA = Path("data/flickr8k")  # holds the captions and the split files; the results go there

# Cleaning.
MIN_WORD_LENGTH = 2  # shorter words are dropped: "a", and what punctuation leaves of "'s"
MIN_WORD_COUNT = 1  # rarer words of the training split are left out of the vocabulary

# The random split, where there are no split files.
HELD_OUT = 10  # one photo in so many is for validation, and one in so many for the test
SEED = 1  # of the choice, which depends on it and on the names alone

# The printed summary.
COMMON_WORDS = 10  # how many of the commonest words are shown
HISTOGRAM_BIN = 3  # lengths, in words, that share a bar of the histogram
HISTOGRAM_WIDTH = 40  # characters of the longest bar

MARKERS = (START_WORD, END_WORD)


def clean_caption(caption, min_word_length=MIN_WORD_LENGTH):
    """Reduces a caption to the words that the decoder is trained on.

    Args:
        caption: str, as people wrote it.
        min_word_length: int, letters of the shortest word kept.

    Returns:
        list of str: lower-case words without punctuation, those too short or not purely
        alphabetic left out, and the markers, which captions cleaned elsewhere may hold already.
    """
    return [
        word
        for word in split_into_words(caption)
        if len(word) >= min_word_length and word.isalpha() and word not in MARKERS
    ]


def clean_captions(captions, min_word_length=MIN_WORD_LENGTH):
    """Cleans every caption; one that cleans to nothing stays, empty.

    Args:
        captions: dict of str -> list of str: photo identifier -> captions.
        min_word_length: int, letters of the shortest word kept.

    Returns:
        dict of str -> list of list of str: photo identifier -> words of each description.
    """
    return {
        identifier: [clean_caption(caption, min_word_length) for caption in photo_captions]
        for identifier, photo_captions in captions.items()
    }


def build_vocabulary(descriptions, min_word_length=MIN_WORD_LENGTH, min_word_count=MIN_WORD_COUNT):
    """Numbers the words of the training descriptions, most frequent first.

    Args:
        descriptions: list of list of str, the training descriptions without markers.
        min_word_length: int, recorded with the vocabulary.
        min_word_count: int, how often a word must occur to be in the vocabulary.

    Returns:
        Vocabulary; words that occur equally often stand in the order of first appearance.
    """
    # Counter.most_common keeps the order of first appearance among equals.
    counts = Counter()
    for words in descriptions:
        counts.update([START_WORD, *words, END_WORD])
    words = [
        word for word, count in counts.most_common() if count >= min_word_count or word in MARKERS
    ]
    maximum_length = 2 + max(len(set_words) for set_words in descriptions)
    cleaning = {"min_word_length": min_word_length, "min_word_count": min_word_count}
    return Vocabulary(tuple(words), maximum_length, cleaning)


def descriptions_of(identifiers, descriptions):
    """Lists the descriptions of some photos.

    Args:
        identifiers: list of str, the photos; those without descriptions are left out.
        descriptions: dict of str -> list of list of str, all descriptions.

    Returns:
        list of list of str.
    """
    return [words for name in identifiers for words in descriptions.get(name, [])]


def check_words(data, vocabulary):
    """Checks that cleaning has left words to learn.

    Args:
        data: pathlib.Path of the data folder.
        vocabulary: Vocabulary.

    Raises:
        UserError: if it holds the markers alone.
    """
    if set(vocabulary.words) == set(MARKERS):
        raise UserError(
            f"no word of the training captions in {data / CAPTIONS} is left: run python "
            f"prepare_text.py --data {data} with less than --min-word-length "
            f"{vocabulary.cleaning['min_word_length']} or --min-word-count "
            f"{vocabulary.cleaning['min_word_count']}, or write captions that have words"
        )


def length_histogram(lengths, bin_width=HISTOGRAM_BIN, bar_width=HISTOGRAM_WIDTH):
    """Draws how many descriptions have which length.

    Args:
        lengths: list of int, words of each description.
        bin_width: int, lengths that share a bar.
        bar_width: int, characters of the longest bar.

    Returns:
        list of str, a line a bin.
    """
    bins = Counter(length // bin_width for length in lengths)
    highest = max(bins.values())
    lines = []
    for number in range(max(bins) + 1):
        count = bins[number]
        # Rounded up: a bin that holds anything shows at least one mark.
        bar = "#" * -(-count * bar_width // highest)
        first, last = number * bin_width, (number + 1) * bin_width - 1
        lines.append(f"  {first:3d} to {last:3d} words  {count:7,d}  {bar}")
    return lines


def summarize_photos(data, captions, splits):
    """Describes which photos have captions, which are in which split, and which have a file.

    Args:
        data: pathlib.Path of the data folder.
        captions: dict of str -> list of str, as read.
        splits: dict of str -> list of str: split -> identifiers of its photos.

    Returns:
        str of several lines.
    """
    elsewhere = captions.keys() - {name for names in splits.values() for name in names}
    lines = [
        f"photos with captions   {len(captions):9,d}   {len(elsewhere):,d} of them in no split"
    ]
    for split, names in splits.items():
        missing = len(set(names) - captions.keys())
        lines.append(
            f"  {split:5s} split          {len(names):9,d}"
            f"   {missing:,d} photos without captions left out"
        )
    if (data / PHOTOS).is_dir():
        walk = os.walk(data / PHOTOS)
        names = [name for _, _, names in walk for name in names if not name.startswith(".")]
        found = {photo_id(name) for name in names}
        lines += [
            f"  without a file       {len(captions.keys() - found):9,d}",
            f"files without captions {len(found - captions.keys()):9,d}   in {data / PHOTOS}",
        ]
    return "\n".join(lines)


def summarize(captions, descriptions, splits, vocabulary):
    """Describes the cleaned captions for a person to read.

    Args:
        captions: dict of str -> list of str, as read.
        descriptions: dict of str -> list of list of str, cleaned.
        splits: dict of str -> list of str: split -> identifiers of its photos.
        vocabulary: Vocabulary.

    Returns:
        str of several lines.
    """
    before = Counter(
        word for texts in captions.values() for text in texts for word in text.lower().split()
    )
    flat = [words for texts in descriptions.values() for words in texts]
    after = Counter(word for words in flat for word in words)
    training = descriptions_of(splits["train"], descriptions)
    encoded = [len(vocabulary.encode(words)) for words in training]
    common = [word for word in vocabulary.words if word not in MARKERS]
    lines = [
        f"descriptions           {len(flat):9,d}"
        f"   {sum(not words for words in flat):,d} of them empty after cleaning",
        f"words before cleaning  {before.total():9,d}   {len(before):,d} different ones",
        f"words after cleaning   {after.total():9,d}   {len(after):,d} different ones",
        "training split",
        f"  descriptions         {len(training):9,d}",
        f"  vocabulary           {vocabulary.size:9,d} ids: {len(vocabulary.words):,d} words with "
        f"{START_WORD} and {END_WORD}, and padding",
        f"  longest description  {vocabulary.maximum_length:9,d} words with the two markers",
        f"  examples             {sum(encoded) - len(encoded):9,d}"
        "   (photo, words so far) -> next word",
        "lengths of all descriptions, after cleaning",
        *length_histogram([len(words) for words in flat]),
        f"commonest words: {', '.join(common[:COMMON_WORDS])}",
    ]
    return "\n".join(lines)


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    for flag, kind, default, text in (
        ("--min-word-length", positive_integer, MIN_WORD_LENGTH, "drop words of fewer letters"),
        (
            "--min-word-count",
            positive_integer,
            MIN_WORD_COUNT,
            "leave rarer words of the training split out of the vocabulary",
        ),
        ("--seed", seed_number, SEED, "of the random split, where there are no split files"),
    ):
        parser.add_argument(flag, type=kind, default=default, metavar="N", help=text)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Reads, cleans, writes, and prints the summary."""
    options = parse_arguments(arguments)
    data = options.data
    if data.exists() and not data.is_dir():
        raise UserError(f"{data} is no folder: name with --data the one that holds {CAPTIONS}")
    captions, file_names = read_captions_file(data)
    descriptions = clean_captions(captions, options.min_word_length)
    splits, drawn = find_splits(data, captions, HELD_OUT, options.seed)
    training = descriptions_of(splits["train"], descriptions)
    vocabulary = build_vocabulary(training, options.min_word_length, options.min_word_count)
    check_words(data, vocabulary)

    # Nothing is written before everything is checked. The vocabulary comes last: it tells by their
    # digests whether the other files are those that it belongs to.
    if drawn:
        write_splits(data, splits, file_names)
    write_descriptions(data, descriptions)
    vocabulary = dataclasses.replace(vocabulary, sources=digest_sources(data))
    write_vocabulary(data, vocabulary)
    print(summarize_photos(data, captions, splits))
    print(summarize(captions, descriptions, splits, vocabulary))
    if drawn:
        print(
            f"no split files were there: split the photos at random with seed {options.seed} and "
            f"wrote {', '.join(str(data / name) for name in SPLITS.values())}"
        )
    print(f"wrote {data / DESCRIPTIONS} and {data / VOCABULARY}")
    print(
        f"next: python train.py --data {data} (once python prepare_photos.py --data {data} has run "
        "too)"
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
