"""Trains the captioner: features of a photo and the words so far in, the next word out.

    python train.py --data data/flickr8k --model models/flickr8k
    python train.py --recipe recipes/classic.toml --epochs 20
    python train.py --data data/flickr8k --model models/flickr8k --resume

The network is in captioning/model.py; loss, metrics and schedule are in captioning/training.py.
With REWARD_EPOCHS it then goes on from the best epoch by reward fine-tuning, captioning/reward.py.

Reads   DATA/features.pkl, features.json            from prepare_photos.py
        DATA/descriptions.txt, vocabulary.json      from prepare_text.py
        DATA/Flickr_8k.trainImages.txt, devImages   the training and validation splits
Writes  MODEL/captioner.keras       the network of the best epoch on the validation split
        MODEL/recipe.toml           the settings that it was trained with
        MODEL/vocabulary.json, features.json        copies, so that the folder is complete
        MODEL/history.csv, curves.png               loss and accuracy, or reward, of every epoch
        MODEL/checkpoint.npz        what --resume needs, removed at the end
Takes   for Flickr8k on two cores about a minute an epoch, and 1.5 in reward fine-tuning.
Next    python evaluate.py.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from captioning.backend import keras
from captioning.captions import read_descriptions
from captioning.checkpoint import (
    Checkpoint,
    read_checkpoint,
    remove_checkpoint,
    require_checkpoint,
)
from captioning.cli import DONE, UserError, run
from captioning.dataset import CaptionBatches, CaptionedSplit, digest, load_split
from captioning.features import read_encoder_record, read_features
from captioning.files import CAPTIONER, CHECKPOINT, CURVES, HISTORY, RECIPE
from captioning.model import build_captioner, network_digest
from captioning.recipes import make_recipe
from captioning.report import print_best_epoch
from captioning.reward import RewardSettings, fine_tune
from captioning.saved_model import SavedModel, save_model
from captioning.settings import SettingsParser, dropout_rate, seed_number, whole_number
from captioning.storage import locked
from captioning.training import (
    CaptionTrainer,
    RecordEpoch,
    ShowCaptions,
    compile_trainer,
    fit,
    is_finished,
    plan_steps,
)
from captioning.vocabulary import Vocabulary, read_vocabulary

# Where things are.
DATA = Path("data/flickr8k")  # the data folder, with what prepare_photos and prepare_text wrote
MODEL = Path("models/flickr8k")  # the model folder, where the trained model goes

# The network, which captioning/model.py defines.
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
            "SEED": seed_number,
        },
    )
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    options = parser.parse_settings(arguments)
    if options.model.exists() and not options.model.is_dir():
        raise UserError(f"{options.model} is not a folder: name another with --model")
    if options.resume:
        # Nobody should wait for the inputs to learn that there is nothing to resume.
        require_checkpoint(options.model, start_anew(options))
    training, validation, vocabulary, encoder_record = read_inputs(options.data)
    planned = options.batch_size, options.epochs, options.min_steps
    planned = plan_steps(len(training.captions), *planned, fixed=parser.typed(arguments))
    options.batch_size, options.epochs, options.min_steps = planned
    print(parser.describe(options))
    print(f"training    {training.summary()}\nvalidation  {validation.summary()}")
    print(f"vocabulary  {vocabulary.size:6,d} ids")
    settings = parser.settings_in_force(options)
    with locked(options.model, "train.py or evaluate.py"):
        keras.utils.set_random_seed(options.seed)
        captioner = build_captioner(
            vocabulary.size,
            training.features.shape[1],
            units=options.units,
            photo_dropout=options.photo_dropout,
            word_dropout=options.word_dropout,
            output_dropout=options.output_dropout,
        )
        print(f"the network has {captioner.count_params():,d} parameters")
        model = SavedModel(captioner, vocabulary, encoder_record)
        try:
            history = train(options, settings, training, validation, model)
        except KeyboardInterrupt:
            if (options.model / CHECKPOINT).exists():
                typed = list(sys.argv[1:] if arguments is None else arguments)
                command = shlex.join([item for item in typed if item != "--resume"])
                print(f"\nto resume: python train.py {command} --resume", file=sys.stderr)
            raise
    report(history, options)
    return DONE


def start_anew(options: argparse.Namespace) -> str:
    """Returns what a message tells the user to do who cannot resume."""
    return f"run python train.py --data {options.data} --model {options.model} without --resume"


def read_inputs(data: Path) -> tuple[CaptionedSplit, CaptionedSplit, Vocabulary, dict[str, Any]]:
    """Reads the training and validation splits, the vocabulary, and what made the features."""
    features = read_features(data)
    encoder_record = read_encoder_record(data, f"run python prepare_photos.py --data {data}")
    descriptions = read_descriptions(data)
    vocabulary = read_vocabulary(data, f"run python prepare_text.py --data {data}")
    training = load_split(data, "train", features, descriptions, vocabulary)
    validation = load_split(data, "dev", features, descriptions, vocabulary)
    return training, validation, vocabulary, encoder_record


def train(
    options: argparse.Namespace,
    settings: dict[str, Any],
    training: CaptionedSplit,
    validation: CaptionedSplit,
    model: SavedModel,
) -> list[dict]:
    """Trains to the end, from the start or from a checkpoint; returns the figures of each epoch."""
    splits = training, validation
    trainer = CaptionTrainer(model.captioner)
    run_settings = {
        **settings,
        "network": network_digest(model.captioner),
        "inputs": digest(splits, model.vocabulary),
    }
    checkpoint = Checkpoint([], [])
    if options.resume:
        checkpoint = read_checkpoint(options.model, run_settings, start_anew(options))
        print(f"resuming after epoch {len(checkpoint.history)}")
    elif remove_checkpoint(options.model):
        print(f"{options.model} holds an interrupted run: starting anew, without --resume")

    history = checkpoint.history
    record = RecordEpoch(
        options.model,
        history,
        run_settings,
        is_finished=lambda: is_finished(history, options.epochs, options.patience),
        save_best=lambda: save_model(options.model, model, recipe_of(options, settings, model)),
    )
    show = ShowCaptions(model.captioner, model.vocabulary, validation, options.shown_photos)
    if not is_finished(history, options.epochs, options.patience):
        batches = [CaptionBatches(split, options.batch_size, options.seed) for split in splits]
        steps = len(batches[0]) * options.epochs
        compile_trainer(
            trainer, options.learning_rate, options.weight_decay, steps, options.warmup_steps
        )
        if options.resume:
            checkpoint.restore(trainer)
        fit(trainer, *batches, len(history), options.epochs, [show, record])
    if options.reward_epochs and all(map(np.isfinite, history[-1].values())):
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
        fine_tune(
            trainer, model, splits, reward_settings, checkpoint, options.model, [show, record]
        )
    remove_checkpoint(options.model)
    return history


def recipe_of(
    options: argparse.Namespace, settings: dict[str, Any], model: SavedModel
) -> dict[str, dict[str, Any]]:
    """Returns all settings that the model depends on, those of the two earlier stages included."""
    names, record = ("encoder", "weights", "dtype"), model.encoder_record
    tables = {
        "prepare_photos": {name: record[name] for name in names if name in record},
        "prepare_text": model.vocabulary.cleaning,
        "train": settings,
    }
    return make_recipe(tables, options.data, keras.backend.backend())


def report(history: list[dict], options: argparse.Namespace) -> None:
    """Prints which epoch was kept, what was written, and what to run next.

    Raises `UserError` if the loss is not finite any more.
    """
    if not all(map(np.isfinite, history[-1].values())):
        raise UserError(
            f"the loss of epoch {len(history)} is not finite: run python train.py --data "
            f"{options.data} --model {options.model} with a lower --learning-rate than "
            f"{options.learning_rate:g}"
        )
    print_best_epoch(history, options.epochs, options.batch_size)
    names = (CAPTIONER, RECIPE, HISTORY, CURVES)
    print(f"wrote {', '.join(str(options.model / name) for name in names)}")
    print(f"next: python evaluate.py --data {options.data} --model {options.model}")


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
