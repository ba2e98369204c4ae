"""Training: loss and metrics, learning rate, number of steps, and what happens after an epoch."""

import math
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from captioning.cli import UserError, wrapped
from captioning.keras_setup import keras
from captioning.network.batches import CaptionBatches
from captioning.network.checkpoint import write_checkpoint
from captioning.network.model import logits_of
from captioning.network.model_folders import replacing
from captioning.old import (
    CURVES,
    HISTORY,
    VALIDATION_CIDER,
    VALIDATION_LOSS,
    atomic_path,
    write_table,
)
from captioning.scores.report import draw_curves
from captioning.text.vocabulary import PADDING_ID

ops = keras.ops

# How far the batch size is halved for few captions.
MIN_BATCH_SIZE = 32


class CaptionTrainer(keras.Model):
    """Trains a captioner with the mean weighted cross-entropy of the real words of a batch as loss.

    It shares the captioner's layers and ends at the logits, from which loss and accuracy are
    computed. Both are reported as means over all words of an epoch, each counting once: Keras's own
    would first take the mean of each padded caption.
    """

    def __init__(self, captioner: keras.Model):
        logits = logits_of(captioner)
        super().__init__(logits.inputs, logits.outputs[0], name="caption_trainer")
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

    In the first `warmup_steps` of them it rises in a line from zero.

    Raises:
        UserError: if that is all of them.
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
        print(
            wrapped(
                f"few captions: batches of {batch_size} and {epochs} epochs; --min-steps 1 keeps "
                f"batches of {given[0]} and {given[1]} epochs"
            )
        )
    return batch_size, epochs, min_steps if steps() >= min_steps else 1


def is_finished(history: list[dict], epochs: int, patience: int) -> bool:
    """Tells whether no epoch is left, or the validation loss has not fallen for `patience`."""
    losses = [figures[VALIDATION_LOSS] for figures in history if VALIDATION_LOSS in figures]
    stalled = bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= patience
    return stalled or len(losses) >= epochs


def is_best(history: list[dict]) -> bool:
    """Tells whether the last epoch is the best so far: by CIDEr-D if it has that, or by loss."""
    figure, sign = (VALIDATION_LOSS, -1)
    if VALIDATION_CIDER in history[-1]:
        figure, sign = (VALIDATION_CIDER, 1)
    *earlier, last = (sign * figures[figure] for figures in history if figure in figures)
    return last > max(earlier, default=-np.inf)


class KeepHistory(keras.callbacks.Callback):
    """Adds the figures of each epoch to `history`, and stops training when it is time."""

    def __init__(self, history: list[dict], epochs: int, patience: int):
        super().__init__()
        self.history = history
        self.epochs = epochs
        self.patience = patience

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the figures, and looks at them as `is_finished` says."""
        figures = {
            "epoch": epoch + 1,
            "seconds": round(time.monotonic() - self.started, 1),
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        self.history.append(figures | logs)
        finished = is_finished(self.history, self.epochs, self.patience)
        self.model.stop_training = finished or not _is_finite(logs)


class SaveEpoch(keras.callbacks.Callback):
    """Writes after every epoch what makes sure that it is not lost, if its figures are finite.

    `history` ends with the figures of the epoch. write_best(folder) is called after an epoch that
    is the best so far, and writes the model to a folder.
    """

    def __init__(
        self, folder: Path, history: list[dict], settings: dict, write_best: Callable[[Path], None]
    ):
        super().__init__()
        self.folder = folder
        self.history = history
        self.settings = settings
        self.write_best = write_best

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Writes where training goes on from: fine-tuning overwrites the model it starts with."""
        if self.history:
            write_checkpoint(self.folder, self.model, self.settings, self.history)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves history, curves and, if it is the best so far, the model; the checkpoint last.

        Only the checkpoint says how many epochs are done: a run that is killed before it is written
        does the epoch again and writes the same files.
        """
        if not _is_finite(logs):
            return
        with replacing(self.folder) as new:
            write_table(new / HISTORY, pd.DataFrame(self.history))
            with atomic_path(new / CURVES) as partial:
                draw_curves(self.history, partial)
            if is_best(self.history):
                self.write_best(new)
        write_checkpoint(self.folder, self.model, self.settings, self.history)


def _is_finite(figures: dict) -> bool:
    return bool(np.isfinite(list(figures.values())).all())


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


def fit(
    trainer: CaptionTrainer,
    training: CaptionBatches,
    validation: CaptionBatches,
    first_epoch: int,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Runs Keras's training loop with batches that are shuffled anew for each epoch."""
    trainer.fit(
        training,
        validation_data=validation,
        epochs=epochs,
        initial_epoch=first_epoch,
        # The order must not depend on the epochs before, so that a resumed run sees the same.
        shuffle=False,
        # Keras's own bar is as long as its figures, and longer than most terminals are wide.
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: training.shuffle(epoch)),
            EpochBar(),
            keras.callbacks.TerminateOnNaN(),
            *callbacks,
        ],
    )
