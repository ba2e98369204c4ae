"""The files that pass between the stages: their names, and the command that makes each."""

import re
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

from captioning.cli import UserError, quoted

# In DATA: what people put there.
PHOTOS = "photos"
CAPTIONS = "Flickr8k.token.txt"
SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
# Only where the photos are scenes that data/sample/draw.py painted.
PAINTED_SCENES = "scenes.csv"

# In DATA: what prepare_photos.py writes. MAPPED_FEATURES and its index stand in the place of
# FEATURES where the features need not fit in memory.
FEATURES = "features.pkl"
MAPPED_FEATURES = "features.npy"
FEATURES_INDEX = "features-index.json"
FEATURES_CACHE = "features-cache.sqlite"
PHOTO_FOLDERS = "photo-folders.json"

# In DATA: what prepare_text.py writes.
SPLIT_CAPTIONS = "split-captions.tsv"
DESCRIPTIONS = "descriptions.txt"

# In DATA, and copied to MODEL so that it is self-contained.
ENCODER_RECORD = "features.json"
VOCABULARY = "vocabulary.json"

# In MODEL: what train.py writes.
CAPTIONER = "captioner.keras"
TRAINING_PHOTOS = "training-photos.json"
RECIPE = "recipe.toml"
MADE_WITH = "made_with"  # the table in it that is for people, and for no script
HISTORY = "history.csv"
CURVES = "curves.png"
CHECKPOINT = "checkpoint.npz"

# In MODEL: what evaluate.py writes.
SCORES = "scores.json"
GENERATED_CAPTIONS = "captions.csv"
RESULTS_PAGE = "captions.html"
CONFIDENCE = "confidence.json"

# Which script makes which files of DATA.
_OF_PHOTOS = (FEATURES, MAPPED_FEATURES, FEATURES_INDEX, FEATURES_CACHE, PHOTO_FOLDERS)
MAKERS = dict.fromkeys((*_OF_PHOTOS, ENCODER_RECORD), "prepare_photos.py")
MAKERS |= dict.fromkeys((SPLIT_CAPTIONS, DESCRIPTIONS, VOCABULARY), "prepare_text.py")

OF_EVALUATION = (SCORES, GENERATED_CAPTIONS, RESULTS_PAGE, CONFIDENCE)

# The models that come with the project: the first whose encoder can be had is taken.
BEST, LITE = "models/pretrained", "models/pretrained-lite"

# Of Unix and of Windows.
_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)
# The extension, and the number that one name of the official captions file carries after it.
_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]*(\.[0-9]+)?$")


def photo_id(file_name: str) -> str:
    """Returns the id of a photo: its file name without folders and extension.

    `dog.jpg.1`, as the official captions file has it once, is the photo `dog` too. The accents of
    an id are composed (NFC), in whichever of Unicode's forms the name has them: a Mac's archives
    have them decomposed.
    """
    return _EXTENSION.sub("", _FOLDERS.sub("", unicodedata.normalize("NFC", file_name)))


def of_project(path: str | Path) -> Path:
    """Returns the place of what comes with the project, such as `recipes/best.toml`.

    It is in the folder at hand, in the project's, or within the package where that is installed.
    """
    package = Path(__file__).resolve().parent
    places = [place / path for place in (Path(), package.parent, package)]
    return next((place for place in places if place.exists()), places[0])


def command_for(path: Path, data: Path | None = None) -> str:
    """Returns the command that makes a file of a data folder or of a model folder.

    `data` is the data folder that a model is trained on, by default the one its recipe names.
    """
    folder = path.parent
    # Of the files that both have, a folder with a recipe has the model's.
    recipe = read_toml(folder / RECIPE) if (folder / RECIPE).is_file() else {}
    if path.name in MAKERS and not recipe:
        return f"run python {MAKERS[path.name]} --data {quoted(folder)}"
    data = data or recipe.get(MADE_WITH, {}).get("data")
    flags = f"--data {quoted(data)} --model" if data else "--model"
    if path.name not in OF_EVALUATION:
        return f"run python train.py {flags} {quoted(folder)}"
    # The results of averaged models have a folder of their own.
    models = recipe.get("evaluate", {}).get("model", [folder])
    return f"run python evaluate.py {flags} {' '.join(map(quoted, models))}"


def require(path: Path, data: Path | None = None) -> Path:
    """Returns the path if there is such a file, and raises `UserError` with the command if not."""
    if not path.is_file():
        raise UserError(f"{path} is missing: {command_for(path, data)} first")
    return path


def damaged(path: Path, fault: object) -> UserError:
    """Makes the error for a file that is not as the stage before left it."""
    return UserError(f"{path} is damaged ({fault}): {command_for(path)} again")


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """Reads a recipe: script -> setting -> value; raises `UserError` if it is none."""
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
        if loose := [name for name in recipe if not isinstance(recipe[name], dict)]:
            raise ValueError(f"{loose[0]} stands in no table")
        return recipe
    except ValueError as error:
        raise UserError(f"{path} is no recipe ({error}): correct it") from error
