"""Reward fine-tuning against slow versions: samples, advantages, the gradient, and whole runs."""

import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
from support import make_prepared_data

import train
from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network import progress, training
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.checkpoint import write_checkpoint
from captioning.network.decoding import CaptionDecoder, generate_desc
from captioning.network.model import build_captioner
from captioning.network.reward import (
    CiderReward,
    RewardSettings,
    advantages,
    sample_batches,
    steps_of_epoch,
)
from captioning.network.saved_model import load_model
from captioning.network.training import CaptionTrainer
from captioning.scores.metrics import CiderD
from captioning.text.vocabulary import Vocabulary

WORDS = ("startseq", "endseq", "red", "ball")
START, END = 1, 2


def settings(**changed):
    """Makes settings of which the tests change some."""
    usual = {"epochs": 1, "learning_rate": 0.1, "weight_decay": 0.0, "seed": 1}
    usual |= {"photos": 2, "samples": 4, "caption_share": 0.5, "batch_size": 5}
    return RewardSettings(**usual | changed)


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(words=WORDS, maximum_length=3, cleaning={})


@pytest.fixture(scope="module")
def captioner():
    """Returns a network without dropout whose probabilities differ from word to word and photo."""
    keras.utils.set_random_seed(3)
    captioner = build_captioner(
        len(WORDS) + 1, 5, units=4, photo_dropout=0.0, word_dropout=0.0, output_dropout=0.0
    )
    generator = np.random.default_rng(3)
    captioner.set_weights(
        [generator.normal(size=weights.shape) for weights in captioner.get_weights()]
    )
    return captioner


@pytest.fixture(scope="module")
def split():
    features = np.random.default_rng(4).normal(size=(2, 5)).astype(np.float32)
    texts = [[["red", "ball"], ["red"]], [["ball", "ball", "ball"], ["ball"]]]
    ids = {word: number for number, word in enumerate(WORDS, start=1)}
    captions = [
        [START, *(ids[word] for word in text), END] for of_photo in texts for text in of_photo
    ]
    return CaptionedSplit(["one", "two"], texts, features, captions, np.array([0, 0, 1, 1]))


def all_captions():
    """Lists every caption that decoding can write: at most three tokens, the end token once."""
    words = (3, 4)
    return [
        [*before, *last]
        for length in range(4)
        for before in itertools.product(words, repeat=length)
        for last in ([[END]] if length < 3 else [[]])
    ]


def probability(captioner, features, caption):
    """Multiplies the probabilities of the tokens, with padding and the start token ruled out."""
    product = 1.0
    for place, token in enumerate(caption):
        prefix = np.array([[START, *caption[:place]]])
        row = np.asarray(captioner([features[None], prefix], training=False))[0, -1].astype(float)
        row[[0, START]] = 0
        product *= row[token] / row.sum()
    return product


def test_the_captions_have_all_the_probability(captioner, split):
    for features in split.features:
        total = sum(probability(captioner, features, caption) for caption in all_captions())
        assert total == pytest.approx(1, abs=1e-5)


def test_samples_are_as_frequent_as_they_are_probable(captioner, vocabulary, split):
    count = 20_000
    decoder = CaptionDecoder(captioner, vocabulary)
    rows = np.repeat([0, 1], count)
    sampled = decoder.sample(split.features[rows], np.random.default_rng(5))
    for photo, features in enumerate(split.features):
        drawn = sampled[photo * count : (photo + 1) * count]
        for caption in all_captions():
            expected = probability(captioner, features, caption)
            error = 4 * np.sqrt(expected * (1 - expected) / count) + 1e-4
            assert drawn.count(caption) / count == pytest.approx(expected, abs=error)


def test_samples_depend_on_the_generator_alone(captioner, vocabulary, split):
    decoder = CaptionDecoder(captioner, vocabulary)
    features = np.repeat(split.features, 50, axis=0)
    first, again, other = (
        decoder.sample(features, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_baseline_is_the_mean_of_the_other_samples():
    rewards = np.random.default_rng(1).random((3, 4))
    for photo, sample in np.ndindex(*rewards.shape):
        others = [rewards[photo, other] for other in range(4) if other != sample]
        expected = rewards[photo, sample] - sum(others) / 3
        assert advantages(rewards)[photo, sample] == pytest.approx(expected)


def test_rewards_are_cider_d_against_the_photo_s_own_references(vocabulary, split):
    reward = CiderReward(split, vocabulary)
    captions = [[3, 4, END], [4, 4, 3, END], [3, 4, END], [END]]
    texts = [["red", "ball"], ["ball", "ball", "red"], ["red", "ball"], []]
    scores = reward.score(captions, np.array([0, 0, 1, 1]))
    for place, photo in enumerate((0, 0, 1, 1)):
        pair = [texts[place], texts[place]]
        assert scores[place] == CiderD(split.references).score(pair)[photo]
    assert scores[0] > scores[1]
    assert scores[2] < scores[1]


def gradients(trainer, batch):
    """Changes the weights by one step of plain gradient descent, and returns the gradient."""
    inputs, targets, sample_weight = batch
    before = trainer.get_weights()
    trainer.compile(optimizer=keras.optimizers.SGD(1.0))
    trainer.train_on_batch(inputs, targets, sample_weight=sample_weight)
    after = trainer.get_weights()
    trainer.set_weights(before)
    return [one - other for one, other in zip(before, after, strict=True)]


def expected_reward_gradient(captioner, split, reward):
    """Returns by finite differences how the expected reward changes with each weight."""
    captions = all_captions() * 2
    rows = np.repeat([0, 1], len(captions) // 2)
    rewards = reward.score(captions, rows) / 100
    tokens = np.zeros((len(captions), 4), dtype=np.int32)
    for row, caption in zip(tokens, captions, strict=True):
        row[: len(caption) + 1] = [START, *caption]
    prefixes, targets = tokens[:, :-1], tokens[:, 1:]

    def expected():
        found = captioner.predict_on_batch([split.features[rows], prefixes]).astype(float)
        of_tokens = np.take_along_axis(found, targets[:, :, None], axis=2)[:, :, 0]
        return np.where(targets > 0, of_tokens, 1).prod(axis=1) @ rewards / 2

    found, weights = [], captioner.get_weights()
    for number, array in enumerate(weights):
        gradient = np.zeros(array.shape)
        for place in np.ndindex(*array.shape):
            ends = []
            for step in (0.001, -0.001):
                moved = [item.copy() for item in weights]
                moved[number][place] += step
                captioner.set_weights(moved)
                ends.append(expected())
            gradient[place] = (ends[0] - ends[1]) / 0.002
        found.append(gradient)
    captioner.set_weights(weights)
    return found


@pytest.fixture(scope="module")
def true_gradient(captioner, vocabulary, split):
    """The gradient of the expected reward of a network that never says padding or startseq."""
    weights = captioner.get_weights()
    weights[-1][[0, START]] = -30
    captioner.set_weights(weights)
    reward = CiderReward(split, vocabulary)
    return expected_reward_gradient(captioner, split, reward)


def test_weighted_captions_have_the_gradient_of_the_expected_reward(
    captioner, vocabulary, split, true_gradient
):
    """Takes every caption with its probability instead of sampling, so that nothing is random."""
    captions, reward = all_captions(), CiderReward(split, vocabulary)
    rows = np.repeat([0, 1], len(captions))
    probabilities = [
        probability(captioner, features, caption)
        for features in split.features
        for caption in captions
    ]
    baseline = 0.7
    weights = (reward.score(captions * 2, rows) / 100 - baseline) * probabilities
    everything = CaptionedSplit(
        split.photo_ids,
        split.references,
        split.features,
        [[START, *caption] for caption in captions * 2],
        rows,
    )
    batches = CaptionBatches(everything, len(rows), 1, weights)
    found = gradients(CaptionTrainer(captioner), batches[0])
    # The trainer's loss is a mean over words, and is made smaller; there are two photos.
    words = sum(map(len, captions)) * 2
    for one, other in zip(found, true_gradient, strict=True):
        np.testing.assert_allclose(-one * words / 2, other, atol=2e-3)


def test_sampled_batches_have_it_on_average(captioner, vocabulary, split, true_gradient):
    decoder = CaptionDecoder(captioner, vocabulary)
    sampling = settings(photos=2, samples=6000, caption_share=0.0, batch_size=12_002)
    reward, generator = CiderReward(split, vocabulary), np.random.default_rng(1)
    batches, _ = sample_batches(decoder, split, reward, np.array([0, 1]), sampling, generator)
    assert len(batches) == 1
    found = np.concatenate(
        [-item.ravel() for item in gradients(CaptionTrainer(captioner), batches[0])]
    )
    expected = np.concatenate([item.ravel() for item in true_gradient])
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.99
    words = batches[0][1].astype(bool).sum()
    assert np.linalg.norm(found) * words / 12_000 == pytest.approx(
        np.linalg.norm(expected), rel=0.1
    )


def test_batches_hold_the_samples_with_their_advantages_and_people_s_captions(
    captioner, vocabulary, split
):
    decoder, reward = CaptionDecoder(captioner, vocabulary), CiderReward(split, vocabulary)
    generator = np.random.default_rng(1)
    batches, rewards = sample_batches(
        decoder, split, reward, np.array([1, 0]), settings(), generator
    )
    assert rewards.shape == (2, 4)
    sampled = decoder.sample(split.features[np.repeat([1, 0], 4)], np.random.default_rng(1))
    expected = advantages(rewards).ravel() / 100
    rows = np.concatenate(batches.batches)
    assert sorted(rows) == list(range(10))
    for number, of_batch in enumerate(batches.batches):
        (features, prefixes), targets, sample_weight = batches[number]
        for place, row in enumerate(of_batch):
            photo = [1, 1, 1, 1, 0, 0, 0, 0, 1, 0][row]
            np.testing.assert_array_equal(features[place], split.features[photo])
            written = [int(token) for token in targets[place] if token]
            assert list(prefixes[place, : len(written)]) == [START, *written[:-1]]
            if row < 8:
                assert written == sampled[row]
                weight = expected[row]
            else:
                own = [split.captions[caption][1:] for caption in (2 * photo, 2 * photo + 1)]
                assert written in own
                # Four samples and one caption of a person count as 1 to 0.5.
                weight = 0.5 * 4
            np.testing.assert_allclose(
                sample_weight[place], weight * (targets[place] > 0), rtol=1e-6
            )


def test_steps_of_an_epoch_are_counted(captioner, vocabulary, split):
    for photos, batch_size in ((1, 3), (2, 5), (2, 100)):
        sampling = settings(photos=photos, batch_size=batch_size)
        decoder, reward = CaptionDecoder(captioner, vocabulary), CiderReward(split, vocabulary)
        counted = 0
        for start in range(0, 2, photos):
            rows = np.arange(2)[start : start + photos]
            generator = np.random.default_rng(1)
            counted += len(sample_batches(decoder, split, reward, rows, sampling, generator)[0])
        assert steps_of_epoch(2, sampling) == counted


# Whole runs.

REWARD = ("--reward-epochs", 3, "--reward-photos", 4, "--reward-learning-rate", 0.003)
REPRODUCIBLE = ["epoch", "learning_rate", "loss", "val_loss", "reward", "val_cider_d"]


def run_training(data, model, *more):
    arguments = ["--data", data, "--model", model, "--epochs", 6, "--batch-size", 4, *REWARD, *more]
    arguments += ["--learning-rate", 0.005, "--units", 32]
    assert train.main([str(item) for item in arguments]) == 0
    return pd.read_csv(model / "history.csv")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward") / "tiny"
    make_prepared_data(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward-run") / "model"
    return run_training(data, folder), folder


def test_fine_tuning_raises_the_reward_and_keeps_the_best_epoch(data, undisturbed):
    history, folder = undisturbed
    assert list(history["epoch"]) == list(range(1, 10))
    rewarded = history[history["reward"].notna()]
    assert list(rewarded["epoch"]) == [7, 8, 9]
    assert rewarded["reward"].iloc[-1] > rewarded["reward"].iloc[0]
    # The epoch that fine-tuning went on from is compared with those of fine-tuning.
    scored = history[history["val_cider_d"].notna()]
    assert list(scored["epoch"]) == [history["val_loss"].idxmin() + 1, 7, 8, 9]
    model = load_model(folder)
    splits = train.read_inputs(data)
    validation = splits[1]
    captions = [
        text.split()
        for text in generate_desc(model.captioner, model.vocabulary, validation.features)
    ]
    score = CiderD(validation.references).score(captions).mean()
    assert score == pytest.approx(scored["val_cider_d"].max())
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("epoch", [7, 8])
def test_a_resumed_run_equals_an_undisturbed_one(data, undisturbed, tmp_path, monkeypatch, epoch):
    """Stops in the first and in the second epoch of fine-tuning."""
    history, complete = undisturbed

    def stop(_, number, logs):
        if number + 1 == epoch:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress.ShowCaptions, "on_epoch_end", stop)
        patch.setattr(training, "draw_curves", lambda history, path: path.write_bytes(b"curves"))
        with pytest.raises(KeyboardInterrupt):
            run_training(data, tmp_path)
    resumed = run_training(data, tmp_path, "--resume")
    pd.testing.assert_frame_equal(resumed[REPRODUCIBLE], history[REPRODUCIBLE], check_exact=True)
    weights = [load_model(place).captioner.get_weights() for place in (tmp_path, complete)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_killed_after_the_model_was_replaced_starts_fine_tuning_from_the_same(
    data, undisturbed, tmp_path, monkeypatch
):
    """The first epoch of fine-tuning has replaced the model, but is not in the checkpoint yet."""
    history, complete = undisturbed
    replaced = []

    def stop(folder, model, settings, history):
        if "reward" in history[-1]:
            replaced.append((tmp_path / "captioner.keras").read_bytes())
            raise KeyboardInterrupt
        write_checkpoint(folder, model, settings, history)

    with monkeypatch.context() as patch:
        patch.setattr(training, "is_best", lambda history: True)
        patch.setattr(training, "write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            run_training(data, tmp_path)
    assert replaced
    resumed = run_training(data, tmp_path, "--resume")
    pd.testing.assert_frame_equal(resumed[REPRODUCIBLE], history[REPRODUCIBLE], check_exact=True)
    weights = [load_model(place).captioner.get_weights() for place in (tmp_path, complete)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_reward_learning_rate_that_is_far_too_high_is_reported(data, tmp_path):
    with pytest.raises(UserError, match="lower --reward-learning-rate than 1e"):
        run_training(data, tmp_path, "--reward-learning-rate", 1e30)


def test_a_single_validation_photo_cannot_be_rewarded(data, tmp_path):
    few = tmp_path / "few"
    shutil.copytree(data, few)
    names = (few / "Flickr_8k.devImages.txt").read_text().split()
    (few / "Flickr_8k.devImages.txt").write_text(names[0])
    with pytest.raises(UserError, match="CIDEr-D of a single photo is always 0"):
        run_training(few, tmp_path / "model")
