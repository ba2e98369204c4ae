"""Tells of what kind a captions file is, and reads its rows.

To add a kind, write its reader, and the line of `open_captions` that calls it. Any other file is
taken for a table.
"""

import csv
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from captioning.cli import UserError, counted
from captioning.photos.listing import PhotoNames
from captioning.photos.reading import is_photo_name
from captioning.text.generated import find_texts

# Names of columns and keys, in lower case and without signs: `file_name`, `File Name` and
# `fileName` are `filename`. The first that is there counts; all captions of one name, with numbers
# after it or without, count. To read those of another data set, add them.
PHOTO_NAMES = (
    *("filename", "imagefilename", "imagefile", "file", "imagename", "imgname", "photoname"),
    *("imagepath", "imgpath", "photopath", "filepath", "path", "image", "img", "photo", "picture"),
    *("imageid", "imgid", "photoid", "key", "url", "imageurl", "id"),
)
CAPTION_NAMES = (
    *("caption", "captions", "captiontext", "text", "texts", "sentence", "sentences"),
    *("sentencesraw", "raw", "comment", "comments", "description", "descriptions", "report"),
)
SPLIT_COLUMNS = ("split", "subset", "partition", "set")

# What files call the splits; restval is what COCO's validation photos left for training.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn", "restval"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class KindError(Exception):
    """A captions file, or a row of it, of no known kind; the message goes on after its name."""


class Row(NamedTuple):
    """A photo with its captions, or with one of them."""

    where: str  # such as `line 3`
    name: str  # of the photo's file
    captions: Any  # as `texts_in` takes them
    split: str | None = None  # as the file calls it


def open_captions(
    path: Path, photos: PhotoNames, wanted: Sequence[str]
) -> tuple[str, Iterator[Row]]:
    """Tells the kind of a captions file or folder, and opens its rows.

    `wanted` are the columns of photos and captions that a user named: headers, keys or numbers, or
    empty. Raises `KindError` if it is of no known kind, and `UserError` if it is no text.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        return _open_texts(path, photos)
    if ending in (".json", ".jsonl", ".ndjson", ".parquet"):
        return _open_records(path, wanted)
    lines = list(read_lines(path))
    first = next((line for line in lines if line.strip()), "")
    if _OFFICIAL_LINE.fullmatch(first):
        return _OFFICIAL, _official_rows(lines)
    return _open_table(lines, first, wanted)


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
    names = [cell.strip() for cell in cells]
    photos = [k for k, name in enumerate(names, start=1) if is_photo_name(name)]
    if photos:
        # There is no header. Of two columns the other one is of captions.
        if len(names) == 2 and not any(wanted):
            wanted = (str(photos[0]), str(3 - photos[0]))
        names = [f"column {k}" for k, _ in enumerate(names, start=1)]
    else:
        # Blank lines are passed over.
        lines[lines.index(first)] = ""
    rows = _table_rows(lines, found[0], len(names))
    return _take_columns(_SEPARATORS[found[0]], names, rows, wanted)


def _table_rows(lines: Iterable[str], mark: str, width: int) -> Iterator[tuple[str, list[str]]]:
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
            yield where, cells
    except csv.Error as error:
        rule = "a quote must be closed, and stand twice within quotes"
        raise KindError(f"line {end + 1} is no row of a table ({error}): {rule}") from error


# ---- Records: JSON, JSON Lines, Parquet ----


def _open_records(path: Path, wanted: Sequence[str]) -> tuple[str, Iterator[Row]]:
    kind = "Parquet" if path.suffix.lower() == ".parquet" else "JSON"
    try:
        records = list(enumerate(_records_in(_read_records(path))))
    except ImportError as error:
        raise KindError("is a Parquet file, which needs python -m pip install pyarrow") from error
    # Of damaged files, and of what is nested too deep.
    except (ValueError, RecursionError) as error:
        raise KindError(f"cannot be read as {kind} ({error})") from error
    # VizWiz has captions that its makers rejected.
    kept = [(number, record) for number, record in records if not record.get("is_rejected")]
    if len(kept) < len(records):
        kind += f" without {counted(len(records) - len(kept), 'rejected caption')}"
    if not kept:
        return f"{kind} without captions", iter(())
    names = list(dict.fromkeys(chain.from_iterable(record for _, record in kept)))
    rows = ((f"record {number}", [*map(record.get, names)]) for number, record in kept)
    return _take_columns(kind, names, rows, wanted)


def _read_records(path: Path) -> Any:
    content = path.read_bytes()
    if path.suffix.lower() == ".parquet":
        from pyarrow import BufferReader, parquet

        return parquet.read_table(BufferReader(content)).to_pylist()
    text = content.removeprefix(b"\xef\xbb\xbf")
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
            return [{**x, "split": key} for key, part in content.items() for x in _records_in(part)]
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


def _open_texts(folder: Path, photos: PhotoNames) -> tuple[str, Iterator[Row]]:
    texts = find_texts(folder, photos)
    if len({*texts.values()}) < len(texts):
        raise KindError("has two texts of some photos, of which --captions FOLDER may name one")
    rows = (
        # A photo's folder may tell its split.
        Row(f"{text.relative_to(folder)} line {number}", str(photo), line)
        for text, photo in texts.items()
        for number, line in enumerate(read_lines(text), start=1)
        if line.strip()
    )
    return "photos with a text each", rows


# ---- Columns of tables, keys of records ----


def _take_columns(
    kind: str,
    names: Sequence[str],
    rows: Iterable[tuple[str, Sequence[Any]]],
    wanted: Sequence[str],
) -> tuple[str, Iterator[Row]]:
    """Takes photo, captions and split out of rows of cells, by the names of their columns.

    Returns them after what the file is taken for. `wanted` are columns as `open_captions` has them.
    Of two columns the one without captions is of photos.
    Raises `KindError`, which names the columns, if one is not there.
    """
    photos, captions = (
        [k for k, name in enumerate(names) if own.lower() in (name.lower(), str(k + 1))]
        if own
        else first_there(tuple(names), usual)
        for own, usual in zip(wanted, (PHOTO_NAMES, CAPTION_NAMES), strict=True)
    )
    if not photos and not wanted[0] and len(names) == 2 and len(captions) == 1:
        photos = [1 - captions[0]]
    if not photos or not set(captions) - set(photos):
        shown = ", ".join(map(repr, names[:20]))
        what = "captions, such as caption" if photos else "photos, such as file_name or image"
        rule = "of which --photo-column and --caption-column may name them"
        raise KindError(f"has no column or key of {what}: {shown}, {rule}")
    splits = first_there(tuple(names), SPLIT_COLUMNS)
    taken = (
        Row(
            where,
            _file_name(cells[photos[0]]),
            cells[captions[0]] if len(captions) == 1 else [cells[k] for k in captions],
            str(cells[splits[0]]) if splits else None,
        )
        for where, cells in rows
    )
    of_captions = ", ".join(names[k] for k in captions)
    return f"{kind}, photos in {names[photos[0]]}, captions in {of_captions}", taken


# Records of a file have the same keys again and again.
@functools.lru_cache
def first_there(names: tuple[str, ...], usual: tuple[str, ...]) -> tuple[int, ...]:
    """Returns the indices of the first of the usual names that is there, numbered or not."""
    plain = [re.sub(r"[\W_]|[0-9]+$", "", name.lower()) for name in names]
    first = next((name for name in usual if name in plain), None)
    return tuple(k for k, name in enumerate(plain) if name == first)


def _file_name(value: Any) -> str:
    # Other programs have the one photo of a record in a list, or its path with its pixels.
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    value = value.get("path") if isinstance(value, dict) else value
    return str(value).strip() if isinstance(value, str | int) else ""
