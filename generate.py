"""Captions any photo: a line each, path<TAB>caption.

    python generate.py dog.jpg holiday/
    python generate.py holiday/ --csv captions.csv --txt
    python generate.py holiday/ --html page.html --model models/one models/two
    python generate.py dog.jpg --json --count 3
    python generate.py --serve

Without --model it takes models/flickr8k, or else what comes with the project:
models/pretrained, or models/pretrained-lite where CLIP's weights are missing.

Reads   the photos that are given, and those in the folders that are given
        MODEL/                  from train.py
        the encoder's weights   those that the model was trained with
Writes  the lines on standard output; at a terminal a ? follows captions that
        the model is unsure of. With --json a JSON object a line, with the
        confidence (the geometric mean of the probabilities of the words) or the
        error. With --csv a table, which the same command goes on with: it adds
        what is new, changed or failed. With --txt photo.txt beside each photo,
        never over a person's. With --html a page, for which all are captioned.
        With --serve nothing: it opens a page to drop photos on.
Takes   ten seconds or more to load, then on two cores about 3 photos a second
        with the model that comes with the project, 17 with its smaller one, 5
        with VGG16.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from captioning.cli import DONE, DONE_IN_PART, UserError, one_line, run
from captioning.network.model_folder import network_path
from captioning.settings import SettingsParser, number_from

# Where things are.
MODEL = (Path("models/flickr8k"),)  # the model folder; several are averaged

# How captions are decoded and written.
BEAM = 3  # beam width; 1 is greedy
CONSENSUS = False  # takes the beam's caption most like its others; a wide beam is best
COUNT = 1  # captions of each photo in lines, JSON and CSV, best first; at most the beam's width
NO_REPEAT_NGRAM_SIZE = 0  # no caption repeats a sequence of so many words; 0 allows it
BATCH_SIZE = 6  # photos that the encoder takes at once; more need more memory and gain little
SENTENCES = False  # captions begin in upper case and end in a full stop, as on the pages always
MAX_PIXELS = 89_478_485  # photos of more pixels are refused, since they may fill the memory

# Where --serve serves its page.
HOST = "127.0.0.1"  # this computer alone; 0.0.0.0 lets in everyone who can reach it
PORT = 8000  # 0 takes any that is free


def main(arguments: Sequence[str] | None = None) -> int:
    """Loads model and encoder, prints and writes a caption for each photo."""
    parser = make_parser()
    options = parser.parse_settings(arguments)
    if options.model and not (options.photos or options.serve):
        # --model takes all that follows it.
        options.photos = [x for x in options.model[1:] if not network_path(x).is_file()]
        options.model = tuple(path for path in options.model if path not in options.photos)
    writes = options.csv or options.txt or options.html or options.json
    if bool(options.photos) == options.serve or (options.serve and writes):
        raise UserError("name photos or folders, or --serve without any, which writes no files")
    if options.html and options.html.suffix.lower() != ".html":
        # A photo that stands where the name of the page was left out must not be replaced.
        raise UserError(f"--html needs a name such as page.html, not {options.html}")
    if options.count > options.beam:
        raise UserError(f"--count {options.count} needs a --beam as wide, not {options.beam}")

    # What is slow to load is imported where it is used: nobody should wait for it to read --help.
    from captioning.photos.listing import expand_paths
    from captioning.photos.reading import limit_pixels

    limit_pixels(options.max_pixels)
    skipped, photos = {}, expand_paths(options.photos)
    captioner = load(parser, options)
    from captioning.caption_files import caption_photos, decoding_of

    if options.serve:
        from captioning.pages import server

        server.serve(captioner, options.host, options.port, **decoding_of(options))
        return DONE
    captions = print_captions(caption_photos(captioner, photos, options), options, skipped)
    for path, reason in skipped.items():
        print(f"skipped {one_line(str(path))}: {reason}", file=sys.stderr)
    if not set(photos) - skipped.keys():
        raise UserError("none of the photos can be read")
    if options.html:
        from captioning.pages.results import write_captions_page

        write_captions_page(captions, skipped, options)
    return DONE_IN_PART if skipped else DONE


def make_parser() -> SettingsParser:
    """Makes the parser of the constants' flags and of those that have no constant."""
    types = {"NO_REPEAT_NGRAM_SIZE": number_from(0), "PORT": number_from(0, 65535)}
    parser = SettingsParser(globals(), types)
    add = parser.add_argument
    add("photos", type=Path, nargs="*", metavar="PHOTO_OR_FOLDER", help="what to caption")
    add("--json", action="store_true", help="print a JSON object a line")
    add("--csv", type=Path, metavar="FILE", help="write a table there, or go on with it")
    add("--txt", action="store_true", help="write photo.txt beside each photo")
    add("--html", type=Path, metavar="FILE", help="write a page to look at there")
    add("--serve", action="store_true", help="open a page in the browser to drop photos on")
    weights = "the encoder's weights, where they are no longer at the place that MODEL names"
    add("--weights", metavar="imagenet|none|FILE", help=weights)
    return parser


def load(parser: SettingsParser, options: argparse.Namespace) -> Any:
    """Loads model and encoder; prints on stderr the model, changed settings and doubts."""
    from captioning import load_captioner

    if "model" not in options.replaced and not network_path(MODEL[0]).is_file():
        options.model = ()
    captioner = load_captioner(options.model, options.weights)
    if "model" not in options.replaced:
        print(f"captions by {captioner.folders[0]}", file=sys.stderr)
    if options.replaced - {"model"}:
        print(parser.describe(options), file=sys.stderr)
    for doubt in captioner.doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    return captioner


def print_captions(
    results: Iterable[tuple[Path, Any, Any]], options: argparse.Namespace, skipped: dict[Any, str]
) -> dict[Path, Any]:
    """Prints and returns what is captioned, and adds the rest to `skipped`."""
    from tqdm import tqdm

    captions = {}
    for path, result, row in results:
        if "error" in row:
            skipped[path] = row["error"]
        else:
            captions[path] = result
        # Above the progress bar; a pipe would hold it back.
        if options.json:
            tqdm.write(json.dumps(row))
        elif path in captions:
            for each in row.get("captions", [row]):
                mark = "  ?" if each["unsure"] and sys.stdout.isatty() else ""
                tqdm.write(f"{one_line(row['photo'])}\t{one_line(each['caption'])}{mark}")
        sys.stdout.flush()
    return captions


if __name__ == "__main__":
    sys.exit(run(main))
