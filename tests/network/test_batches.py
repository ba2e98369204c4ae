"""Batches of captions, and what is reported of them."""

from collections import Counter

import numpy as np

from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.model import build_captioner
from captioning.network.training import CaptionTrainer, compile_trainer


def small_split(lengths, seed=0):
    """Draws captions of given numbers of targets: ids 3 to 9 between start 1 and end 2."""
    generator = np.random.default_rng(seed)
    features = generator.random((len(lengths), 6), dtype=np.float32)
    captions = [[1, *map(int, generator.integers(3, 10, length - 1)), 2] for length in lengths]
    return CaptionedSplit([], [], features, captions, np.arange(len(lengths)))


def test_batches_hold_every_next_word_once_and_waste_little():
    lengths = np.random.default_rng(1).integers(1, 20, 200)
    split = small_split(lengths)
    batches = CaptionBatches(split, batch_size=16, seed=3)
    assert len(batches) == 13
    seen, padding, words = Counter(), 0, 0
    for number, rows in enumerate(batches.batches):
        (features, prefixes), targets, weights = batches[number]
        np.testing.assert_array_equal(features, split.features[rows])
        for place, row in enumerate(rows):
            count = int(weights[place].sum())
            np.testing.assert_array_equal(prefixes[place, :count], split.captions[row][:-1])
            np.testing.assert_array_equal(targets[place, :count], split.captions[row][1:])
        seen.update(map(int, rows))
        padding += int((weights == 0).sum())
        words += int(weights.sum())
    assert seen == Counter(range(200))
    assert words == lengths.sum()
    assert padding < 0.1 * words


def test_batches_of_any_lengths_can_be_trained_on():
    """Keras must not take the length of the first batches for that of all."""
    trainer = CaptionTrainer(build_captioner(10, 6))
    compile_trainer(trainer, 1e-3, 0.01, steps=10)
    batches = CaptionBatches(small_split([3] * 12 + [7]), batch_size=3, seed=0)
    trainer.fit(batches, shuffle=False, verbose=0)
