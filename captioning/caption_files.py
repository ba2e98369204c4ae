"""What generate.py writes while it captions: a table that grows, and a text beside each photo.

The table is a CSV file with a row a photo. Two columns tell whether a row still holds: `made_of`,
the size and the time of the photo's file, and `made_by`, the model and the settings.
"""

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from captioning.captioner import PHOTOS_TOGETHER, Captioner, PhotoCaption
from captioning.cli import UserError, counted, one_line
from captioning.files import CAPTIONER
from captioning.photos.listing import file_stamp
from captioning.photos.reading import PhotoError
from captioning.storage import append_text, cell_of, digest_of_file, locked, write_text
from captioning.text.generated import write_texts

# What is written of each caption.
_OF_CAPTION = ("caption", "confidence", "unsure")


class CaptionTable:
    """A CSV file of captions that grows batch by batch.

    So it is not written whole or not at all: a kill leaves whole rows, and at most an unfinished
    last one, which is cut when the next run opens it. The rows of photos that changed go then too.
    """

    def __init__(self, path: Path, photos: Sequence[Path], run: str, count: int):
        self.path, self._run = path, run
        numbered = [f"{name}_{k}" for k in range(2, count + 1) for name in _OF_CAPTION]
        self._columns = ["photo", *_OF_CAPTION, *numbered, "made_of", "made_by"]
        # As they are now: one that changes while it is captioned is captioned again.
        self._made_of = {_cell(photo): file_stamp(photo) for photo in photos}
        content = path.read_bytes() if path.exists() else b""
        rows = {row[0]: row for row in self._read(content)}
        kept = {x: row for x, row in rows.items() if self._made_of.get(x, row[-2]) == row[-2]}
        self.captions = {photo: kept[_cell(photo)][1] for photo in photos if _cell(photo) in kept}
        text = _csv([self._columns, *kept.values()])
        if text.encode() != content:
            write_text(path, text)

    def append(self, captioned: Mapping[Path, dict[str, Any]]) -> None:
        """Adds what `make_row` made of photos that have no row, and flushes it."""
        rows = []
        for photo, row in captioned.items():
            captions = row.get("captions", [row])
            cells = [_cell(photo), *(cell_of(each[x]) for each in captions for x in _OF_CAPTION)]
            # A beam may end with fewer captions.
            cells += [""] * (len(self._columns) - 2 - len(cells))
            rows.append([*cells, self._made_of[cells[0]], self._run])
        append_text(self.path, _csv(rows))

    def _read(self, content: bytes) -> list[list[str]]:
        """Reads the whole rows; raises `UserError` if they are not of a run like this one."""
        rows, last = [], len(self._columns) - 1
        if is_own := content.startswith(_csv([self._columns]).encode()):
            # A row is a line.
            lines = content[: content.rfind(b"\n")].decode(errors="replace").splitlines()
            rows = [row for line in lines[1:] for row in csv.reader([line])]
            is_own = all(row[last:] == [self._run] for row in rows)
        if content and not is_own:
            what = f"is not all by this command and {self._run}"
            raise UserError(f"{self.path} {what}: remove it, or name another with --csv")
        return rows


def _cell(photo: Path) -> str:
    return cell_of(one_line(str(photo)))


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def decoding_of(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the options of `Captioner.caption_all`."""
    names = ("beam", "consensus", "count", "no_repeat_ngram_size", "batch_size")
    return {name: getattr(options, name) for name in names}


def run_stamp(models: Iterable[Path], options: argparse.Namespace) -> str:
    """Tells models, by digests of their files, and the settings that change captions."""
    digests = "+".join(digest_of_file(folder / CAPTIONER)[:12] for folder in models)
    settings = decoding_of(options) | {"sentences": options.sentences, "batch_size": None}
    in_force = [f"{name} {value}" for name, value in settings.items() if value]
    return "; ".join([f"model {digests}", *in_force])


def make_row(
    photo: Path, result: PhotoCaption | PhotoError, options: argparse.Namespace
) -> dict[str, Any]:
    """Returns what is written of a photo: its caption, or several of them, or the error."""
    row = {"photo": str(photo)}
    if isinstance(result, PhotoError):
        return {**row, "error": str(result)}
    captions = [
        {
            "caption": each.sentence if options.sentences else each.text,
            "confidence": round(each.confidence, 4),
            "unsure": each.is_unsure,
        }
        for each in (result, *result.others)
    ]
    row |= captions[0]
    return {**row, "captions": captions} if options.count > 1 else row


def caption_photos(
    captioner: Captioner, photos: Sequence[Path], options: argparse.Namespace
) -> Iterator[tuple[Path, PhotoCaption | PhotoError, dict[str, Any]]]:
    """Captions photos into the files that options name: those that the table lacks, or all.

    Yields each with its caption or error, and what `make_row` made of it, once that is written.
    """
    path, table, there, written, left_alone = options.csv, None, {}, 0, 0
    lock = locked(path.parent, "generate.py", f".lock-{path.name}") if path else nullcontext()
    with lock:
        if path:
            table = CaptionTable(path, photos, run_stamp(captioner.folders, options), options.count)
            there = table.captions
        if there:
            counts = f"{len(there):,d} of {counted(len(photos), 'photo')}"
            print(f"{path} had the captions of {counts}", file=sys.stderr)
        if options.txt:
            left_alone += write_texts(there)
        # A page needs more than the table has.
        wanted = [photo for photo in photos if options.html or photo not in there]
        results = captioner.caption_all(wanted, **decoding_of(options))
        while batch := list(islice(results, PHOTOS_TOGETHER)):
            rows = [(*item, make_row(*item, options)) for item in batch]
            new = {x: row for x, _, row in rows if "error" not in row and x not in there}
            written += len(new)
            # What a person reads is on the disk.
            if table:
                table.append(new)
            if options.txt:
                left_alone += write_texts({photo: row["caption"] for photo, row in new.items()})
            yield from rows
    if path and written:
        print(f"wrote {path}", file=sys.stderr)
    if left_alone:
        what = "texts beside photos that are not generate.py's, left as they are"
        print(f"{what}: {left_alone:,d}", file=sys.stderr)
