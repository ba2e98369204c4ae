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
import json
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from captioning.cli import DONE, DONE_IN_PART, UserError, announce_loading, one_line, run
from captioning.files import pretrained_model
from captioning.network.model_folder import holds_captioner
from captioning.settings import SettingsParser, whole_number
from captioning.storage import cell_of, write_table

# What is slow to load is imported where it is used: nobody should wait for it to read --help.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from captioning.captioner import Captioner, PhotoCaption, PhotoError

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Loads model and encoder, prints a caption for each photo, writes table and page."""
    parser = make_parser()
    options = parser.parse_settings(arguments)
    if "model" not in options.replaced and not holds_captioner(MODEL[0]):
        options.model = (pretrained_model(),)
    if not options.photos and not options.serve:
        raise UserError("PHOTO_OR_FOLDER is missing: name what to caption before --model")
    if options.serve and (options.photos or options.csv or options.json or options.html):
        raise UserError("--serve takes photos on its page: leave out photos, --csv, --json, --html")

    from captioning.photos.listing import describe_left_out, expand_paths
    from captioning.photos.reading import limit_pixels

    limit_pixels(options.max_pixels)
    skipped, left_out = {}, Counter()
    photos = expand_paths(options.photos, skipped, left_out)
    for flag, path in (("--csv", options.csv), ("--html", options.html)):
        check_output(flag, path, photos)
    captioner = load(parser, options)
    names = ("beam", "consensus", "no_repeat_ngram_size", "batch_size")
    decoding = {name: getattr(options, name) for name in names}
    if options.serve:
        from captioning.pages.server import serve

        serve(captioner, options.host, options.port, **decoding)
        return DONE
    results = captioner.caption_all(photos, **decoding)
    captions = print_captions(results, options, skipped)
    for path, reason in skipped.items():
        print(f"skipped {one_line(str(path))}: {reason}", file=sys.stderr)
    if left_out:
        print(describe_left_out(left_out), file=sys.stderr)
    if not captions:
        raise UserError("none of the photos can be read")
    if options.html:
        from captioning.pages.page import write_page
        from captioning.pages.results import make_captions_page

        beam, consensus = options.beam, options.consensus
        page = make_captions_page(captions, skipped, beam=beam, consensus=consensus)
        write_page(options.html, page)
        print(f"wrote {options.html}", file=sys.stderr)
    return DONE_IN_PART if skipped else DONE


def make_parser() -> SettingsParser:
    """Makes the parser of the constants' flags and of those that have no constant."""
    types = {"NO_REPEAT_NGRAM_SIZE": whole_number(0), "PORT": whole_number(0, 65535)}
    parser = SettingsParser(globals(), types)
    add, path = parser.add_argument, {"metavar": "FILE", "type": Path}
    add("photos", type=Path, nargs="*", metavar="PHOTO_OR_FOLDER", help="what to caption")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--csv", help="write a table there; - is standard output", **path)
    output.add_argument("--json", action="store_true", help="print a JSON object a line")
    add("--html", help="write a page to look at there", **path)
    add("--serve", action="store_true", help="open a page in the browser to drop photos on")
    weights = "the encoder's weights, where they are no longer at the place that MODEL names"
    add("--weights", metavar="imagenet|none|FILE", help=weights)
    return parser


def check_output(flag: str, path: Path | None, photos: Sequence[Path]) -> None:
    """Raises `UserError` if the file that a flag names is a photo or folder, or of another kind."""
    extension = flag.replace("--", ".")
    if path is None or (flag == "--csv" and str(path) == "-"):
        return
    is_wrong = path.is_dir() or path.suffix.lower() != extension
    if is_wrong or path.resolve() in {photo.resolve() for photo in photos}:
        raise UserError(
            f"{path} is a folder, one of the photos, or does not end in {extension}: name another "
            f"file with {flag}, such as captions{extension}"
        )


def load(parser: SettingsParser, options: argparse.Namespace) -> "Captioner":
    """Loads model and encoder; standard error says what is not as it always is."""
    announce_loading(f"{', '.join(map(str, options.model))} and the encoder")
    from captioning import load_captioner

    captioner = load_captioner(options.model, options.weights)
    if "model" not in options.replaced:
        print(f"captions by {options.model[0]}", file=sys.stderr)
    if options.replaced - {"model"}:
        print(parser.describe(options), file=sys.stderr)
    for doubt in captioner.doubts:
        print(f"warning: {doubt}", file=sys.stderr)
    return captioner


def print_captions(
    results: "Iterable[tuple[Path, PhotoCaption | PhotoError]]",
    options: argparse.Namespace,
    skipped: dict[Path | str, object],
) -> "dict[Path, PhotoCaption]":
    """Prints each caption when it is there, and writes the table of all, if one is wanted.

    Photos that cannot be read are added to `skipped`, with the reason.
    """
    from tqdm import tqdm

    captions, rows = {}, []
    for path, result in results:
        row = {"photo": str(path)}
        if isinstance(result, Exception):
            skipped[path] = row["error"] = str(result)
        else:
            captions[path] = result
            row["caption"] = result.sentence if options.sentences else result.text
            row["confidence"] = round(result.confidence, 4)
            rows.append(row)
        # Above the progress bar; a pipe would hold it back.
        if options.json:
            tqdm.write(json.dumps(row))
        elif path in captions and str(options.csv) != "-":
            tqdm.write(f"{one_line(row['photo'])}\t{one_line(row['caption'])}")
        sys.stdout.flush()
    if options.csv and rows:
        import pandas as pd

        if str(options.csv) == "-":
            pd.DataFrame(rows).map(cell_of).to_csv(sys.stdout, index=False)
        else:
            write_table(options.csv, pd.DataFrame(rows))
            print(f"wrote {options.csv}", file=sys.stderr)
    return captions


command = partial(run, main)

if __name__ == "__main__":
    sys.exit(command())
