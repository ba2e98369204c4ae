"""Paints a small data set of captioned scenes, laid out exactly as Flickr8k is.

    python data/sample/draw.py --data data/sample

Reads   nothing: every scene is made up from the seed, the same on every run
Writes  DATA/photos/scene_0001.jpg …        the photos, 224 pixels square
        DATA/Flickr8k.token.txt             five captions each, name.jpg#k<TAB>caption
        DATA/Flickr_8k.trainImages.txt      and dev and test: which photo is for what
        DATA/scenes.csv                     what each photo truly shows
Takes   about half a minute for 700 scenes.
Next    python prepare_photos.py --data data/sample --encoder EfficientNetLite0

Everyone looks to the right: with 500 photos to learn from, a mirrored pose would be another pose.
The test split shows combinations of setting, subject and action that the training split never
does, so a captioner cannot pass by remembering scenes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from painting import paint_scene
from scenes import PHOTO_NAME, Scene, all_combinations, hold_out, plan_scenes
from wording import write_captions

from captioning.cli import DONE, UserError, quoted, run
from captioning.files import CAPTIONS, PAINTED_SCENES, PHOTOS, SPLITS
from captioning.settings import SettingsParser, number_from, seed_number
from captioning.storage import PHOTO_SCRIPTS, atomic_path, locked, write_table, write_text

DATA = Path("data/sample")  # the data folder
SCENES = 700  # photos to paint
SEED = 1  # another seed paints other scenes, and holds out other combinations

_COLUMNS = [name for name in Scene._fields if name != "seed"]  # of the table


def check_folder(data: Path) -> None:
    """Raises `UserError` if a folder holds photos or captions that this script did not write."""
    table, foreign = data / PAINTED_SCENES, [data / CAPTIONS, *(data / PHOTOS).glob("[!.]*")]
    if table.is_file():
        with open(table, "rb") as file:
            is_own = file.readline(100).strip() == ",".join(_COLUMNS).encode()
        foreign = [] if is_own else [table]
    for path in foreign:
        if path.exists():
            raise UserError(f"{path} was not painted by this script: choose another --data")


def remove_old_scenes(data: Path, scenes: Sequence[Scene]) -> None:
    """Removes the captions of an earlier run, and its photos that this one does not paint again."""
    (data / CAPTIONS).unlink(missing_ok=True)
    painted = {scene.photo for scene in scenes}
    for path in (data / PHOTOS).glob("*"):
        if PHOTO_NAME.fullmatch(path.name) and path.name not in painted:
            path.unlink()


def write_texts(data: Path, scenes: Sequence[Scene]) -> None:
    """Writes the splits and the captions, these last: nothing goes on without them."""
    for split, name in SPLITS.items():
        photos = [scene.photo for scene in scenes if scene.split == split]
        write_text(data / name, "\n".join(photos) + "\n")
    captions = ""
    for scene in scenes:
        for number, caption in enumerate(write_captions(scene)):
            captions += f"{scene.photo}#{number}\t{caption}\n"
    write_text(data / CAPTIONS, captions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plans, paints, writes, and prints what is held out."""
    # Fewer than 20 scenes would leave a split all but empty.
    types = {"SCENES": number_from(20), "SEED": seed_number}
    options = SettingsParser(globals(), types).parse_settings(arguments)
    data, scenes = options.data, plan_scenes(options.scenes, options.seed)
    # Nothing is left in a folder of other data, not even a lock.
    check_folder(data)
    with locked(data, PHOTO_SCRIPTS):
        # The table comes first: it marks the folder as this script's own.
        write_table(data / PAINTED_SCENES, pd.DataFrame(scenes)[_COLUMNS])
        remove_old_scenes(data, scenes)
        for scene in tqdm(scenes, unit=" scenes", delay=1, disable=None):
            with atomic_path(data / PHOTOS / scene.photo) as partial:
                paint_scene(scene).save(partial, quality=90)
        write_texts(data, scenes)
    print("combinations that only the test split shows:")
    for combination in hold_out(all_combinations(), options.seed):
        print("  " + " ".join(combination))
    print(f"wrote {len(scenes):,d} photos with {5 * len(scenes):,d} captions to {data}")
    print(f"next: python prepare_photos.py --data {quoted(data)} --encoder EfficientNetLite0")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
