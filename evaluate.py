"""Captions every photo of a split, scores the captions, and shows them on a page.

    python evaluate.py --data data/flickr8k --model models/flickr8k
    python evaluate.py --split dev --beam 3
    python evaluate.py --model models/flickr8k --compare models/another
    python evaluate.py --model models/one models/two models/three
    python evaluate.py --models models/*

The metrics are in captioning/scores/metrics.py, the rows in scoring.py there.

Reads   MODEL/                      from train.py
        DATA/features.*             from prepare_photos.py
        DATA/split-captions.tsv, descriptions.txt, vocabulary.json
                                    from prepare_text.py
        OTHER/scores.json, captions.csv     with --compare OTHER
Writes  MODEL/captions.csv          photo id, captions, references
        MODEL/captions.html         a page of photos, captions and references
        MODEL/scores.json           the scores that are printed
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
from pathlib import Path

from captioning.cli import DONE, DONE_IN_PART, UserError, announce_loading, run, wrapped
from captioning.files import (
    ENCODER_RECORD,
    GENERATED_CAPTIONS,
    RECIPE,
    RESULTS_PAGE,
    SCORES,
    SPLITS,
)
from captioning.network.model_folder import (
    SavedModel,
    find_captioner,
    load_models,
    make_recipe,
    model_folder,
    notes_on_training_photos,
    results_folder,
    write_recipe,
)
from captioning.photos.features import (
    Features,
    check_same_encoder,
    read_encoder_record,
    read_features,
)
from captioning.photos.listing import photo_folders
from captioning.photos.lookalikes import notes_on_lookalikes
from captioning.settings import SettingsParser, whole_number
from captioning.storage import locked, write_json
from captioning.text.vocabulary import PreparedText, read_prepared_text

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
    numbers = dict.fromkeys(("NO_REPEAT_NGRAM_SIZE", "SHOWN_PHOTOS"), whole_number(0))
    parser = SettingsParser(globals(), {"SPLIT": tuple(SPLITS), **numbers})
    add = parser.add_mutually_exclusive_group().add_argument
    words = "compare the scores with those of a model that was evaluated on the same photos"
    add("--compare", type=Path, metavar="OTHER_MODEL", help=words)
    words = "print the scores of these models and the settings in which they differ"
    add("--models", type=Path, nargs="+", metavar="MODEL", help=words)
    options = parser.parse_settings(arguments)
    if options.models:
        return print_models(options)
    options.model = tuple(map(model_folder, options.model))
    for folder in options.model:
        find_captioner(folder, options.data)
    # Until its results stand beside it, the model must stay what it is.
    with locked(options.model[0], "train.py or evaluate.py"):
        return evaluate(parser, options)


def print_models(options: argparse.Namespace) -> int:
    """Prints one table of models that have been scored, and names those that have not."""
    if options.typed:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(options.typed))
        raise UserError(f"--models prints the scores that the models have: leave out {flags}")
    from captioning.scores import report

    messages = report.print_models(options.models)
    for message in messages:
        print(f"left out: {message}", file=sys.stderr)
    return DONE_IN_PART if messages else DONE


def evaluate(parser: SettingsParser, options: argparse.Namespace) -> int:
    """Captions the photos, scores, writes and prints."""
    read_encoder_record(options.data)
    announce_loading("Keras")
    # Keras and pandas take seconds to load, which nobody should wait for who made a mistake.
    from captioning.network.decoding import token_probabilities
    from captioning.pages.page import write_page
    from captioning.pages.results import make_cards, make_results_page
    from captioning.scores import report, scoring

    data, split, folder = options.data, options.split, results_folder(options.model)
    model, text, features = read_inputs(options)
    references = scoring.read_references(text, split, features)
    features = features.select(references.photo_ids)
    notes = notes_on_training_photos(model, data, split, references.photo_ids)
    notes += notes_on_lookalikes(data, {"train": text.splits["train"], split: references.photo_ids})
    others = {}
    if options.compare:
        others = scoring.read_other_captions(options.compare, split, references)
    print(parser.describe(options))
    decoded = decode_split(model, features, options)
    rows = scoring.score_rows(decoded, model.vocabulary, references)
    results = scoring.summarize(rows, model.vocabulary, references.training)
    captions = {title: rows[title].captions for title in decoded}
    scores = scoring.Scores(
        data=str(data),
        split=split,
        photos=len(features),
        results=results,
        notes=notes + report.notes_on(rows, results),
        captions_sha256=scoring.write_captions(folder, captions, references),
        compared_with=str(options.compare or ""),
        comparison=scoring.compare_captions(rows, others, references),
    )
    if len(options.model) > 1:
        settings = {"data": str(data), "model": [*map(str, options.model)]}
        settings |= parser.settings_in_force(options)
        write_recipe(folder / RECIPE, make_recipe({"evaluate": settings}, data))
    tokens = {
        title: token_probabilities(model.captioner, model.vocabulary, features, token_ids)
        for title, token_ids in decoded.items()
    }
    cards = make_cards(photo_folders(data), references, tokens, rows)
    page = make_results_page(folder, cards, scores, references)
    write_page(folder / RESULTS_PAGE, page)
    write_json(folder / SCORES, scores)
    report.print_examples(references, captions[scoring.GREEDY], options.shown_photos)
    report.print_results(scores, folder)
    print("\n" + wrapped(f"wrote {RESULTS_PAGE}, {GENERATED_CAPTIONS} and {SCORES} to {folder}"))
    print(
        wrapped(f"next: open {folder / RESULTS_PAGE} in a browser, or caption photos of your own:")
    )
    print(f"python generate.py PHOTO --model {shlex.join(map(str, options.model))}")
    return DONE


def read_inputs(options: argparse.Namespace) -> tuple[SavedModel, PreparedText, Features]:
    """Reads the model, or the average of several, and the text and features that it is run on."""
    model, path = load_models(options.model, options.data), options.model[0] / ENCODER_RECORD
    record = read_encoder_record(options.data)
    check_same_encoder(model.encoder_record, path, record, options.data / ENCODER_RECORD)
    return model, read_prepared_text(options.data), read_features(options.data)


def decode_split(
    model: SavedModel, features: Features, options: argparse.Namespace
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


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
