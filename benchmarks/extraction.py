"""Measures photos per second from file to features, beside the network alone on ready batches.

    python benchmarks/extraction.py --data data/flickr8k

Reads   DATA/photos/
Prints  a line for each encoder and number type; the times are those of this machine at this moment
Takes   about two and a half minutes on two cores. Run nothing beside it.

The network alone is timed before and after the whole, on the same photos, which have been read and
resized by then. The weights change no time, so untrained ones will do.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, run
from captioning.files import PHOTOS
from captioning.photos.encoders import BFLOAT16, FLOAT32, UNTRAINED, Encoder, encode_photos
from captioning.photos.listing import find_photos
from captioning.photos.reading import read_rgb
from captioning.settings import number_from
from prepare_photos import BATCH_SIZE

DATA = Path("data/flickr8k")  # holds the folder photos
COUNT = 400  # photos
ENCODERS = ("VGG16", "EfficientNetLite2")


def time_network(encoder: Encoder, photos: list[list[np.ndarray]], batch_size: int) -> float:
    """Times the network on resized photos in memory, in seconds."""
    started = time.perf_counter()
    for start in range(0, len(photos), batch_size):
        encoder.encode(photos[start : start + batch_size])
    return time.perf_counter() - started


def measure(
    encoder: Encoder, paths: list[Path], batch_size: int
) -> tuple[float, float, np.ndarray]:
    """Returns the seconds of the network alone, those from file to features, and the features."""
    photos = [encoder.resize(read_rgb(path)) for path in paths]
    encoder.encode(photos[:batch_size])
    before = time_network(encoder, photos, batch_size)
    started = time.perf_counter()
    features = [features for _, features, _ in encode_photos(paths, encoder, batch_size)]
    whole = time.perf_counter() - started
    after = time_network(encoder, photos, batch_size)
    return (before + after) / 2, whole, np.stack(features)


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument(
        "--encoders", nargs="+", default=ENCODERS, metavar="NAME", help="the encoders"
    )
    parser.add_argument(
        "--weights", default=UNTRAINED, metavar="imagenet|none|FILE", help="their weights"
    )
    for flag, default, text in (
        ("--photos", COUNT, "how many photos"),
        ("--batch-size", BATCH_SIZE, "photos that the network takes at once"),
    ):
        parser.add_argument(flag, type=number_from(1), default=default, metavar="N", help=text)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Measures and prints."""
    options = parse_arguments(arguments)
    paths = find_photos(options.data / PHOTOS)[: options.photos]
    for name in options.encoders:
        results = {}
        for dtype in (FLOAT32, BFLOAT16):
            encoder = Encoder(name, options.weights, dtype)
            results[dtype] = measure(encoder, paths, options.batch_size)
            network, whole, _ = results[dtype]
            print(
                f"{name} {dtype:8s} {len(paths):,d} photos: {len(paths) / whole:7.1f} photos a "
                f"second, {network / whole:.3f} of the speed of the network alone",
                flush=True,
            )
        exact, short = results[FLOAT32][2], results[BFLOAT16][2]
        norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(short, axis=1)
        cosines = (exact * short).sum(axis=1) / norms
        print(
            f"{name} bfloat16 against float32: {results[FLOAT32][1] / results[BFLOAT16][1]:.2f}x "
            f"the speed, smallest cosine of the features {cosines.min():.6f}"
        )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
