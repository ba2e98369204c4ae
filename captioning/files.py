"""The names of the files that pass between the stages, and how they are written."""

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

from captioning.command_line import UNENCODABLE, UserError

# In DATA.
PHOTOS = "photos"
CAPTIONS = "Flickr8k.token.txt"
SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
FEATURES = "features.pkl"
PHOTO_TABLE = "features-photos.json"
UNFINISHED_FEATURES = "unfinished-features"
DESCRIPTIONS = "descriptions.txt"

# In DATA, and copied to MODEL so that it is self-contained.
ENCODER_RECORD = "features.json"
VOCABULARY = "vocabulary.json"

# In MODEL.
CAPTIONER = "captioner.keras"
HISTORY = "history.csv"
CURVES = "curves.png"
SCORES = "scores.json"
GENERATED_CAPTIONS = "captions.csv"
GALLERY = "captions.html"

# The key of a JSON file's own digest.
SEAL = "sha256"

# What a cell begins with that a spreadsheet takes for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@")

# The extension, and the number that one name of the official captions file carries after it.
_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]*(\.[0-9]+)?$")


def photo_identifier(file_name):
    """Returns the identifier of a photo: its file name without the extension.

    Args:
        file_name: str, such as `dog.jpg`; `dog.jpg.1`, as the official captions file has it
            once, is the same photo.

    Returns:
        str, such as `dog`.
    """
    return _EXTENSION.sub("", file_name)


def require(path, remedy):
    """Checks that a file is there.

    Args:
        path: pathlib.Path of the file.
        remedy: str, what the user should do where it is missing, such as a command to run.

    Returns:
        pathlib.Path, the same.

    Raises:
        UserError: if there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: {remedy}")
    return path


@contextlib.contextmanager
def written_whole(path):
    """Gives a path beside the final one to write to, and moves the file there once it is whole.

    Whatever stops the writing, a full disk or a power cut too, the final path holds either the old
    file or the new one.

    Args:
        path: pathlib.Path, the final place; its folder is made where it is missing.

    Yields:
        pathlib.Path to write to, with the same extension.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _flush_to_disk(partial)
        # mkstemp makes a file for its owner only; people share what the scripts write.
        partial.chmod(0o666 & ~_current_umask())
        os.replace(partial, path)
        _flush_folder_to_disk(path.parent)
    except OSError as error:
        # A full disk names no file.
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def _flush_to_disk(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _flush_folder_to_disk(folder):
    """Makes a move outlast a power cut, where the system can flush a folder: Windows cannot."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot either, and have moved the file all the same.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _current_umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_text(path, text):
    """Writes a text file whole, in UTF-8.

    Args:
        path: pathlib.Path, the place.
        text: str, the content.
    """
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=UNENCODABLE, newline="")


def write_table(path, table):
    """Writes a CSV file whole, in UTF-8.

    Args:
        path: pathlib.Path, the place.
        table: pandas.DataFrame; its index is left out. A text that a spreadsheet would run as a
            formula gets an apostrophe before it.
    """
    with written_whole(path) as partial:
        table.map(_without_formula).to_csv(partial, index=False, errors=UNENCODABLE)


def _without_formula(value):
    # Spreadsheets skip white space, and so do those who hide a formula behind it.
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA_SIGNS):
        return f"'{value}"
    return value


def write_json(path, content):
    """Writes a JSON file whole, indented for people.

    Args:
        path: pathlib.Path, the place.
        content: what `json.dumps` takes.
    """
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path, remedy):
    """Reads a JSON file that holds one object.

    Args:
        path: pathlib.Path of the file.
        remedy: str, what the user should do where it is missing or damaged.

    Returns:
        dict, the object.

    Raises:
        UserError: if the file is missing, is no JSON, or holds no object.
    """
    require(path, remedy)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (no object in it): {remedy}")
    return content


def sealed(content):
    """Adds the digest of a JSON object to it, so that `is_intact` can tell whether it changed.

    Args:
        content: dict, as `json.dumps` takes it.

    Returns:
        dict, with the key `SEAL` more.
    """
    content = {key: value for key, value in content.items() if key != SEAL}
    # Of the content, not of the file's bytes: spaces between the pieces change nothing.
    text = json.dumps(content, sort_keys=True)
    return {**content, SEAL: hashlib.sha256(text.encode("ascii")).hexdigest()}


def is_intact(content):
    """Tells whether a JSON object is as `sealed` made it.

    Args:
        content: dict, as read from a file.

    Returns:
        bool.
    """
    return sealed(content) == content
