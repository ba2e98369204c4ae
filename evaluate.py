"""Captions every photo of a split, scores the captions against the references, and shows them.

    python evaluate.py --data data/flickr8k --model models/flickr8k
    python evaluate.py --data data/flickr8k --model models/flickr8k --split dev --beam 3
    python evaluate.py --data data/flickr8k --model models/flickr8k --compare models/another
    python evaluate.py --models models/*

The metrics are in captioning/metrics.py, the rows of the table in captioning/scoring.py.

Reads   MODEL/                      from train.py
        DATA/features.pkl           from prepare_photos.py
        DATA/Flickr8k.token.txt     the captions as people wrote them, the references
        DATA/descriptions.txt       the same captions cleaned, from prepare_text.py
        DATA/Flickr_8k.testImages.txt (or dev, train)
        DATA/photos/                for the page, as far as the photos are there
Writes  MODEL/scores.json           the scores that are printed
        MODEL/captions.html         a page of photos with captions, references and scores
        MODEL/captions.csv          photo id, captions, references
Takes   half a minute for the 1,000 test photos of Flickr8k on two cores.
Next    open MODEL/captions.html, then python generate.py PHOTO.

With --models it scores nothing and writes nothing: it prints one table of models that were scored
before.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from captioning import report, scoring
from captioning.cli import DONE, DONE_IN_PART, UserError, run
from captioning.decoding import PHOTOS_AT_ONCE, CaptionDecoder
from captioning.features import check_same_encoder, read_encoder_record, read_features
from captioning.files import ENCODER_RECORD, GALLERY, GENERATED_CAPTIONS, PHOTOS, SCORES, SPLITS
from captioning.gallery import write_gallery
from captioning.gallery.evaluation import make_cards, make_page
from captioning.model_table import print_models_table, read_scored_models
from captioning.notes import notes_on
from captioning.saved_model import SavedModel, load_model
from captioning.settings import SettingsParser
from captioning.storage import locked

# Where things are.
DATA = Path("data/flickr8k")  # the data folder, with what prepare_photos and prepare_text wrote
MODEL = Path("models/flickr8k")  # the model folder, where the results go

# What is captioned, and how.
SPLIT = "test"  # the photos to caption; dev is the validation split
BEAM = (3, 5)  # beam widths, each a row of the table besides greedy decoding

# What is shown.
SHOWN_PHOTOS = 10  # photos whose captions and references are printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the model and the split, captions the photos, scores, writes and prints."""
    parser = SettingsParser(globals(), {"SPLIT": tuple(SPLITS)})
    alternatives = parser.add_mutually_exclusive_group()
    alternatives.add_argument(
        "--compare", type=Path, metavar="OTHER_MODEL", help="compare the scores of two models"
    )
    alternatives.add_argument(
        "--models",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="print the scores of these models and the settings in which they differ",
    )
    options = parser.parse_settings(arguments)
    if options.models:
        return print_models(options.models)

    (model, *others), references, features = read_inputs(options)
    print(parser.describe(options))
    decoded = decode_split(model, features, options.beam)
    rows = scoring.score_rows(decoded, model.vocabulary, references)
    results = scoring.summarize(rows, model.vocabulary, references.training)
    scores = {
        "data": str(options.data),
        "split": options.split,
        "photos": len(features),
        "vocabulary_size": model.vocabulary.size,
        "results": results,
        "notes": notes_on(rows, results),
    }
    for other in others:
        other_decoded = decode_split(other, features, options.beam)
        other_rows = scoring.score_rows(other_decoded, other.vocabulary, references)
        compared = {title: other_rows[title] for title in other_decoded}
        scores["compared_with"] = str(options.compare)
        scores["comparison"] = scoring.compare(rows, compared)
    cards = make_cards(options.data / PHOTOS, model, references, features, decoded, rows)
    page = make_page(options.model, cards, rows, scores)
    with locked(options.model, "train.py or evaluate.py"):
        write_gallery(options.model / GALLERY, page)
        captions = {title: rows[title].captions for title in decoded}
        report.write_captions(
            options.model / GENERATED_CAPTIONS, references.photo_ids, captions, references.texts
        )
        scoring.write_scores(options.model, scores)
    print_report(options, references, rows, scores)
    return DONE


def print_models(folders: Sequence[Path]) -> int:
    """Prints one table of models that have been scored, and names those that have not."""
    rows, missing = read_scored_models(folders)
    if not rows:
        raise UserError(missing[0] if missing else "--models names no folder: name model folders")
    print_models_table(rows)
    for message in missing:
        print(f"left out: {message}", file=sys.stderr)
    return DONE_IN_PART if missing else DONE


def read_inputs(
    options: argparse.Namespace,
) -> tuple[list[SavedModel], scoring.SplitReferences, np.ndarray]:
    """Reads the model, the one to compare with if there is one, and the references and features.

    The features are (photos, length), in the order of the references.
    """
    data = options.data
    record = read_encoder_record(data, f"run python prepare_photos.py --data {data}")
    models = []
    for folder in filter(None, (options.model, options.compare)):
        models.append(load_model(folder, data))
        check_same_encoder(
            models[-1].encoder_record, folder / ENCODER_RECORD, record, data / ENCODER_RECORD
        )
    features = read_features(data)
    references = scoring.read_references(data, options.split, features)
    return models, references, np.stack([features[photo] for photo in references.photo_ids])


def decode_split(
    model: SavedModel, features: np.ndarray, beam_widths: Sequence[int]
) -> dict[str, list[list[int]]]:
    """Captions the photos by each decoding: `greedy` or `beam K` -> token ids of each caption."""
    decoder = CaptionDecoder(model.captioner, model.vocabulary)
    widths = {scoring.GREEDY: 1} | {f"beam {width}": width for width in beam_widths if width > 1}
    decoded = {title: [] for title in widths}
    total = len(widths) * len(features)
    with tqdm(total=total, unit=" captions", delay=1, disable=None) as progress:
        for title, width in widths.items():
            for start in range(0, len(features), PHOTOS_AT_ONCE):
                batch = features[start : start + PHOTOS_AT_ONCE]
                decoded[title] += decoder.beam(batch, width)
                progress.update(len(batch))
    return decoded


def print_report(
    options: argparse.Namespace,
    references: scoring.SplitReferences,
    rows: dict[str, scoring.Row],
    scores: dict,
) -> None:
    """Prints captions, the tables with their notes, what was written, and what to run next."""
    report.print_examples(
        references.photo_ids, rows[scoring.GREEDY].captions, references.texts, options.shown_photos
    )
    print(f"\n{options.model} on the {options.split} split, {scores['photos']:,d} photos\n")
    report.print_results(scores["results"])
    print()
    report.print_paragraphs(scores["notes"])
    if options.compare:
        report.print_comparison(scores["comparison"], options.model, options.compare)
    names = (GALLERY, GENERATED_CAPTIONS, SCORES)
    print(f"\nwrote {', '.join(str(options.model / name) for name in names)}")
    print(f"next: open {options.model / GALLERY} in a browser, or caption photos of your own:")
    print(f"python generate.py --model {options.model} PHOTO")


if __name__ == "__main__":
    sys.exit(run(main))
