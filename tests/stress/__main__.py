"""Disturbs all five scripts at random, and counts what they do not withstand.

    python tests/stress
    python tests/stress --kills 20 --full-disks 20 --damages 100 --pairs 10
    python tests/stress --seed 1 --only damage:17

Makes up a few photos with captions, runs every stage on them, and then, again and again in copies
of that folder, disturbs a stage: kills it, fills the disk, damages a file that it reads, or runs
another beside it. Afterwards the stage must have refused, or go on, and end with the very results
of an undisturbed run. Each trial depends on its number and the seed, but for the moments of some
kills.

Prints a table of faults; of each fault the command that repeats its trial alone, and where its
folder is. Ends with status 1 if there is any. Takes about half an hour on two cores.
"""

import argparse
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial, partialmethod
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import StandIn  # noqa: E402
from tqdm import tqdm  # noqa: E402

from stress import damages, full_disk, kills, pairs  # noqa: E402  The folders must be known.
from stress.judging import COLUMNS, Fault  # noqa: E402
from stress.scene import STAGES, Scene, make_whole  # noqa: E402

# Photos in a file of the cache of features, so that twelve make several.
PHOTOS_AT_RISK = 4


@dataclass(frozen=True)
class Trial:
    """One trial; its number among those of its kind makes its random choices."""

    kind: str
    number: int
    row: str  # of the table
    case: Any  # what the kind's `trial` takes
    judge: Callable[[Scene, Any, Random, Path], list[Fault]]

    @property
    def name(self) -> str:
        """What `--only` takes."""
        return f"{self.kind}:{self.number}"


def load_scripts() -> None:
    """Imports what the scripts import once they know their arguments, with a quick encoder."""
    import captioning.photos.encoders

    captioning.photos.encoders.Encoder = StandIn
    import captioning.captioner
    import captioning.network.progress
    import captioning.network.reward
    import captioning.network.training
    import captioning.pages.results
    import captioning.photos.extraction
    import captioning.recipes
    import captioning.scores.comparison
    import captioning.scores.model_table
    import evaluate  # noqa: F401
    import generate  # noqa: F401
    import prepare_photos  # noqa: F401
    import prepare_text  # noqa: F401
    import train  # noqa: F401

    captioning.photos.extraction.PHOTOS_AT_RISK = PHOTOS_AT_RISK
    # Git, stopped by a limit on the size of files, leaves the project's repository locked.
    captioning.recipes._git_commit = dict
    # To trace the network takes seconds, and has nothing to do with files.
    trainer = captioning.network.training.CaptionTrainer
    trainer.compile = partialmethod(trainer.compile, run_eagerly=True)


def plan(scene: Scene, options: argparse.Namespace) -> list[Trial]:
    """Lists all trials; the cases of each kind are repeated until there are enough."""
    kinds = (
        ("kill", options.kills, kills.STAGES, kills.trial, "killed"),
        ("kill-new", options.new_kills, kills.IN_A_NEW_PYTHON, kills.trial, "killed, new Python"),
        ("disk", options.full_disks, [*full_disk.plan(scene)], full_disk.trial, "disk full"),
        ("damage", options.damages, [*damages.plan()], damages.trial, "file "),
        ("pair", options.pairs, pairs.PAIRS, pairs.trial, "two at once"),
    )
    trials = []
    for kind, count, cases, judge, row in kinds:
        for number, case in enumerate(islice(cycle(_mixed(cases)), count)):
            full_row = row + case[-1] if kind == "damage" else row
            trials.append(Trial(kind, number, full_row, case, judge))
    return trials


def _mixed(cases: Iterable[Any]) -> list[Any]:
    # So that a few trials are of many cases.
    found = [*cases]
    return Random(1).sample(found, len(found))


def run_trial(scene: Scene, seed: int, trial: Trial) -> tuple[list[Fault], Path]:
    """Runs a trial in a folder, which is removed if there is no fault."""
    folder = scene.copy(trial.name.replace(":", "-"))
    generator = Random(f"{seed} {trial.name}")
    faults = trial.judge(scene, trial.case, generator, folder)
    if not faults:
        shutil.rmtree(folder)
    return faults, folder


def prepare(scene: Scene, pool: ProcessPoolExecutor, stages: set[str], in_pairs: set[Any]) -> None:
    """Runs every stage undisturbed, and the pairs one after the other."""
    pool.submit(make_whole, scene).result()
    runs = {pool.submit(scene.run_undisturbed, name): name for name in sorted(stages)}
    orders = {pool.submit(scene.run_in_sequence, pair): pair for pair in sorted(in_pairs)}
    total = len(runs) + len(orders)
    for done in tqdm(as_completed({**runs, **orders}), total=total, unit=" runs", disable=None):
        if done in runs:
            scene.undisturbed[runs[done]] = done.result()
        else:
            scene.sequences[orders[done]] = done.result()


def print_table(counts: dict[str, Counter]) -> None:
    """Prints how many trials of each row there were, and how many had a fault of each column."""
    rows = [(row, counter["trials"], *map(counter.get, COLUMNS)) for row, counter in counts.items()]
    whole = sum(counts.values(), Counter())
    rows.append(("all", whole["trials"], *(whole[column] for column in COLUMNS)))
    print(f"| fault | trials | {' | '.join(COLUMNS)} |\n|---|{'--:|' * (1 + len(COLUMNS))}")
    for row, *cells in rows:
        print(f"| {row} | {' | '.join(f'{cell or 0:,d}' for cell in cells)} |")


def read_options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        "python tests/stress",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for flag, count, what in (
        ("--kills", 190, "kills at random moments"),
        ("--new-kills", 20, "of scripts in a Python of their own"),
        ("--full-disks", 100, "trials with a limit on the size of files"),
        ("--damages", 2000, "damaged files"),
        ("--pairs", 60, "pairs of runs at once"),
        ("--seed", 1, "what the random choices depend on"),
        ("--jobs", os.cpu_count(), "trials at once"),
    ):
        help_text = f"{what} (default: {count})"
        parser.add_argument(flag, type=int, default=count, metavar="N", help=help_text)
    parser.add_argument("--only", nargs="+", metavar="KIND:N", help="these trials alone")
    return parser.parse_args()


def main() -> int:
    """Runs all trials and prints the table."""
    options = read_options()
    place = Path(tempfile.mkdtemp(prefix="stress-"))
    scene = Scene(place, STAGES)
    load_scripts()
    counts: dict[str, Counter] = {}
    broken = 0
    with ProcessPoolExecutor(options.jobs, get_context("fork")) as pool:
        both = {order for pair in pairs.PAIRS for order in (pair, pair[::-1])}
        prepare(scene, pool, set(STAGES), both)
        trials = plan(scene, options)
        if options.only:
            trials = [trial for trial in trials if trial.name in options.only]
        work = partial(run_trial, scene, options.seed)
        runs = {pool.submit(work, trial): trial for trial in trials}
        bar = tqdm(as_completed(runs), total=len(runs), unit=" trials", disable=None)
        for done in bar:
            trial = runs[done]
            counter = counts.setdefault(trial.row, Counter())
            counter["trials"] += 1
            if error := done.exception():
                broken += 1
                bar.write(f"{trial.name} {trial.case}: the stress run itself failed")
                bar.write("".join(traceback.format_exception(error)))
                continue
            faults, folder = done.result()
            counter.update({fault.column for fault in faults})
            for fault in faults:
                bar.write(f"{trial.name} {trial.case}: {fault.column}: {fault.text}")
            if faults:
                again = f"python tests/stress --seed {options.seed} --only {trial.name}"
                bar.write(f"  {folder}; again: {again}")
    print_table(dict(sorted(counts.items())))
    whole = sum(counts.values(), Counter())
    has_faults = broken or any(whole[column] for column in COLUMNS)
    if has_faults:
        print(f"{scene.whole} is the folder that the trials began with")
    else:
        shutil.rmtree(place)
    return 1 if has_faults else 0


if __name__ == "__main__":
    sys.exit(main())
