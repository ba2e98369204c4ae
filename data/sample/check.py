"""Checks the captions of the sample against what was drawn, property by property.

    python data/sample/check.py --data data/sample --model models/sample

Reads   DATA/scenes.csv         what is in each scene, from draw.py
        MODEL/captions.csv      from evaluate.py
Writes  MODEL/truth.json        what is printed
        MODEL/captions.png      scenes of the split with their captions
Takes   a few seconds.
"""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from wording import WORDS

from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.files import GENERATED_CAPTIONS, PHOTOS, photo_id, require
from captioning.storage import atomic_path, write_json

# Where things are.
DATA = Path("data/sample")  # what draw.py wrote
MODEL = Path("models/sample")  # what train.py and evaluate.py wrote; the results go there
SCENES = "scenes.csv"
TRUTH = "truth.json"
PICTURE = "captions.png"

# What is checked.
DECODING = "beam 3"  # greedy, or a beam search that evaluate.py was asked for
PROPERTIES = ("setting", "subject", "colour", "action", "thing")
SHUFFLES = 200  # orders of the photos over which the shuffled row is averaged
SEED = 1  # of those orders

# The picture.
COLUMNS, ROWS = 5, 2  # scenes shown
LINE_WIDTH = 28  # characters of a caption's line


def named_values(caption, words):
    """Lists the values of one property that a caption names.

    Args:
        caption: str.
        words: dict of str -> list of str: value -> the words that name it.

    Returns:
        set of str.
    """
    spoken = set(caption.split())
    return {value for value, names in words.items() if spoken.intersection(names)}


def check_property(captions, truths, training_truths, words):
    """Counts how often captions name the right value of a property.

    Args:
        captions: list of str.
        truths: numpy.ndarray of str, the value of each caption's scene.
        training_truths: list of str, the values of the training scenes.
        words: dict of str -> list of str: value -> the words that name it.

    Returns:
        dict of str -> float, shares from 0 to 1: `named`, captions that name any value; of those,
        `right`, that name the scene's and no other; `shuffled`, the same against the scenes in
        random orders; and `blind`, right if the commonest training value were always named.
    """
    named = [named_values(caption, words) for caption in captions]
    speaking = np.array([bool(values) for values in named])
    # A caption that names two values is never right, whatever the scene.
    only = np.array([next(iter(values)) if len(values) == 1 else "" for values in named])
    commonest = pd.Series(training_truths).mode()[0]
    generator = np.random.default_rng(SEED)
    orders = [generator.permutation(truths) for _ in range(SHUFFLES)]
    hits = [np.sum((only == order) & speaking) for order in orders]
    spoken = max(1, int(speaking.sum()))  # Nothing is right where nothing is named.
    return {
        "named": float(speaking.mean()),
        "right": float(np.sum((only == truths) & speaking) / spoken),
        "shuffled": float(np.mean(hits) / spoken),
        "blind": float(np.mean(truths == commonest)),
    }


def read_tables(data, model, decoding):
    """Reads the scenes and the captions, and joins them.

    Args:
        data: pathlib.Path of the data folder.
        model: pathlib.Path of the model folder.
        decoding: str, the column of the captions.

    Returns:
        tuple of pandas.DataFrame: the captioned scenes, and the training scenes.

    Raises:
        UserError: if a file is missing or they do not fit together.
    """
    scenes_path = require(data / SCENES, "run python data/sample/draw.py first")
    remedy = f"run python evaluate.py --data {data} --model {model}"
    captions_path = require(model / GENERATED_CAPTIONS, f"{remedy} first")
    scenes = pd.read_csv(scenes_path, dtype=str, keep_default_na=False)
    captions = pd.read_csv(captions_path, dtype=str, keep_default_na=False)
    if decoding not in captions:
        ways = ", ".join(name for name in captions if name not in ("photo_id", "references"))
        raise UserError(f"{captions_path} has no captions by {decoding}: choose one of {ways}")
    captions["caption"] = captions[decoding]
    scenes["photo_id"] = scenes["photo"].map(photo_id)
    joined = captions.merge(scenes, on="photo_id")
    if joined.empty:
        raise UserError(f"{captions_path} captions no scene of {scenes_path}: {remedy}")
    return joined, scenes[scenes["split"] == "train"]


def draw_picture(table, photos, path):
    """Draws some scenes with their captions.

    Args:
        table: pandas.DataFrame with `photo` and `caption`.
        photos: pathlib.Path of the folder of the scenes.
        path: pathlib.Path of the picture.
    """
    figure = Figure(figsize=(2.6 * COLUMNS, 3.1 * ROWS), layout="constrained")
    axes = figure.subplots(ROWS, COLUMNS, squeeze=False).ravel()
    places = np.linspace(0, len(table) - 1, len(axes)).astype(int)
    for axis, place in zip(axes, places, strict=True):
        row = table.iloc[place]
        with Image.open(photos / row["photo"]) as image:
            axis.imshow(np.asarray(image))
        axis.set_title(textwrap.fill(row["caption"], LINE_WIDTH), y=-0.02, va="top", fontsize=11)
        axis.set_axis_off()
    figure.savefig(path, dpi=90)


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="DIR", help="the model folder")
    parser.add_argument(
        "--decoding", default=DECODING, metavar="NAME", help="whose captions: greedy or beam K"
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Reads, checks, prints and writes."""
    options = parse_arguments(arguments)
    table, training = read_tables(options.data, options.model, options.decoding)
    results = {
        name: check_property(
            list(table["caption"]), table[name].to_numpy(), list(training[name]), WORDS[name]
        )
        for name in PROPERTIES
    }
    write_json(options.model / TRUTH, {"captions": len(table), **results}, 1)
    with atomic_path(options.model / PICTURE) as partial:
        draw_picture(table, options.data / PHOTOS, partial)
    print(f"{len(table):,d} captions by {options.decoding} against what was drawn, in percent")
    print(f"{'':9s}{'name any':>10s}{'of those right':>16s}{'photos shuffled':>17s}{'blind':>8s}")
    for name, shares in results.items():
        columns = zip((10, 16, 17, 8), ("named", "right", "shuffled", "blind"), strict=True)
        print(f"{name:9s}" + "".join(f"{100 * shares[key]:{width}.1f}" for width, key in columns))
    print(
        "photos shuffled: the same captions against other scenes; blind: always the value that is\n"
        "commonest in the training split"
    )
    print(f"wrote {options.model / TRUTH} and {options.model / PICTURE}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
