"""Kills a stage at random moments, and runs it again until it is done."""

import shutil
import signal
from pathlib import Path
from random import Random

from stress.judging import LOST, Fault, compare, contents, judge_end
from stress.running import Command, Outcome, Run, at_event, is_change, run, send_to_itself
from stress.scene import Scene

STAGES = (
    *("photos", "photos mapped", "text", "text drawn", "text drawn anew", "train", "resume"),
    *("train with rewards", "evaluate", "compare", "generate"),
)
IN_A_NEW_PYTHON = tuple(
    f"{name} in a new Python" for name in ("text", "train", "resume", "evaluate")
)

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Shares of the trials in which a stage finds nothing of earlier runs, and in which the run that
# goes on after a kill is killed itself.
_FRESH = 0.5
_AGAIN = 0.3


def trial(scene: Scene, name: str, generator: Random, folder: Path) -> list[Fault]:
    """Kills a stage, where the results of earlier runs may be there or not, and goes on."""
    stage, faults = scene.stages[name], []
    is_fresh = bool(stage.outputs) and generator.random() < _FRESH
    if is_fresh:
        for output in stage.outputs:
            path = folder / output
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    command = stage.command
    for _ in range(2 if generator.random() < _AGAIN else 1):
        number = generator.choice(_SIGNALS)
        outcome = kill(scene, name, command, number, generator, folder)
        faults += judge_end(outcome, number)
        if stage.use and not is_fresh:
            faults += check_use(scene, stage.use, folder)
        if outcome.status == 0:
            break
        command = stage.again(folder)
    else:
        outcome = run(command, folder, scene.limit)
        faults += judge_end(outcome)
    return faults + check_results(scene, name, outcome, folder)


def kill(
    scene: Scene, name: str, command: Command, number: int, generator: Random, folder: Path
) -> Outcome:
    """Sends a signal at any moment, or right before a change of a file, where most can go wrong."""
    undisturbed = scene.undisturbed[name]
    if command.is_copied and generator.random() < 0.5:
        event = generator.randint(1, undisturbed.changes)
        begun = Run(command, folder, at_event(is_change, event, send_to_itself(number)))
    else:
        begun = Run(command, folder)
        begun.rests_within(generator.uniform(0, undisturbed.outcome.seconds))
        begun.send(number)
    return begun.finish(scene.limit)


def check_use(scene: Scene, name: str, folder: Path) -> list[Fault]:
    """Returns a fault if a stage that worked before does not any more."""
    outcome = scene.run(name, folder)
    lost = [Fault(LOST, outcome.errors.strip())] if outcome.status != 0 else []
    return lost + judge_end(outcome)


def check_results(scene: Scene, name: str, outcome: Outcome, folder: Path) -> list[Fault]:
    """Returns a fault if a stage that nothing disturbs any more has not made what it should."""
    if outcome.status != 0:
        return [Fault(LOST, f"run again, it ends with {outcome.status}: {outcome.errors.strip()}")]
    return compare(contents(folder), scene.undisturbed[name].contents)
