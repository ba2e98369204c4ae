"""How every script reports a user's mistake, a stop and a fault, and how it writes to a person."""

import argparse
import contextlib
import os
import re
import shlex
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

DONE = 0
DONE_IN_PART = 1
NOTHING_DONE = 2
OWN_FAULT = 70

# A signal's number is added: 130 stopped by Ctrl-C, 143 by SIGTERM.
STOPPED_BY = 128

# The most characters of a printed line, but for a long path or word.
LINE_WIDTH = 80

# Python's error, TensorFlow's, PyTorch's and JAX's.
_MEMORY_ERRORS = re.compile("MemoryError|ResourceExhaustedError|RESOURCE_EXHAUSTED")

# A file name may hold bytes that are no UTF-8, or characters that the terminal's encoding lacks;
# files and output show them as \udc.. escapes.
UNENCODABLE = "backslashreplace"

# Control characters, marks of direction, ends of lines and paragraphs, and undecodable bytes.
_NOT_SHOWN = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class UserError(Exception):
    """A mistake that the user can correct; its message is one plain sentence that says how."""


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose help shows a script's docstring as it is."""

    def __init__(self, description: str | None):
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(description=description, formatter_class=formatter, allow_abbrev=False)

    def error(self, message: str) -> None:
        """Raises `UserError` where argparse would print the usage and exit."""
        raise UserError(f"{message}; see --help")


def wrapped(text: str, indent: str = "  ") -> str:
    """Breaks a text into lines, and indents those after the first.

    It breaks at white space only, so that flags and paths stay whole.
    """
    whole = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, LINE_WIDTH, subsequent_indent=indent, **whole)


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as `1 photo` or `8,091 photos`."""
    return f"{number:,d} {noun}{'' if number == 1 else 's'}"


def quoted(path: object) -> str:
    """Returns a path as the shell takes it in a command: in quotes, where it needs any."""
    return shlex.quote(str(path))


def one_line(text: str) -> str:
    """Escapes what would not print in one line, and what turns the direction of text around."""
    return _NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def run(main: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """Runs a script's `main` and turns what went wrong into one sentence and an exit status.

    The status is that of `main` (0 done, 1 done in part), 2 nothing done, 70 a fault of the program
    itself, with its traceback, 130 or 143 stopped. Where the reader of the output has gone, as
    `head` does, it ends without a word, stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors=UNENCODABLE)
    signals = _remember_signals()
    try:
        status, text = main(arguments), ""
        sys.stdout.flush()
    except SystemExit as ended:
        # argparse's way to end after --help.
        status, text = ended.code, ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            signals.append(signal.SIGINT)
        # A library may turn the exception of a signal into an error of its own.
        stopped = f"\n{_sentence('stopped')}"
        status, text = (STOPPED_BY + signals[0], stopped) if signals else _explain(error)
    # There may be no room for the last words, and the status must be the same.
    with contextlib.suppress(OSError):
        if text:
            print(text, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The interpreter flushes once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def command() -> int:
    """Runs the script that an installed command, such as `captioning-train`, is named after."""
    name = Path(sys.argv[0]).stem.removeprefix("captioning-").replace("-", "_")
    return run(import_module(f"captioning_scripts.{name}").main)


def _remember_signals() -> list[int]:
    """Has Ctrl-C and SIGTERM raise `KeyboardInterrupt`; returns a list that will hold them."""
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        received.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        # Only the main thread can handle signals; a shell has background jobs ignore Ctrl-C.
        with contextlib.suppress(ValueError):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, stop)
    return received


def _explain(error: BaseException) -> tuple[int, str]:
    """Returns the exit status for an error, and what is to be said of it on stderr."""
    # Short of memory, a library may seem to find a file damaged.
    if _MEMORY_ERRORS.search(f"{error!r} {error.__cause__!r}"):
        remedy = "close other programs, or run it with a lower --batch-size or on fewer photos"
        return NOTHING_DONE, _sentence(f"there is too little memory: {remedy}")
    if isinstance(error, UserError):
        return NOTHING_DONE, _sentence(str(error))
    if isinstance(error, ModuleNotFoundError):
        remedy = "run python -m pip install -r requirements.txt in the virtual environment"
        return NOTHING_DONE, _sentence(f"the package {error.name} is missing: {remedy}")
    if isinstance(error, BrokenPipeError):
        return STOPPED_BY + signal.SIGINT, ""
    if isinstance(error, OSError):
        # Of the two names of a failed move, the second is the one that the user knows. Without a
        # name it was the output: whatever writes a file names it.
        name = error.filename2 or error.filename or "what it prints cannot be written"
        return NOTHING_DONE, _sentence(f"{name}: {error.strerror or error}")
    return OWN_FAULT, "".join(traceback.format_exception(error))


def _sentence(text: str) -> str:
    return one_line(f"{Path(sys.argv[0]).name}: {text}")
