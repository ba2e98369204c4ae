"""The stress run: each of its columns counts the fault that it is for, and nothing else."""

from collections import Counter
from random import Random

import planted
import pytest
from stress import damages, full_disk, kills, pairs
from stress.judging import HANG, LOST, TRACEBACK, WRONG
from stress.running import Command
from stress.scene import Scene, Stage

# One alone may kill too early, or run a pair one after the other.
SEEDS = range(12)
# Where what happens does not depend on the moment.
FEW_SEEDS = range(3)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """Gives a folder with an input and results, and a stage for each way to behave."""
    behaviours = ("withstands", "believes", "crashes", "hangs", "says nothing", "dies", "counts")
    behaviours += ("loses another file", "cannot go on", "leaves a half")
    stages = {name: Stage(Command(planted.__file__, (name,))) for name in behaviours}
    scene = Scene(tmp_path, stages, limit=5)
    (scene.whole / "data").mkdir(parents=True)
    for name, text in (("input", planted.GOOD_INPUT), ("count", "0"), ("result", "old")):
        (scene.whole / "data" / f"{name}.txt").write_text(text)
    kind = damages.Kind(behaviours)
    names = ("data/input.txt", "data/count.txt")
    monkeypatch.setattr(damages, "KINDS", dict.fromkeys(names, kind))
    return scene


def count(trial, scene, case, seeds=SEEDS):
    """Counts how many trials find a fault of each column."""
    counts = Counter()
    # A case names its stages, or is the only one.
    for name in set(scene.stages).intersection([case, *case]) - set(scene.undisturbed):
        scene.undisturbed[name] = scene.run_undisturbed(name)
    for seed in seeds:
        faults = trial(scene, case, Random(seed), scene.copy(f"trial {seed}"))
        counts.update({fault.column for fault in faults})
    return counts


@pytest.mark.parametrize(
    ("behaviour", "column"),
    [
        ("believes", WRONG),
        ("crashes", TRACEBACK),
        ("says nothing", TRACEBACK),
        ("dies", TRACEBACK),
        ("loses another file", LOST),
    ],
)
def test_damage(scene, behaviour, column):
    case = ("data/input.txt", behaviour, "truncated")
    assert count(damages.trial, scene, case, FEW_SEEDS) == {column: len(FEW_SEEDS)}


def test_a_script_that_hangs(scene):
    scene.limit = 0.5
    case = ("data/input.txt", "hangs", "emptied")
    assert count(damages.trial, scene, case, seeds=[1]) == {HANG: 1}


@pytest.mark.parametrize("fault", [*damages.FAULTS, damages.SWAPPED])
def test_damage_that_is_withstood(scene, fault):
    assert count(damages.trial, scene, ("data/input.txt", "withstands", fault), FEW_SEEDS) == {}


def test_what_is_free_to_change_is_not_compared(scene, monkeypatch):
    kind = damages.Kind(("believes",), free=("believes",))
    monkeypatch.setitem(damages.KINDS, "data/input.txt", kind)
    assert count(damages.trial, scene, ("data/input.txt", "believes", "truncated")) == {}


def test_kills(scene):
    assert count(kills.trial, scene, "withstands") == {}
    counts = count(kills.trial, scene, "cannot go on")
    assert counts[LOST]
    assert not counts[TRACEBACK]


def test_what_worked_before_a_kill_must_work_after_it(scene):
    stage = Stage(scene.stages["withstands"].command, use="crashes")
    scene.stages["withstands"] = stage
    # It works.
    assert count(kills.trial, scene, "withstands") == {}
    (scene.whole / "data" / "input.txt").write_text("damaged")
    assert count(kills.trial, scene, "withstands")[LOST] == len(SEEDS)


def test_full_disks(scene):
    size = planted.RESULT_SIZE - 1
    assert count(full_disk.trial, scene, ("withstands", size), FEW_SEEDS) == {}
    assert count(full_disk.trial, scene, ("leaves a half", size), FEW_SEEDS)[WRONG]
    assert count(full_disk.trial, scene, ("cannot go on", size), FEW_SEEDS)[LOST]
    # Where it is not reached, nothing is wrong.
    assert count(full_disk.trial, scene, ("leaves a half", size + 1), FEW_SEEDS) == {}


def test_pairs(scene):
    for pair in (("counts", "counts"), ("withstands", "counts"), ("counts", "withstands")):
        scene.sequences[pair] = scene.run_in_sequence(pair)
    assert count(pairs.trial, scene, ("withstands", "counts")) == {}
    # Both read the same number, and one of them is lost.
    assert count(pairs.trial, scene, ("counts", "counts"))[WRONG]
