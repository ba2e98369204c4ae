"""What is printed of captions once they are cleaned: counts, lengths and the commonest words."""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from captioning.caption_tables import PHOTO_NAME
from captioning.cli import counted, line_width, wrapped
from captioning.files import photo_id
from captioning.vocabulary import END_TOKEN, START_TOKEN, Vocabulary

COMMON_WORDS = 10  # how many of the commonest words are shown
HISTOGRAM_BIN = 3  # lengths, in words, that share a bar of the histogram
HISTOGRAM_WIDTH = 40  # characters of the longest bar, where the line is long enough


def summarize_photos(
    folders: Sequence[Path], captions: dict[str, list[str]], splits: dict[str, list[str]]
) -> str:
    """Describes which photos have captions, which are in which split, and which have a file.

    The last is left out where the folders hold no photos.
    """
    elsewhere = captions.keys() - {photo for photos in splits.values() for photo in photos}
    rows = [("photos with captions", len(captions), f"{len(elsewhere):,d} of them in no split")]
    for split, photos in splits.items():
        missing = counted(len(set(photos) - captions.keys()), "photo")
        rows.append((f"  {split} split", len(photos), f"{missing} without captions left out"))
    walk = chain.from_iterable(map(os.walk, folders))
    names = [name for _, _, names in walk for name in names if PHOTO_NAME.fullmatch(name)]
    found = {photo_id(name) for name in names if not name.startswith(".")}
    if found:
        places = " and ".join(map(str, folders))
        rows += [
            ("  without a file", len(captions.keys() - found), ""),
            ("files without captions", len(found - captions.keys()), f"in {places}"),
        ]
    return "\n".join(_line(*row) for row in rows)


def summarize_text(
    captions: dict[str, list[str]],
    descriptions: dict[str, list[list[str]]],
    training: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
) -> str:
    """Describes the captions before and after cleaning, and the training split."""
    before = Counter(
        word for texts in captions.values() for text in texts for word in text.lower().split()
    )
    flat = [words for texts in descriptions.values() for words in texts]
    after = Counter(word for words in flat for word in words)
    # Each token after the first is to be predicted.
    examples = sum(len(vocabulary.tokenize(words)) - 1 for words in training)
    common = [word for word in vocabulary.words if word not in (START_TOKEN, END_TOKEN)]
    empty = sum(not words for words in flat)
    tokens = f"with {START_TOKEN} and {END_TOKEN}"
    lines = [
        _line("descriptions", len(flat), f"{empty:,d} of them empty after cleaning"),
        _line("words before cleaning", before.total(), f"{len(before):,d} different ones"),
        _line("words after cleaning", after.total(), f"{len(after):,d} different ones"),
        "training split",
        _line("  descriptions", len(training)),
        _line(
            "  vocabulary",
            vocabulary.size,
            f"token ids: padding, and {len(vocabulary.words):,d} words {tokens}",
        ),
        _line("  longest description", vocabulary.maximum_length, f"words {tokens}"),
        _line("  examples", examples, "(photo, words so far) -> next word"),
        "lengths of all descriptions, after cleaning",
        *length_histogram([len(words) for words in flat]),
        wrapped(f"commonest words: {', '.join(common[:COMMON_WORDS])}"),
    ]
    return "\n".join(lines)


def _line(label: str, count: int, explanation: str = "") -> str:
    """Puts labels, counts and explanations below each other; a long explanation goes on below."""
    begin = f"{label:23s}{count:9,d}   "
    return wrapped(begin + explanation, indent=" " * len(begin))


def length_histogram(
    lengths: Sequence[int], bin_width: int = HISTOGRAM_BIN, bar_width: int = HISTOGRAM_WIDTH
) -> list[str]:
    """Draws how many descriptions have which length in words, a line a bin."""
    bins = Counter(length // bin_width for length in lengths)
    highest = max(bins.values())
    lines = []
    for number in range(max(bins) + 1):
        count = bins[number]
        first, last = number * bin_width, (number + 1) * bin_width - 1
        begin = f"  {first:3d} to {last:3d} words  {count:7,d}  "
        # Rounded up: a bin that holds anything shows at least one mark.
        longest = min(bar_width, line_width() - len(begin))
        lines.append(begin + "#" * -(-count * longest // highest))
    return lines
