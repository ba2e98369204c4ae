"""Loss, learning rate, number of steps, and which epoch is best and last."""

import msgspec
import numpy as np
import pytest

import train
from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network.callbacks import History, duration
from captioning.network.model import build_captioner
from captioning.network.training import (
    CaptionTrainer,
    TrainingSettings,
    compile_trainer,
    plan_steps,
)

SETTINGS = TrainingSettings(
    **dict.fromkeys(TrainingSettings.__struct_fields__, 0) | {"epochs": 6, "patience": 3}
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
    assert History([{"val_loss": loss} for loss in losses], SETTINGS).is_trained() is finished


def test_the_best_epoch_has_the_lowest_loss_or_in_fine_tuning_the_highest_cider_d():
    logs = [{"val_loss": 3.0}, {"val_loss": 2.0, "val_cider_d": 40.0}, {"val_loss": 2.5}]
    rewarded = [{"val_cider_d": score} for score in (39.0, 41.0, 41.0, 45.0)]
    found = [History((logs + rewarded)[:count], SETTINGS).is_best() for count in (1, 3, 4, 5, 6, 7)]
    assert found == [True, False, False, True, False, True]
    assert History([{"val_loss": 3.0}, {"val_loss": 2.0}], SETTINGS).is_best()


def test_a_loss_that_is_not_finite_is_reported():
    history = History([], SETTINGS)
    history.on_epoch_begin(0)
    with pytest.raises(UserError, match=r"epoch 1 is not finite.*lower --learning-rate"):
        history.on_epoch_end(0, {"loss": np.nan, "val_loss": 2.0})
    assert history.logs == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 second"), (89, "89 seconds"), (90, "2 minutes"), (9000, "2.5 hours")],
)
def test_lengths_of_time_are_said_as_people_do(seconds, text):
    assert duration(seconds) == text


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
    with pytest.raises(UserError, match="--warmup-steps 99 leaves none of"):
        compile_trainer(trainer, 0.8, 0.0, steps, 99)


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


@pytest.mark.parametrize(
    ("captions", "fixed", "expected"),
    [
        # All of Flickr8k, and as few as keep the batch size.
        (30_000, (), (128, 15)),
        (14_849, (), (128, 15)),
        (14_848, (), (64, 15)),
        (3_713, (), (32, 15)),
        (3_712, (), (32, 16)),
        (1, (), (32, 1755)),
        (1_000, ("epochs", "units"), (32, 15)),
        (1_000, ("batch_size",), (128, 220)),
        (1_000, ("batch_size", "epochs"), (128, 15)),
    ],
)
def test_few_captions_are_trained_in_smaller_batches_for_more_epochs(captions, fixed, expected):
    batch_size, epochs, min_steps = plan_steps(captions, 128, 15, 1755, fixed)
    assert (batch_size, epochs) == expected
    steps = -(-captions // batch_size) * epochs
    assert min_steps == (1755 if steps >= 1755 else 1)
    # The recipe of the run repeats it.
    assert plan_steps(captions, batch_size, epochs, min_steps) == (batch_size, epochs, min_steps)


def test_all_of_flickr8k_is_trained_as_the_constants_say():
    constants = train.BATCH_SIZE, train.EPOCHS, train.MIN_STEPS
    assert plan_steps(30_000, *constants) == constants == (128, 15, 2000)
    # A batch size is not halved to less than the least, nor raised to it.
    assert plan_steps(100, 63, 15, 1000) == (63, 500, 1000)


def test_the_settings_of_training_are_constants_of_the_script():
    names = {name.lower() for name in vars(train) if name.isupper()}
    assert set(TrainingSettings.__struct_fields__) <= names
    settings = {name.lower(): getattr(train, name) for name in vars(train) if name.isupper()}
    settings = {name: value for name, value in settings.items() if isinstance(value, int | float)}
    assert msgspec.convert(settings, TrainingSettings).epochs == train.EPOCHS
