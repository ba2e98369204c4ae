"""Kills, full disks, damaged files, two runs at once: each yields what should not have happened."""

import contextlib
import hashlib
import os
import re
import resource
import shutil
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
        read_end, write_end = os.pipe()
        self._began = time.monotonic()
        given = stage, folder, size, write_end
        self.process = get_context("fork").Process(None, _become, None, given)
        self.process.start()
        os.close(write_end)
        self._errors = open(read_end, errors="replace")  # noqa: SIM115

    def finish(self) -> "Run":
        """Waits until it has ended, or the limit has passed: then `status` is None."""
        self.process.join(LIMIT)
        self.status, self.seconds = self.process.exitcode, time.monotonic() - self._began
        self.process.kill()
        # What a pipe holds, 64 KB, is more than any of the scripts prints of so few photos.
        self.errors = self._errors.read()
        return self

    def faults(self, signal_number: int = 0, must_end: bool = False) -> Faults:
        """Yields what is wrong with how it ended, where a signal may have been sent to it."""
        *_, last = self.errors.strip().splitlines() or [""]
        allowed = [cli.DONE, -signal_number, cli.STOPPED_BY + signal_number]
        if re.match(r"\w+\.py: .+", last) and not signal_number:
            allowed += [cli.NOTHING_DONE]
        if re.search("skipped", self.errors):
            allowed += [cli.DONE_IN_PART]
        if self.status is None:
            yield HANG, f"no end within {LIMIT} s"
        elif "Traceback (most recent" in self.errors or self.status not in allowed:
            yield TRACEBACK, f"status {self.status}: {last}"
        elif must_end and self.status:
            yield LOST, f"it ends with {self.status}: {last}"


def _become(stage: Stage, folder: Path, size: int, write_end: int) -> None:
    """Makes this process one that runs the stage, and never returns."""
    os.dup2(write_end, 2)
    sys.stdout, sys.stderr = open(os.devnull, "w"), open(2, "w", closefd=False)  # noqa: SIM115
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
    new = [path for path in folder.rglob("*") if before.get(path) != path.stat().st_mtime_ns]
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in new if path.is_file()}
    files = contents(folder)
    shutil.rmtree(folder)
    return run, files, {name: size for name, size in sizes.items() if size}


def contents(folder: Path) -> dict[str, str]:
    """Returns the digest of each file below a folder, without what differs from run to run."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    names = [name for name in sorted(paths) if not _NOT_COMPARED.search(name)]
    return {name: hashlib.sha256(_read_lasting(paths[name])).hexdigest() for name in names}


def _read_lasting(path: Path) -> bytes:
    # One that is damaged is compared as it is.
    with contextlib.suppress(KeyError, ValueError, zipfile.BadZipFile):
        if path.name == "history.csv":
            return pd.read_csv(path).drop(columns="seconds").to_csv().encode()
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return archive.read("model.weights.h5")  # Other members have the date.
    return path.read_bytes()


def _compare(found: dict[str, str], expected: dict[str, str], left_out: str = "") -> Faults:
    for name in sorted({*found, *expected}):
        if left_out and re.search(left_out, name):
            continue
        if name not in found:
            yield LOST, f"{name} is gone"
        elif found[name] != expected.get(name):
            yield WRONG, f"{name} is another"


def stop(whole: Path, folder: Path, case: tuple, choices: Random) -> Faults:
    """Sends a signal to a stage at any moment, or lets no file grow over a size; then goes on."""
    stage, number = case
    expected, files, written = undisturbed(whole, stage)
    is_fresh = "--resume" not in stage.flags and choices.random() < 0.5
    # Features are made anew where their cache is gone; other stages only miss the hashes in it.
    makes_features = any(name.endswith((".pkl", ".npy")) for name in written)
    caches = folder.glob("*/features-cache*") if makes_features else ()
    for path in [*map(folder.joinpath, written), *caches] if is_fresh else ():
        path.unlink(missing_ok=True)
    size = choices.choice([*written.values()])
    # With less than 64 bytes there are no semaphores, which no full disk reaches.
    limit = resource.RLIM_INFINITY if number else max(64, choices.choice([size - 1, size // 2]))
    run = Run(stage, folder, limit)
    if number:
        time.sleep(choices.uniform(0, expected.seconds))
        os.kill(run.process.pid, number)
    yield from run.finish().faults(number)
    if not number and any(folder.rglob(".partial-*")):
        yield WRONG, "half files are left"
    if stage.use and not is_fresh:
        yield from Run(stage.use, folder).finish().faults(must_end=True)
    yield from Run(stage.again(folder), folder).finish().faults(must_end=True)
    yield from _compare(contents(folder), files)


def damage(whole: Path, folder: Path, case: tuple, choices: Random) -> Faults:
    """Damages a file, runs a stage, and where that refuses it, puts the file back."""
    name, stage, kind, is_input = case
    _damage(folder / name, kind, choices)
    before = contents(folder)
    run = Run(stage, folder).finish()
    yield from run.faults()
    files = undisturbed(whole, stage)[1]
    # Pages and plots are for people, and may show a damaged file that is for people too; without
    # the cache of features nobody knows which photos look alike.
    left_out = r"\.html$|\.png$" + (r"|scores\.json$" if "features-cache" in name else "")
    if run.status == cli.NOTHING_DONE:
        yield from _compare(contents(folder), before)
        shutil.copy2(whole / name, folder / name)
        yield from Run(stage, folder).finish().faults(must_end=True)
        yield from _compare(contents(folder), files)
    elif not is_input:
        after = contents(folder)
        # A damaged file that was not written anew stays what it is.
        is_same = after.get(name) == before.get(name)
        yield from _compare(after, files, left_out + (f"|^{re.escape(name)}$" if is_same else ""))


def _damage(path: Path, kind: str, choices: Random) -> None:
    content = path.read_bytes()
    twins = [twin for twin in path.parents[1].glob(f"*/{path.name}") if twin != path]
    path.unlink()
    if kind in DAMAGES:
        path.write_bytes(DAMAGES[kind](content, choices.randrange(len(content))))
    elif kind == "swapped" and twins:
        shutil.copy(choices.choice(twins), path)


# Of a file's content and any place in it; besides, it is removed, or swapped with another run's.
DAMAGES = {
    "truncated": lambda content, at: content[:at],
    "flipped byte": lambda content, at: (
        content[:at] + bytes([content[at] ^ 85]) + content[at + 1 :]
    ),
    "zeroed block": lambda content, at: content[:at] + bytes(512) + content[at + 512 :],
    "line dropped": lambda content, at: (
        content[: content.rfind(b"\n", 0, at) + 1] + content[at:].partition(b"\n")[2]
    ),
}


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
