"""A split as arrays, batches of captions of like length, and devices that share a batch."""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioning.cli import UserError, counted
from captioning.keras_setup import keras
from captioning.network.model import halves
from captioning.network.model_folder import SavedModel
from captioning.photos.features import Features
from captioning.text.vocabulary import PreparedText, usable_photos


@dataclass(frozen=True)
class CaptionedSplit:
    """The photos of a split with their captions."""

    photo_ids: list[str]
    references: list[list[list[str]]]  # the words of every description of each photo
    features: Features
    captions: list[list[int]]  # token ids, start and end token included
    photo_rows: np.ndarray  # (captions,), which row of `features` each belongs to

    def __str__(self) -> str:
        targets = sum(len(caption) - 1 for caption in self.captions)
        counts = f"{len(self.photo_ids):6,d} photos {len(self.captions):8,d} captions"
        return f"{counts} {targets:9,d} targets"


def load_split(text: PreparedText, split: str, features: Features) -> CaptionedSplit:
    """Collects the photos of a split that can be used, and their captions; see `usable_photos`."""
    photo_ids = usable_photos(text, split, features)
    references = [text.descriptions[photo_id] for photo_id in photo_ids]
    captions = [text.vocabulary.tokenize(words) for of_photo in references for words in of_photo]
    rows = np.repeat(np.arange(len(photo_ids)), [len(of_photo) for of_photo in references])
    return CaptionedSplit(photo_ids, references, features.select(photo_ids), captions, rows)


def digests(splits: Sequence[CaptionedSplit], model: SavedModel) -> dict[str, str]:
    """Computes SHA-256 of all that training depends on besides its settings."""
    network = "".join(half.to_json() for half in halves(model.captioner))
    # The vocabulary holds the digests of the descriptions and the splits.
    inputs = repr((model.vocabulary, [split.features.record.features_sha256 for split in splits]))
    texts = {"network": network, "inputs": inputs}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


class CaptionBatches(keras.utils.PyDataset):
    """Batches of captions of like length, in an order that depends on seed and epoch alone.

    `weights`, (captions,), say how much each caption counts, by default 1. Where several devices
    share a batch, it is padded so that each gets as many captions.
    """

    def __init__(
        self, split: CaptionedSplit, batch_size: int, seed: int, weights: np.ndarray | None = None
    ):
        # With one worker Keras has TensorFlow tune the reading, and then every epoch ends with a
        # wait for the tuner's timer: up to half the time of the epoch.
        super().__init__(workers=2)
        self.features = split.features
        # The last row, -1, is a caption without words, of the first photo, to pad batches with.
        self.photo_rows = np.append(split.photo_rows, 0)
        self.lengths = np.array([len(caption) for caption in split.captions])
        self.token_ids = np.zeros((len(self.lengths) + 1, self.lengths.max()), dtype=np.int32)
        for row, caption in zip(self.token_ids[:-1], split.captions, strict=True):
            row[: len(caption)] = caption
        self.weights = np.append(np.ones(len(self.lengths)) if weights is None else weights, 0)
        # Asked for here: Keras tells it to the thread that set it, and others read the batches.
        distribution = keras.distribution.distribution()
        self.devices = distribution.num_model_replicas if distribution else 1
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle(epoch=0)

    def shuffle(self, epoch: int) -> None:
        """Sorts the captions by length, equal ones in random order, and shuffles the batches.

        The shortest and the longest batch come first: a size in which the first two batches agree
        is taken by Keras to be the same in all.
        """
        generator = np.random.default_rng([self.seed, epoch])
        order = np.lexsort((generator.random(len(self.lengths)), self.lengths))
        starts = range(0, len(order), self.batch_size)
        first, *middle = [order[start : start + self.batch_size] for start in starts]
        last = [middle.pop()] if middle else []
        shuffled = [middle[index] for index in generator.permutation(len(middle))]
        self.batches = [first, *last, *shuffled]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple:
        """Returns ((features, token ids), targets, sample weight), the last 0 for padding.

        Features are (captions, length), the other three (captions, tokens).
        """
        rows = self.batches[index]
        length = self.lengths[rows].max()
        rows = np.append(rows, np.full(-len(rows) % self.devices, -1))
        token_ids = self.token_ids[rows, :length]
        targets = token_ids[:, 1:]
        # The end token of a caption is predicted but never read: it becomes padding.
        prefixes = np.where(targets == 0, 0, token_ids[:, :-1])
        sample_weight = ((targets != 0) * self.weights[rows, None]).astype(np.float32)
        return (self.features[self.photo_rows[rows]], prefixes), targets, sample_weight


def divided_among(count: int | str) -> contextlib.AbstractContextManager:
    """Returns a scope in which Keras divides each batch among so many devices, or `all` there are.

    Keras has that only for JAX: the captioner is copied to every device, a device computes its part
    of a batch, and JAX adds up the sums over the whole batch, those of the gradient too. So the
    steps are those of one device. Nothing may have been computed by Keras before.

    Raises:
        UserError: if the engine has no distribution, or there are too few devices.
    """
    if count == 1:
        return contextlib.nullcontext()
    if keras.backend.backend() != "jax":
        raise UserError(
            f"--devices {count} needs the engine jax, not {keras.backend.backend()}: python -m pip "
            "install jax, and set KERAS_BACKEND=jax"
        )
    devices = keras.distribution.list_devices()
    chosen = devices if count == "all" else devices[:count]
    if count not in ("all", len(chosen)):
        raise UserError(
            f"--devices {count} is more than the {counted(len(devices), 'device')} that jax finds: "
            "run python train.py with fewer, or with --devices all"
        )
    return keras.distribution.DataParallel(devices=chosen, auto_shard_dataset=False).scope()
