"""What a person sees of a training after each epoch: figures, the time left, and captions."""

import time
from collections.abc import Mapping, Sequence

from captioning.cli import counted
from captioning.keras_setup import keras
from captioning.network.batches import CaptionedSplit
from captioning.network.decoding import CaptionDecoder
from captioning.network.training import is_best, is_finished
from captioning.old import REWARD, VALIDATION_CIDER, VALIDATION_LOSS
from captioning.scores.report import print_example
from captioning.text.vocabulary import Vocabulary
from captioning.text.words import join_words

# An epoch of reward fine-tuning takes about so many times as long as one before it; counted with
# until the first of them is done.
REWARD_EPOCH_COST = 1.5


class ShowEpoch(keras.callbacks.Callback):
    """Prints the figures of an epoch, whether it is the best so far, and how long the rest takes.

    `history` holds the figures of the epochs before. `epochs` and `patience` end the training
    before fine-tuning, as `is_finished` says.
    """

    def __init__(self, history: list[dict], epochs: int, patience: int, reward_epochs: int):
        super().__init__()
        self.history = history
        self.epochs = epochs
        self.patience = patience
        self.reward_epochs = reward_epochs

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock of this training or fine-tuning, since it was last resumed."""
        self.started = time.monotonic()
        self.timed = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock of the epoch."""
        self.epoch_started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the lines."""
        now = time.monotonic()
        seconds = (now - self.started) / max(1, self.timed)
        if not self.timed:
            # The first epoch, in which the network is traced, counts only while there is no other.
            self.started = now
        self.timed += 1
        history = [*self.history, logs]
        total, left = self._epochs(history)
        time_left = f", about {duration(seconds * left)} left" if left else ""
        print(f"Epoch {epoch + 1}/{total} in {duration(now - self.epoch_started)}{time_left}")
        best = ", best so far" if is_best(history) else ""
        if REWARD in logs:
            print(f"  training:   reward {logs[REWARD]:.1f}")
            print(f"  validation: CIDEr-D {logs[VALIDATION_CIDER]:.1f}{best}")
        else:
            print(f"  training:   loss {logs['loss']:.4f}, accuracy {logs['accuracy']:.4f}")
            loss, accuracy = logs[VALIDATION_LOSS], logs["val_accuracy"]
            print(f"  validation: loss {loss:.4f}, accuracy {accuracy:.4f}{best}")

    def _epochs(self, history: list[dict]) -> tuple[int, float]:
        """Returns the number of the last epoch, and how many like the one just done are left."""
        trained = sum(VALIDATION_LOSS in figures for figures in history)
        if REWARD in history[-1]:
            total = trained + self.reward_epochs
            return total, total - len(history)
        finished = is_finished(history, self.epochs, self.patience)
        left = 0 if finished else self.epochs - trained
        return self.epochs, left + REWARD_EPOCH_COST * self.reward_epochs


def duration(seconds: float) -> str:
    """Says a length of time as people do, such as `12 minutes`."""
    if seconds < 90:
        return counted(max(1, round(seconds)), "second")
    if seconds < 90 * 60:
        return counted(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours"


class ShowCaptions(keras.callbacks.Callback):
    """Prints what the captioner says of a few photos of a split, so that a person sees it learn.

    `captions` holds what people wrote about each photo id, as they wrote it.
    """

    def __init__(
        self,
        captioner: keras.Model,
        vocabulary: Vocabulary,
        split: CaptionedSplit,
        captions: Mapping[str, Sequence[str]],
        photos: int,
    ):
        super().__init__()
        self.decoder = CaptionDecoder(captioner, vocabulary)
        self.vocabulary = vocabulary
        self.features = split.features[:photos]
        self.references = [captions[photo][0] for photo in split.photo_ids[:photos]]

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Decodes greedily with the current weights."""
        captions = self.decoder.greedy(self.features)
        for token_ids, reference in zip(captions, self.references, strict=True):
            print_example(join_words(self.vocabulary.detokenize(token_ids)), [reference])
            print()
