"""Cleans the captions and makes the vocabulary of the training split.

    python prepare_text.py --data data/flickr8k

Reads   DATA/Flickr8k.token.txt             the captions, name.jpg#k<TAB>caption
        DATA/Flickr_8k.trainImages.txt      the photos of the training split
Writes  DATA/descriptions.txt               the cleaned descriptions, one a line
        DATA/vocabulary.json                the words that the decoder will know
Takes   about a second for the 40,460 captions of Flickr8k.
Next    python train.py, once python prepare_photos.py has run too.
"""

import sys
from collections import Counter
from pathlib import Path

from captioning.captions import read_captions, split_into_words, write_descriptions
from captioning.command_line import DONE, ArgumentParser, UserError, positive_integer, run
from captioning.files import CAPTIONS, DESCRIPTIONS, SPLITS, VOCABULARY
from captioning.splits import read_split
from captioning.vocabulary import END_WORD, START_WORD, Vocabulary, write_vocabulary

# Where things are.
DATA = Path("data/flickr8k")  # holds the captions and the split files; the results go there

# Cleaning.
MIN_WORD_LENGTH = 2  # shorter words are dropped: "a", and what punctuation leaves of "'s"
MIN_WORD_COUNT = 1  # rarer words of the training split are left out of the vocabulary

# The printed summary.
COMMON_WORDS = 10  # how many of the commonest words are shown
HISTOGRAM_BIN = 3  # lengths, in words, that share a bar of the histogram
HISTOGRAM_WIDTH = 40  # characters of the longest bar


def clean_caption(caption, min_word_length=MIN_WORD_LENGTH):
    """Reduces a caption to the words that the decoder is trained on.

    Args:
        caption: str, as people wrote it.
        min_word_length: int, letters of the shortest word kept.

    Returns:
        list of str: lower-case words without punctuation, those too short or not purely
        alphabetic left out.
    """
    words = split_into_words(caption)
    return [word for word in words if len(word) >= min_word_length and word.isalpha()]


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
        word
        for word, count in counts.most_common()
        if count >= min_word_count or word in (START_WORD, END_WORD)
    ]
    maximum_length = 2 + max(len(set_words) for set_words in descriptions)
    cleaning = {"min_word_length": min_word_length, "min_word_count": min_word_count}
    return Vocabulary(tuple(words), maximum_length, cleaning)


def training_descriptions(data, descriptions):
    """Picks the descriptions of the training split.

    Args:
        data: pathlib.Path of the data folder.
        descriptions: dict of str -> list of list of str, all descriptions.

    Returns:
        tuple of list of list of str, and int: the descriptions, and the number of photos of the
        split that have none.

    Raises:
        UserError: if no photo of the split has a description.
    """
    identifiers = read_split(data, "train")
    found = [identifier for identifier in identifiers if identifier in descriptions]
    if not found:
        raise UserError(
            f"{data / SPLITS['train']} names no photo of {data / CAPTIONS}: put names of captioned "
            f"photos there, then run python prepare_text.py --data {data}"
        )
    picked = [words for identifier in found for words in descriptions[identifier]]
    return picked, len(identifiers) - len(found)


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


def summarize(captions, descriptions, training, missing, vocabulary):
    """Describes the cleaned captions for a person to read.

    Args:
        captions: dict of str -> list of str, as read.
        descriptions: dict of str -> list of list of str, cleaned.
        training: list of list of str, the descriptions of the training split.
        missing: int, photos of the training split without captions.
        vocabulary: Vocabulary.

    Returns:
        str of several lines.
    """
    before = Counter(
        word for texts in captions.values() for text in texts for word in text.lower().split()
    )
    flat = [words for texts in descriptions.values() for words in texts]
    after = Counter(word for words in flat for word in words)
    encoded = [len(vocabulary.encode(words)) for words in training]
    common = [word for word in vocabulary.words if word not in (START_WORD, END_WORD)]
    lines = [
        f"photos with captions   {len(captions):9,d}",
        f"descriptions           {len(flat):9,d}"
        f"   {sum(not words for words in flat):,d} of them empty after cleaning",
        f"words before cleaning  {before.total():9,d}   {len(before):,d} different ones",
        f"words after cleaning   {after.total():9,d}   {len(after):,d} different ones",
        "training split",
        f"  descriptions         {len(training):9,d}"
        f"   {missing:,d} photos without captions left out",
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
    parser.add_argument(
        "--min-word-length",
        type=positive_integer,
        default=MIN_WORD_LENGTH,
        metavar="N",
        help="drop words of fewer letters",
    )
    parser.add_argument(
        "--min-word-count",
        type=positive_integer,
        default=MIN_WORD_COUNT,
        metavar="N",
        help="leave rarer words of the training split out of the vocabulary",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Reads, cleans, writes, and prints the summary."""
    options = parse_arguments(arguments)
    captions = read_captions(options.data)
    descriptions = clean_captions(captions, options.min_word_length)
    training, missing = training_descriptions(options.data, descriptions)
    vocabulary = build_vocabulary(training, options.min_word_length, options.min_word_count)
    write_descriptions(options.data, descriptions)
    write_vocabulary(options.data, vocabulary)
    print(summarize(captions, descriptions, training, missing, vocabulary))
    print(f"wrote {options.data / DESCRIPTIONS} and {options.data / VOCABULARY}")
    print(
        f"next: python train.py --data {options.data} (once python prepare_photos.py "
        f"--data {options.data} has run too)"
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
