"""Captions every photo of a split, scores the captions, and shows them on a page.

    python evaluate.py --data data/flickr8k --model models/flickr8k
    python evaluate.py --split dev --beam 3
    python evaluate.py --model models/flickr8k --compare models/another
    python evaluate.py --model models/one models/two models/three
    python evaluate.py --models models/*

The metrics are in captioning/scores/metrics.py, the rows in captioning/scores/scoring.py.

Reads   MODEL/                      from train.py
        DATA/features.pkl or .npy, features-cache/      from prepare_photos.py
        DATA/split-captions.tsv, descriptions.txt, vocabulary.json
                                    from prepare_text.py
        the photos                  where prepare_photos.py found them
        OTHER/scores.json, captions.csv     with --compare OTHER
Writes  MODEL/scores.json           the scores that are printed
        MODEL/captions.html         a page of photos, captions and references
        MODEL/captions.csv          photo id, captions, references
Takes   half a minute for the 1,000 test photos of Flickr8k on two cores.
Next    open MODEL/captions.html, then python generate.py PHOTO.

Several models are averaged: each word is chosen by the mean of their
probabilities. The results of models/one and models/two go to models/one+two.
--models prints a table of models that were scored before, and writes nothing.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from captioning.cli import DONE, DONE_IN_PART, UserError, announce_loading, counted, run, wrapped
from captioning.network.model_folders import find_captioner, model_folder, results_folder
from captioning.old import (
    ENCODER_RECORD,
    GALLERY,
    GENERATED_CAPTIONS,
    RECIPE,
    SCORES,
    SPLITS,
    digest_of_file,
    locked,
    photo_id,
)
from captioning.photos.features import (
    FeatureRows,
    check_same_encoder,
    read_encoder_record,
    read_features,
)
from captioning.photos.listing import find_photos
from captioning.photos.lookalikes import notes_on_lookalikes
from captioning.recipes import make_recipe, read_recipe_of_model, write_recipe
from captioning.settings import SettingsParser, whole_number
from captioning.text.places import photo_folders
from captioning.text.prepared import read_prepared_text

# Keras and pandas take seconds to load: what needs them is imported after the arguments.
if TYPE_CHECKING:
    from captioning.network.saved_model import SavedModel
    from captioning.scores.scoring import SplitReferences

# Where things are.
DATA = Path("data/flickr8k")  # the data folder, with what prepare_photos and prepare_text wrote
MODEL = (Path("models/flickr8k"),)  # the model folder, where the results go; several are averaged

# What is captioned, and how.
SPLIT = "test"  # the photos to caption; dev is the validation split
BEAM = (3, 5)  # beam widths, each a row of the table besides greedy decoding; 1 adds none
CONSENSUS = (5,)  # beam widths, each a row: the beam's caption most like the others; 1 adds none
NO_REPEAT_NGRAM_SIZE = 0  # no caption repeats a sequence of so many words; 0 allows it

# What is shown.
SHOWN_PHOTOS = 10  # photos whose captions and references are printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the arguments, and evaluates while no other run changes the model."""
    types = {
        "SPLIT": tuple(SPLITS),
        "NO_REPEAT_NGRAM_SIZE": whole_number(0),
        "SHOWN_PHOTOS": whole_number(0),
    }
    parser = SettingsParser(globals(), types)
    alternatives = parser.add_mutually_exclusive_group()
    alternatives.add_argument(
        "--compare",
        type=Path,
        metavar="OTHER_MODEL",
        help="compare the scores with those of another model that was evaluated on the same photos",
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
        return print_models(options.models, options.typed)
    options.model = tuple(map(model_folder, options.model))
    check_arguments(options)
    # Until its results stand beside it, the model must stay what it is.
    with locked(options.model[0], "train.py or evaluate.py"):
        return evaluate(parser, options)


def evaluate(parser: SettingsParser, options: argparse.Namespace) -> int:
    """Captions the photos, scores, writes and prints."""
    announce_loading("Keras")
    from captioning.network.decoding import token_probabilities
    from captioning.network.saved_model import notes_on_training_photos
    from captioning.pages.page import write_page
    from captioning.pages.results import make_cards, make_results_page
    from captioning.scores import report, scoring
    from captioning.scores.comparison import compare_captions, read_other_captions
    from captioning.scores.notes import notes_on

    folder = results_folder(options.model)
    model, references, features = read_inputs(options)
    scored = options.data, options.split, references.photo_ids
    seen = notes_on_training_photos(model, *scored)
    if options.compare:
        others = read_other_captions(options.compare, options.data, options.split, references)
    print(parser.describe(options))
    decoded = decode_split(model, features, options)
    rows = scoring.score_rows(decoded, model.vocabulary, references)
    results = scoring.summarize(rows, model.vocabulary, references.training)
    seen += notes_on_lookalikes(*scored, {"train": references.training_photos})
    scores = {
        "data": str(options.data),
        "split": options.split,
        "photos": len(features),
        "vocabulary_size": model.vocabulary.size,
        "results": results,
        "notes": [*seen, *notes_on(rows, results)],
    }
    if options.compare:
        scores["compared_with"] = str(options.compare)
        scores["comparison"] = compare_captions(rows, decoded, others, references)
    tokens = {
        title: token_probabilities(model.captioner, model.vocabulary, features, captions)
        for title, captions in decoded.items()
    }
    # Where two folders have a photo of the same name, the first folder's counts.
    found = chain.from_iterable(map(find_photos, photo_folders(options.data)))
    paths = {photo_id(path.name): path for path in reversed(list(found))}
    cards = make_cards(paths, references, tokens, rows)
    # The page shows the recipe.
    if len(options.model) > 1:
        models = [str(place) for place in options.model]
        settings = {"data": str(options.data), "model": models}
        settings |= parser.settings_in_force(options)
        write_recipe(folder / RECIPE, make_recipe({"evaluate": settings}, options.data))
    page = make_results_page(folder, cards, rows, scores, references)
    write_page(folder / GALLERY, page)
    captions = {title: rows[title].captions for title in decoded}
    path = folder / GENERATED_CAPTIONS
    report.write_captions(path, references.photo_ids, captions, references.texts)
    scores[scoring.CAPTIONS_DIGEST] = digest_of_file(path)
    scoring.write_scores(folder, scores)
    print_report(folder, options, references, rows[scoring.GREEDY].captions, scores)
    return DONE


def print_models(folders: Sequence[Path], typed: set[str]) -> int:
    """Prints one table of models that have been scored, and names those that have not."""
    if typed:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(typed))
        raise UserError(f"--models prints the scores that the models have: leave out {flags}")
    from captioning.scores.model_table import print_models_table, read_scored_models

    rows, missing = read_scored_models(folders)
    print_models_table(rows, missing)
    return DONE_IN_PART if missing else DONE


def check_arguments(options: argparse.Namespace) -> None:
    """Raises `UserError` for the mistakes that can be found before Keras is loaded."""
    read_encoder_record(options.data)
    for folder in options.model:
        find_captioner(folder, options.data)
    if options.compare:
        read_recipe_of_model(options.compare)


def read_inputs(options: argparse.Namespace) -> "tuple[SavedModel, SplitReferences, FeatureRows]":
    """Reads the model, or the average of several, and the references and features.

    The features are (photos, length), in the order of the references.
    """
    from captioning.network.saved_model import load_models
    from captioning.scores.scoring import read_references

    data = options.data
    record = read_encoder_record(data)
    model = load_models(options.model, data)
    place = options.model[0] / ENCODER_RECORD
    check_same_encoder(model.encoder_record, place, record, data / ENCODER_RECORD)
    features = read_features(data)
    references = read_references(read_prepared_text(data), options.split, features)
    return model, references, features.select(references.photo_ids)


def decode_split(
    model: "SavedModel", features: FeatureRows, options: argparse.Namespace
) -> dict[str, list[list[int]]]:
    """Captions the photos by each decoding: title (`beam 3`) -> token ids of each caption."""
    from tqdm import tqdm

    from captioning.network.decoding import PHOTOS_AT_ONCE, CaptionDecoder
    from captioning.scores.scoring import BEAM, CONSENSUS, GREEDY

    decoder = CaptionDecoder(model.captioner, model.vocabulary)
    beams = {1: GREEDY} | {width: f"{BEAM} {width}" for width in options.beam if width > 1}
    consensus = {width: f"{CONSENSUS} {width}" for width in options.consensus if width > 1}
    decoded = {title: [] for title in (*beams.values(), *consensus.values())}
    # Each width is searched once, also where its best caption and its consensus are wanted.
    widths = dict.fromkeys((*beams, *consensus))
    size, total = options.no_repeat_ngram_size, len(widths) * len(features)
    with tqdm(total=total, unit=" captions", delay=1, disable=None) as progress:
        for width in widths:
            for start in range(0, len(features), PHOTOS_AT_ONCE):
                batch = features[start : start + PHOTOS_AT_ONCE]
                finished = decoder.finished_captions(batch, width, no_repeat_ngram_size=size)
                if width in beams:
                    decoded[beams[width]] += [captions[0] for captions in finished]
                if width in consensus:
                    decoded[consensus[width]] += map(decoder.choose_by_consensus, finished)
                progress.update(len(finished))
    return decoded


def print_report(
    folder: Path,
    options: argparse.Namespace,
    references: "SplitReferences",
    captions: Sequence[Sequence[str]],
    scores: dict,
) -> None:
    """Prints captions, the tables with their notes, what was written, and what to run next."""
    from captioning.scores import report

    report.print_examples(references.photo_ids, captions, references.texts, options.shown_photos)
    print(f"\n{folder} on the {options.split} split, {counted(scores['photos'], 'photo')}\n")
    if len(options.model) > 1:
        print(f"the average of {', '.join(map(str, options.model))}\n")
    report.print_results(scores["results"])
    print()
    report.print_paragraphs(scores["notes"])
    if options.compare:
        report.print_comparison(scores["comparison"], folder, options.compare)
    names = (GALLERY, GENERATED_CAPTIONS, SCORES, *([RECIPE] if len(options.model) > 1 else []))
    print("\n" + wrapped(f"wrote {', '.join(names)} to {folder}"))
    print(wrapped(f"next: open {folder / GALLERY} in a browser, or caption photos of your own:"))
    print(f"python generate.py PHOTO --model {shlex.join(map(str, options.model))}")


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
