"""Captions in CSV and TSV tables: which columns they are in, and the cells of these."""

import csv
from collections.abc import Iterator, Sequence

from captioning.photos.reading import is_photo_name
from captioning.text.caption_rows import KindError, Row, in_one_line

# Headers by which the columns of photos and of captions are told, in lower case.
PHOTO_HEADERS = (
    *("file", "file_name", "filename", "image", "image_file", "image_filename", "image_id"),
    *("image_name", "image_path", "img", "path", "photo", "photo_name"),
)
CAPTION_HEADERS = ("caption", "captions", "comment", "description", "raw", "sentence", "text")
SPLIT_HEADER = "split"

_KINDS = {"\t": "TSV", ";": "CSV with semicolons", ",": "CSV"}


def open_table(lines: Sequence[str], first: str, named: Sequence[str]) -> tuple[str, Iterator[Row]]:
    """Returns what a table is taken for, from its first row, and its rows.

    Raises:
        KindError: if the columns of photos and captions cannot be told.
    """
    fault = "has no two columns"
    for mark, kind in _KINDS.items():
        header = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=mark))]
        photo, caption = _find_columns(header, named)
        if photo is not None and caption is not None and photo != caption:
            # Without a header the first row has a photo's name or number.
            has_header = not any(map(is_photo_name, header)) and not header[photo].isdecimal()
            titles = [header[k] if has_header else str(k + 1) for k in (photo, caption)]
            rows = _table_rows(lines, mark, (photo, caption), header if has_header else [])
            return f"{kind}, columns {titles[0]} and {titles[1]}", rows
        if len(header) > 1:
            fault = f"has the columns {', '.join(map(repr, header))}: name those of photos and "
            fault += "captions with --photo-column and --caption-column, by header or number"
    raise KindError(fault)


def _find_columns(header: Sequence[str], named: Sequence[str]) -> list[int | None]:
    """Finds the columns that are named, or told by headers, or, of two, by a photo's name."""
    found: list[int | None] = []
    for name, known in zip(named, (PHOTO_HEADERS, CAPTION_HEADERS), strict=True):
        wanted = [name.lower()] if name else known
        columns = [k for k, cell in enumerate(header) if cell in wanted or name == str(k + 1)]
        found.append(columns[0] if len(columns) == 1 else None)
    if len(header) == 2:
        of_names = [k for k, cell in enumerate(header) if is_photo_name(cell)]
        if found[0] is None and len(of_names) == 1 and not named[0]:
            found[0] = of_names[0]
        for this, other in ((0, 1), (1, 0)):
            if found[this] is None and found[other] is not None and not named[this]:
                found[this] = 1 - found[other]
    return found


def _table_rows(
    lines: Sequence[str], mark: str, columns: Sequence[int], header: Sequence[str]
) -> Iterator[Row]:
    # Quotes are meant as quotes in commas' company; in many a TSV they are part of the text.
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=mark, strict=mark != "\t")
    split = header.index(SPLIT_HEADER) if SPLIT_HEADER in header else None
    width, start = 0, 1
    while True:
        place = f"line {start}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            rule = "a quote must be closed, and stand twice within quotes"
            raise KindError(f"{place} is no row of a table ({error}): {rule}") from error
        if cells is None:
            return
        start = reader.line_num + 1
        if not any(map(str.strip, cells)):
            continue
        below = (line for cell in cells for line in cell.split("\n")[1:])
        if any(is_photo_name(part.strip('" ')) for line in below for part in line.split(mark)):
            raise KindError(f"{place} opens a quote that is not closed before the next photo")
        if len(cells) != (width or len(cells)):
            rule = "a caption that holds the sign between them must stand in quotes"
            raise KindError(f"{place} has {len(cells)} columns, the first {width}: {rule}")
        is_header, width = bool(header) and not width, len(cells)
        if not is_header:
            photo, caption = (cells[column] for column in columns)
            of_split = None if split is None else cells[split]
            yield Row(place, photo.strip(), in_one_line(caption), split=of_split)
