"""What is printed of captions once they are cleaned: counts, lengths and the commonest words."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from itertools import chain
from pathlib import Path

from captioning.cli import UserError, counted, one_line, quoted, wrapped
from captioning.photos.listing import PhotoNames
from captioning.text.vocabulary import END_TOKEN, START_TOKEN, PreparedText
from captioning.text.words import numbers_in

COMMON_WORDS = 10  # how many of the commonest words are shown

# The share of captions that lose numbers or most of their words, above which that is said, and
# how many of them are shown. Of the official captions of Flickr8k it is 1 in 230.
DAMAGED_SHARE = 0.05
DAMAGED_SHOWN = 3


def summarize(
    text: PreparedText, files: Set[str], folders: Sequence[Path], known: Sequence[str]
) -> str:
    """Describes photos, splits, the captions before and after cleaning, and the training split.

    `files` are the ids of the photos in the folders; where there are none, nothing is said of them.
    `known` are words of a model to start from.
    """
    captioned = text.captions.keys()
    elsewhere = captioned - set(chain.from_iterable(text.splits.values()))
    none = f"{len(elsewhere):,d} of them in no split"
    lines = [_line("photos with captions", len(captioned), none)]
    for split, photos in text.splits.items():
        missing = counted(len(set(photos) - captioned), "photo")
        lines.append(_line(f"  {split} split", len(photos), f"{missing} without captions left out"))
    if files:
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
    words = vocabulary.words[len(known) :]
    common = [word for word in words if word not in (START_TOKEN, END_TOKEN)][:COMMON_WORDS]
    tokens = f"with {START_TOKEN} and {END_TOKEN}"
    token_ids = f"token ids: padding, and {len(vocabulary.words):,d} words {tokens}"
    new = f", {len(words):,d} of them new" if known else ""
    lines += [
        _line("descriptions", len(flat), f"{flat.count([]):,d} of them empty after cleaning"),
        _line("words before cleaning", before.total(), f"{len(before):,d} different ones"),
        _line("words after cleaning", after.total(), f"{len(after):,d} different ones"),
        "training split",
        _line("  descriptions", len(training)),
        _line("  vocabulary", vocabulary.size, token_ids + new),
        _line("  longest description", vocabulary.maximum_length, f"words {tokens}"),
        _line("  examples", examples, "(photo, words so far) -> next word"),
        wrapped(one_line(f"commonest {'new ' if known else ''}words: {', '.join(common) or '-'}")),
    ]
    return "\n".join(lines)


def _line(label: str, count: int, explanation: str = "") -> str:
    """Puts labels, counts and explanations below each other; a long explanation goes on below."""
    begin = f"{label:23s}{count:9,d}   "
    return wrapped(begin + explanation, indent=" " * len(begin))


def warn_of_cleaning(text: PreparedText) -> str:
    """Returns a warning with examples if many captions have lost numbers or most words, or ""."""
    written, words = (chain.from_iterable(x.values()) for x in (text.captions, text.descriptions))
    cleaned = list(zip(written, words, strict=True))
    damaged = [f"  {one_line(a)} -> {' '.join(b)}" for a, b in cleaned if _is_damaged(a, b)]
    if len(damaged) <= DAMAGED_SHARE * len(cleaned):
        return ""
    share = f"{len(damaged):,d} of {counted(len(cleaned), 'caption')}"
    what = f"warning: {share} lose words with digits or more than half of their words"
    remedy = (
        "  --keep-numbers keeps numbers, --language fr (or another) the words of a language, and "
        "--min-word-length 1 short words"
    )
    return "\n".join([wrapped(what), *damaged[:DAMAGED_SHOWN], wrapped(remedy)])


def _is_damaged(caption: str, words: Sequence[str]) -> bool:
    tokens = sum(any(map(str.isalpha, token)) for token in caption.split())
    has_lost_numbers = numbers_in(caption) and not numbers_in(" ".join(words))
    return not words or 2 * len(words) < tokens or bool(has_lost_numbers)


def check_photo_names(data: Path, names: Mapping[str, str], photos: PhotoNames) -> None:
    """Raises `UserError` if there are photos, but none of a photo with captions.

    `names` is photo id -> as the captions file has it.
    """
    if names and photos.files and photos.files.keys().isdisjoint(names):
        file = min(photos.files)
        raise UserError(
            f"none of {counted(len(names), 'photo')} with captions has a file: the captions name "
            f"{names[min(names)]!r}, and a file is {file + photos.files[file].suffix!r}; name them "
            "alike, or the folders of the photos with --photos, then run python prepare_text.py "
            f"--data {quoted(data)} again"
        )
