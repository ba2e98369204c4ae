"""Tells of what kind a captions file is, and reads its rows.

To add a kind, write its line of `_KINDS_OF_LINES`, or a function that yields its rows and its line
of `_KINDS_OF_JSON`. Any other file is taken for a table.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from captioning.cli import UserError
from captioning.photos.listing import find_photos
from captioning.photos.reading import is_photo_name

# What a message says of a file that is of no kind.
_KNOWN = (
    "name.jpg#0<TAB>caption, results.csv of Kaggle's Flickr30k, Karpathy's dataset_*.json, COCO's "
    "captions_*.json, photos with a .txt beside each, or CSV or TSV with photos and captions, in "
    "columns that --photo-column and --caption-column name by header or number"
)


class KindError(Exception):
    """A captions file, or a row of it, of no known kind; the message goes on after its name."""


class Row(NamedTuple):
    """One caption of a photo."""

    place: str  # such as `line 3`
    name: str  # of the photo's file
    caption: str
    split: Any = None  # as the file calls it


def open_captions(path: Path, columns: Sequence[str] = ("", "")) -> tuple[str, Iterator[Row]]:
    """Tells the kind of a captions file or folder, and opens its rows.

    `columns` of a table, of photos and captions, are headers or numbers, empty where not named.

    Raises:
        KindError: if it is of no known kind.
        UserError: if it is no text.
    """
    if path.is_dir():
        return "photos with a .txt beside each", _text_rows(path)
    if path.suffix.lower() == ".json":
        return _open_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    lines = list(read_lines(path))
    first = next((line for line in lines if line.strip()), "")
    for name, (beginning, row) in _KINDS_OF_LINES.items():
        if re.match(beginning, first):
            return name, _line_rows(lines, name, beginning, row)
    return _open_table(lines, first, columns)


def _unknown(start: str, more: str = "") -> KindError:
    return KindError(f"begins with {start[:60]!r}, which is of no known kind{more}: {_KNOWN}")


def read_lines(path: Path) -> Iterator[str]:
    """Reads a text file line by line, without their ends, which may be of any system.

    Raises `UserError` if the file is not UTF-8, or holds NUL bytes.
    """
    # A byte that is not UTF-8 becomes a lone surrogate.
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if re.search("[\0\ud800-\udfff]", line):
                fault = "is not UTF-8 text: correct the line, or save the file as UTF-8"
                raise UserError(f"{path} line {number} {fault}")
            # A byte-order mark is no part of a name; files that were joined have it further down.
            yield line.removesuffix("\n").removeprefix("\ufeff")


def _in_one_line(caption: str) -> str:
    return re.sub(r"\r\n?|\n", " ", caption).strip()


# ---- A caption a line ----

# Name of a kind, and as patterns how the file begins and a row (photo, caption). One row of
# results.csv lacks the second bar.
_KINDS_OF_LINES = {
    "the official form, name.jpg#0<TAB>caption": (
        r"[^\t]+#\s*[0-9]+\s*\t",
        r"([^\t]+)#\s*[0-9]+\s*\t(.*)",
    ),
    "Kaggle's Flickr30k, name.jpg| 0| caption": (
        r"image_name\s*\|\s*comment_number\s*\|\s*comment\s*$",
        r"([^|]+)\|\s*[0-9]+\s*\|?\s*(.*\S|)\s*",
    ),
}


def _line_rows(lines: Sequence[str], name: str, beginning: str, row: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if found := re.fullmatch(row, line):
            yield Row(f"line {number}", found[1].rstrip(), found[2])
        elif line.strip() and not re.match(beginning, line):
            raise KindError(f"line {number} is not of {name}")


# ---- JSON ----


def _karpathy_rows(content: dict[str, Any]) -> Iterator[Row]:
    for index, image in enumerate(content["images"]):
        place = f"images[{index}]"
        name = _field(image, "filename", str, place)
        for sentence in _field(image, "sentences", list, place):
            caption = _field(sentence, "raw", str, f"a sentence of {place}")
            yield Row(place, name, _in_one_line(caption), image.get("split"))


def _coco_rows(content: dict[str, Any]) -> Iterator[Row]:
    names = {}
    for index, image in enumerate(content["images"]):
        place = f"images[{index}]"
        names[_field(image, "id", (int, str), place)] = _field(image, "file_name", str, place)
    if len(names) < len(content["images"]):
        raise KindError("has two images of the same id")
    for index, annotation in enumerate(content["annotations"]):
        place = f"annotations[{index}]"
        image = _field(annotation, "image_id", (int, str), place)
        if image not in names:
            raise KindError(f"{place} is of the image {image!r:.40}, which images does not have")
        yield Row(place, names[image], _in_one_line(_field(annotation, "caption", str, place)))


def _field(record: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise KindError(f"{place} has no {key}, or none that can be right")
    return value


# Name of a kind, the lists that tell it, and the function that yields its rows.
_KINDS_OF_JSON = (
    ("COCO's captions", ("images", "annotations"), _coco_rows),
    ("Karpathy's JSON", ("images",), _karpathy_rows),
)


def _open_json(text: bytes) -> tuple[str, Iterator[Row]]:
    try:
        content = msgspec.json.decode(text)
    # Of damaged files, and of what is nested too deep.
    except (ValueError, RecursionError) as error:
        raise KindError(f"cannot be read as JSON ({error})") from error
    for name, keys, rows_of in _KINDS_OF_JSON:
        if isinstance(content, dict) and all(isinstance(content.get(key), list) for key in keys):
            return name, rows_of(content)
    raise _unknown(text[:100].decode("utf-8", "replace"))


# ---- Tables ----

# Headers by which the columns of photos and of captions are told, in lower case.
_PHOTO_HEADERS = (
    *("file", "file_name", "filename", "image", "image_file", "image_filename", "image_id"),
    *("image_name", "image_path", "img", "path", "photo", "photo_name"),
)
_CAPTION_HEADERS = ("caption", "captions", "comment", "description", "raw", "sentence", "text")

_SEPARATORS = {"\t": "TSV", ";": "CSV with semicolons", ",": "CSV"}


def _open_table(lines: list[str], first: str, named: Sequence[str]) -> tuple[str, Iterator[Row]]:
    fault = ""
    for mark, kind in _SEPARATORS.items():
        # More than any row of headers has, and no more than the reader takes as one cell.
        cells = next(csv.reader([first[:10_000]], delimiter=mark), [])
        header = [cell.strip().lower() for cell in cells]
        photo, caption = _find_columns(header, named)
        if photo is not None and caption is not None and photo != caption:
            # Without a header the first row has a photo's name or number.
            if not any(map(is_photo_name, header)) and not header[photo].isdecimal():
                # Blank lines are passed over.
                lines[lines.index(first)] = ""
            split = header.index("split") if "split" in header else None
            rows = _table_rows(lines, mark, len(header), (photo, caption, split))
            return f"{kind}, columns {photo + 1} and {caption + 1}", rows
        if len(header) > 1:
            fault = f" (as a table it has the columns {', '.join(map(repr, header))})"
    raise _unknown(first, fault)


def _find_columns(header: Sequence[str], named: Sequence[str]) -> list[int | None]:
    """Finds the columns that are named, or told by headers or by a photo's name."""
    found: list[int | None] = []
    for name, usual in zip(named, (_PHOTO_HEADERS, _CAPTION_HEADERS), strict=True):
        wanted = (name.lower(),) if name else usual
        columns = [k for k, cell in enumerate(header) if cell in wanted or name == str(k + 1)]
        if usual is _PHOTO_HEADERS and not name:
            columns += [k for k, cell in enumerate(header) if is_photo_name(cell)]
        found.append(columns[0] if len(columns) == 1 else None)
    # Of two columns the other is the other.
    for this, other in ((0, 1), (1, 0)):
        if len(header) == 2 and found[this] is None and found[other] is not None:
            found[this] = None if named[this] else 1 - found[other]
    return found


def _table_rows(
    lines: Sequence[str], mark: str, width: int, columns: tuple[int, int, int | None]
) -> Iterator[Row]:
    # Quotes are meant as quotes in commas' company; in many a TSV they are part of the text.
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=mark, strict=mark != "\t")
    (photo, caption, split), end = columns, 0
    try:
        for cells in reader:
            place, end = f"line {end + 1}", reader.line_num
            if not any(map(str.strip, cells)):
                continue
            below = (line for cell in cells for line in cell.split("\n")[1:])
            if any(is_photo_name(part.strip('" ')) for line in below for part in line.split(mark)):
                raise KindError(f"{place} opens a quote that is not closed before the next photo")
            if len(cells) != width:
                rule = "a caption that holds the sign between them must stand in quotes"
                raise KindError(f"{place} has {len(cells)} columns, the first row {width}: {rule}")
            of_split = None if split is None else cells[split]
            yield Row(place, cells[photo].strip(), _in_one_line(cells[caption]), of_split)
    except csv.Error as error:
        rule = "a quote must be closed, and stand twice within quotes"
        raise KindError(f"line {end + 1} is no row of a table ({error}): {rule}") from error


# ---- Photos with a text beside each ----


def find_texts(folder: Path) -> dict[Path, Path]:
    """Returns each .txt below a folder with the photo of its name."""
    photos = {photo.with_suffix(".txt"): photo for photo in find_photos(folder)}
    return {text: photo for text, photo in photos.items() if text.is_file()}


def _text_rows(folder: Path) -> Iterator[Row]:
    for text, photo in find_texts(folder).items():
        for number, line in enumerate(read_lines(text), start=1):
            if line.strip():
                # With its folder, since two folders may have a photo of the same name.
                place = f"{text.relative_to(folder)} line {number}"
                yield Row(place, str(photo.relative_to(folder)), line.strip())
