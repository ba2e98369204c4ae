"""Tells of what kind a captions file is, and reads its rows."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from captioning.cli import one_line
from captioning.old import OWN_FILES
from captioning.text.caption_tables import PHOTO_NAME, KindError, find_layout, table_rows
from captioning.text.text_files import read_lines

# What a message says of a file that is of no kind.
KINDS = (
    "name.jpg#0<TAB>caption, CSV or TSV with photos and captions, results.csv of Kaggle's "
    "Flickr30k, Karpathy's dataset_*.json, COCO's captions_*.json, or photos with a .txt beside "
    "each"
)

# What files call the splits; restval is what COCO's validation photos left for training.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "restval": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
}

# Characters of a line that a message quotes.
_QUOTED_CHARACTERS = 60

# Identifiers of COCO's images are numbers, or texts in other people's files.
_IDENTIFIER = (int, str)

# Type of a value of a JSON file -> what a message says where it is another.
_NEEDED = {str: "not a text", list: "not a list", _IDENTIFIER: "not a number or text"}

_TABLES = {",": "CSV", ";": "CSV with semicolons", "\t": "TSV"}

_OFFICIAL = re.compile(r"[^\t]+#\s*[0-9]+\s*\t")
_RESULTS_HEADER = re.compile(r"image_name\s*\|\s*comment_number\s*\|\s*comment\s*")
# One row of that file lacks the second bar.
_RESULTS_ROW = re.compile(r"([^|]+)\|\s*([0-9]+)\s*\|?(.*)")


class Row(NamedTuple):
    """One caption of a photo."""

    place: str  # such as `line 3`
    name: str  # of the photo's file; empty where the row has another form
    caption: str
    number: Any = None  # what the file numbers it with
    split: str | None = None  # a value of SPLIT_NAMES


@dataclass(frozen=True)
class Kind:
    """The kind of a captions file."""

    name: str
    form: str  # what a row is expected to be
    rows: Iterator[Row]  # raises `KindError` at a row that cannot be read


def open_captions(place: Path, photo_column: str = "", caption_column: str = "") -> Kind | None:
    """Returns the kind of a captions file or folder with its rows, or None if it is blank.

    The columns are those of a table, by header or number, where they have been named.

    Raises:
        KindError: if it is of no known kind.
        UserError: if it is no text.
    """
    if place.is_dir():
        return _open_folder(place)
    first = next((line for line in read_lines(place) if line.strip()), None)
    if first is None:
        return None
    if place.suffix.lower() == ".json":
        return _open_json("\n".join(read_lines(place)))
    if not (photo_column or caption_column):
        if _OFFICIAL.match(first):
            form = "name.jpg#0<TAB>caption"
            return Kind(f"the official form, {form}", form, _official_rows(read_lines(place)))
        if _RESULTS_HEADER.fullmatch(first):
            form = "name.jpg| 0| caption"
            return Kind("Kaggle's Flickr30k, results.csv", form, _results_rows(read_lines(place)))
    return _open_table(list(read_lines(place)), first, photo_column, caption_column)


def _official_rows(lines: Iterable[str]) -> Iterator[Row]:
    for line_number, line in enumerate(lines, start=1):
        if line.strip():
            photo, tab, caption = line.partition("\t")
            name, _, number = photo.rpartition("#")
            is_official = tab and number.strip().isdecimal()
            name = name.rstrip() if is_official else ""
            yield Row(f"line {line_number}", name, caption, number)


def _results_rows(lines: Iterable[str]) -> Iterator[Row]:
    for line_number, line in enumerate(lines, start=1):
        if not line.strip() or _RESULTS_HEADER.fullmatch(line):
            continue
        found = _RESULTS_ROW.fullmatch(line)
        name, number, caption = found.groups() if found else ("", "", "")
        yield Row(f"line {line_number}", name.strip(), caption.strip(), number)


def _open_table(lines: Sequence[str], first: str, photo_column: str, caption_column: str) -> Kind:
    try:
        layout = find_layout(lines, photo_column, caption_column)
    except KindError as error:
        if photo_column or caption_column:
            raise
        raise _unknown(first, f" (as a table it {error})") from error
    name = f"{_TABLES[layout.delimiter]}, {layout.columns}"
    if layout.header == ["image", "caption"]:
        name = f"Kaggle's Flickr8k, {name}"

    def rows() -> Iterator[Row]:
        for number, cells in table_rows(lines, layout):
            place, split = f"line {number}", None
            if layout.split is not None:
                split = _known_split(place, cells[layout.split])
            caption = _in_one_line(cells[layout.caption])
            yield Row(place, cells[layout.photo].strip(), caption, split=split)

    return Kind(name, "a photo and its caption", rows())


def _unknown(start: str, more: str = "") -> KindError:
    quoted = one_line(start[:_QUOTED_CHARACTERS]) + "…" * (len(start) > _QUOTED_CHARACTERS)
    return KindError(f"begins with {quoted!r}, which is none of the known kinds{more}: {KINDS}")


def _in_one_line(caption: str) -> str:
    return caption.replace("\n", " ").strip()


def _known_split(place: str, name: Any) -> str:
    split = SPLIT_NAMES.get(name.strip().lower()) if isinstance(name, str) else None
    if split is None:
        known = ", ".join(SPLIT_NAMES)
        raise KindError(f"{place} is in the split {name!r:.40}, which is none of {known}")
    return split


def _open_folder(folder: Path) -> Kind:
    texts, photos = [], {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            if PHOTO_NAME.fullmatch(path.name):
                photos.setdefault(path.with_suffix(""), path)
            elif path.suffix.lower() == ".txt" and path.name not in OWN_FILES and path.is_file():
                texts.append(path)
    pairs = [
        (photos[path.with_suffix("")], path) for path in texts if path.with_suffix("") in photos
    ]
    name = "photos with a .txt beside each"
    if len(pairs) < len(texts):
        name += f"; left out: {len(texts) - len(pairs):,d} .txt without a photo"

    def rows() -> Iterator[Row]:
        for photo, text in pairs:
            # With its folder, since two folders may have a photo of the same name.
            photo_name, text_name = (str(path.relative_to(folder)) for path in (photo, text))
            for number, line in enumerate(read_lines(text), start=1):
                if line.strip():
                    yield Row(f"{text_name} line {number}", photo_name, line.strip())

    return Kind(name, "a caption", rows())


def _open_json(text: str) -> Kind:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise KindError(f"line {error.lineno} is not JSON ({error.msg})") from error
    except RecursionError as error:
        raise KindError("is not JSON of captions: it is nested too deep") from error
    except ValueError as error:
        raise KindError(f"is not JSON of captions ({error})") from error
    images = content.get("images") if isinstance(content, dict) else None
    if isinstance(images, list) and isinstance(content.get("annotations"), list):
        rows = _coco_rows(images, content["annotations"])
        return Kind("COCO's captions", "a caption of an image", rows)
    if isinstance(images, list):
        return Kind("Karpathy's JSON", "a photo with captions", _karpathy_rows(images))
    raise _unknown(text.lstrip().split("\n", 1)[0])


def _value(record: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    """Returns a value of a record; `place` names the record in the message if it has none."""
    if not isinstance(record, dict) or key not in record:
        raise KindError(f"{place} has no {key}")
    if not isinstance(record[key], kind):
        raise KindError(f"{place} has {json.dumps(record[key]):.40} as its {key}, {_NEEDED[kind]}")
    return record[key]


def _coco_rows(images: list, annotations: list) -> Iterator[Row]:
    names = {}
    for number, image in enumerate(images, start=1):
        key = _value(image, "id", _IDENTIFIER, f"image {number}")
        if key in names:
            raise KindError(f"image {number} has the id {key!r:.40} of an earlier image")
        names[key] = _value(image, "file_name", str, f"image {number}")
    for number, annotation in enumerate(annotations, start=1):
        place = f"annotation {number}"
        caption = _value(annotation, "caption", str, place)
        key = _value(annotation, "image_id", _IDENTIFIER, place)
        if key not in names:
            raise KindError(f"{place} is of the image {key!r:.40}, which images does not have")
        # Two people may write the same; what has the same number too is there twice.
        yield Row(place, names[key], _in_one_line(caption), str(annotation.get("id", number)))


def _karpathy_rows(images: list) -> Iterator[Row]:
    for number, image in enumerate(images, start=1):
        place = f"image {number}"
        name = _value(image, "filename", str, place)
        split = _known_split(place, image["split"]) if "split" in image else None
        for sentence_number, sentence in enumerate(_value(image, "sentences", list, place)):
            raw = _value(sentence, "raw", str, f"{place}, sentence {sentence_number + 1},")
            yield Row(place, name, _in_one_line(raw), sentence_number, split)
