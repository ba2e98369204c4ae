"""Tells which columns of a CSV or TSV table hold photos and captions, and reads its cells."""

import contextlib
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

# Headers by which columns are told, in lower case.
PHOTO_HEADERS = (
    *("file", "file_name", "filename", "image", "image_file", "image_filename", "image_id"),
    *("image_name", "image_path", "img", "path", "photo", "photo_name"),
)
CAPTION_HEADERS = ("caption", "captions", "comment", "description", "raw", "sentence", "text")
SPLIT_HEADER = "split"

DELIMITERS = ("\t", ";", ",")

# Rows that are looked at where the headers do not tell.
_ROWS_LOOKED_AT = 20

# A column of values with so many words on average holds captions.
_WORDS_OF_CAPTIONS = 3

# Columns that a message names.
_COLUMNS_NAMED = 8

# What `photos.photo_extensions` returns, written out so that nobody waits for Pillow's readers.
_PHOTO_EXTENSIONS = (
    *("apng", "avif", "avifs", "bmp", "gif", "heic", "heics", "heif", "heifs", "hif", "j2c"),
    *("j2k", "jfif", "jp2", "jpc", "jpe", "jpeg", "jpf", "jpg", "jpx", "mpo", "pbm", "pfm"),
    *("pgm", "png", "pnm", "ppm", "tif", "tiff", "webp"),
)
PHOTO_NAME = re.compile(rf".+\.({'|'.join(_PHOTO_EXTENSIONS)})(\.[0-9]+)?\s*", re.IGNORECASE)


class KindError(Exception):
    """A captions file, or a row of it, of no known kind; the message goes on after its name."""


@dataclass(frozen=True)
class Layout:
    """Which columns of a table hold what, counted from 0."""

    delimiter: str
    width: int  # columns of every row
    photo: int
    caption: int
    split: int | None
    header: list[str] | None  # in lower case

    @property
    def columns(self) -> str:
        """Names the columns of photos and captions."""
        if self.header:
            return f"columns {self.header[self.photo]} and {self.header[self.caption]}"
        return f"columns {self.photo + 1} and {self.caption + 1}"


def find_layout(lines: Sequence[str], photo_column: str, caption_column: str) -> Layout:
    """Finds the columns of photos and captions.

    A column that is named, by header or by number from 1, is taken; one that is not is told by its
    header, or else by its values.

    Raises:
        KindError: if they cannot be told.
    """
    fault = KindError("has no two columns")
    for delimiter in DELIMITERS:
        rows = _first_rows(lines, delimiter)
        if rows and len(rows[0]) > 1:
            try:
                return _layout_of(rows, delimiter, photo_column, caption_column)
            except KindError as error:
                fault = error
    raise fault


def _first_rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    rows = []
    # A row that cannot be read is named when all are.
    with contextlib.suppress(csv.Error):
        for row in islice(reader, _ROWS_LOOKED_AT):
            if any(map(str.strip, row)):
                rows.append(row)
    return rows


def _layout_of(
    rows: list[list[str]], delimiter: str, photo_column: str, caption_column: str
) -> Layout:
    header = [cell.strip().lower() for cell in rows[0]]
    if photo_column:
        photo = _named_column(header, photo_column)
    else:
        photo = _told_column(header, PHOTO_HEADERS, rows, _is_of_photos)
    if photo is None:
        raise _no_column("photos", photo_column, "--photo-column", rows[0])
    if caption_column:
        caption = _named_column(header, caption_column)
    elif len(header) == 2:
        caption = 1 - photo
    else:
        caption = _told_column(header, CAPTION_HEADERS, rows, _is_of_captions)
    if caption is None or caption == photo:
        raise _no_column("captions", caption_column, "--caption-column", rows[0])
    # Without a header the first row is a caption like the others.
    known = {*PHOTO_HEADERS, *CAPTION_HEADERS, photo_column.lower(), caption_column.lower()}
    is_header = not PHOTO_NAME.fullmatch(header[photo]) and (
        not known.isdisjoint({header[photo], header[caption]} - {""}) or _is_of_photos(rows, photo)
    )
    split = header.index(SPLIT_HEADER) if is_header and SPLIT_HEADER in header else None
    return Layout(delimiter, len(header), photo, caption, split, header if is_header else None)


def _named_column(header: list[str], name: str) -> int | None:
    if name.isdecimal():
        return int(name) - 1 if 1 <= int(name) <= len(header) else None
    return header.index(name.lower()) if header.count(name.lower()) == 1 else None


def _told_column(
    header: list[str],
    known: Sequence[str],
    rows: list[list[str]],
    holds_them: Callable[[list[list[str]], int], bool],
) -> int | None:
    """Returns the only column with a known header, or else the only one that `holds_them`."""
    by_header = [number for number, name in enumerate(header) if name in known]
    by_values = [number for number in range(len(header)) if holds_them(rows, number)]
    found = by_header if len(by_header) == 1 else by_values
    return found[0] if len(found) == 1 else None


def _values(rows: list[list[str]], column: int) -> list[str]:
    """Returns what is in a column below its header, or above it if there is nothing below."""
    values = [row[column].strip() for row in rows if column < len(row)]
    return values[1:] or values


def _is_of_photos(rows: list[list[str]], column: int) -> bool:
    return all(map(PHOTO_NAME.fullmatch, _values(rows, column)))


def _is_of_captions(rows: list[list[str]], column: int) -> bool:
    values = _values(rows, column)
    return sum(len(value.split()) for value in values) >= _WORDS_OF_CAPTIONS * len(values)


def _no_column(what: str, name: str, flag: str, header: list[str]) -> KindError:
    columns = ", ".join(map(repr, header[:_COLUMNS_NAMED]))
    if name:
        return KindError(f"has the columns {columns}, and {flag} {name!r} is none of them")
    return KindError(f"has the columns {columns}; {flag} must name the one of {what}")


def table_rows(lines: Sequence[str], layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of the first line of each row below the header, and its cells.

    Raises:
        KindError: if a row has other columns than the first, or a quote that is not closed.
    """
    # Quotes are meant as quotes in commas' company; in many a TSV they are part of the text.
    strict = layout.delimiter != "\t"
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=layout.delimiter, strict=strict)
    is_header, start = layout.header is not None, 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise KindError(f"line {start} {_fault_of_row(lines[start - 1])}") from error
        first, start = start, reader.line_num + 1
        if not any(map(str.strip, cells)):
            continue
        if is_header:
            is_header = False
            continue
        _check_row(lines, layout, first, reader.line_num, cells)
        yield first, cells


def _fault_of_row(line: str) -> str:
    """Says why the CSV reader cannot read the row that begins with a line."""
    if '"' not in line:
        return f"has a cell of more than {csv.field_size_limit():,d} characters"
    return "has a quote that is not closed, or that does not stand twice within quotes"


def _check_row(
    lines: Sequence[str], layout: Layout, first: int, last: int, cells: list[str]
) -> None:
    """Raises `KindError` if a row, which its first and last line hold, is damaged."""
    for number in range(first + 1, last + 1):
        begun = lines[number - 1].split(layout.delimiter)
        if len(begun) > layout.photo and PHOTO_NAME.fullmatch(begun[layout.photo].strip('"')):
            raise KindError(f"line {first} opens a quote that is not closed before line {number}")
    if len(cells) != layout.width:
        columns = f"{len(cells)} column{'' if len(cells) == 1 else 's'}"
        mark = {",": "comma", ";": "semicolon", "\t": "tab"}[layout.delimiter]
        raise KindError(
            f"line {first} has {columns}, where the first has {layout.width}; a caption that "
            f"holds a {mark} must stand in quotes"
        )
