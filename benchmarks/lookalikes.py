"""Measures which changes of a photo its hash survives, and how unlike the hashes of others are.

    python benchmarks/lookalikes.py --data data/flickr8k

Reads   DATA/photos/
Prints  for each change the share of the photos that are found at some thresholds; the different
        photos that are most alike; the time of hashing, and of comparing as many photos as COCO has
Takes   about a minute for 600 photos on two cores.
"""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, run
from captioning.files import PHOTOS
from captioning.photos.listing import find_photos
from captioning.photos.lookalikes import (
    MOST_DIFFERING_BITS,
    as_words,
    differing_bits,
    find_lookalikes,
    hash_photo,
)
from captioning.photos.reading import read_rgb, resized
from captioning.settings import number_from

DATA = Path("data/flickr8k")  # holds the folder photos
COUNT = 600  # photos
THRESHOLDS = (32, MOST_DIFFERING_BITS, 64)
PAIRS_SHOWN = 5

# Of the encoders with the smallest input.
SIZE = (224, 224)

# Photos of COCO's training and validation split.
COCO_PHOTOS = (118_287, 5_000)

Change = Callable[[Image.Image], Image.Image]


def save_as_jpeg(quality: int) -> Change:
    """Makes a change that saves a photo with losses."""

    def change(image: Image.Image) -> Image.Image:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality)
        return Image.open(content)

    return change


def crop(percent: float) -> Change:
    """Makes a change that cuts off so much of a photo at each of its sides."""

    def change(image: Image.Image) -> Image.Image:
        left, top = round(image.width * percent / 100), round(image.height * percent / 100)
        return image.crop((left, top, image.width - left, image.height - top))

    return change


def cover_a_tenth(image: Image.Image) -> Image.Image:
    """Lays a black band over the lower edge."""
    image = image.copy()
    box = (0, image.height * 9 // 10, image.width, image.height)
    ImageDraw.Draw(image).rectangle(box, fill=(0, 0, 0))
    return image


CHANGES = {
    "saved as JPEG, quality 50": save_as_jpeg(50),
    "saved as JPEG, quality 20": save_as_jpeg(20),
    "half the size": lambda image: image.reduce(2),
    "a quarter of the size": lambda image: image.reduce(4),
    "mirrored": ImageOps.mirror,
    "mirrored, quality 50": lambda image: save_as_jpeg(50)(ImageOps.mirror(image)),
    "30% brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "30% darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "30% more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
    "black and white": ImageOps.grayscale,
    "turned by 1 degree": lambda image: image.rotate(1, Image.Resampling.BICUBIC),
    "a black band over a tenth": cover_a_tenth,
    "1% cut off at each side": crop(1),
    "2% cut off at each side": crop(2),
    "3% cut off at each side": crop(3),
    "5% cut off at each side": crop(5),
}


def read_photo(photo: Path | Image.Image) -> np.ndarray:
    """Reads a photo as prepare_photos.py does."""
    return resized(read_rgb(photo), SIZE)


def hash_changed(path: Path, change: Change) -> str:
    """Hashes a photo as prepare_photos.py would, once it is changed."""
    return hash_photo(read_photo(change(read_rgb(path))))


def print_found(paths: list[Path], photos: list[str]) -> None:
    """Prints a row for each change: which share of the photos is found at each threshold."""
    print("".join(f"{threshold:>7d} bits" for threshold in THRESHOLDS))
    for title, change in CHANGES.items():
        distances = np.array(
            [
                differing_bits(as_words([photo]), as_words([hash_changed(path, change)]))[0]
                for path, photo in zip(paths, photos, strict=True)
            ]
        )
        shares = [np.mean(distances <= threshold) for threshold in THRESHOLDS]
        print("".join(f"{share:12.1%}" for share in shares), title, flush=True)


def print_most_alike(paths: list[Path], photos: list[str]) -> None:
    """Prints the pairs of different photos whose hashes differ least."""
    pairs = []
    words = as_words(photos)
    for index in range(1, len(photos)):
        differing = differing_bits(words[:, index : index + 1], words[:, :index])
        nearest = differing.argmin()
        pairs.append((int(differing[nearest]), paths[index].name, paths[nearest].name))
    for distance, name, other in sorted(pairs)[:PAIRS_SHOWN]:
        print(f"{distance:7d} bits {name} {other}")


def print_times(paths: list[Path]) -> None:
    """Prints the time of reading and of hashing a photo, and of comparing random hashes."""
    started = time.perf_counter()
    pixels = [read_photo(path) for path in paths]
    read = time.perf_counter()
    for photo in pixels:
        hash_photo(photo)
    hashed = time.perf_counter()
    print(
        f"a photo is read in {(read - started) / len(paths) * 1000:.2f} ms and hashed in "
        f"{(hashed - read) / len(paths) * 1000:.2f} ms"
    )
    generator = np.random.default_rng(1)
    training, validation = (
        {f"{count} {index}": generator.bytes(32).hex() for index in range(count)}
        for count in COCO_PHOTOS
    )
    started = time.perf_counter()
    find_lookalikes(training | validation, list(validation), list(training))
    seconds = time.perf_counter() - started
    print(f"{len(validation):,d} hashes against {len(training):,d}: {seconds:.1f} s")


def main(arguments=None):
    """Measures and prints."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument(
        "--photos", type=number_from(1), default=COUNT, metavar="N", help="how many photos"
    )
    options = parser.parse_args(arguments)
    paths = find_photos(options.data / PHOTOS)[: options.photos]
    photos = [hash_photo(read_photo(path)) for path in paths]
    print_found(paths, photos)
    print_most_alike(paths, photos)
    print_times(paths)
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
