"""What is printed of captions once they are cleaned: counts, lengths and the commonest words."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from captioning.files import PHOTOS, photo_id
from captioning.vocabulary import END_TOKEN, START_TOKEN, Vocabulary

COMMON_WORDS = 10  # how many of the commonest words are shown
HISTOGRAM_BIN = 3  # lengths, in words, that share a bar of the histogram
HISTOGRAM_WIDTH = 40  # characters of the longest bar


def summarize_photos(
    data: Path, captions: dict[str, list[str]], splits: dict[str, list[str]]
) -> str:
    """Describes which photos have captions, which are in which split, and which have a file."""
    elsewhere = captions.keys() - {photo for photos in splits.values() for photo in photos}
    lines = [
        f"photos with captions   {len(captions):9,d}   {len(elsewhere):,d} of them in no split"
    ]
    for split, photos in splits.items():
        missing = f"{len(set(photos) - captions.keys()):,d} photos without captions left out"
        lines.append(f"  {split:5s} split          {len(photos):9,d}   {missing}")
    if (data / PHOTOS).is_dir():
        walk = os.walk(data / PHOTOS)
        names = [name for _, _, names in walk for name in names if not name.startswith(".")]
        found = {photo_id(name) for name in names}
        lines += [
            f"  without a file       {len(captions.keys() - found):9,d}",
            f"files without captions {len(found - captions.keys()):9,d}   in {data / PHOTOS}",
        ]
    return "\n".join(lines)


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
    lines = [
        f"descriptions           {len(flat):9,d}"
        f"   {sum(not words for words in flat):,d} of them empty after cleaning",
        f"words before cleaning  {before.total():9,d}   {len(before):,d} different ones",
        f"words after cleaning   {after.total():9,d}   {len(after):,d} different ones",
        "training split",
        f"  descriptions         {len(training):9,d}",
        f"  vocabulary           {vocabulary.size:9,d} token ids: {len(vocabulary.words):,d} words "
        f"with {START_TOKEN} and {END_TOKEN}, and padding",
        f"  longest description  {vocabulary.maximum_length:9,d} words with {START_TOKEN} and "
        f"{END_TOKEN}",
        f"  examples             {examples:9,d}   (photo, words so far) -> next word",
        "lengths of all descriptions, after cleaning",
        *length_histogram([len(words) for words in flat]),
        f"commonest words: {', '.join(common[:COMMON_WORDS])}",
    ]
    return "\n".join(lines)


def length_histogram(
    lengths: Sequence[int], bin_width: int = HISTOGRAM_BIN, bar_width: int = HISTOGRAM_WIDTH
) -> list[str]:
    """Draws how many descriptions have which length in words, a line a bin."""
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
