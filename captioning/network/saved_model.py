"""The model folder: a trained captioner with what belongs to it, and whether the pieces fit."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioning import storage
from captioning.cli import UserError, counted, is_out_of_memory, quoted
from captioning.keras_setup import keras
from captioning.network.model import average_captioners, check_captioner, halves
from captioning.network.model_folders import find_captioner, replacing
from captioning.network.network_file import load_network
from captioning.old import (
    CAPTIONER,
    ENCODER_RECORD,
    RECIPE,
    TRAINING_PHOTOS,
    VOCABULARY,
    atomic_path,
    read_json,
    write_json,
)
from captioning.photos.encoders import JOIN, UNTRAINED
from captioning.photos.features import (
    ENCODER_KEYS,
    EncoderRecord,
    check_same_encoder,
    read_encoder_record,
)
from captioning.recipes import (
    MADE_WITH,
    OF_DRAWN_SCENES,
    make_recipe,
    read_recipe_of_model,
    write_recipe,
)
from captioning.text.vocabulary import Vocabulary, read_vocabulary, write_vocabulary


@dataclass(frozen=True)
class SavedModel:
    """What a model folder holds."""

    captioner: keras.Model  # as `model.join_halves` builds it
    vocabulary: Vocabulary
    encoder_record: EncoderRecord  # what made the features that it was trained on
    training_photos: tuple[str, ...] = ()  # their photo ids; none where they are not known


def model_name(vocabulary: Vocabulary, encoder_record: EncoderRecord) -> str:
    """Names a captioner after the vocabulary and the encoder that it must be used with.

    Keras keeps the name in the saved file.
    """
    encoder = {key: getattr(encoder_record, key) for key in ENCODER_KEYS}
    belongings = repr((vocabulary.words, vocabulary.maximum_length, encoder))
    digest = hashlib.sha256(belongings.encode("utf-8", "surrogatepass")).hexdigest()
    return f"captioner_{digest[:16]}"


def recipe_of_training(
    settings: dict[str, Any], model: SavedModel, data: Path
) -> dict[str, dict[str, Any]]:
    """Returns all settings that the model depends on, those of the two earlier stages included."""
    names, record = ("encoder", "weights", "dtype"), model.encoder_record
    tables = {
        "prepare_photos": {name: getattr(record, name) for name in names},
        "prepare_text": model.vocabulary.cleaning,
        "train": settings,
    }
    return make_recipe(tables, data)


def save_model(folder: Path, model: SavedModel, recipe: dict[str, Any]) -> None:
    """Writes a model folder, in place of an earlier model, whole or not at all.

    `recipe` is what `recipe_of_training` returns.
    """
    with replacing(folder) as new:
        write_model(new, model, recipe)


def write_model(folder: Path, model: SavedModel, recipe: dict[str, Any]) -> None:
    """Writes a model to a folder that holds none; see `save_model`."""
    write_vocabulary(folder, model.vocabulary)
    storage.write_json(folder / ENCODER_RECORD, model.encoder_record)
    write_json(folder / TRAINING_PHOTOS, {"photos": list(model.training_photos)}, 1)
    write_recipe(folder / RECIPE, recipe)
    name = model_name(model.vocabulary, model.encoder_record)
    named = keras.Model(model.captioner.inputs, model.captioner.outputs, name=name)
    with atomic_path(folder / CAPTIONER) as partial:
        named.save(partial)


def load_model(folder: Path, data: Path | None = None) -> SavedModel:
    """Loads a model folder; `data` is the data folder that a message should name.

    Raises:
        UserError: if a file is missing or damaged, or the pieces do not fit together.
        OSError: if a file cannot be read.
    """
    path, remedy = find_captioner(folder, data)
    vocabulary = read_vocabulary(folder)
    record = read_encoder_record(folder)
    # A file that cannot be opened is not damaged: the system says why.
    path.open("rb").close()
    try:
        captioner = load_network(path)
        halves(captioner)
        length = captioner.inputs[0].shape[-1]
        if length != record.length:
            raise UserError(
                f"{path} takes features of {length} numbers, but {folder / ENCODER_RECORD} says "
                f"{record.length}: {remedy} again"
            )
        if captioner.name != model_name(vocabulary, record):
            raise UserError(
                f"{path} was not trained with {folder / VOCABULARY} and {folder / ENCODER_RECORD} "
                f"as they are: {remedy} again"
            )
        check_captioner(captioner, vocabulary.size)
    except UserError:
        raise
    # It fails in as many ways as there are layers.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UserError(f"{path} is damaged or no captioner: {remedy} again") from error
    return SavedModel(captioner, vocabulary, record, _read_training_photos(folder, remedy))


def _read_training_photos(folder: Path, remedy: str) -> tuple[str, ...]:
    path = folder / TRAINING_PHOTOS
    # Models of earlier versions have no such file.
    if not path.exists():
        return ()
    photos = read_json(path, 1, remedy).get("photos")
    if not isinstance(photos, list) or not all(isinstance(photo, str) for photo in photos):
        raise UserError(f"{path} is damaged (photos is not a list of photo ids): {remedy} again")
    return tuple(photos)


def notes_on_training_photos(
    model: SavedModel, data: Path, split: str, photos: Collection[str]
) -> list[str]:
    """Returns a note if scored photos of a split have the names of photos it was trained on.

    Raises:
        UserError: if they are those photos, since the features are those of the training.
    """
    seen = sorted(set(photos).intersection(model.training_photos))
    # Whoever asks for the scores of the training split knows.
    if split == "train" or not seen:
        return []
    record = read_encoder_record(data)
    which = f"{len(seen):,d} of the {counted(len(photos), 'scored photo')}, such as {seen[0]!r},"
    if record.features_sha256 == model.encoder_record.features_sha256:
        raise UserError(
            f"the model was trained on {which} since the splits of {data} have changed: run python "
            f"train.py --data {quoted(data)} again, or put back the splits that it was trained with"
        )
    return [
        f"warning: {which} have the names of photos that the model was trained on. Where they are "
        "the same photos, it scores too high: train it anew on the splits as they are."
    ]


def load_models(folders: Sequence[Path], data: Path | None = None) -> SavedModel:
    """Loads a model folder as `load_model` does, or several as one model that averages them.

    Raises:
        UserError: if one cannot be loaded, or they differ in their vocabulary or encoder.
    """
    first, *others = (load_model(folder, data) for folder in folders)
    if not others:
        return first
    for folder, other in zip(folders[1:], others, strict=True):
        check_same_encoder(
            *(first.encoder_record, folders[0] / ENCODER_RECORD),
            *(other.encoder_record, folder / ENCODER_RECORD),
        )
        vocabularies = first.vocabulary, other.vocabulary
        if len({(one.words, one.maximum_length) for one in vocabularies}) > 1:
            raise UserError(
                f"{folders[0] / VOCABULARY} and {folder / VOCABULARY} differ: average models that "
                "were trained on the same words, with the same maximum length"
            )
    captioner = average_captioners([model.captioner for model in (first, *others)])
    photos = {photo: None for model in (first, *others) for photo in model.training_photos}
    return SavedModel(captioner, first.vocabulary, first.encoder_record, tuple(photos))


def doubts_about(folder: Path) -> list[str]:
    """Says, a sentence each, why the captions that a model writes of photographs will be wrong."""
    record = read_encoder_record(folder)
    doubts = []
    if (folder / RECIPE).is_file():
        made_with = read_recipe_of_model(folder).get(MADE_WITH, {})
        if made_with.get(OF_DRAWN_SCENES):
            doubts.append(
                f"{folder} was trained on drawn scenes and knows nothing else: its captions of "
                "photographs are wrong"
            )
    if UNTRAINED in record.weights.split(JOIN):
        doubts.append(
            f"{folder} was trained with an encoder that was not trained itself: its captions have "
            "little to do with the photos"
        )
    return doubts
