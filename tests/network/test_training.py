"""Loss, learning rate, number of steps, and which epoch is best and last."""

from argparse import Namespace

import numpy as np
import pytest

import train
from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network.model import build_captioner
from captioning.network.training import (
    AfterEpoch,
    CaptionTrainer,
    best_epoch,
    compile_trainer,
    is_trained,
    plan_steps,
)


@pytest.mark.parametrize(
    ("losses", "finished"),
    [
        ([], False),
        ([3.0, 2.0, 2.1, 2.2], False),
        ([3.0, 2.0, 2.1, 2.2, 2.3], True),
        ([3.0, 2.0, 2.1, 2.2, 1.9], False),
        ([2.0, 2.0, 2.0], False),
        ([2.0, 2.0, 2.0, 2.0], True),
        ([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], True),
    ],
)
def test_training_stops_after_patience_or_the_last_epoch(losses, finished):
    logs = [{"val_loss": loss} for loss in losses]
    assert is_trained(logs, Namespace(epochs=6, patience=3)) is finished


def test_the_best_epoch_has_the_lowest_loss_or_in_fine_tuning_the_highest_cider_d():
    logs = [{"val_loss": 3.0}, {"val_loss": 2.0, "val_cider_d": 40.0}, {"val_loss": 2.5}]
    logs += [{"val_cider_d": score} for score in (39.0, 41.0, 41.0, 45.0)]
    found = [logs.index(best_epoch(logs[:count])) for count in range(1, 8)]
    assert found == [0, 1, 1, 1, 4, 4, 6]
    losses = [{"val_loss": loss} for loss in (3.0, 2.0, 2.0)]
    assert best_epoch(losses) is losses[1]


def test_a_loss_that_is_not_finite_is_reported():
    for report in (AfterEpoch.on_train_batch_end, AfterEpoch.on_epoch_end):
        for name in ("loss", "val_loss"):
            with pytest.raises(UserError, match=r"not finite.*lower --learning-rate"):
                report(None, 0, {name: np.nan, "accuracy": 0.5})


@pytest.mark.parametrize(("warmup_steps", "steps"), [(0, 10), (4, 14)])
def test_the_learning_rate_rises_and_then_follows_half_a_cosine(warmup_steps, steps):
    trainer = CaptionTrainer(build_captioner(5, 3, units=2))
    compile_trainer(trainer, 0.8, 0.0, steps, warmup_steps)
    rate = trainer.optimizer._learning_rate
    for step in range(warmup_steps):
        assert float(rate(step)) == pytest.approx(0.8 * step / warmup_steps)
    for step in range(11):
        expected = 0.4 * (1 + np.cos(np.pi * step / 10))
        assert float(rate(warmup_steps + step)) == pytest.approx(expected, abs=1e-6)


def test_weights_scale_the_loss_of_each_word_and_not_the_metrics():
    keras.utils.set_random_seed(1)
    captioner = build_captioner(6, 3, units=4, photo_dropout=0, word_dropout=0, output_dropout=0)
    trainer = CaptionTrainer(captioner)
    features = np.random.default_rng(1).random((2, 3), dtype=np.float32)
    prefixes, targets = np.array([[1, 3, 4], [1, 5, 0]]), np.array([[3, 4, 2], [5, 2, 0]])
    weights = np.array([[2.0, 2, 2], [-1, -1, 0]], dtype=np.float32)
    probabilities = np.array(captioner([features, prefixes]))
    losses = -np.log(np.take_along_axis(probabilities, targets[:, :, None], axis=2)[:, :, 0])
    logits = trainer([features, prefixes], training=False)
    loss = trainer.compute_loss(None, targets, logits, weights)
    assert float(loss) == pytest.approx((losses * weights).sum() / 5, rel=1e-5)
    assert float(trainer.mean_loss.result()) == pytest.approx(losses[targets > 0].mean(), rel=1e-5)
    right = (probabilities.argmax(axis=2) == targets)[targets > 0]
    assert float(trainer.accuracy.result()) == pytest.approx(right.mean())


@pytest.mark.parametrize(
    ("captions", "typed", "expected"),
    [
        # All of Flickr8k, and as few as keep the batch size.
        (30_000, (), (128, 15)),
        (17_025, (), (128, 15)),
        (17_024, (), (64, 15)),
        (4_257, (), (32, 15)),
        (4_256, (), (32, 16)),
        (1, (), (32, 2000)),
        (1_000, ("epochs", "units"), (32, 15)),
        (1_000, ("batch_size",), (128, 250)),
        (1_000, ("batch_size", "epochs"), (128, 15)),
    ],
)
def test_few_captions_are_trained_in_smaller_batches_for_more_epochs(captions, typed, expected):
    constants = {"batch_size": train.BATCH_SIZE, "epochs": train.EPOCHS}
    constants |= {"min_steps": train.MIN_STEPS, "warmup_steps": 0}
    options = Namespace(**constants, typed=typed)
    plan_steps(options, captions)
    assert (options.batch_size, options.epochs) == expected
    steps = -(-captions // options.batch_size) * options.epochs
    assert options.min_steps == (train.MIN_STEPS if steps >= train.MIN_STEPS else 1)
    if captions == 30_000:
        assert vars(options) == constants | {"typed": ()}
    # The recipe of the run repeats it.
    again = Namespace(**vars(options) | {"typed": ()})
    plan_steps(again, captions)
    assert vars(again) == vars(options) | {"typed": ()}
