"""Captions any photo: a line each, path<TAB>caption.

    python generate.py dog.jpg holiday/
    python generate.py holiday/ --csv captions.csv --html captions.html
    python generate.py dog.jpg --model models/one models/two
    python generate.py holiday/ --json
    python generate.py --serve

Without --model it takes models/flickr8k, or else what comes with the project.

Reads   the photos that are given, and those in the folders that are given
        MODEL/                  from train.py
        the encoder's weights   those that the model was trained with
Writes  the lines on standard output. With --json a JSON object a line, with the
        confidence (the geometric mean of the probabilities of the words) or the
        error; with --csv a table; with --html a page with the photos. With
        --serve nothing: it opens a page in the browser to drop photos on.
Takes   ten seconds to load the networks, then about 17 photos a second with the
        model that comes with the project on two cores, 5 with VGG16.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioning.cli import DONE, DONE_IN_PART, UserError, announce_loading, one_line, run
from captioning.network.model_folders import holds_captioner, model_folder, pretrained_model
from captioning.old import is_drawn_scene
from captioning.outputs import check_outputs, file_behind, keep_photos
from captioning.settings import SettingsParser, whole_number

# The rest is imported where it is used: nobody should wait for TensorFlow to read --help.
if TYPE_CHECKING:
    from captioning.captioner import Captioner, PhotoCaption

# Where things are.
MODEL = (Path("models/flickr8k"),)  # the model folder; several are averaged

# How captions are decoded and written.
BEAM = 3  # beam width; 1 is greedy
CONSENSUS = False  # takes the beam's caption most like its others; a wide beam is best
NO_REPEAT_NGRAM_SIZE = 0  # no caption repeats a sequence of so many words; 0 allows it
BATCH_SIZE = 6  # photos that the encoder takes at once; more need more memory and gain little
SENTENCES = False  # captions begin in upper case and end in a full stop, as on the pages always
MAX_PIXELS = 89_478_485  # photos of more pixels are refused, since they may fill the memory

# Where --serve serves its page.
HOST = "127.0.0.1"  # this computer alone; 0.0.0.0 lets in everyone who can reach it
PORT = 8000  # 0 takes any that is free

_STANDARD_OUTPUT = Path("-")


def main(arguments: Sequence[str] | None = None) -> int:
    """Loads model and encoder, prints a caption for each photo, writes table and page."""
    parser = make_parser()
    options = parser.parse_settings(arguments)
    separate_photos(options)
    is_default = options.model == MODEL and "model" not in options.typed
    options.model = default_model() if is_default else options.model
    if options.consensus and options.beam == 1:
        raise UserError("--consensus chooses among the captions of a beam: add --beam 10, say")
    check_outputs(outputs_of(options))
    if options.serve and (options.photos or options.csv or options.json or options.html):
        raise UserError("--serve takes photos on its page: leave out photos, --csv, --json, --html")

    from captioning.photos.listing import describe_left_out, expand_places
    from captioning.photos.reading import limit_pixels

    limit_pixels(options.max_pixels)
    if options.serve:
        return serve_page(load(options, is_default), options, parser)
    skipped, left_out = {}, Counter()
    photos = expand_places(options.photos, skipped.__setitem__, left_out)
    keep_photos(outputs_of(options), photos)
    captioner = load(options, is_default)
    print_changed_settings(parser, options)
    warn_of_doubts(captioner, photos)
    captions = print_captions(captioner, photos, options, skipped)
    for path, reason in skipped.items():
        print(f"skipped {one_line(str(path))}: {reason}", file=sys.stderr)
    if left_out:
        print(describe_left_out(left_out), file=sys.stderr)
    if not captions:
        raise UserError("none of the photos can be read")
    write_results(options, captions, skipped)
    return DONE_IN_PART if skipped else DONE


def separate_photos(options: argparse.Namespace) -> None:
    """Finds the photos in `--model A B PHOTO`, where the flag takes all names that follow it.

    The first is always a model, and all are where photos were named before.

    Raises:
        UserError: if no photo is named.
    """
    if options.photos or options.serve:
        return
    first, *others = options.model
    models = [place for place in others if holds_captioner(model_folder(place))]
    options.photos = [place for place in others if place not in models]
    options.model = (first, *models)
    if not options.photos:
        raise UserError("PHOTO_OR_FOLDER is missing: name what to caption; see --help")


def outputs_of(options: argparse.Namespace) -> dict[str, Path]:
    """Returns flag -> file of what is to be written."""
    table = None if options.csv == _STANDARD_OUTPUT else options.csv
    outputs = {"--csv": table, "--html": options.html}
    return {flag: path for flag, path in outputs.items() if path}


def make_parser() -> SettingsParser:
    """Makes the parser of the constants' flags and of those that have no constant."""
    types = {"NO_REPEAT_NGRAM_SIZE": whole_number(0), "PORT": whole_number(0, 65535)}
    parser = SettingsParser(globals(), types)
    words = {"metavar": "PHOTO_OR_FOLDER", "help": "what to caption"}
    parser.add_argument("photos", type=Path, nargs="*", **words)
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "--csv",
        type=Path,
        metavar="FILE",
        help="write photo, caption and confidence there; - is standard output",
    )
    output.add_argument(
        "--json", action="store_true", help="print a JSON object a line, with the confidence"
    )
    parser.add_argument(
        "--serve", action="store_true", help="open a page in the browser to drop photos on"
    )
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
    if any(value != parser.constants[name] for name, value in settings.items()):
        print(parser.describe(options), file=sys.stderr)


def default_model() -> tuple[Path]:
    """Returns MODEL if it holds a model, and what comes with the project if not."""
    return MODEL if holds_captioner(MODEL[0]) else (pretrained_model(),)


def load(options: argparse.Namespace, is_default: bool) -> "Captioner":
    """Loads the model and its encoder, and says which model it is where none was named."""
    announce_loading(f"{', '.join(map(str, options.model))} and the encoder")
    from captioning.captioner import Captioner

    captioner = Captioner.load(options.model, options.weights)
    if is_default:
        origin = "" if options.model == MODEL else ", the model that comes with the project"
        print(f"captions by {options.model[0]}{origin}", file=sys.stderr)
    return captioner


def warn_of_doubts(captioner: "Captioner", photos: Sequence[Path]) -> None:
    """Says why the captions will be wrong, unless all photos are scenes that the project drew."""
    if not all(map(is_drawn_scene, photos)):
        for doubt in captioner.doubts:
            print(f"warning: {doubt}", file=sys.stderr)


def print_captions(
    captioner: "Captioner",
    photos: Sequence[Path],
    options: argparse.Namespace,
    skipped: dict[Path | str, object],
) -> dict[Path, "PhotoCaption"]:
    """Captions the photos and prints each caption when it is there.

    Photos that cannot be read are added to `skipped`, with the reason.
    """
    from tqdm import tqdm

    from captioning.caption_lines import json_error, json_line, text_line
    from captioning.photos.reading import PhotoError

    as_line = json_line if options.json else text_line
    captions = {}
    for path, result in captioner.caption_all(photos, **decoding_options(options)):
        if isinstance(result, PhotoError):
            skipped[path] = result
            if options.json:
                tqdm.write(json_error(path, result))
            continue
        captions[path] = replace(result, text=result.sentence) if options.sentences else result
        if options.csv != _STANDARD_OUTPUT:
            # Above the progress bar; a pipe would hold it back.
            tqdm.write(as_line(path, captions[path]))
            sys.stdout.flush()
    return captions


def serve_page(captioner: "Captioner", options: argparse.Namespace, parser: SettingsParser) -> int:
    """Serves the page on which photos are dropped, until Ctrl-C."""
    from captioning.pages.server import serve

    print_changed_settings(parser, options)
    serve(captioner, options.host, options.port, **decoding_options(options))
    return DONE


def decoding_options(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings that `Captioner.caption_all` takes."""
    names = ("beam", "consensus", "no_repeat_ngram_size", "batch_size")
    return {name: getattr(options, name) for name in names}


def write_results(
    options: argparse.Namespace,
    captions: dict[Path, "PhotoCaption"],
    skipped: dict[Path | str, object],
) -> None:
    """Writes the table and the page, as far as they are wanted."""
    from captioning.caption_lines import print_table, write_captions

    if options.csv == _STANDARD_OUTPUT:
        print_table(captions)
    elif options.csv:
        write_captions(file_behind(options.csv), captions)
    if options.html:
        from captioning.pages.page import write_page
        from captioning.pages.results import make_captions_page

        decoding = {"beam": options.beam, "consensus": options.consensus}
        page = make_captions_page(captions, skipped, **decoding)
        write_page(file_behind(options.html), page)
    for path in outputs_of(options).values():
        print(f"wrote {path}", file=sys.stderr)


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
