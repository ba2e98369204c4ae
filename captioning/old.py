"""What of the earlier files and storage modules is still used; each use is to go."""

import contextlib
import errno
import hashlib
import json
import os
import re
import time
import unicodedata
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from captioning.cli import UNENCODABLE, UserError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.lib.npyio import NpzFile

# In DATA.
PHOTOS = "photos"
CAPTIONS = "Flickr8k.token.txt"
SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
PLACES = "places.json"
DRAWN_SPLITS = "splits.json"
FEATURES = "features.pkl"
# In its place where the features need not fit in memory.
MAPPED_FEATURES = "features.npy"
FEATURES_INDEX = "features-index.json"
FEATURES_CACHE = "features-cache"
DESCRIPTIONS = "descriptions.txt"
# Only where the photos are scenes that data/sample/draw.py drew.
DRAWN_SCENES = "scenes.csv"

# In DATA, and copied to MODEL so that it is self-contained.
ENCODER_RECORD = "features.json"
VOCABULARY = "vocabulary.json"

# What the scripts write into DATA, which is no captions file of a person's.
OWN_FILES = (
    *SPLITS.values(),
    PLACES,
    DRAWN_SPLITS,
    DESCRIPTIONS,
    DRAWN_SCENES,
    ENCODER_RECORD,
    FEATURES_INDEX,
    VOCABULARY,
)

# In MODEL.
CAPTIONER = "captioner.keras"
TRAINING_PHOTOS = "training-photos.json"
RECIPE = "recipe.toml"
HISTORY = "history.csv"
CURVES = "curves.png"
CHECKPOINT = "checkpoint.npz"
SCORES = "scores.json"
GENERATED_CAPTIONS = "captions.csv"
GALLERY = "captions.html"

# Of Unix and of Windows.
_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)
# The extension, and the number that one name of the official captions file carries after it.
_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]*(\.[0-9]+)?$")


def photo_id(file_name: str) -> str:
    """Returns the id of a photo: its file name without folders and extension.

    `dog.jpg.1`, as the official captions file has it once, is the photo `dog` too. The accents of
    an id are composed (NFC), in whichever of Unicode's forms the name has them: a Mac's archives
    have them decomposed.
    """
    return _EXTENSION.sub("", _FOLDERS.sub("", unicodedata.normalize("NFC", file_name)))


def require(path: Path, remedy: str, place: str = "") -> Path:
    """Returns the path if there is such a file, and raises `UserError` with the remedy if not.

    `place` is what the message says besides on where it was looked for.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing{place}: {remedy}")
    return path


def is_drawn_scene(photo: Path) -> bool:
    """Returns whether a photo is one of the scenes that the project drew for itself."""
    return (photo.absolute().parent.parent / DRAWN_SCENES).is_file()


# Columns of HISTORY that tell which epoch is best: of fine-tuning, which has a mean REWARD, the one
# with the highest CIDEr-D; of the epochs before it, the one with the lowest loss.
VALIDATION_LOSS = "val_loss"
VALIDATION_CIDER = "val_cider_d"
REWARD = "reward"


# Empty files that stay: a lock that is removed while another run waits for it locks nothing. Text
# may be prepared while photos are, so it has a lock of its own.
LOCK = ".lock"
PHOTO_SCRIPTS = "prepare_photos.py, download.py or draw.py"  # which hold it in a data folder
TEXT_LOCK = ".lock-text"

# Begins the names of files that are being written.
_PARTIAL = ".partial-"

# Temporary files of killed runs are removed after so many seconds; scripts that take no lock may be
# writing younger ones now.
TEMPORARY_FILE_LIFETIME = 600

# The keys that every JSON file has besides its content.
_VERSION = "format"
_DIGEST = "sha256"

# What a cell begins with that a spreadsheet takes for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside the final one, and moves the file there once it is complete.

    Whatever stops the writing, a full disk or a power cut too, the final path holds either the old
    file or the new one. The folder is created if it is missing. A link is replaced, not followed: a
    stranger's folder could have one that leads to any file of the user's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{_PARTIAL}{uuid.uuid4().hex}{path.suffix}")
    try:
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        flush_folder_to_disk(path.parent)
    except OSError as error:
        # A full disk names no file.
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def flush_folder_to_disk(folder: Path) -> None:
    """Makes a rename survive a power cut, where the system can flush a folder: Windows cannot."""
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


def digest_of_file(path: Path) -> str:
    """Computes the SHA-256 digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_arrays(path: Path) -> "NpzFile":
    """Opens what `np.savez` wrote.

    A damaged file fails in zipfile or NumPy, each with errors of its own.

    Raises:
        ValueError: if the arrays are compressed: a few kilobytes of zeros could fill the memory.
    """
    # Scripts that read no arrays need not wait for NumPy.
    import numpy as np

    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        is_stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
        if not is_stored or sum(part.file_size for part in parts) > path.stat().st_size:
            raise ValueError(f"Expected arrays that are not compressed. Received: {path}")
    return np.load(path, allow_pickle=False)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=UNENCODABLE, newline="")


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Writes a CSV file in UTF-8, without the table's index.

    The cells are written as `cell_of` returns them.
    """
    with atomic_path(path) as partial:
        table.map(cell_of).to_csv(partial, index=False, errors=UNENCODABLE)


def cell_of(value: Any) -> Any:
    """Returns a value as it stands in a CSV file.

    A text that a spreadsheet would run as a formula gets an apostrophe in front of it; characters
    that are not UTF-8 are escaped.
    """
    if not isinstance(value, str):
        return value
    # Spreadsheets skip white space, and so do those who hide a formula behind it.
    text = f"'{value}" if value.lstrip().startswith(_FORMULA_SIGNS) else value
    return text.encode("utf-8", UNENCODABLE).decode("utf-8")


def write_json(path: Path, content: dict, version: int) -> None:
    """Writes a JSON file with a format version and a digest of the content."""
    content = {_VERSION: version, **content}
    content[_DIGEST] = _digest(content)
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, version: int, remedy: str) -> dict:
    """Reads what `write_json` wrote, without the version and the digest.

    Raises:
        UserError: if it is missing, damaged, edited or of another version, with the remedy.
    """
    require(path, remedy)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no JSON object): {remedy}")
    found = content.get(_VERSION)
    if found != version:
        raise UserError(f"{path} has format version {found!r}, not {version}: {remedy}")
    if content.pop(_DIGEST, None) != _digest(content):
        raise UserError(f"{path} was damaged or edited (its {_DIGEST} does not match): {remedy}")
    del content[_VERSION]
    return content


def _digest(content: dict) -> str:
    """Computes the digest of the content, not of the file's bytes: white space changes nothing."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


@contextlib.contextmanager
def locked(folder: Path, purpose: str, lock: str = LOCK) -> Iterator[None]:
    """Holds a folder for one run; the operating system releases it when the run is killed.

    The folder is created if missing; temporary files that killed runs left in it are removed.
    `purpose`, such as `train.py`, is named in the message to a second run. Runs with another `lock`
    do not hinder each other.

    Raises:
        UserError: if another run holds it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / lock, timeout=0).acquire()
    except Timeout as error:
        raise UserError(
            f"another run of {purpose} is at work in {folder}: wait until it has ended, or stop it"
        ) from error
    with held:
        remove_leftovers(folder)
        yield


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that killed runs left in a folder."""
    newest = time.time() - TEMPORARY_FILE_LIFETIME
    for path in folder.glob(f"{_PARTIAL}*"):
        if path.is_file() and path.stat().st_mtime < newest:
            path.unlink(missing_ok=True)
