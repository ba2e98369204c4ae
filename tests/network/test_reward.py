"""Reward fine-tuning against slow versions: samples, advantages, batches, and the gradient."""

import itertools
from argparse import Namespace

import numpy as np
import pytest

from captioning.keras_setup import keras
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.decoding import CaptionDecoder
from captioning.network.model import build_captioner
from captioning.network.reward import CaptionSampler, RewardTrainer, advantages
from captioning.scores.metrics import CiderD
from captioning.text.vocabulary import Vocabulary

WORDS = ("startseq", "endseq", "red", "ball")
START, END = 1, 2
VOCABULARY = Vocabulary(words=WORDS, maximum_length=3, cleaning={})
SETTINGS = Namespace(reward_samples=4, reward_photos=2, caption_share=0.5, batch_size=5)


@pytest.fixture(scope="module")
def captioner():
    """Returns a network whose probabilities differ from word to word and photo.

    It never says padding or startseq, as decoding does not.
    """
    captioner = build_captioner(VOCABULARY.size, 5, units=4)
    generator = np.random.default_rng(3)
    weights = [generator.normal(size=weights.shape) for weights in captioner.get_weights()]
    weights[-1][[0, START]] = -30
    captioner.set_weights(weights)
    return captioner


@pytest.fixture(scope="module")
def sampler(captioner):
    features = np.random.default_rng(4).normal(size=(2, 5)).astype(np.float32)
    texts = [[["red", "ball"], ["red"]], [["ball", "ball", "ball"], ["ball"]]]
    ids = {word: token_id for token_id, word in enumerate(WORDS, start=1)}
    captions = [
        [START, *(ids[word] for word in text), END] for of_photo in texts for text in of_photo
    ]
    split = CaptionedSplit(["one", "two"], texts, features, captions, np.array([0, 0, 1, 1]))
    return CaptionSampler(CaptionDecoder(captioner, VOCABULARY), split)


def all_captions():
    """Lists every caption that decoding can write: at most three tokens, the end token once."""
    return [
        [*before, *last]
        for length in range(4)
        for before in itertools.product((3, 4), repeat=length)
        for last in ([[END]] if length < 3 else [[]])
    ]


def inputs_of_all(sampler):
    """Returns features, prefixes and targets of all captions of both photos."""
    captions = all_captions() * 2
    rows = np.repeat([0, 1], len(captions) // 2)
    tokens = np.zeros((len(captions), 4), dtype=np.int32)
    for row, caption in zip(tokens, captions, strict=True):
        row[: len(caption) + 1] = [START, *caption]
    return [sampler.split.features[rows], tokens[:, :-1]], tokens[:, 1:]


def probabilities_of_all(captioner, sampler):
    """Returns the probability of every caption of both photos: (2, captions)."""
    inputs, targets = inputs_of_all(sampler)
    found = np.asarray(captioner.predict_on_batch(inputs)).astype(float)
    of_tokens = np.take_along_axis(found, targets[:, :, None], axis=2)[:, :, 0]
    return np.where(targets > 0, of_tokens, 1).prod(axis=1).reshape(2, -1)


def test_samples_are_as_frequent_as_they_are_probable(captioner, sampler):
    count, expected = 20_000, probabilities_of_all(captioner, sampler)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    features = sampler.split.features[np.repeat([0, 1], count)]
    sampled, again = (sampler.decoder.sample(features, np.random.default_rng(5)) for _ in range(2))
    assert sampled == again
    for photo, of_photo in enumerate(expected):
        drawn = sampled[photo * count : (photo + 1) * count]
        for caption, share in zip(all_captions(), of_photo, strict=True):
            error = 4 * np.sqrt(share * (1 - share) / count) + 1e-4
            assert drawn.count(caption) / count == pytest.approx(share, abs=error)


def test_the_baseline_is_the_mean_of_the_other_samples():
    rewards = np.random.default_rng(1).random((3, 4))
    for photo, sample in np.ndindex(*rewards.shape):
        others = [rewards[photo, other] for other in range(4) if other != sample]
        expected = rewards[photo, sample] - sum(others) / 3
        assert advantages(rewards)[photo, sample] == pytest.approx(expected)


def test_rewards_are_cider_d_against_the_photo_s_own_references(sampler):
    captions = [[3, 4, END], [4, 4, 3], [3, 4, END], [END]]
    # The end counts as a word, in captions and references.
    texts = [["red", "ball", "."], ["ball", "ball", "red"], ["red", "ball", "."], ["."]]
    references = [[[*text, "."] for text in of_photo] for of_photo in sampler.split.references]
    scores = sampler.reward(captions, np.array([0, 0, 1, 1]))
    for index, photo in enumerate((0, 0, 1, 1)):
        pair = [texts[index], texts[index]]
        assert scores[index] == CiderD(references).score(pair)[photo]
    assert scores[0] > scores[1] > scores[2]


def test_weighted_captions_have_the_gradient_of_the_expected_reward(captioner, sampler):
    """Takes every caption with its probability, so that nothing is random; by differences."""
    captions = all_captions()
    rows = np.repeat([0, 1], len(captions))
    rewards = sampler.reward(captions * 2, rows) / 100
    before = captioner.get_weights()
    expected, generator = [], np.random.default_rng(1)
    places = [
        (index, tuple(generator.integers(array.shape))) for index, array in enumerate(before * 4)
    ]
    places = [(index % len(before), place) for index, place in places]
    for index, place in places:
        ends = []
        for step in (0.001, -0.001):
            moved = [array.copy() for array in before]
            moved[index][place] += step
            captioner.set_weights(moved)
            ends.append(probabilities_of_all(captioner, sampler).ravel() @ rewards / 2)
        expected.append((ends[0] - ends[1]) / 0.002)
    captioner.set_weights(before)

    weights = (rewards - 0.7) * probabilities_of_all(captioner, sampler).ravel()
    with_start = [[START, *caption] for caption in captions * 2]
    everything = CaptionedSplit(["one", "two"], [], sampler.split.features, with_start, rows)
    inputs, targets, sample_weight = CaptionBatches(everything, len(rows), 1, weights)[0]
    trainer = RewardTrainer(captioner)
    trainer.compile(optimizer=keras.optimizers.SGD(1.0))
    trainer.train_on_batch(inputs, targets, sample_weight=sample_weight)
    after = captioner.get_weights()
    captioner.set_weights(before)
    # The trainer's loss is a mean over words, and is made smaller; there are two photos.
    words = sum(map(len, captions)) * 2
    found = [(after[index][place] - before[index][place]) * words / 2 for index, place in places]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(expected).max() > 0.01


def test_batches_hold_the_samples_with_their_advantages_and_people_s_captions(sampler):
    split, photos = sampler.split, np.array([1, 0])
    batches, rewards = sampler.sample_batches(photos, SETTINGS, np.random.default_rng(1))
    assert rewards.shape == (2, 4)
    sampled = sampler.decoder.sample(split.features[np.repeat(photos, 4)], np.random.default_rng(1))
    expected = advantages(rewards).ravel() / 100
    assert sorted(np.concatenate(batches.batches)) == list(range(10))
    for index, of_batch in enumerate(batches.batches):
        (features, prefixes), targets, sample_weight = batches[index]
        for position, row in enumerate(of_batch):
            photo = [1, 1, 1, 1, 0, 0, 0, 0, 1, 0][row]
            np.testing.assert_array_equal(features[position], split.features[photo])
            written = [int(token) for token in targets[position] if token]
            assert list(prefixes[position, : len(written)]) == [START, *written[:-1]]
            if row < 8:
                assert written == sampled[row]
            else:
                assert written in [split.captions[own][1:] for own in (2 * photo, 2 * photo + 1)]
            # Four samples and one caption of a person count as 1 to 0.5.
            weight = expected[row] if row < 8 else 0.5 * 4
            weights = weight * (targets[position] > 0)
            np.testing.assert_allclose(sample_weight[position], weights, rtol=1e-6)
