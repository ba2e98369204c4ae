"""Captions any photo: a line each, path<TAB>caption.

    python generate.py dog.jpg holiday/ --model models/flickr8k
    python generate.py holiday/ --csv captions.csv --html captions.html

Reads   the given photos, and those in the given folders
        MODEL/                  from train.py
        the encoder's weights   those that the model was trained with
Writes  the lines on standard output; with --csv the same as a table, and with --html a page with
        the photos, which shows the probability of each word
Takes   a few seconds to load the networks, then about 10 photos a second with VGG16 on two cores.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from captioning.cli import DONE, DONE_IN_PART, UserError, one_line, run
from captioning.decoding import decoded_token_ids, generate_desc, token_probabilities
from captioning.encoders import FLOAT32, Encoder
from captioning.features import check_same_encoder
from captioning.files import ENCODER_RECORD
from captioning.gallery import Caption, Card, Page, write_gallery
from captioning.photos import PhotoError, encode_photos, find_photos
from captioning.saved_model import SavedModel, load_model
from captioning.settings import SettingsParser
from captioning.storage import write_table

# Where things are.
MODEL = Path("models/flickr8k")  # the model folder, which train.py wrote

# How captions are written.
BEAM = 1  # beam width; 1 is greedy
BATCH_SIZE = 6  # photos that the encoder takes at once


def main(arguments: Sequence[str] | None = None) -> int:
    """Loads model and encoder, captions the photos, prints and writes."""
    options = make_parser().parse_settings(arguments)
    for flag, path in (("--csv", options.csv), ("--html", options.html)):
        if path and path.is_dir():
            raise UserError(f"{path} is a folder: name a file with {flag}")
    skipped = {}
    photos = list_photos(options.photos, skipped.__setitem__)
    model = load_model(options.model)
    encoder = load_encoder(model, options.weights)
    check = partial(check_encoder, encoder, model, options.model)
    features, unreadable = encode(photos, encoder, options.batch_size, check)
    skipped |= unreadable
    for path, reason in skipped.items():
        print(f"skipped {one_line(str(path))}: {reason}", file=sys.stderr)
    if not features:
        raise UserError("none of the photos can be read")

    paths, features = list(features), np.stack(list(features.values()))
    captions = generate_desc(model.captioner, model.vocabulary, features, options.beam)
    if options.csv:
        write_csv(options.csv, paths, captions)
    if options.html:
        write_page(options.html, paths, features, model, captions, options.beam)
    for path in filter(None, (options.csv, options.html)):
        print(f"wrote {path}", file=sys.stderr)
    for path, caption in zip(paths, captions, strict=True):
        print(f"{one_line(str(path))}\t{caption}")
    return DONE_IN_PART if skipped else DONE


def make_parser() -> SettingsParser:
    """Makes the parser of the command line."""
    parser = SettingsParser(globals())
    parser.add_argument(
        "photos", type=Path, nargs="+", metavar="PHOTO_OR_FOLDER", help="what to caption"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write photos and captions there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to look at there")
    parser.add_argument(
        "--weights",
        metavar="imagenet|none|FILE",
        help="the encoder's weights, if they are no longer where MODEL says",
    )
    return parser


def list_photos(places: Sequence[Path], on_skip: Callable[[str, str], None]) -> list[Path]:
    """Lists the given photos as they are named, and those in the given folders sorted, each once.

    `on_skip` is called with path and reason of what a folder holds and `find_photos` leaves out.

    Raises:
        UserError: if a place does not exist, or a folder holds no photos.
    """
    photos = []
    for place in places:
        if place.is_dir():
            found = find_photos(place, on_skip)
            if not found:
                raise UserError(f"{place} holds no photos: name a photo, or a folder with photos")
            photos += found
        elif place.exists():
            photos.append(place)
        else:
            raise UserError(f"{place} does not exist: name a photo, or a folder with photos")
    return list(dict.fromkeys(photos))


def load_encoder(model: SavedModel, weights: str | None) -> Encoder:
    """Loads the encoder of a model, with other weights than the model names if any are given."""
    record = model.encoder_record
    return Encoder(record["encoder"], weights or record["weights"], record.get("dtype", FLOAT32))


def check_encoder(encoder: Encoder, model: SavedModel, folder: Path) -> None:
    """Raises `UserError` if the model was trained with another encoder or other weights."""
    trained_with, source = folder / ENCODER_RECORD, f"--weights {encoder.weights}"
    check_same_encoder(model.encoder_record, trained_with, encoder.record(), source)


def encode(
    photos: Sequence[Path], encoder: Encoder, batch_size: int, check: Callable[[], None]
) -> tuple[dict[Path, np.ndarray], dict[Path, str]]:
    """Encodes photos; returns the features of each, (length,), and why others have none.

    `check` raises if the encoder is the wrong one. It runs while the first photos are encoded,
    since both take a moment if the weights are large.
    """
    encoded = tqdm(
        encode_photos(photos, encoder, batch_size),
        total=len(photos),
        unit=" photos",
        delay=1,
        disable=None,
    )
    features, skipped = {}, {}
    with ThreadPoolExecutor(max_workers=1) as pool:
        checked = pool.submit(check)
        for path, found in encoded:
            checked.result()
            if isinstance(found, PhotoError):
                skipped[path] = str(found)
            else:
                features[path] = found
    return features, skipped


def write_csv(path: Path, photos: Sequence[Path], captions: Sequence[str]) -> None:
    """Writes the table."""
    # It takes a moment to import, which those who want no table need not wait for.
    import pandas as pd

    write_table(path, pd.DataFrame({"photo": map(str, photos), "caption": captions}))


def write_page(
    path: Path,
    photos: Sequence[Path],
    features: np.ndarray,
    model: SavedModel,
    captions: list[str],
    beam_width: int,
) -> None:
    """Writes the page, with the probability of every word of the captions."""
    token_ids = decoded_token_ids(captions, model.vocabulary)
    tokens = token_probabilities(model.captioner, model.vocabulary, features, token_ids)
    decodings = ("greedy" if beam_width == 1 else f"beam {beam_width}",)
    cards = [
        Card(photo.name, photo, (Caption(decodings, of_photo, None),), ())
        for photo, of_photo in zip(photos, tokens, strict=True)
    ]
    count = f"{len(cards):,d} photos" if len(cards) > 1 else "1 photo"
    write_gallery(path, Page(f"Captions of {count}", cards))


if __name__ == "__main__":
    sys.exit(run(main))
