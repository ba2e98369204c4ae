"""Measures prepare_text.py on captions of COCO's number and form, made up from those of a data set.

    python benchmarks/large_text.py --data data/flickr8k

Reads   DATA as prepare_text.py left it
Prints  the seconds and the peak of memory of prepare_text.py
Takes   half a minute on two cores, and 200 MB in the folder for temporary files. Run nothing
        beside it.

Each made-up photo has the captions of one of the data set, in COCO's two JSON files.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, UserError, run
from captioning.settings import SettingsParser
from captioning.text.vocabulary import read_prepared_text

ROOT = Path(__file__).resolve().parent.parent

# Where things are.
DATA = Path("data/flickr8k")  # the data folder whose captions are repeated

# The size of COCO's 2017 version.
TRAINING_PHOTOS = 118_287  # photos of captions_train2017.json
VALIDATION_PHOTOS = 5_000  # photos of captions_val2017.json


def write_annotations(path: Path, texts: list[list[str]], first: int, count: int) -> int:
    """Writes photos with the ids from `first` on and their captions; returns how many captions."""
    numbers = range(first, first + count)
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in numbers]
    captions = [(number, text) for number in numbers for text in texts[number % len(texts)]]
    annotations = [
        {"image_id": number, "id": place, "caption": text}
        for place, (number, text) in enumerate(captions)
    ]
    path.write_text(json.dumps({"images": images, "annotations": annotations}), encoding="utf-8")
    return len(captions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes up the files, runs prepare_text.py on them, and prints what it took."""
    options = SettingsParser(globals()).parse_settings(arguments)
    texts = list(read_prepared_text(options.data).captions.values())
    training, validation = options.training_photos, options.validation_photos
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        count = write_annotations(path / "captions_train2017.json", texts, 0, training)
        count += write_annotations(path / "captions_val2017.json", texts, training, validation)
        command = [sys.executable, str(ROOT / "prepare_text.py"), "--data", folder]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    if status:
        raise UserError("prepare_text.py failed: run it by hand")
    print(f"{training + validation:,d} photos, {count:,d} captions")
    print(f"{seconds:.1f} s, {usage.ru_maxrss / 1e6:.2f} GB")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
