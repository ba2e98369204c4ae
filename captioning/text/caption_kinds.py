"""Tells of what kind a captions file is, and reads its rows.

To add a kind, write a function that yields its rows, and a line of `_KINDS_OF_LINES` or of
`_KINDS_OF_JSON`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from captioning.cli import one_line
from captioning.files import DESCRIPTIONS, SPLITS
from captioning.photos.listing import find_photos
from captioning.text.caption_rows import KindError, Row, fault_of_text, in_one_line, read_lines
from captioning.text.caption_tables import open_table

# What a message says of a file that is of no kind, and how much of the file it quotes.
_KNOWN = (
    "name.jpg#0<TAB>caption, CSV or TSV with photos and captions, results.csv of Kaggle's "
    "Flickr30k, Karpathy's dataset_*.json, COCO's captions_*.json, or photos with a .txt beside "
    "each"
)
_QUOTED_CHARACTERS = 60

# Name of a kind, and its rows, at which a `KindError` is raised if one cannot be read.
Captions = tuple[str, Iterator[Row]]


def open_captions(path: Path, columns: Sequence[str] = ("", "")) -> Captions | None:
    """Tells the kind of a captions file or folder; None if it is blank.

    `columns` of a table, of photos and captions, are headers or numbers, empty where not named.

    Raises:
        KindError: if it is of no known kind.
        UserError: if it is no text.
    """
    if path.is_dir():
        return _open_folder(path)
    lines = list(read_lines(path))
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return None
    if path.suffix.lower() == ".json":
        return _open_json("\n".join(lines), first)
    for header, name, row, form in () if any(columns) else _KINDS_OF_LINES:
        if re.match(header, first):
            return name, _line_rows(lines, header, row, form)
    try:
        return open_table(lines, first, columns)
    except KindError as error:
        raise error if any(columns) else _unknown(first, f" (as a table it {error})") from error


def _unknown(start: str, more: str = "") -> KindError:
    quoted = one_line(start[:_QUOTED_CHARACTERS]) + "…" * (len(start) > _QUOTED_CHARACTERS)
    return KindError(f"begins with {quoted!r}, which is none of the known kinds{more}: {_KNOWN}")


# ---- A caption a line ----

# How the file begins, the kind's name, and a row: as a pattern (photo, number, caption) and as a
# message has it. One row of results.csv lacks the second bar.
_KINDS_OF_LINES = (
    (
        r"[^\t]+#\s*[0-9]+\s*\t",
        "the official form, name.jpg#0<TAB>caption",
        r"([^\t]+)#\s*([0-9]+)\s*\t(.*)",
        "name.jpg#0<TAB>caption",
    ),
    (
        r"image_name\s*\|\s*comment_number\s*\|\s*comment\s*$",
        "Kaggle's Flickr30k, results.csv",
        r"([^|]+)\|\s*([0-9]+)\s*\|?\s*(.*\S|)\s*",
        "name.jpg| 0| caption",
    ),
)


def _line_rows(lines: Sequence[str], header: str, pattern: str, form: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        found = re.fullmatch(pattern, line)
        if found and (name := found[1].rstrip()):
            yield Row(f"line {number}", name, found[3], found[2])
        elif line.strip() and not re.match(header, line):
            raise KindError(f"line {number} is not {form}")


# ---- JSON ----


def _karpathy_rows(content: dict[str, Any]) -> Iterator[Row]:
    for number, image in enumerate(content["images"], start=1):
        place = f"image {number}"
        name = _value(image, "filename", str, place)
        split = _value(image, "split", str, place) if "split" in image else None
        for key, sentence in enumerate(_value(image, "sentences", list, place)):
            caption = in_one_line(_value(sentence, "raw", str, f"a sentence of {place}"))
            yield Row(place, name, caption, key, split)


def _coco_rows(content: dict[str, Any]) -> Iterator[Row]:
    names: dict[Any, str] = {}
    for number, image in enumerate(content["images"], start=1):
        place = f"image {number}"
        key = _value(image, "id", (int, str), place)
        if key in names:
            raise KindError(f"{place} has the id {key!r:.40} of an earlier image")
        names[key] = _value(image, "file_name", str, place)
    for number, annotation in enumerate(content["annotations"], start=1):
        place = f"annotation {number}"
        caption = _value(annotation, "caption", str, place)
        key = _value(annotation, "image_id", (int, str), place)
        if key not in names:
            raise KindError(f"{place} is of the image {key!r:.40}, which images does not have")
        # Two people may write the same; what has the same id too is there twice.
        yield Row(place, names[key], in_one_line(caption), str(annotation.get("id", number)))


def _value(record: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    """Returns a value of a record; `place` names the record in the message if it has none."""
    if not isinstance(record, dict) or key not in record:
        raise KindError(f"{place} has no {key}")
    value = record[key]
    if not isinstance(value, kind):
        raise KindError(f"{place} has {json.dumps(value):.40} as its {key}, which cannot be right")
    if fault := fault_of_text(value) if isinstance(value, str) else "":
        raise KindError(f"{place}: {key} {fault}")
    return value


# The lists that tell the kind, its name, and the function that yields its rows.
_KINDS_OF_JSON = (
    (("images", "annotations"), "COCO's captions", _coco_rows),
    (("images",), "Karpathy's JSON", _karpathy_rows),
)


def _open_json(text: str, first: str) -> Captions:
    try:
        content = json.loads(text)
    # Of damaged files, of numbers of thousands of digits, and of what is nested too deep.
    except (ValueError, RecursionError) as error:
        raise KindError(f"is not JSON ({error})") from error
    for keys, name, rows_of in _KINDS_OF_JSON:
        if isinstance(content, dict) and all(isinstance(content.get(key), list) for key in keys):
            return name, rows_of(content)
    raise _unknown(first)


# ---- Photos with a text beside each ----


def find_texts(folder: Path) -> tuple[dict[Path, Path], int]:
    """Returns each .txt below a folder with the photo of its name, and how many have no photo."""
    others: Counter[str] = Counter()
    photos = find_photos(folder, left_out=others)
    # Of two photos of one name the first.
    found = {photo.with_suffix(".txt"): photo for photo in reversed(photos)}
    pairs = {text: found[text] for text in sorted(found) if text.is_file()}
    own = sum((folder / name).is_file() for name in (DESCRIPTIONS, *SPLITS.values()))
    return pairs, others[".txt"] - len(pairs) - own


def _open_folder(folder: Path) -> Captions:
    pairs, left_out = find_texts(folder)
    more = f"; left out: {left_out:,d} .txt without a photo" if left_out > 0 else ""
    return f"photos with a .txt beside each{more}", _text_rows(folder, pairs)


def _text_rows(folder: Path, pairs: dict[Path, Path]) -> Iterator[Row]:
    for pair in pairs.items():
        # With its folder, since two folders may have a photo of the same name.
        text, photo = (str(path.relative_to(folder)) for path in pair)
        for number, line in enumerate(read_lines(pair[0]), start=1):
            if line.strip():
                yield Row(f"{text} line {number}", photo, line.strip())
