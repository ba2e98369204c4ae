"""Tells of what kind a captions file is, and reads its rows."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from captioning.caption_tables import PHOTO_NAME, KindError, find_layout, table_rows
from captioning.cli import one_line
from captioning.text_files import read_lines, read_text

# What a message says of a file that is of no kind.
KINDS = (
    "name.jpg#0<TAB>caption (Flickr8k, Flickr30k); CSV or TSV with a column of photos and one of "
    "captions, which --photo-column and --caption-column name; results.csv of Kaggle's Flickr30k; "
    "Karpathy's dataset_*.json; COCO's captions_*.json; a folder of photos with a .txt beside each"
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

_TABLES = {",": "CSV", ";": "CSV with semicolons", "\t": "TSV"}

_OFFICIAL = re.compile(r"[^\t]+#\s*[0-9]+\s*\t")
_RESULTS_HEADER = re.compile(r"image_name\s*\|\s*comment_number\s*\|\s*comment\s*")
# One row of that file lacks the second bar.
_RESULTS_ROW = re.compile(r"([^|]+)\|\s*([0-9]+)\s*\|?(.*)")


class Row(NamedTuple):
    """One caption of a photo."""

    place: int | str  # number of the line or record, or the file and its line
    name: str  # of the photo's file; empty where the row has another form
    caption: str
    number: Any = None  # what the file numbers it with
    split: str | None = None  # a value of SPLIT_NAMES


@dataclass(frozen=True)
class Kind:
    """The kind of a captions file."""

    name: str
    unit: str  # what `Row.place` counts, such as `line`
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
        return Kind("photos with a .txt beside each", "file", "a caption", _folder_rows(place))
    first = next((line for line in read_lines(place) if line.strip()), None)
    if first is None:
        return None
    if first.lstrip()[:1] in ("{", "["):
        return _open_json(read_text(place))
    if not (photo_column or caption_column):
        if _OFFICIAL.match(first):
            form = "name.jpg#0<TAB>caption"
            return Kind(
                f"the official form, {form}", "line", form, _official_rows(read_lines(place))
            )
        if _RESULTS_HEADER.fullmatch(first):
            form = "name.jpg| 0| caption"
            return Kind(
                "Kaggle's Flickr30k, results.csv", "line", form, _results_rows(read_lines(place))
            )
    return _open_table([*read_lines(place)], first, photo_column, caption_column)


def _official_rows(lines: Iterable[str]) -> Iterator[Row]:
    for place, line in enumerate(lines, start=1):
        if line.strip():
            photo, tab, caption = line.partition("\t")
            name, _, number = photo.rpartition("#")
            is_official = tab and number.strip().isdecimal()
            yield Row(place, name.rstrip() if is_official else "", caption, number)


def _results_rows(lines: Iterable[str]) -> Iterator[Row]:
    for place, line in enumerate(lines, start=1):
        if not line.strip() or _RESULTS_HEADER.fullmatch(line):
            continue
        found = _RESULTS_ROW.fullmatch(line)
        name, number, caption = found.groups() if found else ("", "", "")
        yield Row(place, name.strip(), caption.strip(), number)


def _open_table(lines: Sequence[str], first: str, photo_column: str, caption_column: str) -> Kind:
    try:
        layout = find_layout(lines, photo_column, caption_column)
    except KindError as error:
        raise _unknown(first, f"; as a table {error}") from error
    name = f"{_TABLES[layout.delimiter]}, {layout.columns}"
    if layout.header == ["image", "caption"]:
        name = f"Kaggle's Flickr8k, {name}"

    def rows() -> Iterator[Row]:
        for number, cells in table_rows(lines, layout):
            caption = cells[layout.caption].replace("\n", " ").strip()
            has_split = layout.split is not None
            split = _known_split(f"line {number}", cells[layout.split]) if has_split else None
            yield Row(number, cells[layout.photo].strip(), caption, None, split)

    return Kind(name, "line", "a photo and its caption", rows())


def _unknown(start: str, more: str = "") -> KindError:
    quoted = one_line(start[:_QUOTED_CHARACTERS]) + "…" * (len(start) > _QUOTED_CHARACTERS)
    return KindError(f"begins with {quoted!r}, which is of no known kind{more}; known are: {KINDS}")


def _known_split(place: str, name: Any) -> str:
    split = SPLIT_NAMES.get(name.strip().lower()) if isinstance(name, str) else None
    if split is None:
        known = ", ".join(SPLIT_NAMES)
        raise KindError(f"{place} is in the split {name!r:.40}, which is none of {known}")
    return split


def _folder_rows(folder: Path) -> Iterator[Row]:
    files = sorted(path for path in folder.rglob("*") if not path.name.startswith("."))
    photos = {path.with_suffix(""): path for path in files if PHOTO_NAME.fullmatch(path.name)}
    for path in files:
        photo = photos.get(path.with_suffix(""))
        if photo and path.suffix.lower() == ".txt" and path.is_file():
            for number, line in enumerate(read_lines(path), start=1):
                if line.strip():
                    place = f"{path.relative_to(folder)} line {number}"
                    yield Row(place, photo.name, line.strip())


def _open_json(text: str) -> Kind:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise KindError(f"line {error.lineno} is not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        raise KindError(f"is not JSON that can be read ({error})") from error
    images = content.get("images") if isinstance(content, dict) else None
    if isinstance(images, list) and isinstance(content.get("annotations"), list):
        rows = _coco_rows(images, content["annotations"])
        return Kind("COCO's captions", "annotation", "a caption of an image", rows)
    if isinstance(images, list):
        return Kind("Karpathy's JSON", "image", "a photo with captions", _karpathy_rows(images))
    raise _unknown(text.lstrip().split("\n", 1)[0])


def _value(record: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    """Returns a value of a record; `place` names the record in the message if it has none."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise KindError(f"{place} has no {key}")
    return value


def _coco_rows(images: list, annotations: list) -> Iterator[Row]:
    names = {}
    for number, image in enumerate(images, start=1):
        key = _value(image, "id", (int, str), f"image {number}")
        if key in names:
            raise KindError(f"image {number} has the id {key!r:.40} of an earlier image")
        names[key] = _value(image, "file_name", str, f"image {number}")
    for number, annotation in enumerate(annotations, start=1):
        place = f"annotation {number}"
        caption = _value(annotation, "caption", str, place)
        key = _value(annotation, "image_id", (int, str), place)
        if key not in names:
            raise KindError(f"{place} is of the image {key!r:.40}, which images does not have")
        caption = caption.replace("\n", " ").strip()
        yield Row(number, names[key], caption, annotation.get("id", number))


def _karpathy_rows(images: list) -> Iterator[Row]:
    for number, image in enumerate(images, start=1):
        place = f"image {number}"
        name = _value(image, "filename", str, place)
        split = _known_split(place, image["split"]) if "split" in image else None
        for sentence_number, sentence in enumerate(_value(image, "sentences", list, place)):
            raw = _value(sentence, "raw", str, f"{place}, sentence {sentence_number + 1},")
            yield Row(number, name, raw.replace("\n", " ").strip(), sentence_number, split)
