"""The network against the classic recipe's, and what is trained on."""

from collections import Counter

import numpy as np
import pytest

import train
from benchmarks.classic import copy_weights, define_classic_model, examples_of
from captioning.backend import keras
from captioning.captions import clean_captions, read_captions
from captioning.splits import read_split
from captioning.vocabulary import build_vocabulary

MAXIMUM_LENGTH = 34


@pytest.fixture(scope="module")
def real(flickr8k):
    """Gives the vocabulary, and captions and vectors of real photos."""
    captions = clean_captions(read_captions(flickr8k), min_word_length=2)
    training = [words for name in read_split(flickr8k, "train") for words in captions[name]]
    vocabulary = build_vocabulary(training, min_word_length=2, min_word_count=1)
    stored = np.load(flickr8k / "features_mobilenet_v2.npz")
    names = [str(name) for name in stored["ids"][:12]]
    split = {
        "identifiers": names,
        "vectors": stored["features"][:12].astype(np.float32),
        "photo_rows": np.repeat(np.arange(12), 5),
        "captions": [vocabulary.tokenize(words) for name in names for words in captions[name]],
    }
    return vocabulary, split


def test_parameters_at_the_sizes_of_flickr8k():
    assert train.define_model(7579, 4096).count_params() == 5_527_963
    assert define_classic_model(7579, MAXIMUM_LENGTH, 4096).count_params() == 5_527_963


def test_same_probabilities_as_the_classic_network(real):
    vocabulary, split = real
    model = train.define_model(vocabulary.size, split["vectors"].shape[1])
    classic = define_classic_model(vocabulary.size, MAXIMUM_LENGTH, split["vectors"].shape[1])
    # Trained weights are larger than fresh ones; a network of large weights forgives less.
    for variable in model.trainable_variables:
        variable.assign(3 * variable.value)
    copy_weights(model, classic)
    prefixes, targets, rows = examples_of(split["captions"], MAXIMUM_LENGTH)
    expected = classic.predict([split["vectors"][split["photo_rows"][rows]], prefixes], verbose=0)

    batches = train.CaptionBatches(split, batch_size=16, seed=5)
    compared = 0
    for number, captions in enumerate(batches.batches):
        inputs, next_words, weights = batches[number]
        probabilities = np.asarray(model.predict_on_batch(inputs))
        for place, caption in enumerate(captions):
            positions = np.flatnonzero(rows == caption)
            count = int(weights[place].sum())
            assert count == len(positions)
            np.testing.assert_array_equal(next_words[place, :count], targets[positions])
            np.testing.assert_allclose(
                probabilities[place, :count], expected[positions], rtol=0, atol=1e-5
            )
            compared += count
    assert compared == len(targets) > 500
    # Something to compare: the likeliest word is far from the average one.
    assert expected.max() > 0.01


def gradient_of_sum(model, inputs, targets, weights=None):
    """Takes one step of gradient descent of rate 1 on the summed loss: the change is the gradient.

    The change is in the order of `model.trainable_variables`.
    """
    before = values_of(model.trainable_variables)
    model.compile(
        keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    )
    loss = model.train_on_batch(inputs, targets, sample_weight=weights)
    after = values_of(model.trainable_variables)
    return loss, [old - new for old, new in zip(before, after, strict=True)]


def values_of(variables):
    """Copies the values, which a step of training would change in place."""
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def test_same_gradient_as_the_classic_network(real, monkeypatch):
    vocabulary, split = real
    for rate in ("PHOTO_DROPOUT", "WORD_DROPOUT", "OUTPUT_DROPOUT"):
        monkeypatch.setattr(train, rate, 0.0)
    model = train.define_model(vocabulary.size, split["vectors"].shape[1])
    photo_length = split["vectors"].shape[1]
    classic = define_classic_model(vocabulary.size, MAXIMUM_LENGTH, photo_length, dropout=0.0)
    copy_weights(model, classic)
    prefixes, targets, rows = examples_of(split["captions"], MAXIMUM_LENGTH)
    photos = split["vectors"][split["photo_rows"][rows]]
    classic_loss, _ = gradient_of_sum(classic, [photos, prefixes], targets)

    inputs, next_words, weights = train.CaptionBatches(split, 60, seed=5)[0]
    before = values_of(model.trainable_variables)
    loss, gradients = gradient_of_sum(model, list(inputs), next_words, weights)
    assert loss == pytest.approx(classic_loss, rel=1e-5)

    # The classic gradient in this network's order of variables: copy the changed weights back.
    copy_weights(classic, model)
    after = values_of(model.trainable_variables)
    assert len(before) == len(after) == len(gradients)
    for old, new, gradient in zip(before, after, gradients, strict=True):
        scale = np.abs(old - new).max()
        assert scale > 0
        np.testing.assert_allclose(gradient, old - new, rtol=0, atol=1e-4 * scale)


def test_training_takes_the_same_gradient_as_keras_own_loss(real, monkeypatch):
    vocabulary, split = real
    for rate in ("PHOTO_DROPOUT", "WORD_DROPOUT", "OUTPUT_DROPOUT"):
        monkeypatch.setattr(train, rate, 0.0)
    model = train.define_model(vocabulary.size, split["vectors"].shape[1])
    # Confident and often wrong, as a network may be for a moment in training.
    for variable in model.trainable_variables:
        variable.assign(3 * variable.value)
    before = values_of(model.trainable_variables)
    names = [variable.path for variable in model.trainable_variables]
    inputs, next_words, weights = train.CaptionBatches(split, 60, seed=5)[0]
    loss, gradients = gradient_of_sum(model, list(inputs), next_words, weights)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)

    training = train.define_training_model(model)
    training.compile(keras.optimizers.SGD(1.0), train.WordLoss())
    inputs, next_words, weights = train.TrainingBatches(split, 60, seed=5)[0]
    mean = training.train_on_batch(list(inputs), next_words, sample_weight=weights)
    assert mean * weights.sum() == pytest.approx(loss, rel=1e-5)
    after = values_of(model.trainable_variables)
    for name, old, new, gradient in zip(names, before, after, gradients, strict=True):
        scale = np.abs(gradient).max()
        assert scale > 0
        difference = np.abs((old - new) * weights.sum() - gradient).max()
        assert difference <= 1e-4 * scale, name


def small_split(lengths, seed=0):
    """Draws captions of given numbers of next words: ids 3 to 9 between the markers 1 and 2."""
    generator = np.random.default_rng(seed)
    return {
        "vectors": generator.random((len(lengths), 6), dtype=np.float32),
        "photo_rows": np.arange(len(lengths)),
        "captions": [
            [1, *map(int, generator.integers(3, 10, length - 1)), 2] for length in lengths
        ],
    }


def test_batches_hold_every_next_word_once_and_waste_little():
    lengths = np.random.default_rng(1).integers(1, 20, 200)
    split = small_split(lengths)
    batches = train.CaptionBatches(split, batch_size=16, seed=3)
    assert len(batches) == 13
    seen, padding, words_in_all = Counter(), 0, 0
    for number, rows in enumerate(batches.batches):
        (vectors, words), targets, weights = batches[number]
        assert words.shape == targets.shape == weights.shape
        for place, row in enumerate(rows):
            caption = split["captions"][row]
            count = len(caption) - 1
            np.testing.assert_array_equal(vectors[place], split["vectors"][row])
            np.testing.assert_array_equal(words[place, :count], caption[:-1])
            np.testing.assert_array_equal(targets[place, :count], caption[1:])
            assert not words[place, count:].any()
            assert not targets[place, count:].any()
            np.testing.assert_array_equal(weights[place], np.arange(len(weights[place])) < count)
            seen[int(row)] += 1
        padding += int((weights == 0).sum())
        words_in_all += int(weights.sum())
    assert seen == Counter(range(200))
    assert words_in_all == lengths.sum()
    assert padding < 0.1 * words_in_all


def test_order_depends_on_seed_and_epoch_alone():
    split = small_split([3] * 40)

    def order(seed, *epochs):
        batches = train.CaptionBatches(split, 4, seed)
        for epoch in epochs:
            batches.arrange(epoch)
        return np.concatenate(batches.batches).tolist()

    assert order(1, 2) == order(1, 2) == order(1, 0, 5, 2)
    assert order(1, 0) == order(1)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_batches_of_any_lengths_can_be_trained_on():
    """Keras must not take the length of the first batches for that of all."""
    for lengths in ([3] * 12 + [7], [2] + [5] * 12, [4] * 9, [1], [6, 2]):
        for seed in range(4):
            batches = train.CaptionBatches(small_split(lengths), batch_size=3, seed=seed)
            sizes = [batches[number][1].shape[1] for number in range(len(batches))]
            assert len(set(sizes[:2])) == len({min(sizes), max(sizes)})
    model = train.define_training_model(train.define_model(10, 6))
    train.compile_model(model, steps=10)
    batches = train.TrainingBatches(small_split([3] * 12 + [7]), batch_size=3, seed=0)
    model.fit(batches, shuffle=False, verbose=0)


def test_reported_loss_and_accuracy_are_means_over_real_words():
    split = small_split([2, 2, 2, 9, 9, 15, 4])
    model = train.define_model(10, 6)
    training = train.define_training_model(model)
    train.compile_model(training, steps=10)
    batches = train.TrainingBatches(split, batch_size=3, seed=0)
    figures = training.evaluate(batches, verbose=0, return_dict=True)

    losses, right = [], []
    for row, caption in enumerate(split["captions"]):
        for length in range(1, len(caption)):
            prefix = np.array([caption[:length]])
            photo = split["vectors"][row : row + 1]
            probabilities = np.asarray(model.predict_on_batch([photo, prefix]))[0, -1]
            losses.append(-np.log(probabilities[caption[length]]))
            right.append(probabilities.argmax() == caption[length])
    assert figures["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert figures["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
