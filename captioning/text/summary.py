"""What is printed of captions once they are cleaned: counts, lengths and the commonest words."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import regex

from captioning.cli import counted, line_width, one_line, wrapped
from captioning.old import photo_id
from captioning.text.caption_tables import PHOTO_NAME
from captioning.text.languages import ENGLISH, rules_of
from captioning.text.vocabulary import END_TOKEN, START_TOKEN, Vocabulary

COMMON_WORDS = 10  # how many of the commonest words are shown
HISTOGRAM_BIN = 3  # lengths, in words, that share a bar of the histogram
HISTOGRAM_WIDTH = 40  # characters of the longest bar, where the line is long enough

# The share of captions that look damaged at which that is said. Every file holds a few: of the
# official captions of Flickr8k 1 in 5,000 is cut short.
DAMAGED_SHARE = 0.05
DAMAGE_LOOKED_FOR = 50_000  # the most captions that are looked at
DAMAGED_SHOWN = 3  # how many of them are shown
LONGEST_WORD = 30  # a word of more letters that is a whole caption was not split where it should be

# A short word, an apostrophe and a vowel, as in l'école or dell'acqua.
_ELISION = regex.compile(
    r"(?<!\p{L})\p{L}{1,4}['\u2019](?=[aeiouyhàâáäèéêëìíîïòóôöùúûüæœ])\p{L}{2}", regex.IGNORECASE
)

# A word of one letter that is no English one.
_LONE_LETTER = re.compile(r"(?<!\S)[^\W\d_aAI](?!\S)")


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
    found = _ids_of_photos(folders)
    if found:
        places = " and ".join(map(str, folders))
        rows += [
            ("  without a file", len(captions.keys() - found), ""),
            ("files without captions", len(found - captions.keys()), f"in {places}"),
        ]
    return "\n".join(_line(*row) for row in rows)


def _ids_of_photos(folders: Sequence[Path]) -> set[str]:
    found = set()
    for _, below, names in chain.from_iterable(map(os.walk, folders)):
        below[:] = [name for name in below if not name.startswith(".")]
        found.update(
            photo_id(name)
            for name in names
            if not name.startswith(".") and PHOTO_NAME.fullmatch(name)
        )
    return found


def summarize_text(
    captions: dict[str, list[str]],
    descriptions: dict[str, list[list[str]]],
    training: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
) -> str:
    """Describes the captions before and after cleaning, and the training split."""
    all_texts = chain.from_iterable(captions.values())
    before = Counter(chain.from_iterable(text.lower().split() for text in all_texts))
    flat = list(chain.from_iterable(descriptions.values()))
    after = Counter(chain.from_iterable(flat))
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
        wrapped(one_line(f"commonest words: {', '.join(common[:COMMON_WORDS])}")),
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


def doubts_about_cleaning(
    captions: dict[str, list[str]], descriptions: dict[str, list[list[str]]], language: str
) -> list[str]:
    """Says what the cleaning has damaged in many captions, with examples and what may help."""
    pairs = [
        pair
        for photo, texts in captions.items()
        for pair in zip(texts, descriptions[photo], strict=True)
    ]
    # A part of many captions tells as much as all of them.
    pairs = pairs[:: -(-len(pairs) // DAMAGE_LOOKED_FOR)]
    by_language = "name their language with --language, such as --language fr"
    symptoms = [
        (
            _is_cut_short,
            "are left with no word, less than half of theirs, or one that is the whole",
            f"{by_language}, or keep short words with --min-word-length 1",
        )
    ]
    if "'" not in rules_of(language).parting:
        fault = f"have elided words such as l'école, which the language {language} does not part"
        symptoms.append((_is_elided, fault, by_language))
    if language == ENGLISH:
        fault = "have lost a word of one letter that English does not have"
        symptoms.append((_has_lost_a_letter, fault, by_language))
    return [text for symptom in symptoms if (text := _doubt(pairs, *symptom))]


def _doubt(
    pairs: Sequence[tuple[str, list[str]]],
    is_damaged: Callable[[str, list[str]], bool],
    fault: str,
    remedy: str,
) -> str:
    """Returns a doubt about pairs of a caption and its words, or nothing where few are damaged."""
    damaged = [pair for pair in pairs if is_damaged(*pair)]
    if len(damaged) < DAMAGED_SHARE * len(pairs):
        return ""
    first = f"{len(damaged):,d} of {counted(len(pairs), 'caption')} {fault}"
    examples = [f"  {one_line(text)} -> {one_line(' '.join(words))}" for text, words in damaged]
    return "\n".join([first, *examples[:DAMAGED_SHOWN], wrapped(f"  {remedy}")])


def _is_cut_short(caption: str, words: list[str]) -> bool:
    if not words or (len(words) == 1 and len(words[0]) > LONGEST_WORD):
        return True
    tokens = caption.split()
    # Most captions are done with here: what is no letter at all need not be looked for.
    return 2 * len(words) < len(tokens) and 2 * len(words) < sum(
        any(map(str.isalpha, token)) for token in tokens
    )


def _is_elided(caption: str, words: list[str]) -> bool:
    # Most captions have no apostrophe, which is found sooner than a pattern.
    return ("'" in caption or "\u2019" in caption) and _ELISION.search(caption) is not None


def _has_lost_a_letter(caption: str, words: list[str]) -> bool:
    return any(letter.lower() not in words for letter in _LONE_LETTER.findall(caption))
