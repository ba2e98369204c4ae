"""What a row of a captions file holds: its columns or keys, and the captions of a cell."""

import ast
import contextlib
import functools
import html
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

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


class Columns(NamedTuple):
    """Which columns of a table, or keys of records, are read, by their index."""

    photo: int
    captions: Sequence[int]
    split: int | None = None

    def describe(self, names: Sequence[str]) -> str:
        """Says which of the columns of these names are read."""
        captions = ", ".join(names[k] for k in self.captions)
        return f"photos in {names[self.photo]}, captions in {captions}"

    def row(self, where: str, cells: Sequence[Any]) -> Row:
        """Returns photo, captions and split of a row; `where`, as `line 3`, is for messages."""
        name, captions = cells[self.photo], [cells[k] for k in self.captions]
        # Other programs have the one photo of a record in a list, or its path with its pixels.
        name = name[0] if isinstance(name, list) and len(name) == 1 else name
        name = name.get("path") if isinstance(name, dict) else name
        name = str(name).strip() if isinstance(name, str | int) else ""
        split = None if self.split is None else str(cells[self.split])
        return Row(where, name, captions[0] if len(captions) == 1 else captions, split)


def find_columns(names: Sequence[str], wanted: Sequence[str]) -> Columns:
    """Finds columns by their names, or those of photos and captions by what a user called them.

    That is a name or a number, or empty. Of two columns the one without captions is of photos.
    Raises `KindError`, which names the columns, if one is not there.
    """
    photos, captions = (
        [k for k, name in enumerate(names) if own.lower() in (name.lower(), str(k + 1))]
        if own
        else _first_there(tuple(names), usual)
        for own, usual in zip(wanted, (PHOTO_NAMES, CAPTION_NAMES), strict=True)
    )
    if not photos and not wanted[0] and len(names) == 2 and len(captions) == 1:
        photos = [1 - captions[0]]
    if not photos or not set(captions) - set(photos):
        shown = ", ".join(map(repr, names[:20]))
        what = "captions, such as caption" if photos else "photos, such as file_name or image"
        rule = "of which --photo-column and --caption-column may name them"
        raise KindError(f"has no column or key of {what}: {shown}, {rule}")
    splits = _first_there(tuple(names), SPLIT_COLUMNS)
    return Columns(photos[0], captions, splits[0] if splits else None)


# Records of a file have the same keys again and again.
@functools.lru_cache
def _first_there(names: tuple[str, ...], usual: tuple[str, ...]) -> tuple[int, ...]:
    """Returns the indices of the first of the usual names that is there, numbered or not."""
    plain = [re.sub(r"[\W_]|[0-9]+$", "", name.lower()) for name in names]
    first = next((name for name in usual if name in plain), None)
    return tuple(k for k, name in enumerate(plain) if name == first)


def texts_in(value: Any, where: str) -> list[str]:
    """Returns the captions of a cell, or of the value of a key; what is empty in a list is none.

    They may be a text, a list of texts or of records, or a list of texts written out.
    """
    if value is None:
        return []
    if isinstance(value, str):
        listed = _written_list(value.strip())
        return [value] if listed is None else texts_in(listed, where)
    if isinstance(value, dict) and (keys := _first_there(tuple(value), CAPTION_NAMES)):
        return texts_in([*value.values()][keys[0]], where)
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return [text for item in value for text in texts_in(item, where) if text.strip()]
    raise KindError(f"{where} has captions that cannot be right ({value!r:.40})")


# A text in quotes; and a list or tuple of such as JSON, Python or NumPy writes it, NumPy without
# commas, and with a name around it.
_QUOTED = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_LIST = re.compile(
    rf"(?:array\()?[\[(][\s,]*+(?:(?:{_QUOTED}|None|nan|null)[\s,]*+)*+[\])](?:, dtype=\w+)?\)?",
    re.DOTALL,
)


def _written_list(text: str) -> list[str] | None:
    """Reads a list of texts that is written out in a text; nothing is evaluated."""
    if not _LIST.fullmatch(text):
        return None
    with contextlib.suppress(ValueError):
        return msgspec.json.decode(text, type=list[str | None])
    with contextlib.suppress(ValueError, SyntaxError):
        return [ast.literal_eval(item) for item in re.findall(_QUOTED, text, re.DOTALL)]
    return None


# What joins several captions in one text.
_JOINED = re.compile(
    r"(?<!<)\|(?!>)|;;|\\n|\S\s*[\r\n]+\s*\S|<br\s*/?>|<sep>|\[SEP\].*\w"
    r"|^\[(?!start|sos|bos|cls).*\]$",
    re.IGNORECASE,
)

# What other programs put around captions or in place of words, and the marks of a page.
_MARKS = re.compile(
    r"<[|/]?(?:start|end|s|sos|eos|bos|pad|unk|cls|sep|image|startoftext|endoftext)\|?>"
    r"|\[(?:start|end|sos|eos|bos|pad|unk|cls|sep)\]"
    r"|</?(?:p|b|i|u|em|strong|span|div|a|br)(?:\s[^<>]*)?/?>"
    r"|^\s*startseq\b|\bendseq\s*$",
    re.IGNORECASE,
)

# Most captions have none of these and are done at once.
_ODD = re.compile(r"[|;\\<&\[\r\n]|startseq|endseq", re.IGNORECASE)


def plain_caption(caption: str) -> tuple[str, bool, bool]:
    """Puts a caption in one line, with entities decoded and the marks of other programs dropped.

    Returns with it whether it may be several that are joined, and whether there were marks.
    """
    caption = caption.strip()
    if not _ODD.search(caption):
        return caption, False, False
    text = html.unescape(caption)
    without, count = _MARKS.subn(" ", text)
    # Blanks stay as they are where no mark was.
    text = " ".join(without.split()) if count else re.sub(r"\r\n?|\n", " ", text)
    return text.strip(), bool(_JOINED.search(caption)), count > 0
