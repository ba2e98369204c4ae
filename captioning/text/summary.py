"""What is printed of captions once they are cleaned: counts, lengths and the commonest words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from captioning.cli import counted, line_width, one_line, wrapped
from captioning.files import photo_id
from captioning.photos.listing import find_photos
from captioning.text.prepared import PreparedText
from captioning.text.vocabulary import END_TOKEN, START_TOKEN

COMMON_WORDS = 10  # how many of the commonest words are shown
HISTOGRAM_BIN = 3  # lengths, in words, that share a bar of the histogram
HISTOGRAM_WIDTH = 40  # characters of the longest bar, where the line is long enough

# The share of captions that look damaged at which that is said, how many of them are shown, and the
# most letters of a word that is a whole caption: longer, it was not split where it should be. Of
# the official captions of Flickr8k 1 in 5,000 is cut short.
DAMAGED_SHARE = 0.05
DAMAGED_SHOWN = 3
LONGEST_WORD = 30


def summarize_photos(text: PreparedText, folders: Sequence[Path]) -> str:
    """Describes which photos have captions, which are in which split, and which have a file.

    The last is left out where the folders hold no photos.
    """
    captioned = text.captions.keys()
    elsewhere = captioned - set(chain.from_iterable(text.splits.values()))
    rows = [("photos with captions", len(captioned), f"{len(elsewhere):,d} of them in no split")]
    for split, photos in text.splits.items():
        missing = counted(len(set(photos) - captioned), "photo")
        rows.append((f"  {split} split", len(photos), f"{missing} without captions left out"))
    paths = chain.from_iterable(find_photos(folder) for folder in folders)
    if files := {photo_id(path.name) for path in paths}:
        places = f"in {' and '.join(map(str, folders))}"
        rows.append(("  without a file", len(captioned - files), ""))
        rows.append(("files without captions", len(files - captioned), places))
    return "\n".join(_line(*row) for row in rows)


def summarize_text(text: PreparedText) -> str:
    """Describes the captions before and after cleaning, and the training split."""
    vocabulary, descriptions = text.vocabulary, text.descriptions
    written = chain.from_iterable(text.captions.values())
    before = Counter(chain.from_iterable(caption.lower().split() for caption in written))
    flat = list(chain.from_iterable(descriptions.values()))
    after = Counter(chain.from_iterable(flat))
    training = list(chain.from_iterable(descriptions.get(p, []) for p in text.splits["train"]))
    # Each token after the first is to be predicted.
    examples = sum(len(vocabulary.tokenize(words)) - 1 for words in training)
    common = [word for word in vocabulary.words if word not in (START_TOKEN, END_TOKEN)]
    tokens = f"with {START_TOKEN} and {END_TOKEN}"
    known = f"token ids: padding, and {len(vocabulary.words):,d} words {tokens}"
    empty = f"{sum(not words for words in flat):,d} of them empty after cleaning"
    lines = [
        _line("descriptions", len(flat), empty),
        _line("words before cleaning", before.total(), f"{len(before):,d} different ones"),
        _line("words after cleaning", after.total(), f"{len(after):,d} different ones"),
        "training split",
        _line("  descriptions", len(training)),
        _line("  vocabulary", vocabulary.size, known),
        _line("  longest description", vocabulary.maximum_length, f"words {tokens}"),
        _line("  examples", examples, "(photo, words so far) -> next word"),
        "lengths of all descriptions, after cleaning",
        *_histogram([len(words) for words in flat]),
        wrapped(one_line(f"commonest words: {', '.join(common[:COMMON_WORDS])}")),
    ]
    return "\n".join(lines)


def _line(label: str, count: int, explanation: str = "") -> str:
    """Puts labels, counts and explanations below each other; a long explanation goes on below."""
    begin = f"{label:23s}{count:9,d}   "
    return wrapped(begin + explanation, indent=" " * len(begin))


def _histogram(lengths: Sequence[int]) -> list[str]:
    """Shows how many descriptions have which length in words, a line a bin."""
    bins = Counter(length // HISTOGRAM_BIN for length in lengths)
    lines = []
    for first in range(0, (max(bins) + 1) * HISTOGRAM_BIN, HISTOGRAM_BIN):
        count, last = bins[first // HISTOGRAM_BIN], first + HISTOGRAM_BIN - 1
        begin = f"  {first:3d} to {last:3d} words  {count:7,d}  "
        # Rounded up: a bin that holds anything shows at least one mark.
        longest = min(HISTOGRAM_WIDTH, line_width() - len(begin))
        lines.append(begin + "#" * -(-count * longest // max(bins.values())))
    return lines


def warn_of_cleaning(
    captions: Mapping[str, Sequence[str]], descriptions: Mapping[str, Sequence[Sequence[str]]]
) -> str:
    """Returns a warning with examples if the cleaning has left little of many captions, or ""."""
    written, cleaned = (chain.from_iterable(x.values()) for x in (captions, descriptions))
    pairs = list(zip(written, cleaned, strict=True))
    damaged = [pair for pair in pairs if _is_cut_short(*pair)]
    if len(damaged) < DAMAGED_SHARE * len(pairs):
        return ""
    share = f"{len(damaged):,d} of {counted(len(pairs), 'caption')}"
    what = "are left with no word, less than half of theirs, or one that is the whole"
    examples = [f"  {one_line(text)} -> {one_line(' '.join(words))}" for text, words in damaged]
    remedy = "  name their language with --language, such as --language fr, or keep short words "
    remedy = wrapped(f"{remedy}with --min-word-length 1")
    return "\n".join([f"warning: {share} {what}", *examples[:DAMAGED_SHOWN], remedy])


def _is_cut_short(caption: str, words: Sequence[str]) -> bool:
    if not words or (len(words) == 1 and len(words[0]) > LONGEST_WORD):
        return True
    return 2 * len(words) < sum(any(map(str.isalpha, token)) for token in caption.split())
