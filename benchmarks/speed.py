"""Measures training and decoding against the classic recipe, each as a ratio in one run.

    python benchmarks/speed.py --data data/flickr8k

Reads   DATA as train.py does, and DATA/Flickr_8k.testImages.txt
Prints  a table; the absolute times are those of this machine at this moment
Takes   about five minutes on two cores. Run nothing beside it.
"""

import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import train
from benchmarks.classic import (
    batches_of_photos,
    copy_weights,
    define_classic_model,
    write_caption,
)
from captioning.command_line import DONE, ArgumentParser, run
from captioning.decoding import CaptionDecoder
from captioning.features import read_features
from captioning.model_folder import load_captioner
from captioning.splits import read_split

DATA = Path("data/flickr8k")  # what prepare_photos.py and prepare_text.py wrote
TRAINED_PHOTOS = 100  # photos of the classic epoch that are timed, twice; the rest is proportional
DECODED_PHOTOS = 100  # photos captioned both ways
REPETITIONS = 5  # of the fast decoding, of which the median counts


def time_epoch(model, split):
    """Times one epoch of train.py's way, after two batches that trace the network.

    Args:
        model: keras.Model, compiled by `train.compile_model`.
        split: dict, from `train.load_split`.

    Returns:
        float, seconds.
    """
    batches = train.CaptionBatches(split, train.BATCH_SIZE, seed=0)
    everything = batches.batches
    batches.batches = everything[:2]
    model.fit(batches, shuffle=False, verbose=0)
    batches.batches = everything
    started = time.perf_counter()
    model.fit(batches, shuffle=False, verbose=0)
    return time.perf_counter() - started


def time_classic_photos(model, split, vocabulary, first, count):
    """Times the classic way on some photos, one a step.

    Args:
        model: keras.Model, from `define_classic_model`, compiled.
        split: dict, from `train.load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.
        first: int, the photo to begin with.
        count: int, photos.

    Returns:
        float, seconds.
    """
    rows = range(first, first + count)
    captions = [[] for _ in rows]
    for row, word_ids in zip(split["photo_rows"], split["captions"], strict=True):
        if row in rows:
            captions[row - first].append(word_ids)
    batches = batches_of_photos(
        split["vectors"][first : first + count],
        captions,
        vocabulary.size,
        vocabulary.maximum_length,
    )
    started = time.perf_counter()
    model.fit(batches, steps_per_epoch=count, shuffle=False, verbose=0)
    return time.perf_counter() - started


def measure_training(split, vocabulary):
    """Compares an epoch of both ways; the classic one is timed before and after the other.

    Args:
        split: dict, from `train.load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.

    Returns:
        tuple of keras.Model, the network after its epoch; float, seconds of the classic epoch; and
        float, seconds of this one.
    """
    photo_length = split["vectors"].shape[1]
    classic = define_classic_model(vocabulary.size, vocabulary.maximum_length, photo_length)
    classic.compile("adam", "categorical_crossentropy")
    model = train.define_model(vocabulary.size, photo_length)
    train.compile_model(model, len(split["captions"]))

    count = min(TRAINED_PHOTOS, len(split["identifiers"]) // 2)
    time_classic_photos(classic, split, vocabulary, 0, 2)
    before = time_classic_photos(classic, split, vocabulary, 0, count)
    seconds = time_epoch(model, split)
    after = time_classic_photos(classic, split, vocabulary, count, count)
    return model, (before + after) / (2 * count) * len(split["identifiers"]), seconds


def measure_decoding(model, vocabulary, photos):
    """Compares greedy decoding of both ways, and their words.

    Args:
        model: keras.Model, from `train.define_model`.
        vocabulary: captioning.vocabulary.Vocabulary.
        photos: numpy.ndarray, float32, (photos, length).

    Returns:
        tuple of float, seconds of the classic way; float, seconds of this one; and int, photos
        that both ways caption with the same words.
    """
    classic = define_classic_model(vocabulary.size, vocabulary.maximum_length, photos.shape[1])
    copy_weights(model, classic)
    decoder = CaptionDecoder(model, vocabulary)
    decoder.greedy(photos)
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        fast = decoder.greedy(photos)
        seconds.append(time.perf_counter() - started)
    write_caption(classic, vocabulary, photos[0])
    started = time.perf_counter()
    slow = [
        write_caption(classic, vocabulary, photo)
        for photo in tqdm(photos, unit=" photos", disable=None)
    ]
    classic_seconds = time.perf_counter() - started
    same = sum(one == other for one, other in zip(fast, slow, strict=True))
    return classic_seconds, float(np.median(seconds)), same


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="decode with this trained model (default: with the network of the timed epoch)",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Measures and prints the table."""
    options = parse_arguments(arguments)
    splits, vocabulary, _ = train.read_inputs(options.data)
    model, classic_epoch, epoch = measure_training(splits["train"], vocabulary)
    if options.model:
        captioner = load_captioner(options.model)
        model, vocabulary = captioner.model, captioner.vocabulary
    features = read_features(options.data)
    names = [name for name in read_split(options.data, "test") if name in features]
    photos = np.stack([features[name] for name in names[:DECODED_PHOTOS]])
    classic_decoding, decoding, same = measure_decoding(model, vocabulary, photos)

    print(f"{'':44s}{'classic':>11s}{'here':>11s}{'ratio':>8s}")
    for title, classic_seconds, seconds in (
        (f"one epoch, {len(splits['train']['identifiers']):,d} photos", classic_epoch, epoch),
        (f"greedy decoding, {len(photos):,d} photos", classic_decoding, decoding),
    ):
        ratio = classic_seconds / seconds
        print(f"{title:44s}{classic_seconds:9.2f} s{seconds:9.2f} s{ratio:7.1f}x")
    print(f"{same:,d} of {len(photos):,d} photos are captioned with the same words")
    print(
        f"The classic epoch is timed on {TRAINED_PHOTOS} photos before and as many after the other."
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
