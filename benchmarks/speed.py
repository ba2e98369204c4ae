"""Measures training and decoding against the classic recipe, each as a ratio in one run.

    python benchmarks/speed.py --data data/flickr8k --model models/flickr8k

Reads   DATA as train.py does, and DATA/Flickr_8k.testImages.txt
Prints  a table; the absolute times are those of this machine at this moment
Takes   five to ten minutes on two cores. Run nothing beside it.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.classic import (
    batches_of_photos,
    build_classic_model,
    copy_weights,
    write_caption,
)
from captioning.cli import DONE, run
from captioning.keras_setup import keras
from captioning.network.batches import CaptionBatches, CaptionedSplit, load_split
from captioning.network.decoding import CaptionDecoder
from captioning.network.model import build_captioner, halves
from captioning.network.model_folder import load_model
from captioning.network.training import CaptionTrainer, compile_trainer
from captioning.photos.features import read_features
from captioning.settings import SettingsParser
from captioning.text.vocabulary import Vocabulary, read_prepared_text

DATA = Path("data/flickr8k")  # what prepare_photos.py and prepare_text.py wrote
BATCH_SIZE = 128  # captions a step of train.py
TRAINED_PHOTOS = 100  # photos of the classic epoch that are timed, twice; the rest is proportional
DECODED_PHOTOS = 1000  # photos captioned
CLASSIC_PHOTOS = 100  # of them, captioned the classic way too; the rest is proportional
BEAM = 5  # the beam width that is held against greedy decoding
REPETITIONS = 5  # of the fast decoding and of the large product, of which the median counts
PRODUCT_SIZE = 4096  # rows and columns of the matrices of the large product


class Stopwatch(keras.callbacks.Callback):
    """Times an epoch up to its last batch.

    Where a generator yields the batches, TensorFlow then waits for a timer of its own, for up to
    half the time of the epoch, which should not be held against the classic recipe.
    """

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stops."""
        self.seconds = time.perf_counter() - self.started


def time_epoch(trainer: CaptionTrainer, batches: CaptionBatches) -> float:
    """Returns the seconds of an epoch of train.py, after two batches that trace the network."""
    everything = batches.batches
    batches.batches = everything[:2]
    trainer.fit(batches, shuffle=False, verbose=0)
    batches.batches = everything
    stopwatch = Stopwatch()
    trainer.fit(batches, shuffle=False, verbose=0, callbacks=[stopwatch])
    return stopwatch.seconds


def count_operations(captioner: keras.Model, batches: CaptionBatches) -> int:
    """Counts the multiplications and additions of all matrix products of an epoch.

    A product of (n, k) by (k, m) has 2 n k m of them. Forward there is one such product for each
    weight matrix, backward one for the gradient by the weights and one for that by the input, which
    the photo half does not need. Padding is counted, since it is computed. The embedding is a
    look-up, not a product.
    """
    photo_half, word_half = halves(captioner)
    tokens = sum(len(rows) * (batches.lengths[rows].max() - 1) for rows in batches.batches)
    matrices = [
        np.prod(weight.shape)
        for weight in word_half.weights
        if len(weight.shape) == 2 and "embedding" not in weight.path
    ]
    photo_matrices = [np.prod(w.shape) for w in photo_half.weights if len(w.shape) == 2]
    return int(3 * 2 * tokens * sum(matrices) + 2 * 2 * len(batches.lengths) * sum(photo_matrices))


def speed_of_large_product(size: int, repetitions: int) -> float:
    """Measures the multiplications and additions a second of one product of large matrices."""
    ops = keras.ops
    left, right = (keras.random.normal((size, size), seed=n) for n in (1, 2))
    inputs = [keras.Input(batch_shape=(size, size)) for _ in range(2)]
    # Nobody waits for the copying of the result.
    product = keras.Model(inputs, ops.matmul(*inputs)[:1, :1])
    product.predict_on_batch([left, right])
    seconds = median_seconds(lambda: product.predict_on_batch([left, right]), repetitions)
    return 2 * size**3 / seconds


def median_seconds(work: Callable[[], object], repetitions: int) -> float:
    """Returns the median of the seconds that something takes."""
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def time_classic_photos(
    model: keras.Model, split: CaptionedSplit, vocabulary: Vocabulary, first: int, count: int
) -> float:
    """Returns the seconds that the classic way takes for some photos, one a step."""
    rows = range(first, first + count)
    captions = [[] for _ in rows]
    for row, token_ids in zip(split.photo_rows, split.captions, strict=True):
        if row in rows:
            captions[row - first].append(token_ids)
    features = split.features[first : first + count]
    batches = batches_of_photos(features, captions, vocabulary.size, vocabulary.maximum_length)
    stopwatch = Stopwatch()
    model.fit(batches, steps_per_epoch=count, shuffle=False, verbose=0, callbacks=[stopwatch])
    return stopwatch.seconds


def measure_training(
    split: CaptionedSplit, vocabulary: Vocabulary, options
) -> tuple[keras.Model, float, float, float]:
    """Compares an epoch of both ways; the classic one is timed before and after the other.

    Returns:
        The captioner after its epoch, and seconds: of the classic epoch, of this one, and of its
        matrix products alone at the speed of a large one.
    """
    feature_length = split.features.record.length
    classic = build_classic_model(vocabulary.size, vocabulary.maximum_length, feature_length)
    classic.compile("adam", "categorical_crossentropy")
    captioner = build_captioner(vocabulary.size, feature_length)
    trainer = CaptionTrainer(captioner)
    compile_trainer(trainer, 1e-3, 0.01, len(split.captions))
    batches = CaptionBatches(split, options.batch_size, seed=0)

    count = min(options.trained_photos, len(split.photo_ids) // 2)
    time_classic_photos(classic, split, vocabulary, 0, 2)
    before = time_classic_photos(classic, split, vocabulary, 0, count)
    seconds = time_epoch(trainer, batches)
    speed = speed_of_large_product(options.product_size, options.repetitions)
    after = time_classic_photos(classic, split, vocabulary, count, count)
    classic_seconds = (before + after) / (2 * count) * len(split.photo_ids)
    return captioner, classic_seconds, seconds, count_operations(captioner, batches) / speed


def measure_decoding(
    captioner: keras.Model, vocabulary: Vocabulary, features: np.ndarray, options
) -> tuple[float, float, float, int, int]:
    """Compares greedy decoding of both ways, their words, and beam search.

    Returns:
        Seconds of the classic way, of greedy decoding and of beam search; photos captioned both
        ways, and those of them with the same words.
    """
    classic = build_classic_model(vocabulary.size, vocabulary.maximum_length, features.shape[1])
    copy_weights(captioner, classic)
    decoder = CaptionDecoder(captioner, vocabulary)
    fast = decoder.greedy(features)
    decoder.finished_captions(features, options.beam)
    greedy = median_seconds(lambda: decoder.greedy(features), options.repetitions)
    beam = median_seconds(
        lambda: decoder.finished_captions(features, options.beam), options.repetitions
    )
    few = features[: options.classic_photos]
    write_caption(classic, vocabulary, few[0])
    started = time.perf_counter()
    slow = [
        write_caption(classic, vocabulary, photo)
        for photo in tqdm(few, unit=" photos", disable=None)
    ]
    seconds = (time.perf_counter() - started) / len(few) * len(features)
    same = sum(one == other for one, other in zip(fast, slow, strict=False))
    return seconds, greedy, beam, len(few), same


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints the table."""
    parser = SettingsParser(globals())
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="decode with this trained model (default: with the network of the timed epoch)",
    )
    options = parser.parse_settings(arguments)
    features, text = read_features(options.data), read_prepared_text(options.data)
    vocabulary = text.vocabulary
    split = load_split(text, "train", features)
    captioner, classic_epoch, epoch, products = measure_training(split, vocabulary, options)
    if options.model:
        model = load_model(options.model)
        captioner, vocabulary = model.captioner, model.vocabulary
    names = [name for name in text.splits["test"] if name in features]
    photos = features.select(names[: options.decoded_photos])[:]
    slow, greedy, beam, compared, same = measure_decoding(captioner, vocabulary, photos, options)

    epoch_title = f"one epoch, {len(split.photo_ids):,d} photos"
    print(f"{keras.backend.backend()}: {'here':>49s}{'compared with':>36s}{'':11s}{'ratio':>8s}")
    for title, seconds, other, other_seconds, ratio in (
        (epoch_title, epoch, "the classic way", classic_epoch, classic_epoch / epoch),
        (epoch_title, epoch, "its matrix products alone", products, epoch / products),
        (f"greedy, {len(photos):,d} photos", greedy, "predict, word by word", slow, slow / greedy),
        (f"beam {options.beam}, {len(photos):,d} photos", beam, "greedy", greedy, beam / greedy),
    ):
        print(f"{title:42s}{seconds:9.2f} s  {other:>32s}{other_seconds:9.2f} s{ratio:9.2f}")
    print(f"{same:,d} of {compared:,d} photos are captioned with the same words both ways")
    print(
        f"The classic epoch is timed on {options.trained_photos} photos before and as many after "
        f"the other, word by word on {compared:,d} photos; both are taken in proportion."
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
