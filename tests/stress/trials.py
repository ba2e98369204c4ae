"""Kills, full disks, damaged files, two runs at once: each yields what should not have happened."""

import contextlib
import hashlib
import io
import os
import re
import resource
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pandas as pd

from captioning import cli

# What was whole is gone, or running the command again does not give it back; status 0, but not the
# results of an undisturbed run; a crash, or a status without a sentence; no end within the limit.
LOST, WRONG, TRACEBACK, HANG = COLUMNS = ("lost", "wrong in silence", "traceback", "hang")

Faults = Iterator[tuple[str, str]]  # columns, and what was seen

LIMIT = 180  # seconds after which a stage hangs; none takes a tenth of it

# Locks, what a killed run was writing, and a database whose bytes depend on its history.
_NOT_COMPARED = re.compile(r"(^|/)(\.lock|\.partial-|features-cache)")


@dataclass(frozen=True)
class Stage:
    """A script's `main` and its flags; `use` is a stage that must work whenever it stops."""

    main: Callable[[list[str]], int]
    flags: str = ""
    use: "Stage | None" = None

    def again(self, folder: Path) -> "Stage":
        """Returns what a person runs after a stop: a training with a checkpoint is resumed."""
        flags = self.flags.replace(" --resume", "")
        model = re.search(r"--model (\S+)", flags)
        has_checkpoint = model and (folder / model[1] / "checkpoint.npz").exists()
        return replace(self, flags=f"{flags} --resume" if has_checkpoint else flags)


class Run:
    """A stage that runs in a folder, in a process in which no file may grow over a size."""

    def __init__(self, stage: Stage, folder: Path, size: int = resource.RLIM_INFINITY):
        ends = [os.pipe() for _ in range(2)]
        self._began = time.monotonic()
        self._process = get_context("fork").Process(
            None, _become, None, (stage, folder, size, ends)
        )
        self._process.start()
        for _, write_end in ends:
            os.close(write_end)
        self._outputs = [open(read_end, errors="replace") for read_end, _ in ends]  # noqa: SIM115

    def send(self, number: int) -> None:
        """Sends a signal."""
        os.kill(self._process.pid, number)

    def finish(self) -> "Run":
        """Waits until it has ended, or the limit has passed: then `status` is None."""
        self._process.join(LIMIT)
        self.status, self.seconds = self._process.exitcode, time.monotonic() - self._began
        self._process.kill()
        # What a pipe holds, 64 KB, is more than any of the scripts prints of so few photos.
        self.output, self.errors = (file.read() for file in self._outputs)
        return self

    def faults(self, signal_number: int = 0) -> Faults:
        """Yields what is wrong with how it ended, where a signal may have been sent to it."""
        *_, last = self.errors.strip().splitlines() or [""]
        allowed = [cli.DONE]
        if signal_number:
            allowed += [-signal_number, cli.STOPPED_BY + signal_number]
        elif re.match(r"\w+\.py: .+", last):
            allowed += [cli.NOTHING_DONE]
        if re.search(r"skipped|left out", self.errors):
            allowed += [cli.DONE_IN_PART]
        if self.status is None:
            yield HANG, f"no end within {LIMIT} s"
        elif "Traceback (most recent" in self.errors or self.status not in allowed:
            yield TRACEBACK, f"status {self.status}: {last}"


def _become(stage: Stage, folder: Path, size: int, ends: list[tuple[int, int]]) -> None:
    """Makes this process one that runs the stage, and never returns."""
    for number, (_, write_end) in enumerate(ends, start=1):
        os.dup2(write_end, number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    # Shells have those that they start in the background ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    os.chdir(folder)
    sys.argv = [f"{stage.main.__module__}.py"]
    status = cli.run(stage.main, stage.flags.split())
    sys.stderr.flush()
    os._exit(status)


@cache
def undisturbed(whole: Path, *stages: Stage) -> tuple[Run, dict[str, str], dict[str, int]]:
    """Runs stages in a copy of a folder; returns the last, all files, and the sizes of new ones."""
    run, folder = None, shutil.copytree(whole, whole.with_name(f"undisturbed-{os.getpid()}"))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for stage in stages:
        run = Run(stage, folder).finish()
    after = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    written = {
        str(path.relative_to(folder)): found.st_size
        for path, found in after.items()
        if found.st_size and before.get(path) != found.st_mtime_ns
    }
    files = contents(folder)
    shutil.rmtree(folder)
    return run, files, written


def contents(folder: Path) -> dict[str, str]:
    """Returns the digest of each file below a folder, without what differs from run to run."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(_read_lasting(path)).hexdigest()
        for name, path in sorted(paths.items())
        if not _NOT_COMPARED.search(name)
    }


def _read_lasting(path: Path) -> bytes:
    content = path.read_bytes()
    # One that is damaged is compared as it is.
    with contextlib.suppress(KeyError, ValueError, zipfile.BadZipFile):
        if path.name == "history.csv":
            return pd.read_csv(path).drop(columns="seconds").to_csv().encode()
        if path.suffix == ".keras":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                # The other member, metadata.json, has the date; the ids are places in memory.
                network, weights = map(archive.read, ("config.json", "model.weights.h5"))
            return re.sub(rb'"shared_object_id": \d+', b"", network) + weights
    return content


def _compare(found: dict[str, str], expected: dict[str, str], left_out: str = "") -> Faults:
    names = [name for name in {*found, *expected} if not re.search(left_out or "^$", name)]
    for name in sorted(names):
        if name not in found:
            yield LOST, f"{name} is gone"
        elif found[name] != expected.get(name):
            yield WRONG, f"{name} is another"


def _run_whole(stage: Stage, folder: Path) -> Faults:
    run = Run(stage, folder).finish()
    yield from run.faults()
    if run.status:
        yield LOST, f"it ends with {run.status}: {run.errors.strip()}"


def stop(whole: Path, folder: Path, case: tuple, choices: Random) -> Faults:
    """Sends a signal to a stage at any moment, or lets no file grow over a size; then goes on."""
    stage, number = case
    expected, files, written = undisturbed(whole, stage)
    is_fresh = "--resume" not in stage.flags and choices.random() < 0.5
    for path in [*map(folder.joinpath, written), *folder.glob("*/features-cache*")]:
        if is_fresh:
            path.unlink()
    size = choices.choice([*written.values()])
    # With less than 64 bytes there are no semaphores, which no full disk reaches.
    limit = resource.RLIM_INFINITY if number else max(64, choices.choice([size - 1, size // 2]))
    run = Run(stage, folder, limit)
    if number:
        time.sleep(choices.uniform(0, expected.seconds))
        run.send(number)
    yield from run.finish().faults(number)
    if not number and any(folder.rglob(".partial-*")):
        yield WRONG, "half files are left"
    if stage.use and not is_fresh:
        yield from _run_whole(stage.use, folder)
    yield from _run_whole(stage.again(folder), folder)
    yield from _compare(contents(folder), files)


def damage(whole: Path, folder: Path, case: tuple, choices: Random) -> Faults:
    """Damages a file, runs a stage, and where that refuses it, puts the file back."""
    name, stage, kind, is_input = case
    _damage(folder / name, kind, choices)
    before = contents(folder)
    run = Run(stage, folder).finish()
    yield from run.faults()
    expected, files, _ = undisturbed(whole, stage)
    # Pages and plots are for people, and may show a damaged file that is for people too; without
    # the cache of features nobody knows which photos look alike.
    left_out = r"\.html$|\.png$" + (r"|scores\.json$" if "features-cache" in name else "")
    if run.status == cli.NOTHING_DONE:
        yield from _compare(contents(folder), before)
        shutil.copy2(whole / name, folder / name)
        yield from _run_whole(stage, folder)
        yield from _compare(contents(folder), files)
    elif not is_input:
        after = contents(folder)
        # A damaged file that was not written anew stays what it is.
        is_same = after.get(name) == before.get(name)
        yield from _compare(after, files, left_out + (f"|^{re.escape(name)}$" if is_same else ""))
        if run.output != expected.output and stage.main.__module__ == "generate":
            yield WRONG, "it prints something else"


def _damage(path: Path, kind: str, choices: Random) -> None:
    content = path.read_bytes()
    begin, lines = choices.randrange(len(content)), content.splitlines(keepends=True)
    # Of another run.
    twins = [twin for twin in path.parents[1].glob(f"*/{path.name}") if twin != path]
    flipped = bytearray(content)
    flipped[begin] ^= choices.randint(1, 255)
    lines.pop(choices.randrange(len(lines)))
    path.unlink()
    if kind != "removed":
        damaged = {
            "truncated": content[:begin],
            "flipped byte": flipped,
            "zeroed block": content[:begin] + bytes(512) + content[begin + 512 :],
            "line dropped": b"".join(lines),
            "swapped": choices.choice(twins).read_bytes() if twins else b"another",
        }
        path.write_bytes(damaged[kind])


DAMAGES = ("removed", "truncated", "flipped byte", "zeroed block", "line dropped", "swapped")


def pair(whole: Path, folder: Path, case: tuple[Stage, Stage], choices: Random) -> Faults:
    """Runs a stage beside another: one is refused, or both do as if one came after the other."""
    delay = choices.uniform(0, undisturbed(whole, case[0])[0].seconds)
    first = Run(case[0], folder)
    time.sleep(delay)
    runs = [run.finish() for run in (first, Run(case[1], folder))]
    for run in runs:
        yield from run.faults()
    done = [stage for stage, run in zip(case, runs, strict=True) if run.status == cli.DONE]
    orders = [done, done[::-1]]
    found = contents(folder)
    judged = [[*_compare(found, undisturbed(whole, *order)[1])] for order in orders]
    yield from min(judged, key=len)
