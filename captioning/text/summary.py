"""What is printed of captions once they are cleaned: counts, lengths and the commonest words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from captioning.cli import counted, one_line, wrapped
from captioning.files import photo_id
from captioning.photos.listing import find_photos
from captioning.text.vocabulary import END_TOKEN, START_TOKEN, PreparedText

COMMON_WORDS = 10  # how many of the commonest words are shown

# The share of captions that look damaged at which that is said, and how many of them are shown. Of
# the official captions of Flickr8k 1 in 5,000 is cut short.
DAMAGED_SHARE = 0.05
DAMAGED_SHOWN = 3


def summarize(text: PreparedText, folders: Sequence[Path]) -> str:
    """Describes photos, splits, the captions before and after cleaning, and the training split.

    Photos without a file are left out where the folders hold none at all.
    """
    captioned = text.captions.keys()
    elsewhere = captioned - set(chain.from_iterable(text.splits.values()))
    none = f"{len(elsewhere):,d} of them in no split"
    lines = [_line("photos with captions", len(captioned), none)]
    for split, photos in text.splits.items():
        missing = counted(len(set(photos) - captioned), "photo")
        lines.append(_line(f"  {split} split", len(photos), f"{missing} without captions left out"))
    paths = chain.from_iterable(find_photos(folder) for folder in folders)
    if files := {photo_id(path.name) for path in paths}:
        lines.append(_line("  without a file", len(captioned - files)))
        places = f"in {' and '.join(map(str, folders))}"
        lines.append(_line("files without captions", len(files - captioned), places))
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
    lines += [
        _line("descriptions", len(flat), f"{flat.count([]):,d} of them empty after cleaning"),
        _line("words before cleaning", before.total(), f"{len(before):,d} different ones"),
        _line("words after cleaning", after.total(), f"{len(after):,d} different ones"),
        "training split",
        _line("  descriptions", len(training)),
        _line("  vocabulary", vocabulary.size, known),
        _line("  longest description", vocabulary.maximum_length, f"words {tokens}"),
        _line("  examples", examples, "(photo, words so far) -> next word"),
        wrapped(one_line(f"commonest words: {', '.join(common[:COMMON_WORDS])}")),
    ]
    return "\n".join(lines)


def _line(label: str, count: int, explanation: str = "") -> str:
    """Puts labels, counts and explanations below each other; a long explanation goes on below."""
    begin = f"{label:23s}{count:9,d}   "
    return wrapped(begin + explanation, indent=" " * len(begin))


def warn_of_cleaning(
    captions: Mapping[str, Sequence[str]], descriptions: Mapping[str, Sequence[Sequence[str]]]
) -> str:
    """Returns a warning with examples if the cleaning has left little of many captions, or ""."""
    written, cleaned = (list(chain.from_iterable(x.values())) for x in (captions, descriptions))
    pairs = zip(written, cleaned, strict=True)
    damaged = [f"  {one_line(a)} -> {' '.join(b)}" for a, b in pairs if _is_cut_short(a, b)]
    if len(damaged) < DAMAGED_SHARE * len(written):
        return ""
    share = f"{len(damaged):,d} of {counted(len(written), 'caption')}"
    what = f"warning: {share} are left with no word or less than half of theirs"
    remedy = "  name their language with --language, such as --language fr, or keep short words "
    return "\n".join([what, *damaged[:DAMAGED_SHOWN], wrapped(f"{remedy}with --min-word-length 1")])


def _is_cut_short(caption: str, words: Sequence[str]) -> bool:
    tokens = sum(any(map(str.isalpha, token)) for token in caption.split())
    return not words or 2 * len(words) < tokens
