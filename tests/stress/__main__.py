"""Disturbs all five scripts at random, and counts what they do not withstand.

Runs every stage on a few made-up photos, and then, again and again in copies of that folder,
disturbs one: kills it, fills the disk, damages a file that it may read, or runs another beside it.
It must refuse, or go on, and end with the very results of an undisturbed run. Prints each fault
with the folder that it is in, and a table; ends with status 1 if there is any fault.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial, partialmethod
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from random import Random
from signal import SIGINT, SIGKILL, SIGTERM

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
# Several threads add up in another order; git would wait for a lock that a kill has left.
os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "GIT_DIR": os.devnull}

import pandas as pd  # noqa: E402
from stress.trials import COLUMNS, DAMAGES, Run, Stage, damage, pair, stop  # noqa: E402
from support import StandIn, write_tiny_data  # noqa: E402

import captioning.photos.encoders  # noqa: E402
from captioning.keras_setup import keras  # noqa: E402

# In place of a network that takes seconds to load, and of tracing one, which takes as long.
captioning.photos.encoders.Encoder = StandIn
keras.Model.compile = partialmethod(keras.Model.compile, run_eagerly=True)

import evaluate  # noqa: E402
import generate  # noqa: E402
import prepare_photos  # noqa: E402
import prepare_text  # noqa: E402
import train  # noqa: E402

ENCODER = "--encoder MobileNetV2 --weights none --batch-size 4"
FIRST, SECOND = "--data data --model model", "--data other --model second"
NETWORK = "--units 8 --batch-size 16 --epochs 2 --shown-photos 0"

PHOTOS = Stage(prepare_photos.main, f"--data data {ENCODER}")
MAPPED = f"--data other --photos other/pictures --format mapped {ENCODER}"
OTHER_PHOTOS = Stage(prepare_photos.main, MAPPED)
TEXT = Stage(prepare_text.main, "--data data")
OTHER_TEXT = Stage(prepare_text.main, "--data other")
SPLIT_ANEW = Stage(prepare_text.main, "--data other --split-seed 2")
CAPTION = Stage(generate.main, "data/photos/red_ball_snow.png --model model")
TRAIN = Stage(train.main, f"{FIRST} {NETWORK}", CAPTION)
TRAIN_SECOND = Stage(train.main, f"{SECOND} {NETWORK}")
REWARD = Stage(train.main, f"{FIRST} {NETWORK} --reward-epochs 1", CAPTION)
# In place of a model with another vocabulary.
REPLACE = Stage(train.main, f"--data other --model model {NETWORK}", CAPTION)
STOPPED = Stage(train.main, f"--data data --model stopped {NETWORK}")
RESUME = Stage(train.main, f"{STOPPED.flags} --resume")
EVALUATE = Stage(evaluate.main, f"{FIRST} --beam 3 --consensus 1", CAPTION)
EVALUATE_SECOND = Stage(evaluate.main, f"{SECOND} --beam 3 --consensus 1")
PAGES = "data/photos --model model --csv out/captions.csv --html out/captions.html"
GENERATE = Stage(generate.main, PAGES)
# The stand-in's features depend on the batch, and a full disk may leave a part of one.
GROWN = "data/photos --model model --batch-size 1 --csv grown/captions.csv --txt"
GROW = Stage(generate.main, GROWN)

# Folder -> the stages that may read its files, in the order in which they make it.
STAGES = {
    "data": (PHOTOS, TEXT, TRAIN, EVALUATE, GENERATE),
    "other": (OTHER_PHOTOS, OTHER_TEXT, TRAIN_SECOND, EVALUATE_SECOND),
    "model": (EVALUATE, GENERATE),
    "stopped": (RESUME,),
}
LATER = (train.main, evaluate.main)  # which open nothing that people have made
DISTURBED = (PHOTOS, OTHER_PHOTOS, TEXT, OTHER_TEXT, REPLACE)
DISTURBED += (REWARD, RESUME, EVALUATE, GENERATE, GROW)
PAIRS = [
    *[(PHOTOS, PHOTOS), (PHOTOS, TEXT), (OTHER_PHOTOS, TRAIN_SECOND), (OTHER_TEXT, SPLIT_ANEW)],
    *[(SPLIT_ANEW, TRAIN_SECOND), (TRAIN_SECOND, SPLIT_ANEW), (TRAIN, REPLACE)],
    *[(REPLACE, EVALUATE), (EVALUATE, REPLACE), (GENERATE, REPLACE), (GROW, GROW)],
]


def make_whole(whole: Path) -> set[str]:
    """Runs every stage, and stops one training; returns the names of what people have made."""
    write_tiny_data(whole / "data")
    # The other data set has folders of other names, and random splits.
    shutil.copytree(whole / "data" / "photos", whole / "other" / "pictures")
    shutil.copy(whole / "data" / "Flickr8k.token.txt", whole / "other")
    people = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()}
    for each in (*STAGES["data"], *STAGES["other"]):
        run = Run(each, whole).finish()
        if run.status != 0:
            raise AssertionError(f"{each}: {run.status} {run.errors}")
    stopped = Run(STOPPED, whole)
    while not (whole / "stopped" / "checkpoint.npz").exists():
        pass
    stopped.process.terminate()
    stopped.finish()
    return people


def cases_of(whole: Path, people: set[str]) -> Iterator[tuple]:
    """Yields kinds of trials: their share of all, the function, and a case with its row of each."""
    kills = product(DISTURBED, (SIGKILL, SIGTERM, SIGINT))
    yield 0.25, stop, [(case, f"killed by {case[1].name}") for case in kills]
    yield 0.15, stop, [((each, 0), "disk full") for each in DISTURBED]
    yield 0.1, pair, [(case, "two at once") for case in PAIRS]
    files = [path for path in whole.rglob("[!.]*") if path.is_file()]
    names = [str(path.relative_to(whole)) for path in files if path.stat().st_size]
    damages = [
        ((name, reader, kind, name in people and reader.main not in LATER), f"file {kind}")
        for name, kind in product(sorted(names), (*DAMAGES, "removed", "swapped"))
        for reader in STAGES.get(name.partition("/")[0], ())
        if "_box_" not in name
    ]
    yield 0.5, damage, damages


def run_trial(whole: Path, seed: int, trial: tuple) -> tuple[str, set[str]]:
    """Runs a trial in a folder, which is removed if there is no fault; returns row and columns."""
    index, judge, (case, row) = trial
    folder = shutil.copytree(whole, whole.with_name(f"trial-{index}"))
    columns = set()
    for column, text in judge(whole, folder, case, Random(f"{seed} {index}")):
        columns.add(column)
        print(f"{folder} {row} {case}: {column}: {text}", flush=True)
    if not columns:
        shutil.rmtree(folder)
    return row, columns


def main() -> int:
    """Runs all trials and prints the table."""
    parser = argparse.ArgumentParser("python tests/stress", description=__doc__)
    parser.add_argument("--trials", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # Python's own handler would answer before a script has begun; shells may have it ignored.
    signal.signal(SIGINT, signal.SIG_DFL)
    whole, choices = Path(tempfile.mkdtemp(prefix="stress-")) / "whole", Random(options.seed)
    people, trials = make_whole(whole), []
    for share, judge, cases in cases_of(whole, people):
        for case in choices.choices(cases, k=round(share * options.trials)):
            trials.append((len(trials), judge, case))
    counts: dict[str, Counter] = {}
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork")) as pool:
        for row, columns in pool.map(partial(run_trial, whole, options.seed), trials):
            counts.setdefault(row, Counter()).update(["trials", *columns])
    table = pd.DataFrame(counts, index=["trials", *COLUMNS]).T.fillna(0).astype(int)
    table.loc["all"] = table.sum()
    print(table.to_string())
    if table.loc["all", [*COLUMNS]].any():
        return 1
    shutil.rmtree(whole.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
