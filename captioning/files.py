"""The names of the files that pass between the stages."""

import re
import unicodedata
from pathlib import Path

from captioning.cli import UserError

# In DATA.
PHOTOS = "photos"
CAPTIONS = "Flickr8k.token.txt"
SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
PLACES = "places.json"
DRAWN_SPLITS = "splits.json"
FEATURES = "features.pkl"
# In its place where the features need not fit in memory.
MAPPED_FEATURES = "features.npy"
FEATURES_INDEX = "features-index.json"
FEATURES_CACHE = "features-cache"
DESCRIPTIONS = "descriptions.txt"
# Only where the photos are scenes that data/sample/draw.py drew.
DRAWN_SCENES = "scenes.csv"

# In DATA, and copied to MODEL so that it is self-contained.
ENCODER_RECORD = "features.json"
VOCABULARY = "vocabulary.json"

# What the scripts write into DATA, which is no captions file of a person's.
OWN_FILES = (
    *SPLITS.values(),
    PLACES,
    DRAWN_SPLITS,
    DESCRIPTIONS,
    DRAWN_SCENES,
    ENCODER_RECORD,
    FEATURES_INDEX,
    VOCABULARY,
)

# In MODEL.
CAPTIONER = "captioner.keras"
TRAINING_PHOTOS = "training-photos.json"
RECIPE = "recipe.toml"
HISTORY = "history.csv"
CURVES = "curves.png"
CHECKPOINT = "checkpoint.npz"
SCORES = "scores.json"
GENERATED_CAPTIONS = "captions.csv"
GALLERY = "captions.html"

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


def require(path: Path, remedy: str, place: str = "") -> Path:
    """Returns the path if there is such a file, and raises `UserError` with the remedy if not.

    `place` is what the message says besides on where it was looked for.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing{place}: {remedy}")
    return path


def is_drawn_scene(photo: Path) -> bool:
    """Returns whether a photo is one of the scenes that the project drew for itself."""
    return (photo.absolute().parent.parent / DRAWN_SCENES).is_file()


# Columns of HISTORY that tell which epoch is best: of fine-tuning, which has a mean REWARD, the one
# with the highest CIDEr-D; of the epochs before it, the one with the lowest loss.
VALIDATION_LOSS = "val_loss"
VALIDATION_CIDER = "val_cider_d"
REWARD = "reward"
