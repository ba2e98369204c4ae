"""Runs two stages at once in one folder.

What they leave must be what one of them alone leaves, where the other was refused, or both of them
one after the other.
"""

import signal
from pathlib import Path
from random import Random

from stress.judging import WRONG, Fault, compare, contents, judge_end
from stress.running import Run, at_event, is_touch, send_to_itself
from stress.scene import Scene

PAIRS = (
    ("photos", "photos"),
    ("photos", "text"),
    ("photos mapped", "train mapped"),
    ("text drawn", "text drawn anew"),
    ("text drawn anew", "text drawn anew"),
    ("text drawn anew", "train mapped"),
    ("train mapped", "text drawn anew"),
    ("evaluate mapped", "text drawn anew"),
    ("first train", "train"),
    ("train", "evaluate"),
    ("evaluate", "train"),
    ("evaluate", "evaluate dev"),
    ("generate", "train briefly"),
    ("train briefly", "generate"),
    ("generate", "generate"),
)

# Seconds that the second stage may wait for the first.
_PATIENCE = 20


def trial(scene: Scene, pair: tuple[str, str], generator: Random, folder: Path) -> list[Fault]:
    """Runs the second stage beside the first, or wholly between two file accesses of the first."""
    first_name, second_name = pair
    first, second = (scene.stages[name].command for name in pair)
    before = scene.undisturbed[first_name]
    if first.is_copied and generator.random() < 0.6:
        event = generator.randint(1, before.touches)
        stop = send_to_itself(signal.SIGSTOP)
        runs = [Run(first, folder, at_event(is_touch, event, stop))]
        runs[0].rests_within(scene.limit)
        runs.append(Run(second, folder))
        runs[1].rests_within(_PATIENCE)
        runs[0].send(signal.SIGCONT)
    else:
        runs = [Run(first, folder)]
        runs[0].rests_within(generator.uniform(0, before.outcome.seconds))
        runs.append(Run(second, folder))
    outcomes = [run.finish(scene.limit) for run in runs]
    faults = [fault for outcome in outcomes for fault in judge_end(outcome)]
    if faults:
        return faults
    statuses = tuple(outcome.status for outcome in outcomes)
    allowed = _allowed(scene, first_name, second_name, statuses)
    found = contents(folder)
    if not allowed:
        return [Fault(WRONG, "both end with 0, and in neither order would they")]
    judged = [compare(found, one) for one in allowed]
    return min(judged, key=lambda faults: sum(len(fault.text) for fault in faults))


def _allowed(
    scene: Scene, first: str, second: str, statuses: tuple[int, int]
) -> list[dict[str, str]]:
    """Returns what the folder may hold where the two ended with these statuses."""
    if statuses == (2, 2):
        return [contents(scene.whole)]
    if statuses[1] == 2:
        return [scene.undisturbed[first].contents]
    if statuses[0] == 2:
        return [scene.undisturbed[second].contents]
    orders = scene.sequences[first, second], scene.sequences[second, first]
    return [found for ends, found in orders if ends == (0, 0)]
