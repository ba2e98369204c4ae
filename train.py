"""Trains the captioner: a photo's features and words so far in, the next word out.

    python train.py --data data/flickr8k --model models/flickr8k
    python train.py --recipe recipes/classic.toml --epochs 20 --resume
    python train.py --recipe recipes/own.toml --data data/own --model models/own
    KERAS_BACKEND=jax python train.py --devices all

The network is in captioning/network/model.py, the loss in training.py beside
it, and what REWARD_EPOCHS does in reward.py.

Reads   DATA/features*                              from prepare_photos.py
        DATA/vocabulary.json, descriptions.txt, split-captions.tsv
                                                    from prepare_text.py
        START_FROM/             the model to start from, if there is one
Writes  MODEL/captioner.keras       the network of the best epoch on validation
        MODEL/recipe.toml, vocabulary.json, features.json, training-photos.json
                                    what it was trained with
        MODEL/history.csv, curves.png           loss and accuracy, or reward
        MODEL/checkpoint.npz        what --resume needs, removed at the end
Takes   on two cores for Flickr8k a minute an epoch, half more with rewards.
Next    python evaluate.py.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from captioning.cli import DONE, UserError, quoted, run, wrapped
from captioning.files import CAPTIONER, CHECKPOINT, CURVES, HISTORY, MADE_WITH, RECIPE
from captioning.network import model_folder
from captioning.network.starting import read_start
from captioning.photos.features import read_features
from captioning.photos.lookalikes import notes_on_lookalikes
from captioning.settings import SettingsParser, number_from, seed_number, share
from captioning.storage import digest_of_file, locked
from captioning.text.vocabulary import read_prepared_text

# Where things are.
DATA = Path("data/flickr8k")  # the data folder, with what prepare_photos and prepare_text wrote
MODEL = Path("models/flickr8k")  # the model folder, where the trained model goes

# The network, which captioning/network/model.py defines.
UNITS = 256  # length of the image embedding, of a word's embedding and of the hidden state
PHOTO_DROPOUT = 0.5  # share of the features hidden in training
WORD_DROPOUT = 0.5  # share of a word's embedding hidden in training
OUTPUT_DROPOUT = 0.25  # share of the units before the output layer hidden in training

# Training.
START_FROM = ""  # a trained model to start from, such as models/pretrained, with its UNITS
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
    parser = make_parser()
    options = parser.parse_settings(arguments)
    if options.resume and not (options.model / CHECKPOINT).is_file():
        raise UserError(f"{options.model} holds nothing to resume: run the same without --resume")
    start = read_start(options.start_from, options.model)
    text, features = read_prepared_text(options.data), read_features(options.data)
    if start:
        start.check(text, features.record, options)
    # What needs Keras, which takes seconds, is imported after the arguments are read.
    from captioning.keras_setup import keras
    from captioning.network import batches, checkpoint, training
    from captioning.network.model import build_captioner

    scope = batches.divided_among(options.devices)
    splits = [batches.load_split(text, split, features) for split in ("train", "dev")]
    training.plan_steps(options, len(splits[0].captions))
    if options.reward_epochs and min(len(split.photo_ids) for split in splits) < 2:
        raise UserError("the CIDEr-D of a single photo is always 0: add --reward-epochs 0")
    print(parser.describe(options))
    print(f"training   {splits[0]}\nvalidation {splits[1]}")
    settings = parser.settings_in_force(options)
    with scope, locked(options.model, "train.py or evaluate.py"):
        keras.utils.set_random_seed(options.seed)
        names = ("units", "photo_dropout", "word_dropout", "output_dropout")
        chosen, token_ids = {name: settings[name] for name in names}, text.vocabulary.size
        captioner = build_captioner(token_ids, features.record.length, **chosen)
        print(f"network    {captioner.count_params():,d} parameters, {token_ids:,d} token ids")
        photos = {features.record.features_sha256: tuple(splits[0].photo_ids)}
        if start:
            photos = model_folder.join_photos([photos, start.carry_over(captioner)])
        model = model_folder.SavedModel(captioner, text.vocabulary, features.record, photos)
        for note in notes_on_lookalikes(options.data, text.splits):
            print(wrapped(note), file=sys.stderr)
        digest = {"start_from_sha256": digest_of_file(start.folder / CAPTIONER)} if start else {}
        recipe = model_folder.make_recipe({"train": settings}, options.data)
        recipe[MADE_WITH] |= digest
        run_settings = settings | batches.digests(splits, model) | digest
        state = checkpoint.start_or_resume(options.model, run_settings, resume=options.resume)
        shown = [text.captions[photo][0] for photo in splits[1].photo_ids[: options.shown_photos]]
        logs = train(training.Run(model, splits, options, state, recipe, shown))
    training.print_best(logs, options)
    print(wrapped(f"wrote {CAPTIONER}, {RECIPE}, {HISTORY} and {CURVES} to {options.model}"))
    print(f"next: python evaluate.py --data {quoted(options.data)} --model {quoted(options.model)}")
    return DONE


def make_parser() -> SettingsParser:
    """Makes the parser of the constants' flags and of those that have no constant."""
    shares = dict.fromkeys(("PHOTO_DROPOUT", "WORD_DROPOUT", "OUTPUT_DROPOUT"), share)
    counts = dict.fromkeys(("WARMUP_STEPS", "REWARD_EPOCHS", "SHOWN_PHOTOS"), number_from(0))
    others = {"REWARD_SAMPLES": number_from(2), "SEED": seed_number}
    parser = SettingsParser(globals(), {**shares, **counts, **others})
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    count = {"type": lambda text: text if text == "all" else number_from(1)(text), "default": 1}
    text = "how many devices a batch is divided among, 1 by default, or all; with JAX alone"
    parser.add_argument("--devices", **count, metavar="N", help=text)
    return parser


def train(this_run: Any) -> list[dict]:
    """Trains to the end, as a `training.Run` says; returns the logs of all epochs."""
    from captioning.network import reward, training

    state, after_epoch = this_run.checkpoint, training.AfterEpoch(this_run)
    try:
        if not training.is_trained(state.logs, this_run.settings):
            training.train_on_captions(this_run, after_epoch)
        if this_run.settings.reward_epochs:
            reward.fine_tune(this_run, after_epoch)
    except KeyboardInterrupt:
        if state.path.exists():
            print("\nto resume: run the same command with --resume", file=sys.stderr)
        raise
    state.path.unlink(missing_ok=True)
    return state.logs


if __name__ == "__main__":
    sys.exit(run(main))
