"""Kills train.py at random moments, resumes it, and checks that nothing is lost.

    python tests/stress/kill_train.py --times 50

Prepares a tiny data set in a temporary folder and trains on it once undisturbed. Then, as often as
asked for, it trains from the start, kills the run one to three times at random moments, resumes it
each time and lets it finish. The figures of every epoch and the weights of the saved model must be
the same to the bit, no run may end in a traceback, and a model that was there before a kill must
still load after it.

Prints a line for each time; ends with status 1 if anything was wrong. On two cores 50 times take
about twenty minutes.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/stress")]

from kill_prepare_photos import heed_interrupts  # noqa: E402
from support import make_prepared_data  # noqa: E402  The folders must be known before.

from captioning.cli import UserError  # noqa: E402
from captioning.saved_model import load_model  # noqa: E402

EPOCHS = 12
FIGURES = ["epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"]


def command(data, model, *more):
    """Builds the command line of train.py."""
    flags = ["--data", data, "--model", model, "--epochs", EPOCHS, "--batch-size", 4, *more]
    return [sys.executable, str(ROOT / "train.py"), *map(str, flags)]


def finish(*arguments):
    """Runs train.py to its end and returns the finished process."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def kill_after(seconds, how, *arguments):
    """Starts train.py and stops it; returns its status and what it wrote on stderr."""
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    time.sleep(seconds)
    process.send_signal(how)
    _, errors = process.communicate()
    return process.returncode, errors


def results(model):
    """Gives the figures of every epoch and the weights of the model."""
    figures = pd.read_csv(model / "history.csv")[FIGURES].to_numpy()
    return [figures, *load_model(model).captioner.get_weights()]


def same(first, second):
    """Tells whether two results are equal to the bit."""
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def epochs_done(model):
    """Counts the epochs that the figures know of; 0 where there are none yet."""
    path = model / "history.csv"
    return len(pd.read_csv(path)) if path.exists() else 0


def disturb(
    data: Path, model: Path, seconds: float, generator: random.Random
) -> tuple[str, list[str]]:
    """Trains once with kills in between; returns what was done, and what was wrong.

    The model folder must not exist; an undisturbed run takes about so many seconds.
    """
    story, wrong, more = [], [], []
    for _ in range(generator.randint(1, 3)):
        how = generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        status, errors = kill_after(generator.uniform(0, seconds), how, data, model, *more)
        story.append(f"{how.name} after epoch {epochs_done(model)}")
        # Until main() has begun, Python's own answer to SIGINT stands.
        if "Traceback" in errors and "in main" in errors:
            wrong.append(f"traceback: {errors.strip().splitlines()[-1]}")
        if (model / "captioner.keras").exists():
            try:
                load_model(model)
            except UserError as error:
                wrong.append(f"lost the model: {error}")
        if status == 0:
            break
        more = ["--resume"] if (model / "checkpoint.npz").exists() else []
    else:
        process = finish(data, model, *more)
        if process.returncode != 0:
            wrong.append(process.stderr.strip())
    return ", ".join(story), wrong


def main():
    """Disturbs as often as asked for; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=50, metavar="N", help="how often")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the moments")
    options = parser.parse_args()
    generator, faults = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as place:
        data, model = Path(place, "data"), Path(place, "model")
        make_prepared_data(data)
        started = time.monotonic()
        finish(data, model)
        seconds = time.monotonic() - started
        expected = results(model)
        for number in range(options.times):
            shutil.rmtree(model)
            story, wrong = disturb(data, model, seconds, generator)
            if not wrong and not same(results(model), expected):
                wrong.append("the figures or the weights differ")
            faults += bool(wrong)
            print(f"{number + 1:3d} {story}: {'; '.join(wrong) or 'nothing lost'}", flush=True)
    print(f"{options.times} times, {faults} with anything lost or a traceback")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
