"""Reward fine-tuning: the captioner learns from the scores of captions that it samples.

This is self-critical sequence training (Rennie et al. 2017, arXiv:1612.00563). The gradient of the
expected reward is the mean, over captions sampled from the network, of (reward - baseline) times
the gradient of the caption's log-probability (Williams 1992). So each sampled caption is trained on
like a reference caption, with what it scored above the baseline as its weight. The baseline is the
mean reward of the other samples of the same photo (Luo 2020, arXiv:2003.09971), which leaves the
expectation of the gradient as it is. Reference captions are trained on along with them, or the
language would shrink to the phrases that score best.

Three things differ from that gradient. A batch holds captions of like length and its loss is a mean
over words, so the reward is normalized by the length of the caption. Captions are sampled without
dropout and trained on with it. The samples of a round of photos serve several steps.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.checkpoint import Checkpoint
from captioning.network.decoding import CaptionDecoder
from captioning.network.saved_model import SavedModel, load_model
from captioning.network.training import CaptionTrainer, compile_trainer
from captioning.old import REWARD, VALIDATION_CIDER, VALIDATION_LOSS
from captioning.scores.metrics import CiderD
from captioning.text.vocabulary import Vocabulary

# CIDEr-D as its paper has it, from 0 to 10, is the reward; the scores here are a hundred times it.
_REWARD_UNIT = 100


@dataclass(frozen=True)
class RewardSettings:
    """How captions are sampled and trained on."""

    epochs: int
    learning_rate: float  # at the start; it follows half a cosine down to zero
    weight_decay: float
    photos: int  # how many are captioned before the network is trained on the captions
    samples: int  # captions of each photo
    caption_share: float  # weight of the loss on reference captions against that on the samples
    batch_size: int  # captions a step
    seed: int


class CiderReward:
    """Scores captions by CIDEr-D against the descriptions of the photos of a split."""

    def __init__(self, split: CaptionedSplit, vocabulary: Vocabulary):
        self.cider = CiderD(split.references)
        self.vocabulary = vocabulary

    def score(self, captions: list[list[int]], photo_rows: np.ndarray) -> np.ndarray:
        """Returns the CIDEr-D of token ids, each against its photo: (captions,), 0 to 1,000."""
        return self.cider.score([*map(self.vocabulary.detokenize, captions)], photo_rows)


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Returns each reward less the mean of the others of its photo, (photos, samples) both."""
    samples = rewards.shape[1]
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / (samples - 1)
    return rewards - others


def fine_tune(
    trainer: CaptionTrainer,
    model: SavedModel,
    splits: tuple[CaptionedSplit, CaptionedSplit],
    settings: RewardSettings,
    checkpoint: Checkpoint,
    folder: Path,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Trains by rewards, from the model in the folder or from a checkpoint of such a training.

    `splits` are the training and the validation split, and `checkpoint` holds the history of all
    epochs so far, to which a callback adds those of this function. The callbacks see `reward`, the
    mean CIDEr-D of the sampled captions, and `val_cider_d`, that of the captions that greedy
    decoding writes of the validation split. The epoch with the lowest validation loss, whose model
    is in the folder, is given the latter too.

    Raises:
        UserError: if a split has a single photo, or the loss is not finite any more.
    """
    training, validation = splits
    if min(len(training.features), len(validation.features)) < 2:
        raise UserError(
            "the CIDEr-D of a single photo is always 0: add training and validation photos, or run "
            "python train.py with --reward-epochs 0"
        )
    history = checkpoint.history
    epochs = _epochs_before(history) + settings.epochs
    _set_start(trainer, model, len(training.features), settings, checkpoint, folder)
    decoder = CaptionDecoder(model.captioner, model.vocabulary)
    reward = CiderReward(training, model.vocabulary)
    validation_reward = CiderReward(validation, model.vocabulary)

    def validate() -> float:
        greedy = decoder.greedy(validation.features)
        return float(validation_reward.score(greedy, np.arange(len(greedy))).mean())

    if not any(VALIDATION_CIDER in figures for figures in history):
        best = min(history, key=lambda figures: figures[VALIDATION_LOSS])
        best[VALIDATION_CIDER] = validate()
        print(f"before reward fine-tuning: validation CIDEr-D {best[VALIDATION_CIDER]:.1f}")
    calls = keras.callbacks.CallbackList(callbacks, model=trainer)
    calls.on_train_begin()
    for epoch in range(len(history), epochs):
        calls.on_epoch_begin(epoch)
        mean_reward = _train_epoch(trainer, decoder, training, reward, settings, epoch)
        score = validate()
        calls.on_epoch_end(epoch, {REWARD: mean_reward, VALIDATION_CIDER: score})


def _epochs_before(history: list[dict]) -> int:
    return sum(VALIDATION_LOSS in figures for figures in history)


def _set_start(
    trainer: CaptionTrainer,
    model: SavedModel,
    photos: int,
    settings: RewardSettings,
    checkpoint: Checkpoint,
    folder: Path,
) -> None:
    """Compiles the trainer, and gives it the state that fine-tuning goes on from."""
    steps = settings.epochs * steps_of_epoch(photos, settings)
    compile_trainer(trainer, settings.learning_rate, settings.weight_decay, steps)
    if any(VALIDATION_CIDER in figures for figures in checkpoint.history):
        checkpoint.restore(trainer)
        return
    # With new states of dropout, which Keras draws from the seed of the run.
    best = load_model(folder).captioner
    for variable, value in zip(model.captioner.variables, best.variables, strict=True):
        variable.assign(value)


def steps_of_epoch(photos: int, settings: RewardSettings) -> int:
    """Returns how many steps an epoch of fine-tuning takes."""
    rounds = [min(settings.photos, photos - start) for start in range(0, photos, settings.photos)]
    return sum(-(-count * (settings.samples + 1) // settings.batch_size) for count in rounds)


def _train_epoch(
    trainer: CaptionTrainer,
    decoder: CaptionDecoder,
    split: CaptionedSplit,
    reward: CiderReward,
    settings: RewardSettings,
    epoch: int,
) -> float:
    """Samples captions of some photos and trains on them, in one pass over all photos."""
    # Depends on nothing before the epoch, so that a resumed run sees the same.
    generator = np.random.default_rng([settings.seed, epoch])
    order = generator.permutation(len(split.features))
    rewards = []
    with tqdm(total=len(order), unit=" photos", disable=None, leave=False) as progress:
        for start in range(0, len(order), settings.photos):
            photos = order[start : start + settings.photos]
            batches, scores = sample_batches(decoder, split, reward, photos, settings, generator)
            for number in range(len(batches)):
                inputs, targets, sample_weight = batches[number]
                figures = trainer.train_on_batch(
                    inputs, targets, sample_weight=sample_weight, return_dict=True
                )
                if not np.isfinite(figures["loss"]):
                    raise UserError(
                        "the loss of reward fine-tuning is not finite: run python train.py again "
                        f"with a lower --reward-learning-rate than {settings.learning_rate:g}"
                    )
            rewards.append(scores)
            progress.update(len(photos))
            progress.set_postfix(reward=f"{np.concatenate(rewards).mean():.1f}")
    return float(np.concatenate(rewards).mean())


def sample_batches(
    decoder: CaptionDecoder,
    split: CaptionedSplit,
    reward: CiderReward,
    photos: np.ndarray,
    settings: RewardSettings,
    generator: np.random.Generator,
) -> tuple[CaptionBatches, np.ndarray]:
    """Samples captions of some photos of a split, rows of its features.

    Returns:
        Batches of the samples, weighted by their advantages, and of one reference caption of each
        photo; and the rewards, (photos, samples).
    """
    rows = np.repeat(photos, settings.samples)
    sampled = decoder.sample(split.features[rows], generator)
    rewards = reward.score(sampled, rows).reshape(len(photos), -1)
    # The captions of a photo stand together.
    first, after = (np.searchsorted(split.photo_rows, photos, side) for side in ("left", "right"))
    written = generator.integers(first, after)
    start = [decoder.vocabulary.start_id]
    captions = [start + caption for caption in sampled]
    captions += [split.captions[row] for row in written]
    # There are fewer reference captions than samples, so that each counts for more.
    weight_written = settings.caption_share * settings.samples
    weights = np.concatenate(
        [advantages(rewards).ravel() / _REWARD_UNIT, np.full(len(photos), weight_written)]
    )
    sampled_split = replace(split, captions=captions, photo_rows=np.concatenate([rows, photos]))
    seed = int(generator.integers(2**31))
    return CaptionBatches(sampled_split, settings.batch_size, seed, weights), rewards
