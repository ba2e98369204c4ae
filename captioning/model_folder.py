"""Writes and reads a trained model with what belongs to it, and checks that the pieces fit."""

import hashlib
import zipfile
from dataclasses import dataclass

from captioning.backend import keras
from captioning.cli import UserError
from captioning.features import ENCODER_KEYS, read_encoder_record
from captioning.files import CAPTIONER, ENCODER_RECORD, VOCABULARY, require
from captioning.storage import atomic_path, write_json
from captioning.vocabulary import Vocabulary, read_vocabulary, write_vocabulary


@dataclass(frozen=True)
class Captioner:
    """What a model folder holds.

    Args:
        model: keras.Model: ([photo vectors, word ids]) -> probabilities of the next words.
        vocabulary: captioning.vocabulary.Vocabulary.
        encoder_record: dict, what made the vectors that it was trained on.
    """

    model: keras.Model
    vocabulary: Vocabulary
    encoder_record: dict


def model_name(vocabulary, encoder_record):
    """Names a model after what belongs to it, so that it is never used with anything else.

    Args:
        vocabulary: captioning.vocabulary.Vocabulary.
        encoder_record: dict, what made the vectors that it is trained on.

    Returns:
        str, `captioner_` and a digest, which Keras keeps in the saved file.
    """
    encoder = {key: encoder_record[key] for key in ENCODER_KEYS}
    belongings = repr((vocabulary.words, vocabulary.maximum_length, encoder))
    digest = hashlib.sha256(belongings.encode("utf-8", "surrogatepass")).hexdigest()
    return f"captioner_{digest[:16]}"


def save_captioner(folder, captioner):
    """Writes a model folder.

    Args:
        folder: pathlib.Path of the model folder.
        captioner: Captioner.
    """
    write_vocabulary(folder, captioner.vocabulary)
    write_json(folder / ENCODER_RECORD, captioner.encoder_record, 1)
    name = model_name(captioner.vocabulary, captioner.encoder_record)
    named = keras.Model(captioner.model.inputs, captioner.model.outputs, name=name)
    with atomic_path(folder / CAPTIONER) as partial:
        named.save(partial)


def load_captioner(folder, data=None):
    """Loads a model folder.

    Args:
        folder: pathlib.Path of the model folder.
        data: pathlib.Path of the data folder that the user works on, named in what a message
            tells them to run, or None.

    Returns:
        Captioner.

    Raises:
        UserError: if a file is missing or damaged, or the pieces do not fit together.
    """
    remedy = "train a model with python train.py "
    remedy += f"--data {data} --model {folder}" if data else f"--model {folder}"
    path = require(folder / CAPTIONER, remedy)
    vocabulary = read_vocabulary(folder, remedy)
    record = read_encoder_record(folder, remedy)
    try:
        # Keras seeks in the archive, and then nobody compares the checksums of what is in it.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(damaged)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    # A damaged file fails in zipfile, h5py, json or Keras, each with errors of its own.
    except Exception as error:
        raise UserError(f"{path} is damaged or no model of train.py: {remedy} again") from error
    _check_sizes(model, path, vocabulary, record, remedy)
    if model.name != model_name(vocabulary, record):
        raise UserError(
            f"{path} was not trained with {folder / VOCABULARY} and {folder / ENCODER_RECORD} as "
            f"they are: {remedy} again"
        )
    return Captioner(model, vocabulary, record)


def _check_sizes(model, path, vocabulary, record, remedy):
    if len(model.inputs) != 2 or len(model.outputs) != 1:
        raise UserError(f"{path} is no model of train.py: {remedy} again")
    length = model.inputs[0].shape[-1]
    words = model.outputs[0].shape[-1]
    if length != record["length"]:
        raise UserError(
            f"{path} takes vectors of {length} numbers, but {path.with_name(ENCODER_RECORD)} says "
            f"{record['length']}: {remedy} again"
        )
    if words != vocabulary.size:
        raise UserError(
            f"{path} knows {words} words, but {path.with_name(VOCABULARY)} has {vocabulary.size}: "
            f"{remedy} again"
        )
