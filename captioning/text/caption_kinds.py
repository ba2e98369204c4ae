"""Tells of what kind a captions file is, and reads its rows.

To add a kind, write its reader, and the line of `open_captions` that calls it. Any other file is
taken for a table.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from captioning.cli import UserError
from captioning.photos.listing import PhotoNames
from captioning.photos.reading import is_photo_name
from captioning.text.caption_rows import (
    CAPTION_NAMES,
    SPLIT_NAMES,
    Columns,
    KindError,
    Row,
    find_columns,
)
from captioning.text.generated import find_generated


def open_captions(
    path: Path, photos: PhotoNames, columns: Sequence[str]
) -> tuple[str, Iterator[Row]]:
    """Tells the kind of a captions file or folder, and opens its rows.

    `columns`, of photos and captions, are headers, keys or numbers, empty where not named.

    Raises:
        KindError: if it is of no known kind.
        UserError: if it is no text.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        return _open_texts(path, photos)
    if ending in (".json", ".jsonl", ".ndjson", ".parquet"):
        return _open_records(path, columns)
    lines = list(read_lines(path))
    first = next((line for line in lines if line.strip()), "")
    if _OFFICIAL_LINE.fullmatch(first):
        return _OFFICIAL, _official_rows(lines)
    return _open_table(lines, first, columns)


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


# ---- A caption a line ----

_OFFICIAL = "the official form, name.jpg#0<TAB>caption"
_OFFICIAL_LINE = re.compile(r"([^\t]+)#\s*[0-9]+\s*\t(.*)")


def _official_rows(lines: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if found := _OFFICIAL_LINE.fullmatch(line):
            yield Row(f"line {number}", found[1].rstrip(), found[2])
        elif line.strip():
            raise KindError(f"line {number} is not of {_OFFICIAL}")


# ---- Tables ----

_SEPARATORS = {"\t": "TSV", ";": "CSV with semicolons", "|": "CSV with bars", ",": "CSV"}

# Of Kaggle's Flickr30k one row lacks its second bar.
_BAR_MISSING = re.compile(r"([^|]+\|\s*[0-9]+)(\s[^|]*)")


def _open_table(lines: list[str], first: str, wanted: Sequence[str]) -> tuple[str, Iterator[Row]]:
    # A caption may hold those that separate columns elsewhere, but seldom a tab.
    found = re.search("\t", first) or re.search("[;|,]", first)
    if not found:
        known = "name.jpg#0<TAB>caption, JSON, or CSV or TSV with a header"
        raise KindError(f"begins with {first[:60]!r}, which is of no known kind: {known}")
    # More than any row of headers has, and no more than the reader takes as one cell.
    cells = next(csv.reader([first[:10_000]], delimiter=found[0]))
    header = [cell.strip() for cell in cells]
    photos = [k for k, cell in enumerate(header) if is_photo_name(cell)]
    if len(header) == 2 and len(photos) == 1 and wanted == ("", ""):
        columns = Columns(photos[0], [1 - photos[0]])
    else:
        columns = find_columns(header, wanted)
    # Columns that are named by number may have no header.
    if photos or header[columns.photo].isdecimal():
        header = [f"column {number + 1}" for number in range(len(header))]
    else:
        # Blank lines are passed over.
        lines[lines.index(first)] = ""
    what = f"{_SEPARATORS[found[0]]}, {columns.describe(header)}"
    return what, _table_rows(lines, found[0], len(header), columns)


def _table_rows(lines: Sequence[str], mark: str, width: int, columns: Columns) -> Iterator[Row]:
    # Quotes are meant as quotes in commas' company; in many a TSV they are part of the text.
    lines = (_BAR_MISSING.sub(r"\1|\2", line) if mark == "|" else line for line in lines)
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=mark, strict=mark != "\t")
    end = 0
    try:
        for cells in reader:
            where, end = f"line {end + 1}", reader.line_num
            if not any(map(str.strip, cells)):
                continue
            below = (line for cell in cells for line in cell.split("\n")[1:])
            if any(is_photo_name(part.strip('" ')) for line in below for part in line.split(mark)):
                raise KindError(f"{where} opens a quote that is not closed before the next photo")
            if len(cells) != width:
                rule = "a caption that holds the sign between them must stand in quotes"
                raise KindError(f"{where} has {len(cells)} columns, the first row {width}: {rule}")
            yield columns.row(where, cells)
    except csv.Error as error:
        rule = "a quote must be closed, and stand twice within quotes"
        raise KindError(f"line {end + 1} is no row of a table ({error}): {rule}") from error


# ---- Records: JSON, JSON Lines, Parquet ----


def _open_records(path: Path, wanted: Sequence[str]) -> tuple[str, Iterator[Row]]:
    kind = "Parquet" if path.suffix.lower() == ".parquet" else "JSON"
    try:
        records = _records_in(_read_records(path))
    except ImportError as error:
        raise KindError("is a Parquet file, which needs python -m pip install pyarrow") from error
    # Of damaged files, and of what is nested too deep.
    except (ValueError, RecursionError) as error:
        raise KindError(f"cannot be read as {kind} ({error})") from error
    if not records:
        return f"{kind} without captions", iter(())
    names = list(dict.fromkeys(chain.from_iterable(records)))
    columns = find_columns(names, wanted)
    # VizWiz has captions that its makers rejected.
    count = sum(bool(record.get("is_rejected")) for record in records)
    rejected = f", {count:,d} rejected ones left out" if count else ""
    rows = (
        columns.row(f"record {number}", [record.get(name) for name in names])
        for number, record in enumerate(records)
        if not record.get("is_rejected")
    )
    return f"{kind}, {columns.describe(names)}{rejected}", rows


def _read_records(path: Path) -> Any:
    if path.suffix.lower() == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pylist()
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    # A record a line, whatever the file is called.
    is_lines = path.suffix.lower() != ".json" or re.match(rb"\s*\{.*\}\s*\n\s*\{", text)
    decoder = msgspec.json.Decoder()
    return decoder.decode_lines(text) if is_lines else decoder.decode(text)


def _records_in(content: Any) -> list[dict[str, Any]]:
    """Finds the records of photos: in a list, under a key, under one for each split, or by name."""
    if _are_records(content):
        return content
    if isinstance(content, dict):
        images = content.get("images")
        if isinstance(images, list) and "annotations" in content:
            return _records_of_coco(images, content["annotations"])
        # COCO's photos for the test have no captions.
        if images and _are_records(images) and {"id", "file_name"} <= images[0].keys():
            return [] if images[0].keys().isdisjoint(CAPTION_NAMES) else images
        if all(key.lower() in SPLIT_NAMES for key in content):
            parts = {key: _records_in(part) for key, part in content.items()}
            return [{**record, "split": key} for key, part in parts.items() for record in part]
        lists = [value for value in content.values() if value and _are_records(value)]
        if len(lists) == 1:
            return lists[0]
        if all(isinstance(value, str | list | dict) for value in content.values()):
            records = (x if isinstance(x, dict) else {"caption": x} for x in content.values())
            return [{**x, "image": name} for name, x in zip(content, records, strict=True)]
    shown = ", ".join(map(repr, [*content][:20])) if isinstance(content, dict) else repr(content)
    raise KindError(f"has no list of records, and no names of photos with captions: {shown:.200}")


def _are_records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _records_of_coco(images: list[Any], annotations: Any) -> list[dict[str, Any]]:
    """Gives each annotation the file name of its image."""
    try:
        names = {image["id"]: image["file_name"] for image in images}
        records = [{**record, "file_name": names[record["image_id"]]} for record in annotations]
    except (KeyError, TypeError) as error:
        fault = "has an image without id or file_name, or an annotation of none of the images"
        raise KindError(f"{fault} ({error})") from error
    return records


# ---- Photos with a text each ----

# kohya's programs write .caption.
_TEXTS = (".caption", ".txt")


def find_texts(folder: Path, photos: PhotoNames) -> tuple[dict[Path, Path], int]:
    """Returns each text below a folder with the photo of its name, beside it or elsewhere.

    Those that generate.py wrote are left out, and counted.
    """
    texts = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _TEXTS]
    ids = {text: photos.id_of(str(text.with_suffix("")), text) for text in texts}
    found = {text: photos.files[photo] for text, photo in ids.items() if photo in photos.files}
    generated = find_generated(found)
    return {text: photo for text, photo in found.items() if text not in generated}, len(generated)


def _open_texts(folder: Path, photos: PhotoNames) -> tuple[str, Iterator[Row]]:
    texts, generated = find_texts(folder, photos)
    if generated and not texts:
        raise KindError("has no texts but those that generate.py wrote, which teach nothing")
    if len({*texts.values()}) < len(texts):
        raise KindError("has two texts of some photos, of which --captions FOLDER may name one")
    rows = (
        # A photo's folder may tell its split.
        Row(f"{text.relative_to(folder)} line {number}", str(photo), line)
        for text, photo in texts.items()
        for number, line in enumerate(read_lines(text), start=1)
        if line.strip()
    )
    left_out = f", {generated:,d} written by generate.py left out" if generated else ""
    return f"photos with a text each{left_out}", rows
