"""Measures how the time and the memory of each stage grow with the data.

    python benchmarks/scaling.py --data data/flickr8k

Reads   DATA as train.py does, and DATA/photos/
Writes  docs/scaling.png
Prints  a table: seconds and peak memory of each script at 1, 2, 4 and 8 times the data
Takes   about three minutes on two cores. Run nothing beside it.

The photos, features and captions of DATA are repeated under new names, so that the vocabulary stays
as it is. Each script runs as a user runs it, with its start; train.py trains for one epoch. What is
scored is always the model that was trained on 1 times the data: another one would write captions of
another length, which take another time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.old import CAPTIONS, PHOTOS, SPLITS, atomic_path, write_text
from captioning.photos.features import read_encoder_record, read_features, write_features
from captioning.photos.listing import find_photos
from captioning.settings import positive_integer
from captioning.text.prepared import read_prepared_text

ROOT = Path(__file__).resolve().parent.parent

DATA = Path("data/flickr8k")  # what prepare_photos.py and prepare_text.py wrote
PLOT = ROOT / "docs" / "scaling.png"  # the curves go there
CAPTIONED = 1000  # photos with captions and features, at 1 times
ENCODED = 50  # photos that prepare_photos.py encodes, at 1 times
FACTORS = (1, 2, 4, 8)
ENCODER = ["--encoder", "VGG16", "--weights", "none"]  # weights change no time


def write_text_data(source: Path, folder: Path, factor: int) -> int:
    """Writes captions, splits and features of so many times `CAPTIONED` photos.

    Returns the number of photos.
    """
    text, features = read_prepared_text(source), read_features(source)
    captions = text.captions
    usable = captions.keys() & features.keys()
    share = min(1, CAPTIONED / len(usable))
    lines, repeated = [], {}
    for split, file_name in SPLITS.items():
        names = [name for name in text.splits[split] if name in usable]
        copies = [
            (f"{name}_{copy}", name)
            for copy in range(factor)
            for name in names[: max(1, round(share * len(names)))]
        ]
        write_text(folder / file_name, "".join(f"{copy}.jpg\n" for copy, _ in copies))
        for copy, name in copies:
            repeated[copy] = features[name]
            lines += [f"{copy}.jpg#{k}\t{text}\n" for k, text in enumerate(captions[name])]
    write_text(folder / CAPTIONS, "".join(lines))
    record = read_encoder_record(source)
    write_features(folder, repeated, record, [])
    return len(repeated)


def write_photo_data(source: Path, folder: Path, factor: int) -> int:
    """Copies so many times `ENCODED` photos; returns how many."""
    paths = find_photos(source / PHOTOS)[:ENCODED]
    if not paths:
        raise UserError(f"{source / PHOTOS} holds no photos: put some there")
    (folder / PHOTOS).mkdir(parents=True)
    for copy in range(factor):
        for path in paths:
            shutil.copyfile(path, folder / PHOTOS / f"{path.stem}_{copy}{path.suffix}")
    return factor * len(paths)


def measure(script: str, *arguments: object) -> tuple[float, float]:
    """Runs a script; returns seconds and its peak memory in GB (10**9 bytes)."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            raise UserError(f"{script} failed: {output.read().decode(errors='replace')[-500:]}")
    # Linux counts in kibibytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - started, usage.ru_maxrss * unit / 1e9


def measure_all(source: Path, place: Path, scored: Path, factor: int) -> Iterator[dict]:
    """Runs the stages on so many times the data, and yields a row of the table for each.

    Args:
        source: the data folder.
        place: a folder for what is written.
        scored: the model folder that is scored; the first training writes it.
        factor: how many times the data.
    """
    text, photos = place / "text", place / "photos"
    model = place / "model" if scored.exists() else scored
    captioned = write_text_data(source, text, factor)
    encoded = write_photo_data(source, photos, factor)
    for script, count, arguments in (
        ("prepare_photos.py", encoded, ["--data", photos, *ENCODER]),
        ("prepare_text.py", captioned, ["--data", text]),
        ("train.py", captioned, ["--data", text, "--model", model, "--epochs", 1]),
        ("evaluate.py", captioned, ["--data", text, "--model", scored]),
    ):
        seconds, memory = measure(script, *arguments)
        yield {
            "stage": script,
            "factor": factor,
            "photos": count,
            "seconds": seconds,
            "memory": memory,
        }


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draws time and memory of each stage against the number of photos, from `measure_all`."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    for stage, rows in table.groupby("stage", sort=False):
        for place, column in zip(axes, ("seconds", "memory"), strict=True):
            place.plot(rows["factor"], rows[column], marker="o", label=stage)
    titles = ("Seconds, with the start of the script", "Peak memory (GB)")
    axes[0].set_yscale("log", base=2)
    axes[1].set_ylim(0, None)
    for place, title in zip(axes, titles, strict=True):
        place.set_xscale("log", base=2)
        place.set_xticks(FACTORS, [f"{factor}x" for factor in FACTORS])
        place.set(title=title, xlabel="Data")
        place.grid(alpha=0.3)
    axes[1].legend(loc=(0.05, 0.15))
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=150)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument("--plot", type=Path, default=PLOT, metavar="FILE", help="the picture")
    parser.add_argument(
        "--largest",
        type=positive_integer,
        default=FACTORS[-1],
        metavar="N",
        help="leave out the factors above",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and draws the curves."""
    options = parse_arguments(arguments)
    rows = []
    factors = [factor for factor in FACTORS if factor <= options.largest]
    with tempfile.TemporaryDirectory() as shared:
        for factor in tqdm(factors, unit=" sizes", disable=None):
            place = Path(shared, str(factor))
            rows += measure_all(options.data, place, Path(shared, "scored"), factor)
            shutil.rmtree(place)
    table = pd.DataFrame(rows)
    print(f"{'':18s}{'photos':>8s}{'seconds':>10s}{'GB':>7s}{'seconds for each photo more':>30s}")
    for stage, measured in table.groupby("stage", sort=False):
        earlier = None
        for row in measured.itertuples():
            more = ""
            if earlier:
                slope = (row.seconds - earlier.seconds) / (row.photos - earlier.photos)
                more = f"{slope:30.5f}"
            print(f"{stage:18s}{row.photos:8,d}{row.seconds:10.2f}{row.memory:7.2f}{more}")
            earlier = row
    draw(table, options.plot)
    print(f"wrote {options.plot}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
