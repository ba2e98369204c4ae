"""Training on captions: loss and metrics, learning rate, number of steps, and Keras's loop."""

import math
from collections.abc import Collection, Sequence

import msgspec
from tqdm import tqdm

from captioning.cli import UserError, wrapped
from captioning.keras_setup import keras
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.checkpoint import Checkpoint
from captioning.text.vocabulary import PADDING_ID

ops = keras.ops

# How far the batch size is halved for few captions.
MIN_BATCH_SIZE = 32


class TrainingSettings(msgspec.Struct, frozen=True):
    """How captions are trained on, and rewarded; the constants of train.py say what each is."""

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    patience: int
    seed: int
    reward_epochs: int
    reward_learning_rate: float
    reward_photos: int
    reward_samples: int
    caption_share: float


class CaptionTrainer(keras.Model):
    """Trains a captioner with the mean weighted cross-entropy of the real words of a batch as loss.

    It shares the captioner's layers and ends at the logits, from which loss and accuracy are
    computed. Both are reported as means over all words of an epoch, each counting once: Keras's own
    would first take the mean of each padded caption.
    """

    def __init__(self, captioner: keras.Model):
        # What the softmax at the end takes.
        super().__init__(captioner.inputs, captioner.layers[-1].input, name="caption_trainer")
        # A metric named loss is reported in place of the mean of the batches' losses.
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.accuracy = keras.metrics.Mean(name="accuracy")

    # Keras names the arguments.
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss of a batch in nats per word, and updates the metrics.

        Targets `y` and `sample_weight` are (captions, tokens), the logits `y_pred` (captions,
        tokens, vocabulary_size). The weights scale the loss of each word, not what it is divided
        by, the number of real words: they may be negative, or sum to zero.
        """
        logits = ops.reshape(y_pred, (-1, y_pred.shape[-1]))
        targets = ops.reshape(y, (-1,))
        weights = ops.reshape(sample_weight, (-1,))
        real = ops.cast(targets != PADDING_ID, "float32")
        losses = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        self.mean_loss.update_state(losses, real)
        # An argmax would take several times as long.
        target_logits = ops.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        correct = ops.cast(target_logits >= ops.max(logits, axis=-1), "float32")
        self.accuracy.update_state(correct, real)
        return ops.sum(losses * weights) / ops.sum(real)


def compile_trainer(
    trainer: CaptionTrainer,
    learning_rate: float,
    weight_decay: float,
    steps: int,
    warmup_steps: int = 0,
) -> None:
    """Sets AdamW with a learning rate that follows half a cosine to zero over all steps.

    In the first `warmup_steps` of them, fewer than all, it rises in a line from zero.
    """
    if warmup_steps >= steps:
        raise UserError(
            f"--warmup-steps {warmup_steps} leaves none of {steps} steps for the learning rate to "
            "fall in: run python train.py with fewer"
        )
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else learning_rate,
        steps - warmup_steps,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    trainer.compile(optimizer=keras.optimizers.AdamW(schedule, weight_decay=weight_decay))


def plan_steps(
    captions: int, batch_size: int, epochs: int, min_steps: int, fixed: Collection[str] = ()
) -> tuple[int, int, int]:
    """Returns batch size, epochs and the least number of steps, such that training takes as many.

    The batch size is halved as long as the steps are too few and half of it is at least
    MIN_BATCH_SIZE; then there are more epochs. `fixed` names which of "batch_size" and "epochs"
    stay as they are; if the steps are too few then, the least number becomes 1. It prints a change.
    """
    given = batch_size, epochs

    def steps() -> int:
        return math.ceil(captions / batch_size) * epochs

    if "batch_size" not in fixed:
        while steps() < min_steps and batch_size >= 2 * MIN_BATCH_SIZE:
            batch_size //= 2
    if "epochs" not in fixed:
        epochs = max(epochs, math.ceil(min_steps / math.ceil(captions / batch_size)))
    if (batch_size, epochs) != given:
        changed = f"batches of {batch_size} and {epochs} epochs"
        kept = f"batches of {given[0]} and {given[1]} epochs"
        print(wrapped(f"few captions: {changed}; --min-steps 1 keeps {kept}"))
    return batch_size, epochs, min_steps if steps() >= min_steps else 1


class EpochBar(keras.callbacks.Callback):
    """Shows how far an epoch is, in a bar that goes when it ends; there is none in a log file."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Shows the bar."""
        steps = self.params["steps"]
        self.bar = tqdm(total=steps, unit=" batches", leave=False, disable=None)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves the bar on; beside it stands the loss of the epoch so far."""
        self.bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Removes the bar."""
        self.bar.close()


def train_on_captions(
    trainer: CaptionTrainer,
    splits: tuple[CaptionedSplit, CaptionedSplit],
    settings: TrainingSettings,
    checkpoint: Checkpoint,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains on the first split and validates on the second, from the start or a checkpoint."""
    training, validation = (
        CaptionBatches(split, settings.batch_size, settings.seed) for split in splits
    )
    steps = len(training) * settings.epochs
    compile_trainer(
        trainer, settings.learning_rate, settings.weight_decay, steps, settings.warmup_steps
    )
    checkpoint.restore(trainer)
    trainer.fit(
        training,
        validation_data=validation,
        epochs=settings.epochs,
        initial_epoch=len(checkpoint.logs),
        # The order must not depend on the epochs before, so that a resumed run sees the same.
        shuffle=False,
        # Keras's own bar is as long as its logs, and longer than most terminals are wide.
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: training.shuffle(epoch)),
            EpochBar(),
            keras.callbacks.TerminateOnNaN(),
            *callbacks,
        ],
    )
