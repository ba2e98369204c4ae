"""Copies a trained model at less than half its size: weights of 16 bits, compressed.

    python models/shrink.py models/flickr8k models/pretrained

Reads   MODEL/      from train.py
Writes  SMALLER/    the same model; scores and captions are left out, since they are MODEL's
Takes   a few seconds.
Next    python evaluate.py --model SMALLER, to see whether its scores are the same.

The weights are rounded to bfloat16, 8 significant bits, but stored as float32 with zeros behind,
which compression removes: Keras loads the file like any other.
"""

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, UserError, quoted, run
from captioning.files import CAPTIONER, HISTORY, RECIPE, read_toml, require
from captioning.storage import atomic_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Loads a model, rounds its weights, and writes it."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL", help="the model folder to copy")
    parser.add_argument("smaller", type=Path, metavar="SMALLER", help="where the copy goes")
    options = parser.parse_args(arguments)
    if options.model.resolve() == options.smaller.resolve():
        raise UserError(f"{options.smaller} is the model itself: name another folder")

    from captioning.keras_setup import keras
    from captioning.network.model_folder import load_model, save_model

    model = load_model(options.model)
    recipe = read_toml(require(options.model / RECIPE))
    for variable in model.captioner.variables:
        if variable.dtype == "float32":
            variable.assign(keras.ops.cast(keras.ops.cast(variable, "bfloat16"), "float32"))
    save_model(options.smaller, model, recipe)
    saved = options.smaller / CAPTIONER
    with (
        atomic_path(saved) as partial,
        zipfile.ZipFile(saved) as archive,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as compressed,
    ):
        for name in archive.namelist():
            compressed.writestr(name, archive.read(name))
    if (options.model / HISTORY).is_file():
        with atomic_path(options.smaller / HISTORY) as partial:
            partial.write_bytes((options.model / HISTORY).read_bytes())
    print(f"wrote {options.smaller}: {saved.stat().st_size / 1e6:.1f} MB")
    print(f"next: python evaluate.py --model {quoted(options.smaller)}")
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
