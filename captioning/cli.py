"""How every script takes its arguments and reports a user's mistake."""

import argparse
import contextlib
import errno
import os
import shlex
import shutil
import signal
import sys
import textwrap
import traceback
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

DONE = 0
DONE_IN_PART = 1
NOTHING_DONE = 2
OWN_FAULT = 70
STOPPED = 130
OUTPUT_CLOSED = 141
TERMINATED = 143

# Characters of a line of printed text; fewer where the terminal is narrower.
LINE_WIDTH = 80

OUT_OF_MEMORY = (
    "there is too little memory: close other programs, or run it with a lower --batch-size or on "
    "fewer photos"
)

# What writing can fail with. Where the error names no file, it was the output: whatever writes a
# file names it.
_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EBADF)

# A file name may hold bytes that are no UTF-8, or characters that the terminal's encoding lacks;
# files and output show them as \udc.. escapes.
UNENCODABLE = "backslashreplace"


class UserError(Exception):
    """A mistake that the user can correct; its message is one plain sentence that says how."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a system that shuts down sends it; what handles Ctrl-C handles it too."""


def _terminate(number: int, frame: Any) -> None:
    raise Terminated


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose help shows the script's docstring and every default."""

    def __init__(self, description: str | None, **options: Any):
        super().__init__(
            description=description, formatter_class=_HelpFormatter, allow_abbrev=False, **options
        )

    def error(self, message: str) -> None:
        """Raises `UserError` where argparse would print the usage and exit."""
        # Installed, a script is a command of its own.
        python = "python " if self.prog.endswith(".py") else ""
        raise UserError(f"{message}; see {python}{self.prog} --help")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the line breaks of the docstring and appends each flag's default, if it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, "", ()):
            return action.help
        if isinstance(action.default, tuple):
            # As it is typed.
            typed = " ".join(map(str, action.default))
            return f"{action.help} (default: {typed.replace('%', '%%')})"
        return super()._get_help_string(action)


def line_width() -> int:
    """Returns how many characters a line may have that the terminal should not break."""
    return min(LINE_WIDTH, shutil.get_terminal_size().columns)


def wrapped(text: str, indent: str = "  ") -> str:
    """Breaks a text into lines that fit, and indents those after the first.

    It breaks at white space only, so that flags and paths stay whole.
    """
    return textwrap.fill(
        text,
        line_width(),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as `1 photo` or `8,091 photos`."""
    return f"{number:,d} {noun}{'' if number == 1 else 's'}"


def quoted(path: object) -> str:
    """Returns a path as the shell takes it in a command: in quotes, where it needs any."""
    return shlex.quote(str(path))


def announce_loading(what: str) -> None:
    """Says on stderr what a script is about to load, unless Keras, which takes longest, is there.

    Whoever waits for seconds should see at once that something happens, and what; like the bars,
    the line is for a terminal, not for a log file.
    """
    if "keras" not in sys.modules and sys.stderr.isatty():
        print(f"loading {what} …", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Escapes what would not print in one line: line breaks, terminal controls, undecodable bytes.

    File names, captions and messages that hold them may contain any of these, and marks that turn
    the direction of the text around.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if _is_shown(letter) else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def _is_shown(letter: str) -> bool:
    # Joiners belong to the spelling of Persian and Hindi.
    is_control = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return letter in "\u200c\u200d" or not is_control


def run(main: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """Runs a script's `main` and turns what went wrong into one sentence and an exit status.

    The status is that of `main` (0 done, 1 done in part), 2 nothing done, 70 a fault of the program
    itself, with its traceback, 130 stopped by Ctrl-C, 141 stopped because the output cannot be
    written any more, or 143 stopped by SIGTERM. It is 1, too, where all is done but for the end of
    the output, which could not be written.
    """
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors=UNENCODABLE)
    signal.signal(signal.SIGTERM, _terminate)
    status, text = _run(main, arguments)
    unwritten = _flush(sys.stdout)
    if unwritten and status in (DONE, DONE_IN_PART):
        status, text = _without_output(unwritten, is_done=True)
    if text:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr)
    _flush(sys.stderr)
    return status


def _run(
    main: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None
) -> tuple[int, str]:
    """Runs `main`; returns the exit status and what is to be said on stderr of what went wrong."""
    try:
        return main(arguments), ""
    except SystemExit as ended:
        # argparse's way to end after --help.
        return ended.code, ""
    except UserError as error:
        return NOTHING_DONE, _sentence(str(error))
    except ModuleNotFoundError as error:
        remedy = "run python -m pip install -r requirements.txt in the virtual environment"
        return NOTHING_DONE, _sentence(f"the package {error.name} is missing: {remedy}")
    except OSError as error:
        if error.filename is None and error.errno in _OF_OUTPUT:
            return _without_output(error, is_done=False)
        # Of the two names of a failed move, the second is the one that the user knows.
        name = error.filename2 or error.filename
        place = f"{name}: " if name else ""
        return NOTHING_DONE, _sentence(f"{place}{error.strerror or error}")
    except KeyboardInterrupt as stop:
        status = TERMINATED if isinstance(stop, Terminated) else STOPPED
        return status, f"\n{_sentence('stopped')}"
    except Exception as error:
        if is_out_of_memory(error):
            return NOTHING_DONE, _sentence(OUT_OF_MEMORY)
        return OWN_FAULT, traceback.format_exc()


def _sentence(text: str) -> str:
    return one_line(f"{Path(sys.argv[0]).name}: {text}")


def _without_output(error: OSError, is_done: bool) -> tuple[int, str]:
    """Returns the status and the sentence of a run whose output could not be written."""
    if isinstance(error, BrokenPipeError):
        # Its reader (say, `head`) has gone, and knows why.
        return OUTPUT_CLOSED, ""
    fault = f"what it prints cannot be written ({error.strerror})"
    if is_done:
        return DONE_IN_PART, _sentence(f"{fault}, but all its files are")
    return OUTPUT_CLOSED, _sentence(f"stopped, since {fault}; what it has written by now is whole")


def _open_closed_streams() -> None:
    """Opens the null device for each standard stream that was closed when the program started.

    Python has None for such a stream, and the next file that is opened would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _flush(stream: TextIO) -> OSError | None:
    """Writes what a stream has buffered; where that fails, drops it and whatever follows."""
    try:
        stream.flush()
    except OSError as error:
        # The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Tells whether memory was short, of which each engine of Keras has an error of its own.

    So have the system's loader of libraries and Python's threads.
    """
    names = ("ResourceExhaustedError", "OutOfMemoryError")
    texts = ("RESOURCE_EXHAUSTED", "failed to map segment", "can't start new thread")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ in names
        or any(text in str(error) for text in texts)
    )
