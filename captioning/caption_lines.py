"""Captions of photos as lines of text, lines of JSON, or a table."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from captioning.captioner import PhotoCaption
from captioning.cli import one_line

if TYPE_CHECKING:
    import pandas as pd


def text_line(path: Path, caption: PhotoCaption) -> str:
    """Returns path<TAB>caption."""
    return f"{one_line(str(path))}\t{caption.text}"


def json_line(path: Path, caption: PhotoCaption) -> str:
    """Returns a JSON object with photo, caption and confidence, 0 to 1."""
    return json.dumps(_fields(path, caption))


def caption_table(captions: Mapping[Path, PhotoCaption]) -> "pd.DataFrame":
    """Returns a table with the columns photo, caption and confidence, a row for each photo."""
    # Whoever wants no table need not wait for pandas.
    import pandas as pd

    return pd.DataFrame([_fields(path, caption) for path, caption in captions.items()])


def _fields(path: Path, caption: PhotoCaption) -> dict[str, str | float]:
    confidence = round(caption.confidence, 4)
    return {"photo": str(path), "caption": caption.text, "confidence": confidence}
