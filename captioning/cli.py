"""How every script takes its arguments and reports a user's mistake."""

import argparse
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DONE = 0
DONE_IN_PART = 1
NOTHING_DONE = 2
STOPPED = 130
OUTPUT_CLOSED = 141
TERMINATED = 143

# Characters of a line of printed text; fewer where the terminal is narrower.
LINE_WIDTH = 80

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


def announce_loading(what: str) -> None:
    """Says on stderr what a script is about to load, unless Keras, which takes longest, is there.

    Whoever waits for seconds should see at once that something happens, and what; like the bars,
    the line is for a terminal, not for a log file.
    """
    if "keras" not in sys.modules and sys.stderr.isatty():
        print(f"loading {what} …", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Escapes what would not print in one line: line breaks, terminal controls, undecodable bytes.

    File names and messages that hold them may contain any of these.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def run(main: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """Runs a script's `main` and turns what went wrong into one sentence and an exit status.

    The status is that of `main` (0 done, 1 done in part), 2 nothing done, 130 stopped by Ctrl-C,
    141 stopped because nobody reads the output any more, or 143 stopped by SIGTERM.
    """
    script = Path(sys.argv[0]).name
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors=UNENCODABLE)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = main(arguments)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(one_line(f"{script}: {error}"), file=sys.stderr)
        return NOTHING_DONE
    except ModuleNotFoundError as error:
        remedy = "run python -m pip install -r requirements.txt in the virtual environment"
        print(one_line(f"{script}: the package {error.name} is missing: {remedy}"), file=sys.stderr)
        return NOTHING_DONE
    except BrokenPipeError:
        # The reader of our output (say, `head`) has gone; the interpreter must not flush to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    except OSError as error:
        # Of the two names of a failed move, the second is the one that the user knows.
        name = error.filename2 or error.filename
        place = f"{name}: " if name else ""
        print(one_line(f"{script}: {place}{error.strerror or error}"), file=sys.stderr)
        return NOTHING_DONE
    except KeyboardInterrupt as stop:
        print(f"\n{script}: stopped", file=sys.stderr)
        return TERMINATED if isinstance(stop, Terminated) else STOPPED
