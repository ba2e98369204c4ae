"""How every script takes its arguments and reports a user's mistake."""

import argparse
import os
import signal
import sys
from pathlib import Path

DONE = 0
DONE_IN_PART = 1
NOTHING_DONE = 2
STOPPED = 130
OUTPUT_CLOSED = 141
TERMINATED = 143

# A file name may hold bytes that are no UTF-8, or what the terminal's encoding does not; files and
# output show them as \udc.. escapes.
UNENCODABLE = "backslashreplace"


class UserError(Exception):
    """A mistake that the user can mend; its message is one plain sentence that says how."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a system that shuts down sends it; what handles Ctrl-C handles it too."""


def _terminate(number, frame):
    raise Terminated


class ArgumentParser(argparse.ArgumentParser):
    """An argument parser whose help shows the script's docstring and every default."""

    def __init__(self, description):
        """Takes the script's docstring as the description of `--help`."""
        super().__init__(
            description=description,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message):
        """Raises `UserError` where argparse would print the usage and exit."""
        raise UserError(f"{message}; see python {self.prog} --help")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the line breaks of the docstring and appends each flag's default."""


def positive_integer(text):
    """Converts a flag's value to a whole number of at least 1.

    Args:
        text: str, as typed.

    Returns:
        int, 1 or more.

    Raises:
        argparse.ArgumentTypeError: if it is anything else.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return number


def seed_number(text):
    """Converts a flag's value to a seed that every engine takes: 0 to 2**31 - 1.

    Args:
        text: str, as typed.

    Returns:
        int, 0 or more.

    Raises:
        argparse.ArgumentTypeError: if it is anything else.
    """
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**31:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to 2147483647, got {text!r}"
        )
    return number


def one_line(text):
    """Shows a file name, or a reason that holds one, in one line whatever is in it.

    Args:
        text: str; a name may hold line breaks, what moves a cursor, and bytes that are no UTF-8.

    Returns:
        str, the letters that can be printed as they are, the others as Python would write them.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def run(main, arguments=None):
    """Runs a script's `main` and turns what went wrong into one sentence and an exit status.

    Args:
        main: callable that takes a list of str (or None for the command line) and returns an
            exit status.
        arguments: list of str, or None for those of the command line.

    Returns:
        int, the exit status: 0 done, 1 done in part, 2 nothing done, 130 stopped by Ctrl-C, 141
        stopped because nobody reads the output any more, 143 stopped by SIGTERM.
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
