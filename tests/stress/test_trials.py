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
    """Makes RESULT of INPUT; what it does where that is damaged says a flag."""
    behaviour = flags[0]
    if not INPUT.exists() or INPUT.read_text() != "whole":
        if behaviour == "crashes":
            raise ValueError
        if behaviour == "hangs":
            time.sleep(1000)
        if behaviour == "loses":
            OTHER.unlink()
        if behaviour != "believes":
            raise trials.cli.UserError(f"{INPUT} is damaged: write it again")
    RESULT.write_text(INPUT.read_text() if INPUT.exists() else "")
    return 0


@pytest.mark.parametrize(
    ("judge", "behaviour", "columns"),
    [
        (trials.damage, "withstands", set()),
        (trials.damage, "believes", {WRONG}),
        (trials.damage, "crashes", {TRACEBACK}),
        (trials.damage, "loses", {LOST}),
        (trials.damage, "hangs", {HANG}),
        (trials.stop, "withstands", set()),
    ],
)
def test_a_column_counts_its_fault(tmp_path, monkeypatch, judge, behaviour, columns):
    monkeypatch.setattr(trials, "LIMIT", 0.5 if behaviour == "hangs" else 60)
    stage, whole, found = Stage(planted, behaviour), tmp_path / "whole", set()
    (whole / "data").mkdir(parents=True)
    for path, text in ((INPUT, "whole"), (OTHER, "0"), (RESULT, "whole")):
        (whole / path).write_text(text)
    damaged = str(INPUT), stage, "removed", False
    case = (stage, SIGKILL) if judge == trials.stop else damaged
    for seed in range(1 if behaviour == "hangs" else 3):
        folder = shutil.copytree(whole, tmp_path / f"trial {seed}")
        found |= {column for column, _ in judge(whole, folder, case, Random(seed))}
    assert found == columns
