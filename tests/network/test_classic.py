"""The network against the classic recipe's: the same probabilities and the same gradient."""

import numpy as np
import pytest

from benchmarks.classic import build_classic_model, copy_weights, examples_of
from captioning.files import CAPTIONS, SPLITS, photo_id
from captioning.keras_setup import keras
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.model import build_captioner
from captioning.network.training import CaptionTrainer
from captioning.photos.listing import PhotoNames
from captioning.text.captions import read_captioned_photos
from captioning.text.vocabulary import build_vocabulary
from captioning.text.words import word_cleaner

MAXIMUM_LENGTH = 34
NO_DROPOUT = {"photo_dropout": 0.0, "word_dropout": 0.0, "output_dropout": 0.0}


@pytest.fixture(scope="module")
def real(flickr8k):
    """Returns the vocabulary, and captions and features of real photos."""
    files = [flickr8k / CAPTIONS]
    written = read_captioned_photos(flickr8k, files, ("", ""), PhotoNames()).captions
    captions = {name: list(map(word_cleaner(2), written[name])) for name in written}
    training = [
        words
        for name in (flickr8k / SPLITS["train"]).read_text().split()
        for words in captions[photo_id(name)]
    ]
    vocabulary = build_vocabulary(training, {"min_word_length": 2, "min_word_count": 1})
    stored = np.load(flickr8k / "features_mobilenet_v2.npz")
    names = [str(name) for name in stored["ids"][:12]]
    split = CaptionedSplit(
        names,
        [captions[name][0] for name in names],
        stored["features"][:12].astype(np.float32),
        [vocabulary.tokenize(words) for name in names for words in captions[name]],
        np.repeat(np.arange(12), 5),
    )
    return vocabulary, split


def test_parameters_at_the_sizes_of_flickr8k():
    assert build_captioner(7579, 4096).count_params() == 5_527_963
    assert build_classic_model(7579, MAXIMUM_LENGTH, 4096).count_params() == 5_527_963


def test_same_probabilities_as_the_classic_network(real):
    vocabulary, split = real
    model = build_captioner(vocabulary.size, split.features.shape[1])
    classic = build_classic_model(vocabulary.size, MAXIMUM_LENGTH, split.features.shape[1])
    # Trained weights are larger than fresh ones; a network of large weights forgives less.
    for variable in model.trainable_variables:
        variable.assign(3 * variable.value)
    copy_weights(model, classic)
    prefixes, targets, rows = examples_of(split.captions, MAXIMUM_LENGTH)
    expected = classic.predict([split.features[split.photo_rows[rows]], prefixes], verbose=0)

    batches = CaptionBatches(split, batch_size=16, seed=5)
    compared = 0
    for number, captions in enumerate(batches.batches):
        inputs, targets_of_batch, weights = batches[number]
        probabilities = np.asarray(model.predict_on_batch(inputs))
        for place, caption in enumerate(captions):
            positions = np.flatnonzero(rows == caption)
            count = int(weights[place].sum())
            assert count == len(positions)
            np.testing.assert_array_equal(targets_of_batch[place, :count], targets[positions])
            np.testing.assert_allclose(
                probabilities[place, :count], expected[positions], rtol=0, atol=1e-5
            )
            compared += count
    assert compared == len(targets) > 500
    # Something to compare: the likeliest word is far from the average one.
    assert expected.max() > 0.01


def values_of(variables):
    """Copies the values, which a step of training would change in place."""
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def test_the_trainer_takes_the_gradient_of_the_classic_network(real):
    """Takes one step of gradient descent of rate 1 with each: its change is the gradient."""
    vocabulary, split = real
    length = split.features.shape[1]
    model = build_captioner(vocabulary.size, length, **NO_DROPOUT)
    classic = build_classic_model(vocabulary.size, MAXIMUM_LENGTH, length, dropout=0.0)
    # Confident and often wrong, as a network may be for a moment in training.
    for variable in model.trainable_variables:
        variable.assign(3 * variable.value)
    copy_weights(model, classic)
    before = values_of(model.trainable_variables)

    inputs, targets, weights = CaptionBatches(split, 60, seed=5)[0]
    trainer = CaptionTrainer(model)
    trainer.compile(keras.optimizers.SGD(1.0))
    reported = trainer.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)
    found = values_of(model.trainable_variables)

    prefixes, targets, rows = examples_of(split.captions, MAXIMUM_LENGTH)
    classic.compile(
        keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    )
    loss = classic.train_on_batch([split.features[split.photo_rows[rows]], prefixes], targets)
    assert reported["loss"] * weights.sum() == pytest.approx(loss, rel=1e-5)
    # Its changed weights in the order of this network's.
    copy_weights(classic, model)
    for old, new, variable in zip(before, found, model.trainable_variables, strict=True):
        expected = old - values_of([variable])[0]
        scale = np.abs(expected).max()
        assert scale > 0
        difference = np.abs((old - new) * weights.sum() - expected).max()
        assert difference <= 1e-4 * scale, variable.path
