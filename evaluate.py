"""Captions every photo of a split, scores the captions, and shows them on a page.

    python evaluate.py --data data/flickr8k --model models/flickr8k
    python evaluate.py --split dev --beam 3
    python evaluate.py --model models/flickr8k --compare models/another
    python evaluate.py --model models/one models/two models/three
    python evaluate.py --models models/*

The metrics are in captioning/scores/metrics.py, the rows in scoring.py there.

Reads   MODEL/                      from train.py
        DATA/                       what prepare_photos.py and prepare_text.py
                                    wrote there and, for the page, the photos
        OTHER/scores.json           with --compare OTHER
Writes  MODEL/captions.csv          photo id, captions, references
        MODEL/captions.html         a page of photos, captions and references
        MODEL/scores.json           the scores that are printed, with captions
        MODEL/confidence.json       with --split dev and beam 3: which captions
                                    generate.py marks as unsure
Takes   half a minute for the 1,000 test photos of Flickr8k on two cores.
Next    open MODEL/captions.html, then python generate.py PHOTO.

Several models are averaged: each word is chosen by the mean of their
probabilities. Results and recipe of one and two go to models/one+two.
--models prints a table of models that were scored before, and writes nothing.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from captioning import files
from captioning.cli import DONE, DONE_IN_PART, run, wrapped
from captioning.network import model_folder
from captioning.photos.features import Features, check_same_encoder, read_features
from captioning.photos.listing import photo_folders
from captioning.photos.lookalikes import notes_on_lookalikes
from captioning.settings import SettingsParser, number_from
from captioning.storage import locked, write_json
from captioning.text.vocabulary import read_prepared_text
from captioning.text.words import join_words

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
    numbers = dict.fromkeys(("NO_REPEAT_NGRAM_SIZE", "SHOWN_PHOTOS"), number_from(0))
    parser = SettingsParser(globals(), {"SPLIT": tuple(files.SPLITS), **numbers})
    add = parser.add_mutually_exclusive_group().add_argument
    words = "compare the scores with those of a model that was evaluated on the same photos"
    add("--compare", type=Path, metavar="OTHER_MODEL", help=words)
    words = "print the scores of these models and the settings in which they differ"
    add("--models", type=Path, nargs="+", metavar="MODEL", help=words)
    options = parser.parse_settings(arguments)
    if options.models:
        from captioning.scores import report

        return DONE if report.print_models(options.models) else DONE_IN_PART
    for folder in options.model:
        files.require(model_folder.network_path(folder), options.data)
    # Until its results stand beside it, the model must stay what it is.
    with locked(options.model[0], "train.py or evaluate.py"):
        folder = model_folder.results_folder(options.model)
        evaluate(parser, options, folder)
    page, table, scores = files.RESULTS_PAGE, files.GENERATED_CAPTIONS, files.SCORES
    print("\n" + wrapped(f"wrote {page}, {table} and {scores} to {folder}"))
    print(wrapped(f"next: open {folder / page} in a browser, or caption photos of your own:"))
    print(f"python generate.py PHOTO --model {shlex.join(map(str, options.model))}")
    return DONE


def evaluate(parser: SettingsParser, options: argparse.Namespace, folder: Path) -> None:
    """Captions the photos, scores the captions, writes the results into the folder and prints."""
    data, split = options.data, options.split
    text, features = read_prepared_text(data), read_features(data)
    # Imported late: it takes seconds, and a mistyped flag should fail at once.
    from captioning.captioner import UNSURE_BEAM, write_unsure_below
    from captioning.network.decoding import mean_probability
    from captioning.pages.results import make_cards, write_results_page
    from captioning.scores import report, scoring

    model = model_folder.load_models(options.model)
    paths = options.model[0] / files.ENCODER_RECORD, data / files.ENCODER_RECORD
    check_same_encoder(model.encoder_record, paths[0], features.record, paths[1])
    references = scoring.SplitReferences(text, split, features)
    features = features.select(references.photo_ids)
    notes = model_folder.notes_on_training_photos(model, features, split, data)
    notes += notes_on_lookalikes(data, {"train": text.splits["train"], split: features.ids})
    others = scoring.read_rows(options.compare, split, references) if options.compare else {}
    print(parser.describe(options))
    decoded, tokens = decode(options, model, features)
    rows = scoring.score_rows(decoded, model.vocabulary, references)
    if split == "dev" and (title := scoring.title_of(UNSURE_BEAM)) in tokens:
        write_unsure_below(folder, [*map(mean_probability, tokens[title])])
    scores = scoring.Scores(
        data=str(data),
        split=split,
        photos=len(features),
        results=scoring.summarize(rows, model.vocabulary, references),
        notes=notes + report.notes_on(rows),
        photo_ids=features.ids,
        captions={title: [*map(join_words, rows[title].captions)] for title in decoded},
        compared_with=str(options.compare or ""),
        comparison={x: scoring.compare(rows[x], others[x]) for x in decoded if x in others},
    )
    cards = make_cards(photo_folders(data), references, tokens, rows)
    if len(options.model) > 1:
        settings = parser.settings_in_force(options) | {"model": [*map(str, options.model)]}
        recipe = {"evaluate": {"data": str(data), **settings}}
        model_folder.write_recipe(folder / files.RECIPE, model_folder.make_recipe(recipe, data))
    scoring.write_captions(folder / files.GENERATED_CAPTIONS, scores.captions, references)
    write_results_page(folder, cards, scores, references)
    write_json(folder / files.SCORES, scores)
    report.print_results(folder, scores, references, options.shown_photos)


def decode(
    options: argparse.Namespace, model: model_folder.SavedModel, features: Features
) -> tuple[dict[str, list[list[int]]], dict[str, list[Any]]]:
    """Captions the photos: title of a row -> token ids of each caption, and their probabilities."""
    from captioning.network.decoding import CaptionDecoder
    from captioning.scores.scoring import title_of

    decoder, decoded = CaptionDecoder(model.captioner, model.vocabulary), {}
    size = options.no_repeat_ngram_size
    widths = dict.fromkeys((1, *options.beam, *options.consensus))
    for width in tqdm(widths, unit=" beam widths", delay=1, disable=None):
        found = decoder.finished_captions(features, width, no_repeat_ngram_size=size)
        if width in (1, *options.beam):
            decoded[title_of(width)] = [captions[0] for captions in found]
        if width in options.consensus:
            decoded[title_of(width, consensus=True)] = [decoder.by_consensus(x)[0] for x in found]
    return decoded, {x: decoder.token_probabilities(features, decoded[x]) for x in decoded}


if __name__ == "__main__":
    sys.exit(run(main))
