"""Measures how fast photos become vectors, against the network alone on batches that are ready.

    python benchmarks/extraction.py --data data/flickr8k --weights none

Reads   DATA/photos/
Prints  a table; the absolute times are those of this machine at this moment
Takes   about two minutes with VGG16 on two cores. Run nothing beside it.

The network alone is timed before and after the whole, on the same photos, which have been read and
preprocessed by then. The weights change no time, so untrained ones will do.
"""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, run
from captioning.encoders import ARCHITECTURES, BFLOAT16, FLOAT32, UNTRAINED, Encoder
from captioning.files import PHOTOS
from captioning.photos import encode_photos, find_photos, read_photo
from captioning.settings import positive_integer
from prepare_photos import BATCH_SIZE, ENCODER

DATA = Path("data/flickr8k")  # holds the folder photos
COUNT = 400  # photos


def time_network(encoder, images, batch_size):
    """Times the network on photos that are in memory.

    Args:
        encoder: captioning.encoders.Encoder.
        images: numpy.ndarray, float32, (photos, height, width, 3), preprocessed.
        batch_size: int.

    Returns:
        float, seconds.
    """
    started = time.perf_counter()
    for start in range(0, len(images), batch_size):
        encoder.encode(images[start : start + batch_size])
    return time.perf_counter() - started


def measure(encoder, paths, images, batch_size):
    """Times the network alone and the whole way from file to vector.

    Args:
        encoder: captioning.encoders.Encoder.
        paths: list of pathlib.Path, the photos.
        images: numpy.ndarray, float32, (photos, height, width, 3), the same photos, preprocessed.
        batch_size: int.

    Returns:
        tuple of float, seconds of the network; float, seconds of the whole; and numpy.ndarray,
        float32, (photos, length), the vectors.
    """
    encoder.encode(images[:batch_size])
    before = time_network(encoder, images, batch_size)
    started = time.perf_counter()
    vectors = [vector for _, vector in encode_photos(paths, encoder, batch_size)]
    whole = time.perf_counter() - started
    after = time_network(encoder, images, batch_size)
    return (before + after) / 2, whole, np.stack(vectors)


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument("--encoder", choices=ARCHITECTURES, default=ENCODER, help="the network")
    parser.add_argument("--weights", default=UNTRAINED, metavar="none|FILE", help="its weights")
    for flag, default, text in (
        ("--photos", COUNT, "how many photos"),
        ("--batch-size", BATCH_SIZE, "photos that the network takes at once"),
    ):
        parser.add_argument(flag, type=positive_integer, default=default, metavar="N", help=text)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Measures and prints the table."""
    options = parse_arguments(arguments)
    paths = find_photos(options.data / PHOTOS)[: options.photos]
    results = {}
    for dtype in (FLOAT32, BFLOAT16):
        encoder = Encoder(options.encoder, options.weights, dtype)
        pixels = (read_photo(path, encoder.input_size).astype(np.float32) for path in paths)
        images = np.stack([encoder.preprocess(image) for image in pixels])
        results[dtype] = measure(encoder, paths, images, options.batch_size)
        network, whole, _ = results[dtype]
        print(
            f"{options.encoder} {dtype:8s} {len(paths):,d} photos: network alone {network:7.2f} s, "
            f"from file to vector {whole:7.2f} s, {network / whole:.3f} of its speed",
            flush=True,
        )
    exact, short = results[FLOAT32][2], results[BFLOAT16][2]
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(short, axis=1)
    cosines = (exact * short).sum(axis=1) / norms
    ratios = [results[FLOAT32][column] / results[BFLOAT16][column] for column in (0, 1)]
    print(
        f"bfloat16 against float32: {ratios[0]:.2f}x the network alone, {ratios[1]:.2f}x from file "
        f"to vector; smallest cosine of the vectors {cosines.min():.6f}"
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
