"""Draws a small data set of captioned scenes, laid out exactly as Flickr8k is.

    python data/sample/draw.py --data data/sample

Reads   nothing: every scene is made up from the seed, the same on every run
Writes  DATA/photos/scene_0001.jpg …        the photos, 224 pixels square
        DATA/Flickr8k.token.txt             five captions each, name.jpg#k<TAB>caption
        DATA/Flickr_8k.trainImages.txt      and dev and test: which photo is for what
        DATA/scenes.csv                     what each photo truly shows
Takes   about 15 seconds for 700 scenes.
Next    python prepare_photos.py --data data/sample --weights none

Everyone looks to the right: with 500 photos to learn from, a mirrored pose would be another pose.
The test split shows combinations of setting, subject and action that the training split never
does, so a captioner cannot pass by remembering scenes. wording.WORDS says which words of a caption
name which value of scenes.csv.
"""

import csv
import io
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from painting import paint_scene
from scenes import all_combinations, hold_out, plan_scenes
from wording import write_captions

from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.files import CAPTIONS, PHOTOS, SPLITS
from captioning.settings import positive_integer, seed_number
from captioning.storage import atomic_path, write_text

DATA = Path("data/sample")  # where the photos and text files go
SCENES = 700  # photos in all
SEED = 1  # another seed draws other scenes, and holds out other combinations

MINIMUM_SCENES = 20  # fewer would leave a split all but empty
JPEG_QUALITY = 90  # of 100
TRUTH = "scenes.csv"  # the file of what each photo shows
TRUTH_COLUMNS = (
    "photo",
    "split",
    "setting",
    "subject",
    "count",
    "colour",
    "action",
    "thing",
)


def check_folder(data):
    """Makes sure that nobody's own captions are written over.

    Args:
        data: pathlib.Path of the data folder.

    Raises:
        UserError: if it holds captions that this script did not write.
    """
    if (data / CAPTIONS).exists() and not (data / TRUTH).exists():
        raise UserError(
            f"{data / CAPTIONS} was not drawn by this script and would be lost: give another "
            f"folder with --data"
        )


def remove_old_photos(data, scenes):
    """Removes the photos of an earlier run that this one does not draw again.

    Args:
        data: pathlib.Path of the data folder.
        scenes: list of scenes.Scene.
    """
    if not (data / TRUTH).is_file():
        return
    with open(data / TRUTH, encoding="utf-8", newline="") as file:
        old = {Path(row["photo"]).name for row in csv.DictReader(file) if row.get("photo")}
    for name in old - {scene.photo for scene in scenes}:
        (data / PHOTOS / name).unlink(missing_ok=True)


def draw_photos(data, scenes):
    """Paints and saves every photo.

    Args:
        data: pathlib.Path of the data folder.
        scenes: list of scenes.Scene.
    """
    for scene in tqdm(scenes, unit=" scenes", delay=1, disable=None):
        with atomic_path(data / PHOTOS / scene.photo) as partial:
            paint_scene(scene).save(partial, quality=JPEG_QUALITY)


def write_texts(data, scenes):
    """Writes the truth, the captions and the splits.

    Args:
        data: pathlib.Path of the data folder.
        scenes: list of scenes.Scene.

    Returns:
        int, captions written.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(TRUTH_COLUMNS)
    writer.writerows([getattr(scene, column) for column in TRUTH_COLUMNS] for scene in scenes)
    # Before the captions: it marks them as this script's own.
    write_text(data / TRUTH, table.getvalue())
    lines = [
        f"{scene.photo}#{number}\t{caption}\n"
        for scene in scenes
        for number, caption in enumerate(write_captions(scene))
    ]
    write_text(data / CAPTIONS, "".join(lines))
    for split, name in SPLITS.items():
        photos = [f"{scene.photo}\n" for scene in scenes if scene.split == split]
        write_text(data / name, "".join(photos))
    return len(lines)


def summarize(scenes, seed):
    """Describes what was drawn for a person to read.

    Args:
        scenes: list of scenes.Scene.
        seed: int, which chose the combinations held out.

    Returns:
        str of several lines.
    """
    sizes = Counter(scene.split for scene in scenes)
    lines = [f"{split:6s}{sizes[split]:6,d} photos" for split in SPLITS]
    training = [scene for scene in scenes if scene.split == "train"]
    for name in ("setting", "subject", "colour", "action", "thing"):
        counts = Counter(getattr(scene, name) for scene in training)
        shown = ", ".join(f"{value} {count:,d}" for value, count in counts.most_common())
        lines.append(f"training photos by {name}: {shown}")
    combinations = all_combinations()
    held_out = hold_out(combinations, seed)
    lines.append(
        f"{len(held_out):,d} of {len(combinations):,d} combinations are for the test split alone:"
    )
    groups = {}
    for setting, subject, action in sorted(held_out):
        groups.setdefault(setting, []).append(f"{subject} {action}")
    lines += [f"  {setting:8s} {', '.join(group)}" for setting, group in groups.items()]
    return "\n".join(lines)


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument(
        "--scenes", type=positive_integer, default=SCENES, metavar="N", help="photos to draw"
    )
    parser.add_argument(
        "--seed", type=seed_number, default=SEED, metavar="N", help="another seed, other scenes"
    )
    options = parser.parse_args(arguments)
    if options.scenes < MINIMUM_SCENES:
        parser.error(f"argument --scenes: expected at least {MINIMUM_SCENES}, got {options.scenes}")
    return options


def main(arguments=None):
    """Plans, draws, writes, and prints the summary."""
    options = parse_arguments(arguments)
    check_folder(options.data)
    scenes = plan_scenes(options.scenes, options.seed)
    remove_old_photos(options.data, scenes)
    draw_photos(options.data, scenes)
    captions = write_texts(options.data, scenes)
    print(summarize(scenes, options.seed))
    print(f"wrote {len(scenes):,d} photos with {captions:,d} captions to {options.data}")
    print(f"next: python prepare_photos.py --data {options.data} --weights none")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
