"""Turns every photo into one vector with a pretrained network, the encoder.

    python prepare_photos.py --data data/flickr8k
    python prepare_photos.py --data my_photos --encoder MobileNetV2

Reads   DATA/photos/            the photos, in any format that Pillow reads
Writes  DATA/features.pkl       a pickled dict: photo identifier -> float32 vector
        DATA/features.json      which encoder and weights made them, and what was skipped
Takes   with VGG16 on two cores about ten minutes for the 8,091 photos of Flickr8k; the first run
        downloads its ImageNet weights (528 MB).
Next    python prepare_text.py, then python train.py.
"""

import sys
from pathlib import Path

from tqdm import tqdm

from captioning.command_line import (
    DONE,
    DONE_IN_PART,
    ArgumentParser,
    UserError,
    positive_integer,
    run,
)
from captioning.encoders import ARCHITECTURES, IMAGENET, Encoder
from captioning.features import write_features
from captioning.files import ENCODER_RECORD, FEATURES, PHOTOS, photo_identifier
from captioning.photos import PhotoError, encode_photos, find_photos

# Where things are.
DATA = Path("data/flickr8k")  # holds the folder photos; the results go there

# The encoder.
ENCODER = "VGG16"  # VGG16, VGG19, ResNet50, InceptionV3, EfficientNetV2B0 or MobileNetV2
WEIGHTS = IMAGENET  # imagenet, none (untrained), or the path of a weights file
BATCH_SIZE = 32  # photos that the network takes at once


def extract_features(directory, encoder=None, batch_size=BATCH_SIZE, on_skip=None):
    """Turns every photo of a folder into a vector.

    Args:
        directory: pathlib.Path or str of the folder; the folders below it are searched too.
        encoder: captioning.encoders.Encoder, or None for that of the constants.
        batch_size: int, photos that the network takes at once.
        on_skip: callable that is given the path and the reason, both str, of each photo that is
            left out, or None to leave them out unsaid.

    Returns:
        dict of str -> numpy.ndarray, float32, (length,): photo identifier -> vector.

    Raises:
        UserError: if the folder is missing or holds no photo.
    """
    paths = list_photos(Path(directory))
    report = on_skip or (lambda path, reason: None)
    paths = _one_of_each(paths, report)
    encoder = encoder or Encoder(ENCODER, WEIGHTS)
    features = {}
    # delay: no bar for what is done before a person wonders; disable=None: none in a log file.
    with tqdm(total=len(paths), unit=" photos", delay=1, disable=None) as progress:
        for path, vector in encode_photos(paths, encoder, batch_size):
            if isinstance(vector, PhotoError):
                report(str(path), str(vector))
            else:
                features[photo_identifier(path.name)] = vector
            progress.update()
    return features


def list_photos(folder):
    """Lists the photos of a folder and checks that there are some.

    Args:
        folder: pathlib.Path.

    Returns:
        list of pathlib.Path, sorted.

    Raises:
        UserError: if the folder is missing or holds no photo.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: put the photos there")
    paths = find_photos(folder)
    if not paths:
        raise UserError(f"{folder} holds no photos: put some there, such as dog.jpg")
    return paths


def _one_of_each(paths, report):
    """Keeps the first photo of each identifier, since its vector is found by that alone."""
    first = {}
    for path in paths:
        kept = first.setdefault(photo_identifier(path.name), path)
        if kept is not path:
            report(str(path), f"{kept.name} has the same identifier")
    return list(first.values())


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument(
        "--encoder", default=ENCODER, metavar="NAME", help=f"one of {', '.join(ARCHITECTURES)}"
    )
    parser.add_argument(
        "--weights",
        default=WEIGHTS,
        metavar="imagenet|none|FILE",
        help="trained on ImageNet (downloaded once), untrained, or from a weights file",
    )
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        default=BATCH_SIZE,
        metavar="N",
        help="photos that the network takes at once",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Reads the photos, encodes them, writes the vectors, and says what was skipped."""
    options = parse_arguments(arguments)
    folder = options.data / PHOTOS
    list_photos(folder)  # Nobody should download an encoder to learn that there is nothing to do.
    skipped = []

    def skip(path, reason):
        tqdm.write(f"skipped {path}: {reason}", file=sys.stderr)
        skipped.append({"photo": path, "reason": reason})

    encoder = Encoder(options.encoder, options.weights)
    features = extract_features(folder, encoder, options.batch_size, skip)
    if not features:
        raise UserError(f"none of the {len(skipped)} photos in {folder} can be read")
    write_features(options.data, features, encoder.record(), skipped)
    print(f"{len(features):,d} photos, {encoder.length:,d} numbers each, by {encoder.name}")
    if skipped:
        print(f"{len(skipped):,d} photos skipped; {options.data / ENCODER_RECORD} says why")
    print(f"wrote {options.data / FEATURES} and {options.data / ENCODER_RECORD}")
    print(f"next: python prepare_text.py --data {options.data}, then train.py")
    return DONE_IN_PART if skipped else DONE


if __name__ == "__main__":
    sys.exit(run(main))
