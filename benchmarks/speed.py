"""Measures training and decoding against the classic recipe, each as a ratio in one run.

    python benchmarks/speed.py --data data/flickr8k --model models/flickr8k

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
from captioning.backend import keras
from captioning.cli import DONE, ArgumentParser, run
from captioning.decoding import CaptionDecoder
from captioning.features import read_features
from captioning.model_folder import load_captioner
from captioning.splits import read_split

DATA = Path("data/flickr8k")  # what prepare_photos.py and prepare_text.py wrote
TRAINED_PHOTOS = 100  # photos of the classic epoch that are timed, twice; the rest is proportional
DECODED_PHOTOS = 1000  # photos captioned
CLASSIC_PHOTOS = 100  # of them, captioned the classic way too; the rest is proportional
BEAM = 5  # the beam width that is held against greedy decoding
REPETITIONS = 5  # of the fast decoding and of the large product, of which the median counts
PRODUCT_SIZE = 4096  # rows and columns of the matrices of the large product


class Stopwatch(keras.callbacks.Callback):
    """Times an epoch up to its last batch.

    Where a generator gives the batches, TensorFlow waits after that for a timer of its own, for up
    to half the time of the epoch, which should not be held against the classic recipe.
    """

    def on_epoch_begin(self, epoch, logs=None):
        """Starts."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Stops."""
        self.seconds = time.perf_counter() - self.started


def time_epoch(model, batches):
    """Times one epoch of train.py's way, after two batches that trace the network.

    Args:
        model: keras.Model, compiled by `train.compile_model`.
        batches: train.TrainingBatches.

    Returns:
        float, seconds.
    """
    everything = batches.batches
    batches.batches = everything[:2]
    model.fit(batches, shuffle=False, verbose=0)
    batches.batches = everything
    stopwatch = Stopwatch()
    model.fit(batches, shuffle=False, verbose=0, callbacks=[stopwatch])
    return stopwatch.seconds


def count_operations(model, batches):
    """Counts the multiplications and additions of all matrix products of an epoch.

    A product of (n, k) by (k, m) has 2 n k m of them. Forward there is one such product for each
    weight matrix, backward one for the gradient by the weights and one for that by the input, which
    the photo's layer does not need. Padding is counted, since it is computed.

    Args:
        model: keras.Model, from `train.define_model`.
        batches: train.TrainingBatches.

    Returns:
        int.
    """
    words = sum(len(rows) * (batches.lengths[rows].max() - 1) for rows in batches.batches)
    at_every_word = ("lstm", "decoder_dense", "next_word")
    matrices = [
        weight.shape
        for name in at_every_word
        for weight in model.get_layer(name).weights
        if len(weight.shape) == 2
    ]
    photo_kernel = model.get_layer("photo_dense").kernel.shape
    return int(
        3 * 2 * words * sum(map(np.prod, matrices))
        + 2 * 2 * len(batches.lengths) * np.prod(photo_kernel)
    )


def speed_of_large_product():
    """Measures the multiplications and additions a second of one product of large matrices."""
    ops = keras.ops
    left, right = (keras.random.normal((PRODUCT_SIZE, PRODUCT_SIZE), seed=n) for n in (1, 2))
    inputs = [keras.Input(batch_shape=(PRODUCT_SIZE, PRODUCT_SIZE)) for _ in range(2)]
    # Nobody waits for the copying of the result.
    product = keras.Model(inputs, ops.matmul(*inputs)[:1, :1])
    product.predict_on_batch([left, right])
    seconds = median_seconds(lambda: product.predict_on_batch([left, right]))
    return 2 * PRODUCT_SIZE**3 / seconds


def median_seconds(work):
    """Times something several times.

    Args:
        work: callable without arguments.

    Returns:
        float, the median of the seconds.
    """
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


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
    stopwatch = Stopwatch()
    model.fit(batches, steps_per_epoch=count, shuffle=False, verbose=0, callbacks=[stopwatch])
    return stopwatch.seconds


def measure_training(split, vocabulary):
    """Compares an epoch of both ways; the classic one is timed before and after the other.

    Args:
        split: dict, from `train.load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.

    Returns:
        tuple of keras.Model, the network after its epoch; float, seconds of the classic epoch;
        float, seconds of this one; and float, seconds that its matrix products alone would take at
        the speed of a large one.
    """
    photo_length = split["vectors"].shape[1]
    classic = define_classic_model(vocabulary.size, vocabulary.maximum_length, photo_length)
    classic.compile("adam", "categorical_crossentropy")
    model = train.define_model(vocabulary.size, photo_length)
    training = train.define_training_model(model)
    train.compile_model(training, len(split["captions"]))
    batches = train.TrainingBatches(split, train.BATCH_SIZE, seed=0)

    count = min(TRAINED_PHOTOS, len(split["identifiers"]) // 2)
    time_classic_photos(classic, split, vocabulary, 0, 2)
    before = time_classic_photos(classic, split, vocabulary, 0, count)
    seconds = time_epoch(training, batches)
    products = count_operations(model, batches) / speed_of_large_product()
    after = time_classic_photos(classic, split, vocabulary, count, count)
    classic_seconds = (before + after) / (2 * count) * len(split["identifiers"])
    return model, classic_seconds, seconds, products


def measure_decoding(model, vocabulary, photos):
    """Compares greedy decoding of both ways, their words, and beam search.

    Args:
        model: keras.Model, from `train.define_model`.
        vocabulary: captioning.vocabulary.Vocabulary.
        photos: numpy.ndarray, float32, (photos, length).

    Returns:
        tuple of float, seconds of the classic way for as many photos; float, seconds of greedy
        decoding; float, seconds of beam search; int, photos captioned both ways; and int, those of
        them with the same words.
    """
    classic = define_classic_model(vocabulary.size, vocabulary.maximum_length, photos.shape[1])
    copy_weights(model, classic)
    decoder = CaptionDecoder(model, vocabulary)
    fast = decoder.greedy(photos)
    decoder.beam(photos, BEAM)
    greedy = median_seconds(lambda: decoder.greedy(photos))
    beam = median_seconds(lambda: decoder.beam(photos, BEAM))
    few = photos[:CLASSIC_PHOTOS]
    write_caption(classic, vocabulary, few[0])
    started = time.perf_counter()
    slow = [
        write_caption(classic, vocabulary, photo)
        for photo in tqdm(few, unit=" photos", disable=None)
    ]
    seconds = (time.perf_counter() - started) / len(few) * len(photos)
    same = sum(one == other for one, other in zip(fast, slow, strict=False))
    return seconds, greedy, beam, len(few), same


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
    model, classic_epoch, epoch, products = measure_training(splits["train"], vocabulary)
    if options.model:
        captioner = load_captioner(options.model)
        model, vocabulary = captioner.model, captioner.vocabulary
    features = read_features(options.data)
    names = [name for name in read_split(options.data, "test") if name in features]
    photos = np.stack([features[name] for name in names[:DECODED_PHOTOS]])
    slow, greedy, beam, compared, same = measure_decoding(model, vocabulary, photos)

    epoch_title = f"one epoch, {len(splits['train']['identifiers']):,d} photos"
    print(f"{keras.backend.backend()}: {'here':>49s}{'compared with':>36s}{'':11s}{'ratio':>8s}")
    for title, seconds, other, other_seconds, ratio in (
        (epoch_title, epoch, "the classic way", classic_epoch, classic_epoch / epoch),
        (epoch_title, epoch, "its matrix products alone", products, epoch / products),
        (f"greedy, {len(photos):,d} photos", greedy, "predict, word by word", slow, slow / greedy),
        (f"beam {BEAM}, {len(photos):,d} photos", beam, "greedy", greedy, beam / greedy),
    ):
        print(f"{title:42s}{seconds:9.2f} s  {other:>32s}{other_seconds:9.2f} s{ratio:9.2f}")
    print(f"{same:,d} of {compared:,d} photos are captioned with the same words both ways")
    print(
        f"The classic epoch is timed on {TRAINED_PHOTOS} photos before and as many after the "
        f"other, word by word on {compared:,d} photos; both are taken in proportion."
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
