"""Training on captions: loss, metrics, learning rate, Keras's loop, and what follows an epoch."""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from captioning.cli import UserError, wrapped
from captioning.files import CURVES, HISTORY
from captioning.keras_setup import keras
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.checkpoint import Checkpoint
from captioning.network.decoding import CaptionDecoder
from captioning.network.model_folder import SavedModel, replacing, write_model
from captioning.scores import report
from captioning.storage import atomic_path, write_table
from captioning.text.vocabulary import PADDING_ID
from captioning.text.words import join_words

ops = keras.ops

# How far the batch size is halved for few captions.
MIN_BATCH_SIZE = 32

# Of the logs. Only epochs of reward fine-tuning have a mean REWARD.
VALIDATION_LOSS = "val_loss"
VALIDATION_CIDER = "val_cider_d"
REWARD = "reward"


@dataclass(frozen=True)
class Run:
    """A run of training: what is trained on what, where it stands, what is shown and written."""

    model: SavedModel
    splits: Sequence[CaptionedSplit]  # training and validation
    settings: argparse.Namespace  # the constants of train.py, in lower case
    checkpoint: Checkpoint
    recipe: dict[str, Any]  # goes into the model folder
    references: Sequence[str]  # a person's caption of each of the first validation photos


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
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else learning_rate,
        steps - warmup_steps,
        warmup_target=learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    trainer.compile(optimizer=keras.optimizers.AdamW(schedule, weight_decay=weight_decay))


def plan_steps(options: argparse.Namespace, captions: int) -> None:
    """Changes batch size and epochs such that training takes at least `min_steps` steps.

    The batch size is halved as long as the steps are too few and half of it is at least
    MIN_BATCH_SIZE; then there are more epochs. Flags that the user typed are not changed; if that
    leaves too few steps, `min_steps` is set to 1. It prints a change.
    """
    given = options.batch_size, options.epochs
    least_of_epoch = options.min_steps / options.epochs
    if "batch_size" not in options.typed:
        while (
            options.batch_size >= 2 * MIN_BATCH_SIZE
            and math.ceil(captions / options.batch_size) < least_of_epoch
        ):
            options.batch_size //= 2
    steps = math.ceil(captions / options.batch_size)
    if "epochs" not in options.typed:
        options.epochs = max(options.epochs, math.ceil(options.min_steps / steps))
    if (options.batch_size, options.epochs) != given:
        changed = f"batches of {options.batch_size} and {options.epochs} epochs"
        kept = f"batches of {given[0]} and {given[1]} epochs"
        print(wrapped(f"few captions: {changed}; --min-steps 1 keeps {kept}"))
    steps *= options.epochs
    options.min_steps = options.min_steps if steps >= options.min_steps else 1
    if options.warmup_steps >= steps:
        raise UserError(
            f"--warmup-steps {options.warmup_steps} leaves none of {steps} steps for the learning "
            "rate to fall in: run python train.py with fewer"
        )


def train_on_captions(run: Run, after_epoch: keras.callbacks.Callback) -> None:
    """Trains on the first split and validates on the second, from the start or a checkpoint."""
    settings, trainer = run.settings, CaptionTrainer(run.model.captioner)
    training, validation = (
        CaptionBatches(split, settings.batch_size, settings.seed) for split in run.splits
    )
    steps = len(training) * settings.epochs
    compile_trainer(
        trainer, settings.learning_rate, settings.weight_decay, steps, settings.warmup_steps
    )
    run.checkpoint.restore(trainer)
    if settings.start_from and not run.checkpoint.logs:
        before = trainer.evaluate(validation, verbose=0, return_dict=True)
        print(f"{settings.start_from} as it is: validation {_described(before)}")
    trainer.fit(
        training,
        validation_data=validation,
        epochs=settings.epochs,
        initial_epoch=len(run.checkpoint.logs),
        # The order must not depend on the epochs before, so that a resumed run sees the same.
        shuffle=False,
        # Keras's own bar is as long as its logs, and longer than most terminals are wide.
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: training.shuffle(epoch)),
            after_epoch,
        ],
    )


def is_trained(logs: Sequence[dict], settings: argparse.Namespace) -> bool:
    """Tells whether no epoch before fine-tuning is left."""
    losses = [of_epoch[VALIDATION_LOSS] for of_epoch in logs if VALIDATION_LOSS in of_epoch]
    since_best = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
    return since_best >= settings.patience or len(losses) >= settings.epochs


def best_epoch(logs: Sequence[dict]) -> dict:
    """Returns the logs of the epoch with the highest CIDEr-D, or where none has that, least loss.

    Fine-tuning starts from the latter, and gives it a CIDEr-D to compare with.
    """
    scored = [of_epoch for of_epoch in logs if VALIDATION_CIDER in of_epoch]
    if scored:
        return max(scored, key=lambda of_epoch: of_epoch[VALIDATION_CIDER])
    return min(logs, key=lambda of_epoch: of_epoch[VALIDATION_LOSS])


def print_best(logs: Sequence[dict], settings: argparse.Namespace) -> None:
    """Prints which epoch was kept and, where the loss still fell, how to train longer."""
    best, epochs = best_epoch(logs), settings.epochs
    print(wrapped(f"kept epoch {best['epoch']}: {_described(best)}"))
    if best_epoch([of_epoch for of_epoch in logs if REWARD not in of_epoch])["epoch"] == epochs:
        longer = f"--batch-size {settings.batch_size} --epochs {2 * epochs}"
        print(wrapped(f"the loss still fell: try {longer}, or a higher --learning-rate"))


def _described(logs: dict) -> str:
    others = ("epoch", "seconds", "learning_rate")
    return ", ".join(f"{name} {logs[name]:.4g}" for name in logs if name not in others)


def _check_finite(logs: dict) -> None:
    if not np.isfinite(list(logs.values())).all():
        raise UserError(
            "the loss is not finite: run python train.py again with a lower --learning-rate, or in "
            "reward fine-tuning --reward-learning-rate"
        )


class AfterEpoch(keras.callbacks.Callback):
    """Keeps the logs of each epoch, prints them, and makes sure that nothing of it is lost.

    What the captioner says of the first validation photos is printed, so that one sees it learn.
    """

    def __init__(self, run: Run):
        super().__init__()
        self.run = run
        self.logs = run.checkpoint.logs
        self.folder: Path = run.checkpoint.path.parent
        self.decoder = CaptionDecoder(run.model.captioner, run.model.vocabulary)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock of the epoch, and a bar; there is none in a log file."""
        self.started = time.monotonic()
        self.bar = tqdm(total=self.params["steps"], unit=" steps", leave=False, disable=None)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves the bar on; raises `UserError` if the logs of the epoch so far are not finite."""
        _check_finite(logs)
        self.bar.set_postfix({name: f"{logs[name]:.3f}" for name in logs}, refresh=False)
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the logs, stops training when it is time, prints, and saves."""
        _check_finite(logs)
        self.bar.close()
        seconds = round(time.monotonic() - self.started, 1)
        rate = float(self.model.optimizer.learning_rate)
        self.logs.append({"epoch": epoch + 1, "seconds": seconds, "learning_rate": rate} | logs)
        self.model.stop_training = is_trained(self.logs, self.run.settings)
        best = ", best so far" if best_epoch(self.logs) is self.logs[-1] else ""
        of_captions = [of_epoch for of_epoch in self.logs if VALIDATION_LOSS in of_epoch]
        # Training on captions may have stopped early.
        total = len(of_captions) if self.model.stop_training else self.run.settings.epochs
        total += self.run.settings.reward_epochs
        left = f"at most {tqdm.format_interval(seconds * (total - epoch - 1))} left"
        print(f"Epoch {epoch + 1} of {total} in {seconds:.0f} seconds, {left}{best}")
        print(f"  {_described(self.logs[-1])}")
        self._show_captions()
        self._save()

    def _show_captions(self) -> None:
        features = self.run.splits[1].features[: len(self.run.references)]
        captions = self.decoder.greedy(features)
        for caption, reference in zip(captions, self.run.references, strict=True):
            text = join_words(self.decoder.vocabulary.detokenize(caption))
            report.print_example(text, [reference])
            print()

    def _save(self) -> None:
        """Saves history, curves and, if it is the best so far, the model; the checkpoint last.

        Only the checkpoint says how many epochs are done: a run that is killed before it is written
        does the epoch again and writes the same files.
        """
        with replacing(self.folder) as new:
            write_table(new / HISTORY, pd.DataFrame(self.logs))
            with atomic_path(new / CURVES) as partial:
                report.draw_curves(self.logs, partial)
            if best_epoch(self.logs) is self.logs[-1]:
                write_model(new, self.run.model, self.run.recipe)
        self.run.checkpoint.write(self.model)
