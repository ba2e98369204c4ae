"""Captions any photo: a line each, path<TAB>caption.

    python generate.py dog.jpg holiday/ --model models/flickr8k
    python generate.py holiday/ --csv captions.csv --html captions.html

Reads   the photos, and those in the folders, that are given
        MODEL/                  from train.py
        the encoder's weights   those that the model was trained with
Writes  the lines on standard output; with --csv the same as a table, and with --html a page with
        the photos, which shows how sure the model was of each word
Takes   a few seconds to load the networks, then about 10 photos a second with VGG16 on two cores.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from captioning.confidence import word_choices
from captioning.model_folder import load_captioner
from tqdm import tqdm

from captioning.cli import DONE, DONE_IN_PART, ArgumentParser, UserError, one_line, run
from captioning.decoding import CaptionDecoder, decode
from captioning.encoders import FLOAT32, Encoder
from captioning.features import check_same_encoder
from captioning.files import ENCODER_RECORD
from captioning.gallery import Caption, Card, Page, write_gallery
from captioning.photos import PhotoError, encode_photos, find_photos
from captioning.settings import positive_integer
from captioning.storage import write_table

# Where things are.
MODEL = Path("models/flickr8k")  # what train.py wrote

# How captions are written.
BEAM = 1  # beam width; 1 is greedy
BATCH_SIZE = 6  # photos that the encoder takes at once


def expand(places, on_skip=None):
    """Lists the photos that the user named.

    Args:
        places: list of pathlib.Path, photos and folders.
        on_skip: callable that is given the path and the reason, both str, of what a folder holds
            and is left out; see `captioning.photos.find_photos`.

    Returns:
        list of pathlib.Path, each photo once: those named as they are, those of a folder sorted.

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


def encode(photos, encoder, check):
    """Turns photos into vectors.

    Args:
        photos: list of pathlib.Path.
        encoder: captioning.encoders.Encoder.
        check: callable without arguments that raises if the encoder is not the right one. It runs
            beside the first photos, since both take a moment where the weights are large.

    Returns:
        tuple of dict of pathlib.Path -> numpy.ndarray, float32, (length,), the vectors, and dict of
        pathlib.Path -> str, why a photo has none.
    """
    encoded = tqdm(
        encode_photos(photos, encoder, BATCH_SIZE),
        total=len(photos),
        unit=" photos",
        delay=1,
        disable=None,
    )
    vectors, skipped = {}, {}
    with ThreadPoolExecutor(max_workers=1) as pool:
        checked = pool.submit(check)
        for path, vector in encoded:
            checked.result()
            if isinstance(vector, PhotoError):
                skipped[path] = str(vector)
            else:
                vectors[path] = vector
    return vectors, skipped


def write_csv(path, paths, captions):
    """Writes the table.

    Args:
        path: pathlib.Path of the CSV file.
        paths: list of pathlib.Path, the photos.
        captions: list of str.
    """
    # Those who want no table need not wait for it to be imported.
    import pandas as pd

    write_table(path, pd.DataFrame({"photo": map(str, paths), "caption": captions}))


def write_page(path, paths, vectors, captioner, word_ids, beam_width):
    """Writes the page; see `captioning.gallery`.

    Args:
        path: pathlib.Path of the HTML file.
        paths: list of pathlib.Path, the photos.
        vectors: numpy.ndarray, float32, (photos, length).
        captioner: captioning.model_folder.Captioner.
        word_ids: list of list of int, the captions.
        beam_width: int, 1 is greedy.
    """
    decodings = ("greedy" if beam_width == 1 else f"beam {beam_width}",)
    choices = word_choices(captioner.model, captioner.vocabulary, vectors, word_ids)
    cards = [
        Card(photo.name, photo, (Caption(decodings, words, None),), ())
        for photo, words in zip(paths, choices, strict=True)
    ]
    count = f"{len(cards):,d} photos" if len(cards) > 1 else "1 photo"
    write_gallery(path, Page(f"Captions of {count}", cards))


def load_encoder(captioner, weights):
    """Loads the encoder that a model was trained with.

    Args:
        captioner: captioning.model_folder.Captioner.
        weights: str as `--weights` takes it, or None for those that the model names.

    Returns:
        captioning.encoders.Encoder.

    Raises:
        UserError: if its weights cannot be had.
    """
    record = captioner.encoder_record
    return Encoder(record["encoder"], weights or record["weights"], record.get("dtype", FLOAT32))


def check_encoder(encoder, captioner, folder):
    """Checks that an encoder is the one that a model was trained with.

    Args:
        encoder: captioning.encoders.Encoder.
        captioner: captioning.model_folder.Captioner.
        folder: pathlib.Path of the model folder.

    Raises:
        UserError: if its weights are others.
    """
    trained_with, source = folder / ENCODER_RECORD, f"--weights {encoder.weights}"
    check_same_encoder(captioner.encoder_record, trained_with, encoder.record(), source)


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument(
        "photos", type=Path, nargs="+", metavar="PHOTO_OR_FOLDER", help="what to caption"
    )
    parser.add_argument("--model", type=Path, default=MODEL, metavar="DIR", help="the model folder")
    parser.add_argument(
        "--beam", type=positive_integer, default=BEAM, metavar="K", help="beam width; 1 is greedy"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write photo and caption there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to look at there")
    parser.add_argument(
        "--weights",
        metavar="imagenet|none|FILE",
        help="the encoder's weights, where they are no longer at the place that MODEL names",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Loads model and encoder, captions the photos, prints and writes."""
    options = parse_arguments(arguments)
    for flag, path in (("--csv", options.csv), ("--html", options.html)):
        if path and path.is_dir():
            raise UserError(f"{path} is a folder: name a file with {flag}")
    skipped = {}
    photos = expand(options.photos, skipped.__setitem__)
    captioner = load_captioner(options.model)
    encoder = load_encoder(captioner, options.weights)
    check = partial(check_encoder, encoder, captioner, options.model)
    vectors, unreadable = encode(photos, encoder, check)
    skipped |= unreadable
    for path, reason in skipped.items():
        print(f"skipped {one_line(str(path))}: {reason}", file=sys.stderr)
    if not vectors:
        raise UserError("none of the photos can be read")
    paths, vectors = list(vectors), np.stack(list(vectors.values()))
    decoder = CaptionDecoder(captioner.model, captioner.vocabulary)
    word_ids = decode(decoder, vectors, options.beam)
    captions = [" ".join(captioner.vocabulary.detokenize(ids)) for ids in word_ids]
    if options.csv:
        write_csv(options.csv, paths, captions)
    if options.html:
        write_page(options.html, paths, vectors, captioner, word_ids, options.beam)
    for path in filter(None, (options.csv, options.html)):
        print(f"wrote {path}", file=sys.stderr)
    for path, caption in zip(paths, captions, strict=True):
        print(f"{one_line(str(path))}\t{caption}")
    return DONE_IN_PART if skipped else DONE


if __name__ == "__main__":
    sys.exit(run(main))
