"""Measures the cache of features that prepare_photos.py keeps, at many photos.

    python benchmarks/feature_cache.py
    python benchmarks/feature_cache.py --photos 8091 --length 4096

Prints  a row for each step: seconds, peak memory in MB, and the size of the file in MB
Takes   about a minute, and three times the size of the features in the folder for temporary files.

The features are made up, and the photos are not there: what is measured is the cache alone.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, run
from captioning.files import FEATURES_CACHE
from captioning.photos.feature_cache import FeatureCache, connected
from captioning.photos.features import MAPPED, EncoderRecord
from captioning.settings import SettingsParser

PHOTOS = 100_000  # photos with features
LENGTH = 1280  # features of a photo
BATCH_SIZE = 6  # photos that the network would take at once
NEW = 1000  # photos that are added in a second run


def main(arguments: Sequence[str] | None = None) -> int:
    """Fills a cache, opens it again, adds a few photos, and writes the features."""
    options = SettingsParser(globals()).parse_settings(arguments)
    generator = np.random.default_rng(1)
    record = EncoderRecord(
        encoder="made up",
        layer="",
        weights="none",
        weights_sha256="0" * 64,
        input_size=[224, 224],
        resizing="bilinear",
        length=options.length,
    )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        print(f"{'':24s}{'seconds':>9s}{'peak MB':>9s}{'file MB':>9s}")
        for title, count in (("fill", options.photos), ("add", options.photos + options.new)):
            photo_ids = [f"made_up_photo_{index:09d}" for index in range(count)]
            photos = {photo: data / "photos" / f"{photo}.jpg" for photo in photo_ids}
            started = time.perf_counter()
            with connected(data) as connection:
                cache = FeatureCache(data, connection, photos)
                print_row(f"open before: {title}", started, data)
                started = time.perf_counter()
                rows = (generator.random(options.length, dtype=np.float32) for _ in cache.missing)
                results = ((data, row, "0" * 64) for row in rows)
                cache.add(results, record, options.batch_size)
                print_row(f"{title} {len(cache.missing):,d}", started, data)
                started = time.perf_counter()
                cache.write_features(record, {}, MAPPED)
                print_row("write features.npy", started, data)
    return DONE


def print_row(title: str, started: float, data: Path) -> None:
    """Prints what a step took."""
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    size = (data / FEATURES_CACHE).stat().st_size / 1e6
    print(f"{title:24s}{seconds:9.1f}{peak:9.0f}{size:9.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
