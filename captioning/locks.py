"""Keeps two runs from working on one folder at once."""

import contextlib
import time
from pathlib import Path

from filelock import FileLock, Timeout

from captioning.command_line import UserError

# An empty file that stays: a lock that is removed while another run waits for it locks nothing.
LOCK = ".lock"

# What a killed run was writing is removed once it has lain still for so many seconds; scripts that
# take no lock may be writing beside it now.
LEFT_BEHIND_AFTER = 600


@contextlib.contextmanager
def locked(folder, purpose):
    """Holds a folder for one run; the operating system lets go of it when the run is killed.

    What killed runs left half-written in the folder is removed.

    Args:
        folder: pathlib.Path, made where it is missing.
        purpose: str, what holds it, for the message to the second run, such as `train.py`.

    Yields:
        None.

    Raises:
        UserError: if another run holds it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"another run of {purpose} is at work in {folder}: wait until it has ended, or stop it"
        ) from error
    try:
        _remove_left_behind(folder)
        yield
    finally:
        lock.release()


def _remove_left_behind(folder):
    newest = time.time() - LEFT_BEHIND_AFTER
    for path in folder.glob(".partial-*"):
        if path.is_file() and path.stat().st_mtime < newest:
            path.unlink(missing_ok=True)
