"""What happens after an epoch: its logs are kept and printed, captions shown, the model saved."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from captioning.cli import UserError, counted, wrapped
from captioning.files import CURVES, HISTORY
from captioning.keras_setup import keras
from captioning.network.batches import CaptionedSplit
from captioning.network.checkpoint import write_checkpoint
from captioning.network.decoding import CaptionDecoder
from captioning.network.model_folder import SavedModel, replacing
from captioning.network.training import TrainingSettings
from captioning.scores import report
from captioning.storage import atomic_path, write_table
from captioning.text.words import join_words

# Of the logs. Of fine-tuning, which has a mean REWARD, the epoch with the highest CIDEr-D is best;
# of the epochs before it, the one with the lowest loss.
VALIDATION_LOSS = "val_loss"
VALIDATION_CIDER = "val_cider_d"
REWARD = "reward"

# An epoch of reward fine-tuning takes about so many times as long as one before it; counted with
# until the first of them is done.
REWARD_EPOCH_COST = 1.5


class History(keras.callbacks.Callback):
    """Adds the logs of each epoch to `logs`, prints them, and stops training when it is time."""

    def __init__(self, logs: list[dict], settings: TrainingSettings):
        super().__init__()
        self.logs = logs
        self.settings = settings

    def is_trained(self) -> bool:
        """Tells whether no epoch before fine-tuning is left."""
        losses = [logs[VALIDATION_LOSS] for logs in self.logs if VALIDATION_LOSS in logs]
        since_best = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return since_best >= self.settings.patience or len(losses) >= self.settings.epochs

    def is_best(self) -> bool:
        """Tells whether the last epoch is the best, by CIDEr-D if it has that, or by loss."""
        name, sign = (VALIDATION_LOSS, -1)
        if VALIDATION_CIDER in self.logs[-1]:
            name, sign = (VALIDATION_CIDER, 1)
        *earlier, last = (sign * logs[name] for logs in self.logs if name in logs)
        return last > max(earlier, default=-np.inf)

    def print_best(self) -> None:
        """Prints which epoch was kept and, where the last was the best, how to train longer."""
        trained = [logs for logs in self.logs if VALIDATION_LOSS in logs]
        best = min(trained, key=lambda logs: logs[VALIDATION_LOSS])
        epochs, rewarded = self.settings.epochs, self.settings.reward_epochs
        if len(trained) < epochs:
            print(f"stopped after epoch {len(trained)}: the validation loss no longer falls")
        kept = "best before reward fine-tuning:" if rewarded else "kept"
        loss, accuracy = best[VALIDATION_LOSS], best["val_accuracy"]
        scores = f"validation loss {loss:.4f}, accuracy {accuracy:.4f}"
        print(wrapped(f"{kept} epoch {best['epoch']}: {scores}"))
        if best["epoch"] == epochs:
            longer = f"--batch-size {self.settings.batch_size} --epochs {2 * epochs}, or a higher"
            print(wrapped(f"the last epoch was the best: try {longer} --learning-rate"))
        if rewarded:
            scored = [logs for logs in self.logs if VALIDATION_CIDER in logs]
            best = max(scored, key=lambda logs: logs[VALIDATION_CIDER])
            print(f"kept epoch {best['epoch']}: validation CIDEr-D {best[VALIDATION_CIDER]:.1f}")

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock of the epoch."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the logs and prints them; raises `UserError` if they are not finite."""
        if not np.isfinite(list(logs.values())).all():
            raise UserError(
                f"the loss of epoch {epoch + 1} is not finite: run python train.py again with a "
                "lower --learning-rate"
            )
        seconds = time.monotonic() - self.started
        rate = float(self.model.optimizer.learning_rate)
        kept = {"epoch": epoch + 1, "seconds": round(seconds, 1), "learning_rate": rate}
        self.logs.append(kept | logs)
        self.model.stop_training = self.is_trained()
        total, left = self._epochs()
        time_left = f", about {duration(seconds * left)} left" if left else ""
        print(f"Epoch {epoch + 1}/{total} in {duration(seconds)}{time_left}")
        self._print(logs, ", best so far" if self.is_best() else "")

    def _epochs(self) -> tuple[int, float]:
        """Returns the number of the last epoch, and how many like the one just done are left."""
        trained = sum(VALIDATION_LOSS in logs for logs in self.logs)
        if REWARD in self.logs[-1]:
            total = trained + self.settings.reward_epochs
            return total, total - len(self.logs)
        left = 0 if self.is_trained() else self.settings.epochs - trained
        return self.settings.epochs, left + REWARD_EPOCH_COST * self.settings.reward_epochs

    def _print(self, logs: dict, best: str) -> None:
        if REWARD in logs:
            print(f"  training:   reward {logs[REWARD]:.1f}")
            print(f"  validation: CIDEr-D {logs[VALIDATION_CIDER]:.1f}{best}")
        else:
            print(f"  training:   loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}")
            loss, accuracy = logs[VALIDATION_LOSS], logs["val_accuracy"]
            print(f"  validation: loss {loss:.4f}, accuracy {accuracy:.4f}{best}")


def duration(seconds: float) -> str:
    """Says a length of time as people do, such as `12 minutes`."""
    if seconds < 90:
        return counted(max(1, round(seconds)), "second")
    if seconds < 90 * 60:
        return counted(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours"


class ShowCaptions(keras.callbacks.Callback):
    """Prints what the captioner says of the first photos of a split, so that one sees it learn.

    `references` holds one caption of each of them, as a person wrote it.
    """

    def __init__(self, model: SavedModel, split: CaptionedSplit, references: Sequence[str]):
        super().__init__()
        self.decoder = CaptionDecoder(model.captioner, model.vocabulary)
        self.features = split.features[: len(references)]
        self.references = references

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Decodes greedily with the current weights."""
        captions = map(self.decoder.vocabulary.detokenize, self.decoder.greedy(self.features))
        for words, reference in zip(captions, self.references, strict=True):
            report.print_example(join_words(words), [reference])
            print()


class SaveEpoch(keras.callbacks.Callback):
    """Writes after every epoch what makes sure that it is not lost.

    `write_best` is called after an epoch that is the best so far, and writes the model to a folder.
    """

    def __init__(
        self, folder: Path, history: History, settings: dict, write_best: Callable[[Path], None]
    ):
        super().__init__()
        self.folder = folder
        self.history = history
        self.settings = settings
        self.write_best = write_best

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Writes where training goes on from: fine-tuning overwrites the model it starts with."""
        if self.history.logs:
            write_checkpoint(self.folder, self.model, self.settings, self.history.logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves history, curves and, if it is the best so far, the model; the checkpoint last.

        Only the checkpoint says how many epochs are done: a run that is killed before it is written
        does the epoch again and writes the same files.
        """
        with replacing(self.folder) as new:
            write_table(new / HISTORY, pd.DataFrame(self.history.logs))
            with atomic_path(new / CURVES) as partial:
                report.draw_curves(self.history.logs, partial)
            if self.history.is_best():
                self.write_best(new)
        write_checkpoint(self.folder, self.model, self.settings, self.history.logs)
