"""The stress run: each of its columns counts the fault that it is for, and nothing else."""

import shutil
import time
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest
from stress import trials
from stress.trials import HANG, LOST, TRACEBACK, WRONG, Stage

INPUT, OTHER, RESULT = (Path("data", name) for name in ("in", "other", "out"))


def planted(flags):
    """Makes RESULT of INPUT; what it does where that is gone says a flag."""
    if not INPUT.exists():
        if flags == ["crashes"]:
            raise ValueError
        if flags == ["hangs"]:
            time.sleep(1000)
        if flags == ["loses"]:
            OTHER.unlink()
        if flags != ["believes"]:
            raise trials.cli.UserError(f"{INPUT} is missing: write it again")
    RESULT.write_text(INPUT.read_text() if INPUT.exists() else "")
    return 0


FAULTS = {"withstands": set(), "believes": {WRONG}, "crashes": {TRACEBACK}, "loses": {LOST}}
FAULTS |= {"hangs": {HANG}, "is killed": set()}


@pytest.mark.parametrize(("behaviour", "columns"), FAULTS.items())
def test_a_column_counts_its_fault(tmp_path, monkeypatch, behaviour, columns):
    monkeypatch.setattr(trials, "LIMIT", 0.5 if behaviour == "hangs" else 60)
    stage, whole, found = Stage(planted, behaviour), tmp_path / "whole", set()
    (whole / "data").mkdir(parents=True)
    for path in (INPUT, OTHER, RESULT):
        (whole / path).write_text("whole")
    judge, case = trials.damage, (str(INPUT), stage, "removed", False)
    if behaviour == "is killed":
        judge, case = trials.stop, (stage, SIGKILL)
    for seed in range(1 if behaviour == "hangs" else 3):
        folder = shutil.copytree(whole, tmp_path / f"trial {seed}")
        found |= {column for column, _ in judge(whole, folder, case, Random(seed))}
    assert found == columns
