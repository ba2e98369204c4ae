"""Captions any photo: a line each, path<TAB>caption.

    python generate.py dog.jpg holiday/ --model models/flickr8k
    python generate.py dog.jpg --model models/one models/two
    python generate.py holiday/ --csv captions.csv --html captions.html

Reads   the photos that are given, and those in the folders that are given
        MODEL/                  from train.py
        the encoder's weights   those that the model was trained with
Writes  the lines on standard output; with --csv the same as a table, and with --html a page with
        the photos, which shows how probable the model found each word
Takes   a few seconds to load the networks, then about 10 photos a second with VGG16 on two cores.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from captioning.cli import DONE, DONE_IN_PART, UserError, one_line, run
from captioning.decoding import generate_desc, token_ids_of_caption, token_probabilities
from captioning.encoders import FLOAT32, Encoder
from captioning.features import check_same_encoder
from captioning.files import CAPTIONER, ENCODER_RECORD
from captioning.gallery import Caption, Card, Page, write_gallery
from captioning.photos import PhotoError, encode_photos, expand_places
from captioning.saved_model import SavedModel, load_models
from captioning.settings import SettingsParser, whole_number
from captioning.storage import write_table

# Where things are.
MODEL = (Path("models/flickr8k"),)  # the model folder; several are averaged

# How captions are decoded.
BEAM = 3  # beam width; 1 is greedy
CONSENSUS = False  # takes the beam's caption most like its others; a wide beam is best
NO_REPEAT_NGRAM_SIZE = 0  # no caption repeats a sequence of so many words; 0 allows it
BATCH_SIZE = 6  # photos that the encoder takes at once; more need more memory and gain little


def main(arguments: Sequence[str] | None = None) -> int:
    """Loads model and encoder, captions the photos, writes table and page, prints the captions."""
    parser = make_parser()
    options = parser.parse_settings(arguments)
    separate_photos(options)
    if options.consensus and options.beam == 1:
        raise UserError("--consensus chooses among the captions of a beam: add --beam 10, say")
    check_output("--csv", options.csv)
    check_output("--html", options.html)

    skipped = {}
    photos = expand_places(options.photos, skipped.__setitem__)
    model = load_models(options.model)
    encoder = load_encoder(model, options)
    encoded = {}
    for path, result in encode_photos(photos, encoder, options.batch_size):
        if isinstance(result, PhotoError):
            skipped[path] = result
        else:
            encoded[path] = result
    for path, reason in skipped.items():
        print(f"skipped {one_line(str(path))}: {reason}", file=sys.stderr)
    if not encoded:
        raise UserError("none of the photos can be read")

    paths, features = list(encoded), np.stack(list(encoded.values()))
    captions = generate_desc(
        model.captioner,
        model.vocabulary,
        features,
        options.beam,
        consensus=options.consensus,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
    )
    print_changed_settings(parser, options)
    if options.csv:
        write_csv(options.csv, paths, captions)
    if options.html:
        write_page(options.html, paths, features, captions, model, decoding_name(options))
    for path, caption in zip(paths, captions, strict=True):
        print(f"{one_line(str(path))}\t{caption}")
    return DONE_IN_PART if skipped else DONE


def separate_photos(options: argparse.Namespace) -> None:
    """Finds the photos in `--model A B PHOTO`, where the flag takes all names that follow it.

    The first is always a model, and all are where photos were named before.

    Raises:
        UserError: if no photo is named.
    """
    if options.photos:
        return
    first, *others = options.model
    models = [folder for folder in others if (folder / CAPTIONER).is_file()]
    options.photos = [place for place in others if place not in models]
    options.model = (first, *models)
    if not options.photos:
        raise UserError("PHOTO_OR_FOLDER is missing: name what to caption; see --help")


def check_output(flag: str, path: Path | None) -> None:
    """Refuses a folder, and a photo after the flag, which must not be overwritten."""
    if path and (path.is_dir() or path.suffix.lower() != f".{flag[2:]}"):
        kind = "is a folder" if path.is_dir() else f"does not end in .{flag[2:]}"
        raise UserError(f"{path} {kind}: name a file with {flag}, such as captions.{flag[2:]}")


def make_parser() -> SettingsParser:
    """Makes the parser of the constants' flags and of those that have no constant."""
    parser = SettingsParser(globals(), {"NO_REPEAT_NGRAM_SIZE": whole_number(0)})
    parser.add_argument(
        "photos", type=Path, nargs="*", metavar="PHOTO_OR_FOLDER", help="what to caption"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write photo and caption there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to look at there")
    parser.add_argument(
        "--weights",
        metavar="imagenet|none|FILE",
        help="the encoder's weights, where they are no longer at the place that MODEL names",
    )
    return parser


def print_changed_settings(parser: SettingsParser, options: argparse.Namespace) -> None:
    """Prints the settings if a recipe or flag changed some; standard output is for captions."""
    settings = parser.settings_in_force(options)
    if any(value != parser.constants[name.upper()] for name, value in settings.items()):
        print(parser.describe(options), file=sys.stderr)


def decoding_name(options: argparse.Namespace) -> str:
    """Names the way that captions are decoded as evaluate.py does."""
    if options.beam == 1:
        return "greedy"
    return f"{'consensus' if options.consensus else 'beam'} {options.beam}"


def load_encoder(model: SavedModel, options: argparse.Namespace) -> Encoder:
    """Loads the encoder that a model was trained with, from `--weights` if they have moved.

    Raises:
        UserError: if the weights are others.
    """
    record = model.encoder_record
    weights = options.weights or record["weights"]
    encoder = Encoder(record["encoder"], weights, record.get("dtype", FLOAT32))
    place = options.model[0] / ENCODER_RECORD
    check_same_encoder(record, place, encoder.record(), f"--weights {weights}")
    return encoder


def write_csv(path: Path, photos: list[Path], captions: list[str]) -> None:
    """Writes a table with the columns photo and caption."""
    # Whoever wants no table need not wait for pandas.
    import pandas as pd

    write_table(path, pd.DataFrame({"photo": map(str, photos), "caption": captions}))
    print(f"wrote {path}", file=sys.stderr)


def write_page(
    path: Path,
    photos: list[Path],
    features: np.ndarray,
    captions: list[str],
    model: SavedModel,
    decoding: str,
) -> None:
    """Writes the page that shows each photo, its caption, and the probability of each word."""
    token_ids = [token_ids_of_caption(caption, model.vocabulary) for caption in captions]
    tokens = token_probabilities(model.captioner, model.vocabulary, features, token_ids)
    cards = [
        Card(photo.name, photo, (Caption((decoding,), tokens_of_photo, None),), ())
        for photo, tokens_of_photo in zip(photos, tokens, strict=True)
    ]
    count = f"{len(cards):,d} photos" if len(cards) > 1 else "1 photo"
    write_gallery(path, Page(f"Captions of {count}", cards))
    print(f"wrote {path}", file=sys.stderr)


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
