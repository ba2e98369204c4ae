"""Captions of photos as lines of text, lines of JSON, or a table."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from captioning.captioner import PhotoCaption
from captioning.cli import one_line
from captioning.old import cell_of, write_table

if TYPE_CHECKING:
    import pandas as pd


def text_line(path: Path, caption: PhotoCaption) -> str:
    """Returns path<TAB>caption."""
    return f"{one_line(str(path))}\t{one_line(caption.text)}"


def json_line(path: Path, caption: PhotoCaption) -> str:
    """Returns a JSON object with photo, caption and confidence, 0 to 1."""
    return json.dumps(_fields(path, caption))


def json_error(path: Path, error: Exception) -> str:
    """Returns a JSON object with photo and error, for a photo that has no caption."""
    return json.dumps({"photo": str(path), "error": str(error)})


def write_captions(path: Path, captions: Mapping[Path, PhotoCaption]) -> None:
    """Writes a CSV file with the columns photo, caption and confidence."""
    write_table(path, _table(captions))


def print_table(captions: Mapping[Path, PhotoCaption]) -> None:
    """Prints what `write_captions` writes."""
    _table(captions).map(cell_of).to_csv(sys.stdout, index=False, lineterminator="\n")


def _table(captions: Mapping[Path, PhotoCaption]) -> "pd.DataFrame":
    # Whoever wants no table need not wait for pandas.
    import pandas as pd

    return pd.DataFrame([_fields(path, caption) for path, caption in captions.items()])


def _fields(path: Path, caption: PhotoCaption) -> dict[str, str | float]:
    confidence = round(caption.confidence, 4)
    return {"photo": str(path), "caption": caption.text, "confidence": confidence}
