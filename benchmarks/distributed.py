"""Measures what encoding by a Ray cluster costs beside one process, and what each worker adds.

    python -m pip install -r requirements-ray.txt
    python benchmarks/distributed.py --data data/flickr8k

Reads   DATA/photos/
Prints  a table: seconds and peak memory without Ray, and with 1, 2, … workers; and how far the
        features of the workers are from those of one process
Takes   about five minutes on two cores. Run nothing beside it.

Each run is one of prepare_photos.py, with its start. The clusters are on this computer: machines,
as Ray sees them, of a processor each. On more workers than there are processors nothing becomes
faster: what is shown there is the overhead.
"""

import argparse
import contextlib
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.old import FEATURES, PHOTOS
from captioning.photos.listing import find_photos
from captioning.settings import positive_integer

ROOT = Path(__file__).resolve().parent.parent

DATA = Path("data/flickr8k")  # holds the folder photos
COUNT = 200  # photos
ENCODER = "EfficientNetLite0"
WORKERS = (1, 2)
REPEATS = 3  # of each run; the median counts


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[str]:
    """Starts so many machines of a processor, as Ray sees them; yields the address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(workers - 1):
        cluster.add_node(num_cpus=1)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


class Memory(threading.Thread):
    """Watches the peak of the memory of this run: of its own process, and of all workers."""

    def __init__(self, process: subprocess.Popen):
        super().__init__(daemon=True)
        self.process = process
        self.own = self.workers = 0.0

    def run(self) -> None:
        """Looks again and again until the process has ended."""
        while self.process.poll() is None:
            self.own = max(self.own, _resident(self.process.pid))
            self.workers = max(self.workers, sum(map(_resident, _workers())))
            time.sleep(0.1)


def _workers() -> list[int]:
    """Lists the processes that hold an encoder; Ray gives them a title."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(path.parent.name))
    return found


def _resident(pid: int) -> float:
    """Returns the memory of a process in GB (10**9 bytes), or 0 if it is gone."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024 / 1e9
    return 0.0


def measure(data: Path, encoder: str, *flags: str) -> tuple[float, float, float]:
    """Encodes all photos anew; returns seconds, GB of the script and GB of all workers."""
    for path in data.glob("features*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    command = [sys.executable, ROOT / "prepare_photos.py", "--data", data, "--encoder", encoder]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*map(str, command), *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    memory = Memory(process)
    memory.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - started
    memory.join()
    if process.returncode != DONE:
        raise UserError(f"prepare_photos.py failed: {output[-500:]}")
    return seconds, memory.own, memory.workers


def measure_often(
    data: Path, encoder: str, repeats: int, *flags: str
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Returns the medians of `measure`, and the features."""
    measured = [measure(data, encoder, *flags) for _ in range(repeats)]
    medians = [statistics.median(column) for column in zip(*measured, strict=True)]
    return medians, pickle.loads((data / FEATURES).read_bytes())


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument("--encoder", default=ENCODER, metavar="NAME", help="the encoder")
    for flag, default, text in (
        ("--photos", COUNT, "how many photos"),
        ("--repeats", REPEATS, "how often each is measured"),
    ):
        parser.add_argument(flag, type=positive_integer, default=default, metavar="N", help=text)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    options = parse_arguments(arguments)
    paths = find_photos(options.data / PHOTOS)[: options.photos]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        (data / PHOTOS).mkdir()
        for path in paths:
            shutil.copyfile(path, data / PHOTOS / path.name)
        what = (data, options.encoder, options.repeats)
        print(f"{len(paths):,d} photos, {options.encoder}, medians of {options.repeats}")
        print(f"{'':22s}{'seconds':>9s}{'GB script':>11s}{'GB workers':>12s}{'difference':>12s}")
        (seconds, own, workers), expected = measure_often(*what)
        print(f"{'one process':22s}{seconds:9.1f}{own:11.2f}{workers:12.2f}", flush=True)
        for count in WORKERS:
            with local_cluster(count) as address:
                (seconds, own, workers), found = measure_often(*what, "--ray", address)
            difference = max(np.abs(found[name] - row).max() for name, row in expected.items())
            print(
                f"{f'--ray, {count} workers':22s}{seconds:9.1f}{own:11.2f}{workers:12.2f}"
                f"{difference:12g}",
                flush=True,
            )
        (seconds, own, workers), _ = measure_often(*what, "--ray", "auto")
        print(f"{'--ray auto':22s}{seconds:9.1f}{own:11.2f}{workers:12.2f}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
