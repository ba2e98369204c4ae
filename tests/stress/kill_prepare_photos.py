"""Kills prepare_photos.py at random moments, runs it again, and checks that nothing is lost.

    python tests/stress/kill_prepare_photos.py --times 50
    python tests/stress/kill_prepare_photos.py --times 500 --stand-in

Draws a few hundred tiny photos into a temporary folder, and lets prepare_photos.py encode them once
undisturbed. Then, as often as asked for, it does so from the start, kills it one to three times at
random moments and lets it finish. features.pkl and features.json must be the same to the byte, no
run may end in a traceback, and no kill may cost more than the photos of one file of the cache. With
--stand-in the network is replaced by a few lines of NumPy, so that TensorFlow need not start and
more kills fall into the moments when files are written.

Prints a line for each time; ends with status 1 if anything was wrong. With MobileNetV2 on two cores
50 times take about half an hour.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import StandIn, draw_photos  # noqa: E402

from captioning import extraction  # noqa: E402  The folder must be known before it is imported.
from captioning.cli import run  # noqa: E402
from captioning.files import (  # noqa: E402
    ENCODER_RECORD,
    FEATURES,
    FEATURES_CACHE,
)
from captioning.storage import LOCK  # noqa: E402

PHOTOS = 300
BATCH_SIZE = 8

# In place of the 256 of the script, so that a few hundred photos make many files.
AT_RISK = 32

RESULTS = (FEATURES, ENCODER_RECORD)

# Where the network notes, beside the data, how many photos it has taken.
TALLY = "tally.txt"


def heed_interrupts():
    """Undoes what a shell does to those that it starts in the background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def be_prepare_photos(data, stand_in):
    """Is prepare_photos.py with small files in its cache, and tallies what it encodes."""
    sys.argv[0] = "prepare_photos.py"
    if stand_in:
        sys.modules["captioning.encoders"] = SimpleNamespace(Encoder=StandIn)
    # Only after its network has been replaced.
    import prepare_photos
    from captioning.encoders import Encoder

    extraction.PHOTOS_AT_RISK = AT_RISK
    encode = Encoder.encode

    def tally(encoder, photos, batch_size):
        # Before the work, so that a kill in between counts as the loss that it is.
        with open(data / TALLY, "a") as file:
            file.write(f"{len(photos)}\n")
        return encode(encoder, photos, batch_size)

    Encoder.encode = tally
    flags = ["--encoder", "MobileNetV2", "--weights", "none", "--batch-size", str(BATCH_SIZE)]
    return run(prepare_photos.main, ["--data", str(data), *flags])


class Disturber:
    """Runs prepare_photos.py on photos drawn for it, and stops it.

    Args:
        data: pathlib.Path of a folder to be made.
        photos: int, how many to draw.
        stand_in: bool, whether to replace the network.
    """

    def __init__(self, data, photos=PHOTOS, stand_in=False):
        self.data = data
        self.readable = photos - 1
        self.command = [sys.executable, __file__, "--be-prepare-photos", str(data)]
        self.command += ["--stand-in"] if stand_in else []
        draw_photos(data / "photos", photos)
        started = self.start()
        begun = time.monotonic()
        self.finish(started)
        self.duration = time.monotonic() - begun
        self.expected = self.results()

    def results(self):
        """Reads what the script has written."""
        return {name: (self.data / name).read_bytes() for name in RESULTS}

    def clear(self):
        """Removes all but the photos."""
        for path in sorted(self.data.rglob("*"), reverse=True):
            if "photos" not in path.relative_to(self.data).parts:
                path.rmdir() if path.is_dir() else path.unlink()

    def start(self):
        """Starts the script and waits until it holds the folder's lock."""
        (self.data / LOCK).unlink(missing_ok=True)
        process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )
        while process.poll() is None and not (self.data / LOCK).exists():
            time.sleep(0.005)
        return process

    def finish(self, process):
        """Waits for the script and gives its output, which must not hold a traceback."""
        output, errors = process.communicate(timeout=600)
        if "Traceback" in errors:
            raise AssertionError(errors)
        # 1: done, but for the file that is no photo.
        if process.returncode not in (1, -signal.SIGKILL):
            raise AssertionError(f"status {process.returncode}: {errors}")
        return output

    def encoded(self):
        """Counts the photos that the network has taken."""
        path = self.data / TALLY
        return sum(map(int, path.read_text().split())) if path.exists() else 0

    def disturb(self, delays):
        """Lets the script begin anew, kills it, and lets it end.

        Args:
            delays: list of float, seconds from the lock to each kill.

        Returns:
            dict: `found`, a list of int, the features that each run after a stop found in the
            cache; `again`, the photos that were done again.

        Raises:
            AssertionError: if anything is lost or different.
        """
        self.clear()
        found = []
        for delay in delays:
            process = self.start()
            time.sleep(delay)
            process.kill()
            found.append(read_found(self.finish(process)))
        found.append(read_found(self.finish(self.start())))
        again = self.encoded() - self.readable
        for name, content in self.results().items():
            if content != self.expected[name]:
                raise AssertionError(f"{name} is another after stops at {delays}")
        if again > AT_RISK * len(delays):
            raise AssertionError(f"{again} photos were done again after stops at {delays}")
        if len(list((self.data / FEATURES_CACHE).iterdir())) != 1:
            raise AssertionError(f"{FEATURES_CACHE} holds several files after stops at {delays}")
        return {"found": found[1:], "again": again}


def read_found(output):
    """Reads from the script's output how many features it found."""
    match = re.search(r"found ([\d,]+) features", output)
    return int(match[1].replace(",", "")) if match else 0


def main():
    """Kills as often as asked for and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--be-prepare-photos", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_prepare_photos:
        return be_prepare_photos(options.be_prepare_photos, options.stand_in)
    generator = random.Random(options.seed)
    wrong = kills = most = 0
    with tempfile.TemporaryDirectory() as folder:
        disturber = Disturber(Path(folder, "data"), stand_in=options.stand_in)
        print(f"undisturbed: {disturber.duration:.2f} s of work on {disturber.readable} photos")
        print("time  killed after (s)        found again         done again  result", flush=True)
        for number in range(1, options.times + 1):
            count = generator.randint(1, 3)
            delays = [generator.uniform(0, disturber.duration) for _ in range(count)]
            kills += count
            try:
                outcome, fault = disturber.disturb(delays), "the same bytes"
            except AssertionError as error:
                outcome, fault = {"found": [], "again": 0}, f"WRONG: {error}"
                wrong += 1
            most = max(most, outcome["again"])
            when = " ".join(f"{delay:.2f}" for delay in delays)
            found = " ".join(map(str, outcome["found"]))
            row = f"{number:>4}  {when:<22}  {found:<18}  {outcome['again']:>10}  {fault}"
            print(row, flush=True)
    print(
        f"{options.times} times, {kills} kills, {wrong} wrong, at most {most} photos done again in "
        f"one time, where {AT_RISK} a kill are allowed"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
