"""What is printed of captions once they are cleaned: counts, lengths and the commonest words."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from itertools import chain
from pathlib import Path

from captioning.cli import UserError, counted, one_line, quoted, wrapped
from captioning.files import photo_id
from captioning.photos.listing import PhotoNames
from captioning.text.vocabulary import END_TOKEN, START_TOKEN, PreparedText
from captioning.text.words import numbers_in

COMMON_WORDS = 10  # how many of the commonest words are shown

# The share of captions that look damaged, or lose a word with a digit, from which on that is said,
# and how many of the damaged ones are shown. Of the official captions of Flickr8k 1 in 5,000 is cut
# short, and 1 in 250 loses such a word.
DAMAGED_SHARE = 0.05
DAMAGED_SHOWN = 3

# The share of photos with captions that have a file, below which that is said, and what else may
# be in a name that makes it another than the photo's.
PHOTOS_SHARE = 0.5
_DIFFERENCES = {
    "by a folder": lambda name: name.rpartition("/")[2],
    "in upper and lower case": str.lower,
    "by leading zeros": lambda name: name.lstrip("0"),
    "by an address": lambda name: photo_id(name.partition("?")[0]),
    "by a prefix": lambda name: re.split(r"[-_. ]", name)[-1].lstrip("0"),
    "by an ending": lambda name: re.split(r"[-_. ]", name)[0],
}


def summarize(text: PreparedText, files: Set[str], folders: Sequence[Path]) -> str:
    """Describes photos, splits, the captions before and after cleaning, and the training split.

    `files` are the ids of the photos in the folders; where there are none, nothing is said of them.
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


def warn_of_cleaning(cleaned: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Returns a warning with examples if little is left of many captions, or "".

    `cleaned` is each caption as it was written, with its words.
    """
    damaged = [f"  {one_line(a)} -> {' '.join(b)}" for a, b in cleaned if _is_cut_short(a, b)]
    if len(damaged) < DAMAGED_SHARE * len(cleaned):
        return ""
    share = f"{len(damaged):,d} of {counted(len(cleaned), 'caption')}"
    what = f"warning: {share} are left with no word or less than half of theirs"
    remedy = "  name their language with --language, such as --language fr, or keep short words "
    return "\n".join([what, *damaged[:DAMAGED_SHOWN], wrapped(f"{remedy}with --min-word-length 1")])


def warn_of_numbers(cleaned: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Returns a warning if many captions have numbers, which their words lack, or ""."""
    found = Counter((tuple(words), tuple(numbers_in(caption))) for caption, words in cleaned)
    count = sum(number for (_, numbers), number in found.items() if numbers)
    if count <= DAMAGED_SHARE * len(cleaned):
        return ""
    versions = Counter(words for words, _ in found)
    equal = sum(number for (words, _), number in found.items() if versions[words] > 1)
    return wrapped(
        f"warning: {count:,d} of {counted(len(cleaned), 'caption')} lose a word with a digit, by "
        f"which {equal:,d} become equal to others: KEEP_NUMBERS, --keep-numbers, keeps them"
    )


def check_photo_names(data: Path, names: Mapping[str, str], photos: PhotoNames) -> str:
    """Returns a warning if few of the photos with captions have a file, or "".

    `names` is photo id -> as the captions file has it. Where there are no files at all, they may be
    elsewhere. Raises `UserError` if none of the files is of a photo with captions.
    """
    found = len(names.keys() & photos.files.keys())
    if not photos.files or found >= PHOTOS_SHARE * len(names):
        return ""
    what = f"{found:,d} of {counted(len(names), 'photo')} with captions have a file"
    lacking, others = sorted(names.keys() - photos.files), sorted(photos.files.keys() - names)
    if others:
        name, file, difference = _most_alike(lacking, others)
        file += photos.files[file].suffix
        what += f": the captions name {names[name]!r}, and a file is {file!r}{difference}"
    if found:
        return wrapped(f"warning: {what}")
    rule = "name them alike, or the folders of the photos with --photos"
    raise UserError(f"{what}; {rule}, then run python prepare_text.py --data {quoted(data)} again")


def _most_alike(names: Sequence[str], files: Sequence[str]) -> tuple[str, str, str]:
    """Returns a name and a file that differ in one of the usual ways, and in which."""
    for difference, form in _DIFFERENCES.items():
        of_files = {form(file): file for file in reversed(files)}
        for name in names:
            if form(name) in of_files:
                return name, of_files[form(name)], f", which differ {difference}"
    return names[0], files[0], ""


def _is_cut_short(caption: str, words: Sequence[str]) -> bool:
    tokens = sum(any(map(str.isalpha, token)) for token in caption.split())
    return not words or 2 * len(words) < tokens
