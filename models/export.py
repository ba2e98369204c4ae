"""Writes a model as ONNX files, which caption photos without Keras and TensorFlow.

    python models/export.py models/pretrained exported
    python exported/caption.py dog.jpg

Reads   MODEL/      from train.py, and the encoder's weights
Writes  FOLDER/     encoder.onnx    pixels -> image embedding
                    step.onnx       token, image embedding, states -> next tokens, states
                    captioner.json  words and settings
                    caption.py      captions photos with these, by onnxruntime, Pillow and NumPy
Needs   requirements-export.txt
Takes   half a minute.
"""

import shutil
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, UserError, quoted, run
from captioning.storage import Record, atomic_path, write_json

if TYPE_CHECKING:
    from captioning.captioner import Captioner
    from captioning.keras_setup import keras

# The likeliest next tokens that a step gives: enough for a beam of 9.
CHOICES = 10

SCRIPT = Path(__file__).with_name("caption_onnx.py")


class ExportedCaptioner(Record):
    """What caption.py must know besides the networks."""

    words: tuple[str, ...]  # that of token id 1 first
    start_id: int
    end_id: int
    maximum_length: int  # tokens of a caption, its end among them
    sizes: list[int]  # height and width that a photo is resized to for each input of the encoder
    resizing: list[str]  # Pillow's filter for each


def main(arguments: Sequence[str] | None = None) -> int:
    """Loads a model with its encoder, and writes the files."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL", help="the model folder to export")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the files go")
    weights = "the encoder's weights, where they are no longer at the place that MODEL names"
    parser.add_argument("--weights", metavar="imagenet|none|FILE", help=weights)
    options = parser.parse_args(arguments)
    if not find_spec("tf2onnx"):
        remedy = "run python -m pip install -r requirements-export.txt"
        raise UserError(f"tf2onnx is not installed: {remedy}")

    from captioning import load_captioner

    captioner = load_captioner(options.model, options.weights)
    _write_network(options.folder / "encoder.onnx", join_encoder(captioner))
    _write_network(options.folder / "step.onnx", captioner.decoder.step_network(CHOICES))
    vocabulary, parts = captioner.model.vocabulary, captioner.encoder.parts
    settings = ExportedCaptioner(
        words=vocabulary.words,
        start_id=vocabulary.start_id,
        end_id=vocabulary.end_id,
        maximum_length=vocabulary.maximum_length,
        sizes=[part.size for part in parts],
        resizing=[part.resizing for part in parts],
    )
    write_json(options.folder / "captioner.json", settings)
    with atomic_path(options.folder / "caption.py") as partial:
        shutil.copyfile(SCRIPT, partial)
    print(f"wrote {options.folder}")
    print(f"next: python {quoted(options.folder / 'caption.py')} PHOTO")
    return DONE


def join_encoder(captioner: "Captioner") -> "keras.Model":
    """Builds a network of all that a photo goes through once it is resized.

    It takes the pixels for each encoder, (photos, size, size, 3), uint8, and gives the image
    embedding that every step takes.
    """
    from captioning.keras_setup import keras

    encoder, pixels, features = captioner.encoder, [], []
    for index, (part, network) in enumerate(zip(encoder.parts, encoder.networks, strict=True)):
        pixels.append(keras.Input((part.size, part.size, 3), dtype="uint8", name=f"pixels_{index}"))
        features.append(network(part.preprocess(keras.ops.cast(pixels[-1], "float32"))))
    joined = keras.ops.concatenate(features, axis=1)
    return keras.Model(pixels, captioner.decoder.photo_half(joined))


def _write_network(path: Path, network: "keras.Model") -> None:
    # Keras exports only what has been called.
    network(network.inputs)
    with atomic_path(path) as partial, warnings.catch_warnings():
        # tf2onnx is older than NumPy 2.
        warnings.simplefilter("ignore", FutureWarning)
        network.export(partial, format="onnx", verbose=False)


if __name__ == "__main__":
    sys.exit(run(main))
