"""Trains the captioner: a photo's features and words so far in, the next word out.

    python train.py --data data/flickr8k --model models/flickr8k
    python train.py --recipe recipes/classic.toml --epochs 20
    python train.py --data data/flickr8k --model models/flickr8k --resume
    KERAS_BACKEND=jax python train.py --devices all

The network is in captioning/network/model.py, the loss in captioning/network/training.py; with
REWARD_EPOCHS it goes on from the best epoch as captioning/network/reward.py says.

Reads   DATA/features.pkl or .npy, features.json    from prepare_photos.py
        DATA/features-cache/    which photos look alike in two splits
        DATA/split-captions.tsv, descriptions.txt, vocabulary.json
                                from prepare_text.py
Writes  MODEL/captioner.keras       the network of the best epoch on validation
        MODEL/recipe.toml           the settings that it was trained with
        MODEL/vocabulary.json, features.json    copies, to complete the folder
        MODEL/training-photos.json  which photos must not be scored
        MODEL/history.csv, curves.png           loss and accuracy, or reward
        MODEL/checkpoint.npz        what --resume needs, removed at the end
Takes   on two cores for Flickr8k a minute an epoch, half more with rewards.
Next    python evaluate.py.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioning.cli import DONE, UserError, announce_loading, quoted, run, wrapped
from captioning.files import require
from captioning.network import devices
from captioning.network.checkpoint import (
    remove_checkpoint,
    require_checkpoint,
    resumable,
    start_or_resume,
)
from captioning.old import CAPTIONER, CURVES, DESCRIPTIONS, HISTORY, RECIPE, locked
from captioning.photos.features import (
    EncoderRecord,
    read_encoder_record,
    read_features,
)
from captioning.photos.lookalikes import warn_of_lookalikes
from captioning.settings import SettingsParser, dropout_rate, seed_number, whole_number
from captioning.text.prepared import PreparedText, read_prepared_text

# Keras takes seconds to load: all that needs it is imported after the arguments are read.
if TYPE_CHECKING:
    from captioning.network.batches import CaptionedSplit
    from captioning.network.saved_model import SavedModel

# Where things are.
DATA = Path("data/flickr8k")  # the data folder, with what prepare_photos and prepare_text wrote
MODEL = Path("models/flickr8k")  # the model folder, where the trained model goes

# The network, which captioning/network/model.py defines.
UNITS = 256  # length of the image embedding, of a word's embedding and of the hidden state
PHOTO_DROPOUT = 0.5  # share of the features hidden in training
WORD_DROPOUT = 0.5  # share of a word's embedding hidden in training
OUTPUT_DROPOUT = 0.25  # share of the units before the output layer hidden in training

# Training.
EPOCHS = 15  # the most epochs; the learning rate falls to zero over all of them
BATCH_SIZE = 128  # captions a step
LEARNING_RATE = 1.2e-3  # at the start; it follows half a cosine down to zero
WARMUP_STEPS = 0  # steps in which the learning rate first rises from zero
WEIGHT_DECAY = 0.01  # of AdamW
PATIENCE = 3  # epochs without a lower validation loss before training stops
MIN_STEPS = 2000  # the least steps: few captions are trained in smaller batches, for more epochs
SEED = 1  # of the first weights, of dropout and of the order of the batches

# Reward fine-tuning, after that.
REWARD_EPOCHS = 0  # epochs in which sampled captions are trained on by their CIDEr-D
REWARD_LEARNING_RATE = 2e-4  # at the start; it follows half a cosine down to zero
REWARD_PHOTOS = 128  # photos whose captions are sampled before each round of training
REWARD_SAMPLES = 5  # captions sampled of each photo
CAPTION_SHARE = 0.2  # weight of the loss on reference captions against that on the samples

# What is shown.
SHOWN_PHOTOS = 3  # validation photos whose captions are printed after every epoch


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the inputs, trains, and writes after every epoch."""
    parser = SettingsParser(
        globals(),
        {
            "PHOTO_DROPOUT": dropout_rate,
            "WORD_DROPOUT": dropout_rate,
            "OUTPUT_DROPOUT": dropout_rate,
            "WARMUP_STEPS": whole_number(0),
            "REWARD_EPOCHS": whole_number(0),
            "REWARD_SAMPLES": whole_number(2),
            "SHOWN_PHOTOS": whole_number(0),
            "SEED": seed_number,
        },
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    text = "how many devices a batch is divided among, or all; more than 1 with JAX alone"
    parser.add_argument("--devices", type=devices.count_or_all, default=1, metavar="N", help=text)
    options = parser.parse_settings(arguments)
    check_arguments(options)
    announce_loading("Keras")
    from captioning.keras_setup import keras
    from captioning.network.model import build_captioner
    from captioning.network.saved_model import SavedModel
    from captioning.network.training import plan_steps

    distribution = devices.choose(options.devices)
    text, training, validation, encoder_record = read_inputs(options.data)
    vocabulary, captions = text.vocabulary, text.captions
    planned = options.batch_size, options.epochs, options.min_steps
    planned = plan_steps(len(training.captions), *planned, fixed=options.typed)
    options.batch_size, options.epochs, options.min_steps = planned
    print(parser.describe(options))
    print(f"training   {training.summary()}\nvalidation {validation.summary()}")
    settings = parser.settings_in_force(options)
    lock = locked(options.model, "train.py or evaluate.py")
    with devices.using(distribution, settings), lock if devices.is_first() else nullcontext():
        keras.utils.set_random_seed(options.seed)
        captioner = build_captioner(
            vocabulary.size,
            training.features.shape[1],
            units=options.units,
            photo_dropout=options.photo_dropout,
            word_dropout=options.word_dropout,
            output_dropout=options.output_dropout,
        )
        parameters = captioner.count_params()
        print(f"network    {parameters:,d} parameters, {vocabulary.size:,d} token ids")
        warn_of_lookalikes(options.data, text.splits)
        model = SavedModel(captioner, vocabulary, encoder_record, tuple(training.photo_ids))
        with resumable(options.model, "train.py", arguments):
            history = train(options, settings, (training, validation), captions, model)
        report(history, options)
    return DONE


def check_arguments(options: argparse.Namespace) -> None:
    """Raises `UserError` for the mistakes that can be found before Keras is loaded."""
    if options.model.exists() and not options.model.is_dir():
        raise UserError(f"{options.model} is not a folder: name another with --model")
    if options.reward_epochs and devices.has_several_processes():
        raise UserError("several processes cannot train by rewards: add --reward-epochs 0")
    if options.resume:
        require_checkpoint(options.model, start_anew(options))
    data = options.data
    require(data / read_encoder_record(data).file)
    require(data / DESCRIPTIONS)


def start_anew(options: argparse.Namespace) -> str:
    """Returns what to run instead of resuming."""
    folders = f"--data {quoted(options.data)} --model {quoted(options.model)}"
    return f"run python train.py {folders} without --resume"


def read_inputs(
    data: Path,
) -> "tuple[PreparedText, CaptionedSplit, CaptionedSplit, EncoderRecord]":
    """Reads the text, the training and validation splits, and what made the features."""
    from captioning.network.batches import load_training

    features = read_features(data)
    encoder_record = read_encoder_record(data)
    text = read_prepared_text(data)
    return text, *load_training(text, features), encoder_record


def train(
    options: argparse.Namespace,
    settings: dict[str, Any],
    splits: "tuple[CaptionedSplit, CaptionedSplit]",
    captions: dict[str, list[str]],
    model: "SavedModel",
) -> list[dict]:
    """Trains to the end, from the start or from a checkpoint; returns the figures of each epoch."""
    from captioning.network import training
    from captioning.network.batches import CaptionBatches, digest
    from captioning.network.model import network_digest
    from captioning.network.progress import ShowCaptions, ShowEpoch
    from captioning.network.reward import RewardSettings, fine_tune
    from captioning.network.saved_model import recipe_of_training, write_model

    trainer = training.CaptionTrainer(model.captioner)
    run_settings = {
        **settings,
        "network": network_digest(model.captioner),
        "inputs": digest(splits, model.vocabulary),
    }
    checkpoint = start_or_resume(options.model, run_settings, options.resume, start_anew(options))
    devices.require_agreement([run_settings, checkpoint.history])
    history, limits = checkpoint.history, (options.epochs, options.patience)
    recipe = recipe_of_training(settings, model, options.data)
    write_best = partial(write_model, model=model, recipe=recipe)
    callbacks = [
        ShowEpoch(history, *limits, options.reward_epochs),
        ShowCaptions(model.captioner, model.vocabulary, splits[1], captions, options.shown_photos),
        training.KeepHistory(history, *limits),
    ]
    if devices.is_first():
        callbacks.append(training.SaveEpoch(options.model, history, run_settings, write_best))
    if not training.is_finished(history, *limits):
        batches = [CaptionBatches(split, options.batch_size, options.seed) for split in splits]
        rate = options.learning_rate, options.weight_decay
        steps = len(batches[0]) * options.epochs
        training.compile_trainer(trainer, *rate, steps, options.warmup_steps)
        if options.resume:
            checkpoint.restore(trainer)
        training.fit(trainer, *batches, len(history), options.epochs, callbacks)
    if options.reward_epochs and all(map(math.isfinite, history[-1].values())):
        reward_settings = RewardSettings(
            epochs=options.reward_epochs,
            learning_rate=options.reward_learning_rate,
            weight_decay=options.weight_decay,
            photos=options.reward_photos,
            samples=options.reward_samples,
            caption_share=options.caption_share,
            batch_size=options.batch_size,
            seed=options.seed,
        )
        fine_tune(trainer, model, splits, reward_settings, checkpoint, options.model, callbacks)
    if devices.is_first():
        remove_checkpoint(options.model)
    return history


def report(history: list[dict], options: argparse.Namespace) -> None:
    """Prints which epoch was kept, what was written, and what to run next.

    Raises `UserError` if the loss is not finite any more.
    """
    from captioning.scores.report import print_best_epoch

    if not all(map(math.isfinite, history[-1].values())):
        raise UserError(
            f"the loss of epoch {len(history)} is not finite: run python train.py --data "
            f"{quoted(options.data)} --model {quoted(options.model)} with a --learning-rate below "
            f"{options.learning_rate:g}"
        )
    print_best_epoch(history, options.epochs, options.batch_size)
    print(wrapped(f"wrote {CAPTIONER}, {RECIPE}, {HISTORY} and {CURVES} to {options.model}"))
    print(f"next: python evaluate.py --data {quoted(options.data)} --model {quoted(options.model)}")


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
