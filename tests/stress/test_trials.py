"""The stress run: each of its columns counts the fault that it is for, and nothing else."""

import os
import shutil
import time
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest
from stress import trials
from stress.trials import HANG, LOST, TRACEBACK, WRONG, Stage

GOOD, INPUT, COUNT, RESULT = "one two\n", *(Path("data", name) for name in ("in", "count", "out"))


def planted(flags):
    """Makes RESULT of INPUT, in one of the ways that should not be."""
    (behaviour,) = flags
    is_damaged = not INPUT.exists() or INPUT.read_text(errors="replace") != GOOD
    if is_damaged and behaviour == "crashes":
        raise ValueError
    if is_damaged and behaviour == "hangs":
        time.sleep(1000)
    if is_damaged and behaviour == "loses":
        COUNT.unlink()
    if is_damaged and behaviour != "believes":
        raise trials.cli.UserError(f"{INPUT} is damaged: write it again")
    if behaviour == "counts":
        count = int(COUNT.read_text())
        time.sleep(0.2)
        COUNT.write_text(str(count + 1))
    if behaviour == "cannot_go_on" and not RESULT.exists():
        return 2
    if behaviour == "cannot_go_on":
        RESULT.unlink()
        time.sleep(0.2)
    with open(RESULT.with_name(f".partial-{os.getpid()}"), "w") as file:
        file.write((INPUT.read_text() if INPUT.exists() else "").ljust(1000))
    os.replace(file.name, RESULT)
    return 0


@pytest.mark.parametrize(
    ("judge", "behaviour", "more", "columns"),
    [
        (trials.damage, "withstands", ("truncated", False), set()),
        (trials.damage, "believes", ("truncated", False), {WRONG}),
        (trials.damage, "believes", ("truncated", True), set()),
        (trials.damage, "crashes", ("removed", False), {TRACEBACK}),
        (trials.damage, "loses", ("flipped byte", False), {LOST}),
        (trials.damage, "hangs", ("removed", False), {HANG}),
        (trials.stop, "withstands", SIGKILL, set()),
        (trials.stop, "cannot_go_on", SIGKILL, {TRACEBACK, LOST}),
        (trials.stop, "withstands", 0, {WRONG}),  # A half file stays on a full disk.
        (trials.pair, "counts", None, {WRONG}),
    ],
)
def test_a_column_counts_the_fault_that_it_is_for(
    tmp_path, monkeypatch, judge, behaviour, more, columns
):
    monkeypatch.setattr(trials, "LIMIT", 0.5 if behaviour == "hangs" else 60)
    stage, whole = Stage(planted, behaviour), tmp_path / "whole"
    (whole / "data").mkdir(parents=True)
    for path, text in ((INPUT, GOOD), (COUNT, "0"), (RESULT, GOOD.ljust(1000))):
        (whole / path).write_text(text)
    case = {trials.stop: (stage, more), trials.pair: (stage, stage)}.get(judge)
    found = set()
    for seed in range(1 if behaviour == "hangs" else 5):
        folder = shutil.copytree(whole, tmp_path / f"trial {seed}")
        of_file = (str(INPUT), stage, *(more if judge == trials.damage else ()))
        found |= {column for column, _ in judge(whole, folder, case or of_file, Random(seed))}
    assert found == columns
