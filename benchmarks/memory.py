"""Measures the memory of train.py against the number of photos, with both forms of features.

    python benchmarks/memory.py
    python benchmarks/memory.py --photos 1000000 --length 64 --forms mapped --units 64

Prints  a row for each script, size and form of features: seconds; peak memory in GB; the peak of
        what is its own; and the latter at each tenth of the run
Takes   about ten minutes on two cores, and 7 GB in the folder for temporary files; the second
        command as long, and 1 GB. Run nothing beside it.

The data is made up; train.py trains for one epoch. Memory (RSS) counts the pages of mapped files
that are in memory at the moment, which the system takes back when it needs them; what is a
process's own is RssAnon of Linux, in whose /proc it is read.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, UserError, run
from captioning.files import CAPTIONS, SPLITS
from captioning.photos.features import MAPPED, PICKLE, EncoderRecord, write_features
from captioning.settings import SettingsParser
from captioning.storage import write_text

ROOT = Path(__file__).resolve().parent.parent

# The data.
PHOTOS = (8091, 32364, 129456)  # photos with captions and features: 1, 4, 16 times Flickr8k's
LENGTH = 4096  # features of a photo
FORMS = (PICKLE, MAPPED)  # what the features are written as
CAPTIONS_EACH = 1  # captions of a photo
WORDS = 1000  # different words of the captions

# The training.
UNITS = 256  # those of train.py
SCRIPTS = ROOT  # the folder of the scripts that are measured; another version's may be named

HELD_OUT = 1000  # photos of the validation split, and as many of the test split
ROWS = 4096  # features that differ; more would change nothing
SECONDS_BETWEEN = 0.2  # two looks at the memory

# What prepare_photos.py would write.
_RECORD = {
    "encoder": "VGG16",
    "layer": "fc2",
    "weights": "none",
    "weights_sha256": "0" * 64,
    "input_size": [224, 224],
    "resizing": "bilinear",
}


def write_captions(data: Path, photos: list[str], captions_each: int, words: int) -> None:
    """Writes captions of 6 to 14 words, some much more frequent than others, and the splits."""
    generator = np.random.default_rng(1)
    vocabulary = np.array(["".join(letters) for letters in product(ascii_lowercase, repeat=3)])
    lines = []
    for photo in photos:
        for number in range(captions_each):
            ranks = words * generator.random(generator.integers(6, 15)) ** 3
            lines.append(f"{photo}.jpg#{number}\t{' '.join(vocabulary[ranks.astype(int)])}\n")
    write_text(data / CAPTIONS, "".join(lines))
    names = iter(f"{photo}.jpg\n" for photo in photos)
    for split, count in (("dev", HELD_OUT), ("test", HELD_OUT), ("train", len(photos))):
        write_text(data / SPLITS[split], "".join(islice(names, count)))


def write_made_up_features(data: Path, photos: list[str], length: int, form: str) -> None:
    """Writes what prepare_photos.py would of photos that are not there."""
    rows = np.random.default_rng(2).random((ROWS, length), dtype=np.float32)
    features = (rows[index % ROWS] for index in range(len(photos)))
    write_features(data, photos, features, EncoderRecord(**_RECORD, length=length), form)


def memory_of(process: int) -> dict[str, float]:
    """Reads what Linux says of the memory of a process, in GB (10**9 bytes); nothing at its end."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    fields = (line.split() for line in lines if line.endswith("kB"))
    return {name.rstrip(":"): int(number) * 1024 / 1e9 for name, number, _ in fields}


def measure(script: Path, *arguments: object) -> tuple[float, float, list[float]]:
    """Runs a script; returns seconds, peak memory, and its own memory over the run, in GB."""
    started = time.perf_counter()
    peak, own = 0.0, []
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, str(script), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            memory = memory_of(process.pid)
            peak = max(peak, memory.get("VmHWM", 0))
            own.append(memory.get("RssAnon", 0))
            time.sleep(SECONDS_BETWEEN)
        if process.returncode != 0:
            output.seek(0)
            raise UserError(f"{script} failed: {output.read().decode(errors='replace')[-500:]}")
    return time.perf_counter() - started, peak, own


def print_row(title: str, measured: tuple[float, float, list[float]]) -> None:
    """Prints what `measure` returns."""
    seconds, peak, own = measured
    tenths = [own[round(share / 10 * (len(own) - 1))] for share in range(1, 10)]
    over_run = " ".join(f"{memory:.2f}" for memory in tenths)
    print(f"{title:38s}{seconds:8.1f}{peak:8.2f}{max(own):8.2f}   {over_run}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the data of each size, trains on it in each form, and prints the table."""
    options = SettingsParser(globals()).parse_settings(arguments)
    print(f"{'':38s}{'seconds':>8s}{'peak':>8s}{'own GB':>8s}   own at each tenth of the run")
    for count in options.photos:
        with tempfile.TemporaryDirectory() as shared:
            data, model = Path(shared, "data"), Path(shared, "model")
            photos = [f"made_up_photo_{number:09d}" for number in range(count)]
            write_captions(data, photos, options.captions_each, options.words)
            text = measure(options.scripts / "prepare_text.py", "--data", data)
            print_row(f"prepare_text.py {count:,d}", text)
            for form in options.forms:
                write_made_up_features(data, photos, options.length, form)
                flags = ["--epochs", 1, "--min-steps", 1, "--units", options.units]
                script = options.scripts / "train.py"
                trained = measure(script, "--data", data, "--model", model, *flags)
                print_row(f"train.py {count:,d}, {form}", trained)
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
