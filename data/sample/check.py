"""Checks the captions of the sample against what was painted, property by property.

    python data/sample/check.py --data data/sample --model models/sample

Reads   DATA/scenes.csv         what is in each scene, from draw.py
        MODEL/captions.csv      from evaluate.py
Writes  MODEL/truth.json        what is printed
        MODEL/captions.png      scenes of the split with their captions
Takes   a few seconds.
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from brush import SIZE
from wording import WORDS

from captioning.cli import DONE, UserError, quoted, run
from captioning.files import GENERATED_CAPTIONS, PAINTED_SCENES, PHOTOS, photo_id
from captioning.photos.reading import PhotoError, read_rgb, resized
from captioning.settings import SettingsParser
from captioning.storage import Record, atomic_path, write_json

DATA = Path("data/sample")  # what draw.py wrote
MODEL = Path("models/sample")  # what train.py and evaluate.py wrote; the results go there
DECODING = "beam 3"  # whose captions: those of a row that evaluate.py was asked for
SHUFFLES = 200  # orders of the photos over which the column of shuffled photos is averaged

_LONGEST_CAPTION = 200  # characters of a caption that the picture shows


class Truth(Record, tag=3):
    """What truth.json holds: property -> name of a share -> from 0 to 1."""

    captions: int  # how many were checked
    properties: dict[str, dict[str, float]]


def named_values(caption: str, words: dict[str, list[str]]) -> set[str]:
    """Lists the values of a property (value -> its words) that a caption names."""
    return {value for value, names in words.items() if set(names) & set(caption.split())}


def check_property(
    captions: Sequence[str], truths: np.ndarray, blind: str, words: dict, orders: Sequence
) -> dict[str, float]:
    """Counts how often captions name the right value of a property.

    `truths` has the value of each caption's scene, `orders` shuffled indices of the scenes. Returns
    shares from 0 to 1: `named`, captions that name any value; of those, `right`, that name the
    scene's and no other, and `shuffled`, the same in the other orders; and `blind`, scenes with the
    value `blind`.
    """
    named = [named_values(caption, words) for caption in captions]
    # A caption that names two values is never right, whatever the scene.
    only = np.array([next(iter(values)) if len(values) == 1 else "" for values in named])
    spoken = sum(map(bool, named)) or 1  # nothing is right where nothing is named
    return {
        "named": sum(map(bool, named)) / len(named),
        "right": float(np.sum(only == truths) / spoken),
        "shuffled": float(np.mean([np.sum(only == truths[order]) for order in orders]) / spoken),
        "blind": float(np.mean(truths == blind)),
    }


def read_table(path: Path, columns: set[str], remedy: str) -> pd.DataFrame:
    """Reads a CSV file as texts.

    Raises:
        UserError: if it is missing, damaged, or has not all of the columns, with the remedy.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: {remedy}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({' '.join(str(error).split())}): {remedy}") from error
    if missing := columns.difference(table):
        raise UserError(f"{path} has no column {min(missing)}: {remedy}")
    return table


def read_tables(data: Path, model: Path, decoding: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reads the scenes with their captions, and all training scenes.

    Raises:
        UserError: if a file is missing or they do not fit together.
    """
    scenes_path, captions_path = data / PAINTED_SCENES, model / GENERATED_CAPTIONS
    painting = f"run python data/sample/draw.py --data {quoted(data)} first"
    remedy = f"run python evaluate.py --data {quoted(data)} --model {quoted(model)}"
    scenes = read_table(scenes_path, {"photo", "split", *WORDS}, painting)
    captions = read_table(captions_path, set(), f"{remedy} first")
    if decoding not in captions:
        ways = ", ".join(name for name in captions.columns[1:] if name != "references")
        raise UserError(f"{captions_path} has no captions by {decoding}: choose one of {ways}")
    # The first column has the photos' ids.
    by_id = dict(zip(captions.iloc[:, 0], captions[decoding], strict=True))
    scenes["caption"] = scenes["photo"].map(photo_id).map(by_id)
    captioned, training = scenes.dropna(), scenes[scenes["split"] == "train"]
    if captioned.empty:
        raise UserError(f"{captions_path} captions no scene of {scenes_path}: {remedy}")
    if training.empty:
        raise UserError(f"{scenes_path} has no training scene: {painting}")
    return captioned, training


def draw_picture(table: pd.DataFrame, photos: Path, path: Path) -> None:
    """Draws ten of the scenes with their captions.

    Raises:
        UserError: if a photo cannot be read.
    """
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    rows = table.iloc[np.linspace(0, len(table) - 1, 10).astype(int)]
    for axis, row in zip(figure.subplots(2, 5).ravel(), rows.itertuples(), strict=True):
        photo = photos / Path(row.photo).name
        try:
            axis.imshow(resized(read_rgb(photo), (SIZE, SIZE)))
        except PhotoError as error:
            remedy = f"run python data/sample/draw.py --data {quoted(photos.parent)} again"
            raise UserError(f"{photo} cannot be read ({error}): {remedy}") from error
        title = textwrap.fill(textwrap.shorten(row.caption, _LONGEST_CAPTION), 28)
        axis.set_title(title, y=-0.02, va="top", fontsize=11, parse_math=False)
        axis.set_axis_off()
    figure.savefig(path, dpi=90)


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, checks, prints and writes."""
    options = SettingsParser(globals()).parse_settings(arguments)
    table, training = read_tables(options.data, options.model, options.decoding)
    seeds = range(options.shuffles)
    orders = [np.random.default_rng(seed).permutation(len(table)) for seed in seeds]
    results = {}
    for name, words in WORDS.items():
        truths, blind = table[name].to_numpy(), training[name].mode()[0]
        results[name] = check_property(table["caption"], truths, blind, words, orders)
    with atomic_path(options.model / "captions.png") as partial:
        draw_picture(table, options.data / PHOTOS, partial)
    write_json(options.model / "truth.json", Truth(captions=len(table), properties=results))
    print(f"{len(table):,d} captions by {options.decoding} against what was painted, in percent")
    columns = ["name any", "of those right", "photos shuffled", "blind guess"]
    print((100 * pd.DataFrame(results).T).round(1).set_axis(columns, axis=1).to_string())
    print(
        "photos shuffled: against other scenes; blind guess: the training split's commonest value"
    )
    print(f"wrote {options.model / 'truth.json'} and {options.model / 'captions.png'}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
