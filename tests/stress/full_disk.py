"""Lets no file grow over a size, as on a full disk, and then runs the stage again."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from stress import kills
from stress.judging import Fault, half_files, judge_end
from stress.kills import check_results, check_use
from stress.running import limit_files, run
from stress.scene import Scene

# The smallest limit, in bytes: with less Python's semaphores cannot be made, which Linux keeps as
# files in memory, where no full disk reaches them.
_SMALLEST = 64


def plan(scene: Scene) -> Iterator[tuple[str, int]]:
    """Yields stages with limits such that each file in turn is the first that cannot be written."""
    for name in kills.STAGES:
        sizes = {size for size in scene.undisturbed[name].sizes.values() if size}
        limits = {_SMALLEST, *(size - 1 for size in sizes), *(size // 2 for size in sizes)}
        for limit in sorted(limits):
            yield name, max(_SMALLEST, limit)


def trial(scene: Scene, case: tuple[str, int], generator: Random, folder: Path) -> list[Fault]:
    """Runs a stage with the limit, then without it."""
    name, limit = case
    stage = scene.stages[name]
    outcome = run(stage.command, folder, scene.limit, limit_files(limit))
    faults = judge_end(outcome) + half_files(folder)
    if outcome.status != 0:
        if stage.use:
            faults += check_use(scene, stage.use, folder)
        outcome = run(stage.again(folder), folder, scene.limit)
        faults += judge_end(outcome)
    return faults + check_results(scene, name, outcome, folder)
