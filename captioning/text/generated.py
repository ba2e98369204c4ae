"""Texts beside photos: those that people wrote, told from those that generate.py --txt writes.

A list in each folder has a line for each of the latter, `digest  name`, as sha256sum reads it. A
text that a person has changed has another digest, and so is a person's.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from captioning.cli import one_line
from captioning.photos.listing import PhotoNames
from captioning.storage import append_text, write_text

# Not hidden: whoever copies what is in a folder would leave it behind.
LIST = "generated-captions.sha256"

# kohya's programs write .caption.
_TEXTS = (".caption", ".txt")


def find_texts(folder: Path, photos: PhotoNames) -> dict[Path, Path]:
    """Returns each text below a folder with the photo of its name, beside it or elsewhere.

    Those that generate.py wrote are left out.
    """
    texts = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _TEXTS]
    ids = {text: photos.id_of(str(text.with_suffix("")), text) for text in texts}
    found = {text: photos.files[photo] for text, photo in ids.items() if photo in photos.files}
    generated = find_generated(found)
    return {text: photo for text, photo in found.items() if text not in generated}


def find_generated(texts: Iterable[Path]) -> set[Path]:
    """Returns those of the texts that generate.py wrote and nobody has changed since."""
    texts = [text for text in texts if text.is_file()]
    lists = {folder: _read_list(folder) for folder in {text.parent for text in texts}}
    listed = (text for text in texts if lists[text.parent])
    return {text for text in listed if _line(text, text.read_bytes()) in lists[text.parent]}


def write_texts(captions: Mapping[Path, str]) -> int:
    """Writes captions beside their photos, `dog.txt` beside `dog.jpg`, and into the lists.

    Texts that are not of generate.py stay as they are; returns how many.
    """
    texts = {photo.with_suffix(".txt"): f"{text}\n" for photo, text in captions.items()}
    there = {text for text in texts if os.path.lexists(text)}
    own = find_generated(there)
    for text, content in texts.items():
        if text not in there or (text in own and text.read_text(encoding="utf-8") != content):
            # First the list: no kill leaves a text that passes for a person's. A line end first:
            # a kill may have left an unfinished line.
            append_text(text.parent / LIST, f"\n{_line(text, content.encode())}")
            write_text(text, content)
    return len(there - own)


def _read_list(folder: Path) -> set[str]:
    path = folder / LIST
    content = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return set(content.split("\n")) - {""}


def _line(text: Path, content: bytes) -> str:
    # On a Mac a copy has the accents of its name decomposed.
    name = one_line(unicodedata.normalize("NFC", text.name))
    return f"{hashlib.sha256(content).hexdigest()}  {name}"
