"""Starting from a trained model: its words come first, and its weights are carried over."""

import argparse
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from captioning import files
from captioning.cli import UserError, quoted
from captioning.files import ENCODER_RECORD, RECIPE, VOCABULARY
from captioning.network.model_folder import load_model, network_path
from captioning.photos.features import EncoderRecord, check_same_encoder, read_encoder_record
from captioning.storage import read_json
from captioning.text.vocabulary import PreparedText, Vocabulary

# Scripts ask for the words before they load Keras.
if TYPE_CHECKING:
    from captioning.keras_setup import keras


@dataclass(frozen=True)
class Start:
    """A trained model to start from, of which the network is not loaded yet."""

    folder: Path
    vocabulary: Vocabulary

    def take_cleaning(self, options: argparse.Namespace) -> None:
        """Takes over the model's settings but those the user set, and none for another language."""
        cleaning = self.vocabulary.cleaning
        if "language" not in options.replaced or options.language == self.vocabulary.language:
            names = {"language", "min_word_length", "keep_numbers"} & cleaning.keys()
            for name in names - options.replaced:
                setattr(options, name, cleaning[name])
            options.replaced |= names

    def check(self, text: PreparedText, record: EncoderRecord, options: argparse.Namespace) -> None:
        """Sets `units` to the model's, unless others were asked for.

        Raises `UserError` unless the data has features of its encoder, and its words first.
        """
        paths = self.folder / ENCODER_RECORD, text.data / ENCODER_RECORD
        check_same_encoder(read_encoder_record(self.folder), paths[0], record, paths[1])
        if text.vocabulary.words[: len(self.vocabulary.words)] != self.vocabulary.words:
            flags = f"--data {quoted(text.data)} --start-from {quoted(self.folder)}"
            raise UserError(
                f"{text.data / VOCABULARY} does not begin with the words of {self.folder}: run "
                f"python prepare_text.py {flags} first"
            )
        if "units" not in options.replaced:
            settings = files.read_toml(files.require(self.folder / RECIPE)).get("train", {})
            options.units = settings.get("units", options.units)

    def carry_over(self, captioner: "keras.Model") -> dict[str, tuple[str, ...]]:
        """Gives a new captioner the weights of the model, and returns its training photos.

        A new word's row is Keras's initial row plus the mean of the old rows: with a bias of zero
        it would be likelier than most known words. Raises `UserError` if the networks differ in
        anything else.
        """
        from captioning.network.model import halves

        model = load_model(self.folder)
        sizes = self.vocabulary.size, captioner.output.shape[-1]
        for theirs, half in zip(halves(model.captioner), halves(captioner), strict=True):
            old, new = _weights_of(theirs), _weights_of(half)
            for path in old | new:
                shapes = [each[path].shape if path in each else "-" for each in (old, new)]
                if any(both[0] != both[1] and both != sizes for both in zip_longest(*shapes)):
                    raise UserError(
                        f"{self.folder} has another network than is built here: {path} is "
                        f"{shapes[0]} in the one and {shapes[1]} in the other, and only the number "
                        "of words may differ; leave out --units, or start from another model"
                    )
                if grown := tuple(np.flatnonzero(np.not_equal(*shapes))):
                    new[path] += old[path].mean(grown, keepdims=True)
                new[path][tuple(map(slice, shapes[0]))] = old[path]
            half.set_weights([*new.values()])
        return model.training_photos


def _weights_of(half: "keras.Model") -> dict[str, np.ndarray]:
    """Copies the weights of a half, by their paths: what an engine returns may be read only."""
    return {
        weight.path: np.array(value)
        for weight, value in zip(half.weights, half.get_weights(), strict=True)
    }


def read_start(name: str, target: Path | None = None) -> Start | None:
    """Reads the model that START_FROM names, if it names one.

    Raises `UserError` if there is none, or it is in the `target` of the training.
    """
    if not name:
        return None
    folder = files.of_project(name)
    if target and target.resolve() == folder.resolve():
        raise UserError(f"training starts from {folder}: name another folder with --model")
    files.require(network_path(folder))
    return Start(folder, read_json(folder / VOCABULARY, Vocabulary))
