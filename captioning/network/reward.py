"""Reward fine-tuning: the captioner learns from the scores of captions that it samples.

This is self-critical sequence training (Rennie et al. 2017, arXiv:1612.00563). The gradient of the
expected reward is the mean, over captions sampled from the network, of (reward - baseline) times
the gradient of the caption's log-probability (Williams 1992). So each sampled caption is trained on
like a reference caption, with what it scored above the baseline as its weight. The baseline is the
mean reward of the other samples of the same photo (Luo 2020, arXiv:2003.09971), which leaves the
expectation of the gradient as it is. Reference captions are trained on along with them, or the
language would shrink to the phrases that score best.

Two things differ from that gradient. A batch holds captions of like length and its loss is a mean
over words, so the reward is normalized by the length of the caption. The samples of a round of
photos serve several steps.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.decoding import CaptionDecoder
from captioning.network.model_folder import load_model
from captioning.network.training import (
    REWARD,
    VALIDATION_CIDER,
    VALIDATION_LOSS,
    AfterEpoch,
    CaptionTrainer,
    Run,
    best_epoch,
    compile_trainer,
)
from captioning.scores.metrics import CiderD
from captioning.text.vocabulary import END_TOKEN

# CIDEr-D as its paper has it, from 0 to 10, is the reward; the scores here are a hundred times it.
_REWARD_UNIT = 100


def steps_of_epoch(photos: int, settings: argparse.Namespace) -> int:
    """Returns how many steps an epoch takes on so many photos."""
    starts = range(0, photos, settings.reward_photos)
    rounds = [min(settings.reward_photos, photos - start) for start in starts]
    return sum(-(-count * (settings.reward_samples + 1) // settings.batch_size) for count in rounds)


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Returns each reward less the mean of the others of its photo, (photos, samples) both."""
    samples = rewards.shape[1]
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / (samples - 1)
    return rewards - others


class RewardTrainer(CaptionTrainer):
    """Trains a captioner without dropout, since it samples without dropout.

    With it, the probabilities that are raised and lowered would be those of another network.
    """

    def call(self, inputs, training=None, mask=None):
        """Runs the network as decoding does, whatever Keras asks for."""
        return super().call(inputs, training=False, mask=mask)


class CaptionSampler:
    """Samples captions of the photos of a split, and rewards captions by their CIDEr-D.

    The end counts as a word. Otherwise captions that break off, like "a dog runs through the",
    would lose nothing by it.
    """

    def __init__(self, decoder: CaptionDecoder, split: CaptionedSplit):
        self.decoder = decoder
        self.split = split
        self.cider = CiderD(
            [[[*words, END_TOKEN] for words in of_photo] for of_photo in split.references]
        )

    def reward(self, captions: Sequence[list[int]], rows: np.ndarray) -> np.ndarray:
        """Returns the CIDEr-D of token ids, each against a photo: (captions,), 0 to 1,000."""
        vocabulary, texts = self.decoder.vocabulary, []
        for caption in captions:
            end = [END_TOKEN] if vocabulary.end_id in caption else []
            texts.append(vocabulary.detokenize(caption) + end)
        return self.cider.score(texts, rows)

    def sample_batches(
        self, photos: np.ndarray, settings: argparse.Namespace, generator: np.random.Generator
    ) -> tuple[CaptionBatches, np.ndarray]:
        """Samples captions of some photos, rows of the features.

        Returns:
            Batches of the samples, weighted by their advantages, and of one reference caption of
            each photo; and the rewards, (photos, samples).
        """
        split = self.split
        rows = np.repeat(photos, settings.reward_samples)
        sampled = self.decoder.sample(split.features[rows], generator)
        rewards = self.reward(sampled, rows).reshape(len(photos), -1)
        # The captions of a photo stand together.
        first, after = (np.searchsorted(split.photo_rows, photos, end) for end in ("left", "right"))
        written = generator.integers(first, after)
        start = [self.decoder.vocabulary.start_id]
        captions = [start + caption for caption in sampled]
        captions += [split.captions[row] for row in written]
        # There are fewer reference captions than samples, so that each counts for more.
        weight_written = settings.caption_share * settings.reward_samples
        weights = np.concatenate(
            [advantages(rewards).ravel() / _REWARD_UNIT, np.full(len(photos), weight_written)]
        )
        sampled_split = replace(split, captions=captions, photo_rows=np.concatenate([rows, photos]))
        seed = int(generator.integers(2**31))
        return CaptionBatches(sampled_split, settings.batch_size, seed, weights), rewards


def fine_tune(run: Run, after_epoch: AfterEpoch) -> None:
    """Trains a captioner by rewards, from the best model of its folder or from a checkpoint.

    The callback sees `reward`, the mean reward of the sampled captions, and `val_cider_d`, the mean
    CIDEr-D of the captions that greedy decoding writes of the validation split. The epoch with the
    lowest validation loss, whose model is in the folder, is given the latter too.

    Raises `UserError` if the loss is not finite any more.
    """
    model, settings, history = run.model, run.settings, run.checkpoint.logs
    sampler, validation = CaptionSampler(after_epoch.decoder, run.splits[0]), run.splits[1]
    cider = CiderD(validation.references)

    def score_validation() -> float:
        captions = after_epoch.decoder.greedy(validation.features)
        return float(cider.score(list(map(model.vocabulary.detokenize, captions))).mean())

    steps = settings.reward_epochs * steps_of_epoch(len(sampler.split.photo_ids), settings)
    trainer = RewardTrainer(model.captioner)
    compile_trainer(trainer, settings.reward_learning_rate, settings.weight_decay, steps)
    if any(VALIDATION_CIDER in logs for logs in history):
        run.checkpoint.restore(trainer)
    else:
        best = load_model(run.checkpoint.path.parent).captioner
        for variable, value in zip(model.captioner.variables, best.variables, strict=True):
            variable.assign(value)
        score = best_epoch(history)[VALIDATION_CIDER] = score_validation()
        print(f"before reward fine-tuning: validation CIDEr-D {score:.1f}")
        # The model that it starts with may be replaced before the next epoch is done.
        run.checkpoint.write(trainer)
    after_epoch.set_model(trainer)
    epochs = sum(VALIDATION_LOSS in logs for logs in history) + settings.reward_epochs
    for epoch in range(len(history), epochs):
        reward = _train_epoch(trainer, sampler, after_epoch, epoch)
        after_epoch.on_epoch_end(epoch, {REWARD: reward, VALIDATION_CIDER: score_validation()})


def _train_epoch(
    trainer: CaptionTrainer, sampler: CaptionSampler, after_epoch: AfterEpoch, epoch: int
) -> float:
    """Samples captions of some photos and trains on them, in one pass over all photos."""
    settings = after_epoch.run.settings
    # Depends on nothing before the epoch, so that a resumed run sees the same.
    generator = np.random.default_rng([settings.seed, epoch])
    order = generator.permutation(len(sampler.split.photo_ids))
    starts = range(0, len(order), settings.reward_photos)
    after_epoch.set_params({"steps": len(starts)})
    after_epoch.on_epoch_begin(epoch)
    rewards = []
    for round_, start in enumerate(starts):
        photos = order[start : start + settings.reward_photos]
        batches, scores = sampler.sample_batches(photos, settings, generator)
        for index in range(len(batches)):
            inputs, targets, weight = batches[index]
            logs = trainer.train_on_batch(inputs, targets, sample_weight=weight, return_dict=True)
        rewards.append(scores)
        mean = float(np.concatenate(rewards).mean())
        after_epoch.on_train_batch_end(round_, {"loss": logs["loss"], REWARD: mean})
    return mean
