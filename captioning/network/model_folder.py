"""The model folder: a trained captioner and the files that belong to it, replaced together."""

import contextlib
import hashlib
import os
import platform
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import tomli_w

from captioning import files
from captioning.cli import UserError, counted, quoted
from captioning.files import CAPTIONER, ENCODER_RECORD, RECIPE, TRAINING_PHOTOS, VOCABULARY
from captioning.photos.encoders import JOIN, UNTRAINED
from captioning.photos.features import (
    ENCODER_KEYS,
    EncoderRecord,
    Features,
    check_same_encoder,
    read_encoder_record,
)
from captioning.storage import Record, atomic_path, read_json, write_json, write_text
from captioning.text.vocabulary import Vocabulary

# Scripts ask for folders before they load Keras.
if TYPE_CHECKING:
    from captioning.keras_setup import keras

# Where new files are written, and what that folder is called as soon as all of them are complete.
_UNFINISHED = ".next"
_FINISHED = ".complete"

# How many times its bytes a network may unpack to, and how many bytes besides; what
# models/shrink.py writes unpacks to little more than twice.
_MAXIMUM_EXPANSION = 10
_ALLOWANCE = 2**20


class TrainingPhotos(Record):
    """The photos that a model was trained on, which must not be scored."""

    photos: tuple[str, ...]
    # Of the models that it started from: SHA-256 of their features -> photos.
    of_other_features: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class SavedModel:
    """What a model folder holds."""

    captioner: "keras.Model"  # as `model.join_halves` builds it
    vocabulary: Vocabulary
    encoder_record: EncoderRecord  # what made the features that it was trained on
    # SHA-256 of features -> ids of the photos that were trained on; none where they are not known.
    training_photos: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Name with a digest of vocabulary and encoder.

        Keras stores it, so that `load_model` can tell a network from another model's files.
        """
        encoder = msgspec.to_builtins(self.encoder_record)
        encoder = {key: encoder[key] for key in ENCODER_KEYS}
        belongings = repr((self.vocabulary.words, self.vocabulary.maximum_length, encoder))
        digest = hashlib.sha256(belongings.encode("utf-8", "surrogatepass")).hexdigest()
        return f"captioner_{digest[:16]}"


def results_folder(folders: Sequence[Path]) -> Path:
    """Returns where the results of models go: to that of one, or to `a+b+c` beside the first."""
    if len(folders) == 1:
        return folders[0]
    return folders[0].parent / "+".join(folder.absolute().name for folder in folders)


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yields a folder to write files of a model in, which then replace those of `folder` at once.

    Whatever stops it, all are the earlier ones or, for whoever opens the model, the new ones. Where
    a network is among them, the results of the earlier one go, which would pass for those of the
    new one. All other files stay.
    """
    finish_replacing(folder)
    unfinished = folder / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        # From here on the new files count.
        os.rename(unfinished, folder / _FINISHED)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    finish_replacing(folder)


def network_path(folder: Path) -> Path:
    """Returns the path of the network of a model, which need not be there."""
    finish_replacing(folder)
    return folder / CAPTIONER


def finish_replacing(folder: Path) -> None:
    """Finishes a replacement that a killed run left half done; several processes may call it."""
    finished = folder / _FINISHED
    # A link in a stranger's folder might lead to files of one's own.
    if finished.is_symlink() or not finished.is_dir():
        return
    if (finished / CAPTIONER).exists():
        for name in files.OF_EVALUATION:
            (folder / name).unlink(missing_ok=True)
    # The network comes last, since it says that a model is replaced.
    for path in sorted(finished.iterdir(), key=lambda path: path.name == CAPTIONER):
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, folder / path.name)
    # Another process may have removed it.
    with contextlib.suppress(OSError):
        finished.rmdir()


def save_model(folder: Path, model: SavedModel, recipe: dict[str, Any]) -> None:
    """Writes a model folder, in place of an earlier model, whole or not at all."""
    with replacing(folder) as new:
        write_model(new, model, recipe)


def write_model(folder: Path, model: SavedModel, recipe: dict[str, Any]) -> None:
    """Writes a model to a folder that holds none.

    `recipe` is what `make_recipe` returns; the settings of the two stages before training, which
    the model knows, are written with it.
    """
    from captioning.keras_setup import keras

    record, text = model.encoder_record, model.vocabulary.cleaning
    photos = {"encoder": record.encoder, "weights": record.weights, "dtype": record.dtype}
    recipe = {"prepare_photos": photos, "prepare_text": text, **recipe}
    write_json(folder / VOCABULARY, model.vocabulary)
    write_json(folder / ENCODER_RECORD, model.encoder_record)
    others = dict(model.training_photos)
    own = others.pop(record.features_sha256, ())
    write_json(folder / TRAINING_PHOTOS, TrainingPhotos(photos=own, of_other_features=others))
    write_recipe(folder / RECIPE, recipe)
    named = keras.Model(model.captioner.inputs, model.captioner.outputs, name=model.fingerprint)
    with atomic_path(folder / CAPTIONER) as partial:
        named.save(partial)


def make_recipe(tables: dict[str, dict[str, Any]], data: Path) -> dict[str, dict[str, Any]]:
    """Returns settings in force as a recipe, with what they were used on and with."""
    from captioning.keras_setup import keras

    backend = keras.backend.backend()
    made_with = {"data": str(data), "python": platform.python_version(), "backend": backend}
    if (data / files.PAINTED_SCENES).is_file():
        made_with["painted_scenes"] = True
    versions = {name: import_module(name).__version__ for name in ("keras", backend, "numpy")}
    return {**tables, files.MADE_WITH: made_with | versions}


def write_recipe(path: Path, recipe: dict[str, dict[str, Any]]) -> None:
    """Writes what `make_recipe` returned; `--recipe` reads it again."""
    # A path may hold bytes that are not UTF-8, which TOML cannot.
    write_text(path, tomli_w.dumps(recipe).encode("utf-8", "replace").decode("utf-8"))


def load_models(folders: Sequence[Path]) -> SavedModel:
    """Loads a model folder, or several as one model that averages them.

    Raises `UserError` if one cannot be loaded, or they differ in their vocabulary or encoder.
    """
    first, *others = models = [load_model(folder) for folder in folders]
    if not others:
        return first
    from captioning.network.model import average_captioners

    for folder, other in zip(folders[1:], others, strict=True):
        own_record, record = folders[0] / ENCODER_RECORD, folder / ENCODER_RECORD
        check_same_encoder(first.encoder_record, own_record, other.encoder_record, record)
        # Of the encoder nothing differs.
        if other.fingerprint != first.fingerprint:
            raise UserError(
                f"{folders[0] / VOCABULARY} and {folder / VOCABULARY} differ: average models that "
                "were trained on the same words, with the same maximum length"
            )
    captioner = average_captioners([model.captioner for model in models])
    photos = join_photos(model.training_photos for model in models)
    return SavedModel(captioner, first.vocabulary, first.encoder_record, photos)


def join_photos(sources: Iterable[dict[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Joins the training photos of several models; see `SavedModel`."""
    joined: dict[str, dict[str, None]] = {}
    for digest, photos in chain.from_iterable(source.items() for source in sources):
        joined.setdefault(digest, {}).update(dict.fromkeys(photos))
    return {digest: tuple(photos) for digest, photos in joined.items()}


def load_model(folder: Path) -> SavedModel:
    """Loads a model folder, which may be a stranger's.

    Raises:
        UserError: if a file is missing or damaged, or the pieces do not fit together.
        OSError: if a file cannot be read.
    """
    from captioning.keras_setup import keras

    path = files.require(network_path(folder))
    vocabulary, record = read_json(folder / VOCABULARY, Vocabulary), read_encoder_record(folder)
    photos = {}
    # What comes with the project has no such file.
    if (folder / TRAINING_PHOTOS).exists():
        found = read_json(folder / TRAINING_PHOTOS, TrainingPhotos)
        photos = {record.features_sha256: found.photos, **found.of_other_features}
    try:
        _check_archive(path)
        captioner = keras.models.load_model(path, compile=False, safe_mode=True)
        model = SavedModel(captioner, vocabulary, record, photos)
        if captioner.name != model.fingerprint:
            others = f"{folder / VOCABULARY} and {folder / ENCODER_RECORD}"
            command = files.command_for(path)
            raise UserError(f"{path} was not trained with {others} as they are: {command} again")
    # A file that cannot be opened is not damaged.
    except (UserError, PermissionError):
        raise
    # It fails in as many ways as there are layers.
    except Exception as error:
        raise files.damaged(path, "it holds no captioner that can be used") from error
    return model


def _check_archive(path: Path) -> None:
    """Raises an error if a file is damaged, or unpacks to far more memory than its bytes."""
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
        if size > _MAXIMUM_EXPANSION * path.stat().st_size + _ALLOWANCE:
            raise ValueError(f"Expected the weights of a network. Received: {size} bytes unpacked")
        # Keras reads single parts of the archive, which leaves their checksums unchecked.
        if part := archive.testzip():
            raise ValueError(f"Expected a part with its checksum. Received: {part}")


def doubts_about(folder: Path) -> list[str]:
    """Says, a sentence each, why the captions that a model writes of photographs will be wrong."""
    doubts = []
    recipe = files.read_toml(folder / RECIPE) if (folder / RECIPE).is_file() else {}
    if recipe.get(files.MADE_WITH, {}).get("painted_scenes"):
        scenes = "was trained on painted scenes and knows nothing else"
        doubts.append(f"{folder} {scenes}: its captions of photographs are wrong")
    if UNTRAINED in read_encoder_record(folder).weights.split(JOIN):
        encoder = "was trained with an encoder that was not trained itself"
        doubts.append(f"{folder} {encoder}: its captions have little to do with the photos")
    return doubts


def notes_on_training_photos(
    model: SavedModel, features: Features, split: str, data: Path
) -> list[str]:
    """Returns a note if scored photos of a split have the names of photos it was trained on.

    Raises `UserError` if they are those photos, since the features are those of a training.
    """
    trained_on = model.training_photos.get(features.record.features_sha256, ())
    named = chain.from_iterable(model.training_photos.values())
    seen = sorted(
        set(features.ids).intersection(trained_on) or set(features.ids).intersection(named)
    )
    # Whoever asks for the scores of the training split knows.
    if split == "train" or not seen:
        return []
    which = f"{len(seen):,d} of the {counted(len(features), 'scored photo')}, such as {seen[0]!r},"
    if seen[0] in trained_on:
        raise UserError(
            f"the model was trained on {which} since the splits of {data} have changed: run python "
            f"train.py --data {quoted(data)} again, or put back the splits that it was trained with"
        )
    advice = "Where they are the same photos, it scores too high"
    return [f"warning: {which} have the names of photos that the model was trained on. {advice}."]
