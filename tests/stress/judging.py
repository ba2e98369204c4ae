"""What counts as a fault, and when two folders hold the same."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stress.running import Outcome

# What was whole is gone or unusable, and running the command again does not give it back.
LOST = "lost"
# Status 0, but not the results of an undisturbed run.
WRONG = "wrong in silence"
# A traceback, a crash, or status 1 with no photo or model named.
TRACEBACK = "traceback"
# No end within the limit.
HANG = "hang"
COLUMNS = (LOST, WRONG, TRACEBACK, HANG)

_TRACEBACK = "Traceback (most recent call last)"

# The frame of a traceback that only a script which has begun can have.
_BEGUN = re.compile(r'captioning/cli\.py", line \d+, in run$', re.MULTILINE)

# Locks, half files of killed runs, and what may differ in how it is divided into files.
_LEFT_OUT = re.compile(r"(^|/)(\.lock.*|\.partial-.*|features-cache/.*)$")


@dataclass(frozen=True)
class Fault:
    """Something that must not happen."""

    column: str
    text: str


def judge_end(outcome: Outcome, killed_by: int = 0) -> list[Fault]:
    """Returns what is wrong with how a command ended, which a signal may have been sent to."""
    last = outcome.errors.strip().splitlines()[-1:] or [""]
    if outcome.is_hung:
        return [Fault(HANG, f"still running after {outcome.seconds:.0f} s")]
    # Before main() has begun, and once it has ended, Python's own answer to a signal stands.
    is_own = not killed_by or _BEGUN.search(outcome.errors)
    if _TRACEBACK in outcome.errors and is_own:
        return [Fault(TRACEBACK, last[0])]
    if killed_by:
        # 1 is Python's own answer, as above.
        if outcome.status in (0, 1, -killed_by, 128 + killed_by):
            return []
        return [Fault(WRONG, f"signal {killed_by} is told as status {outcome.status}: {last[0]}")]
    if outcome.status == 1 and not re.search(r"skipped |left out: ", outcome.errors):
        return [Fault(TRACEBACK, f"status 1, and nothing named: {last[0]}")]
    if outcome.status == 2 and not re.match(r"\w+\.py: .+", last[0]):
        return [Fault(TRACEBACK, f"status 2 without a sentence: {last[0]}")]
    if outcome.status not in (0, 1, 2):
        return [Fault(TRACEBACK, f"status {outcome.status}: {last[0]}")]
    return []


def compare(
    found: Mapping[str, str], expected: Mapping[str, str], leave_out: Collection[str] = ()
) -> list[Fault]:
    """Returns which files of `contents` are gone, and which hold something else."""
    names = [name for name in sorted({*found, *expected}) if name not in leave_out]
    gone = [name for name in names if name not in found]
    other = [name for name in names if name in found and found[name] != expected.get(name)]
    faults = [Fault(LOST, f"gone: {', '.join(gone)}")] if gone else []
    return faults + ([Fault(WRONG, f"different: {', '.join(other)}")] if other else [])


def half_files(folder: Path) -> list[Fault]:
    """Returns a fault if a run that was not killed has left half a file."""
    halves = [str(path.relative_to(folder)) for path in folder.rglob(".partial-*")]
    return [Fault(WRONG, f"half files are left: {', '.join(halves)}")] if halves else []


def contents(folder: Path) -> dict[str, str]:
    """Returns the digest of each file below a folder, without what differs from run to run."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(_read_lasting(path)).hexdigest()
        for name, path in sorted(paths.items())
        if not _LEFT_OUT.search(name)
    }


def _read_lasting(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                # The other member, metadata.json, has the date.
                network, weights = map(archive.read, ("config.json", "model.weights.h5"))
                # Places in memory.
                return re.sub(rb'"shared_object_id": \d+', b"", network) + weights
        if path.name == "history.csv":
            return pd.read_csv(path).drop(columns="seconds").to_csv().encode()
        if path.name == "checkpoint.npz":
            with np.load(path) as file:
                run = json.loads(str(file["run"]))
                for figures in run["history"]:
                    del figures["seconds"]
                arrays = [file[name].tobytes() for name in file.files if name != "run"]
                return b"".join([json.dumps(run).encode(), *arrays])
    except Exception:
        # It is damaged.
        return content
    # Someone may commit while the stress is at work.
    return re.sub(rb"git_commit = .*", b"", content)
