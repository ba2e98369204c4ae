"""Runs a script in a process of its own, and can stop it at the n-th file that it touches.

A process that is a copy of this one starts in a hundredth of a second, where a new Python would
load TensorFlow for several. This process must have imported it, but computed nothing with it, since
threads are not copied.
"""

import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

# The file events of `sys.addaudithook` that change something, besides opening to write.
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}

# Seconds between two looks at a process.
_PAUSE = 0.002


@dataclass(frozen=True)
class Command:
    """A script with its arguments, run in a folder that its paths are relative to."""

    script: str
    arguments: tuple[str, ...]
    is_copied: bool = True  # whether a copy of this process runs it, rather than a new Python

    def __str__(self) -> str:
        return " ".join(["python", self.script, *self.arguments])


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int  # negative: the signal that killed it
    output: str
    errors: str
    seconds: float
    is_hung: bool = False  # whether it had to be killed


class Run:
    """A command at work; `prepare` is called in its process before it begins."""

    def __init__(self, command: Command, folder: Path, prepare: Callable[[], None] | None = None):
        self._began = time.monotonic()
        self._status: int | None = None
        self._read_ends, write_ends = zip(os.pipe(), os.pipe(), strict=True)
        self.pid = os.fork()
        if self.pid == 0:
            _become(command, folder, prepare, write_ends)
        for end in write_ends:
            os.close(end)

    def send(self, number: int) -> None:
        """Sends a signal, unless the command has ended."""
        if self._status is None:
            os.kill(self.pid, number)

    def rests_within(self, seconds: float) -> bool:
        """Waits until it has ended or was stopped by SIGSTOP; returns whether it has in time."""
        deadline = time.monotonic() + seconds
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid and os.WIFSTOPPED(status):
                return True
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(_PAUSE)
        return True

    def finish(self, limit: float) -> Outcome:
        """Waits until it has ended, at most for so many seconds."""
        self.rests_within(limit)
        is_hung = self._status is None
        if is_hung:
            os.kill(self.pid, signal.SIGKILL)
            while self._status is None:
                self.rests_within(limit)
        output, errors = map(_drain, self._read_ends)
        return Outcome(self._status, output, errors, time.monotonic() - self._began, is_hung)


def run(command: Command, folder: Path, limit: float, prepare: Any = None) -> Outcome:
    """Runs a command to its end."""
    return Run(command, folder, prepare).finish(limit)


def _drain(end: int) -> str:
    # What a pipe holds, 64 KB, is more than any of the scripts prints of so few photos.
    os.set_blocking(end, False)
    parts = []
    try:
        while part := os.read(end, 2**16):
            parts.append(part)
    except BlockingIOError:
        pass
    os.close(end)
    return b"".join(parts).decode("utf-8", "replace")


def _become(
    command: Command, folder: Path, prepare: Callable[[], None] | None, write_ends: tuple[int, int]
) -> None:
    """Makes this process one that runs the command, and never returns."""
    status = 1
    try:
        for number, end in enumerate(write_ends, start=1):
            os.dup2(end, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (os.fdopen(end, "w", closefd=False) for end in (1, 2))
        # Shells have those that they start in the background ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(folder)
        script = str(ROOT / command.script)
        if prepare:
            prepare()
        if not command.is_copied:
            os.execv(sys.executable, [sys.executable, script, *command.arguments])
        sys.argv = [script, *command.arguments]
        status = importlib.import_module(Path(script).stem).command(list(command.arguments))
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def is_change(event: str, arguments: tuple) -> bool:
    """Returns whether an audit event changes a file of the folder in which the command runs."""
    is_writing = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    return bool(event in _CHANGES or is_writing) and _is_inside(arguments[0])


def is_touch(event: str, arguments: tuple) -> bool:
    """Returns whether an audit event changes or opens a file of that folder."""
    return (event in _CHANGES or event == "open") and _is_inside(arguments[0])


def _is_inside(path: Any) -> bool:
    is_path = isinstance(path, str | os.PathLike)
    return is_path and os.path.abspath(path).startswith(os.getcwd() + os.sep)


def at_event(
    wanted: Callable[[str, tuple], bool], number: int, act: Callable[[], None]
) -> Callable[[], None]:
    """Returns a `prepare` that calls act() right before the n-th event that is wanted."""

    def prepare() -> None:
        count = 0

        def watch(event: str, arguments: tuple) -> None:
            nonlocal count
            if wanted(event, arguments):
                count += 1
                if count == number:
                    act()

        sys.addaudithook(watch)

    return prepare


def tally_events(tally: int) -> Callable[[], None]:
    """Returns a `prepare` that writes to an open file: `c` at a change, `t` at another touch."""

    def prepare() -> None:
        def watch(event: str, arguments: tuple) -> None:
            if is_touch(event, arguments):
                os.write(tally, b"c" if is_change(event, arguments) else b"t")

        sys.addaudithook(watch)

    return prepare


def send_to_itself(number: int) -> Callable[[], None]:
    """Returns what sends a signal to the process that calls it."""
    return lambda: os.kill(os.getpid(), number)


def limit_files(size: int) -> Callable[[], None]:
    """Returns a `prepare` with which no file can grow over so many bytes, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
