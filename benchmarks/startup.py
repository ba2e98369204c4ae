"""Measures how much generate.py needs for one photo beyond importing Keras and loading networks.

    python benchmarks/startup.py --photo PHOTO

Prints  seconds of generate.py on one photo, and of a process that imports Keras and loads the
        encoder's weights and the captioner, nothing else; medians of alternating runs, after one of
        each that fills the file cache
Takes   about a minute and a half with VGG16. Run nothing beside it.

The weights are untrained ones in a file of the real size, and the captioner is of the size that
Flickr8k's captions give it; neither changes the time.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.files import CAPTIONER
from captioning.network.model import build_captioner
from captioning.network.model_folder import SavedModel, save_model
from captioning.photos.encoders import ENCODERS, Encoder
from captioning.text.vocabulary import END_TOKEN, START_TOKEN, Vocabulary

ROOT = Path(__file__).resolve().parent.parent

VOCABULARY_SIZE = 7579  # that of Flickr8k
MAXIMUM_LENGTH = 34  # the same
REPETITIONS = 5

BARE = """
import sys
from captioning.keras_setup import keras
from captioning.photos.encoders import Encoder
Encoder(sys.argv[1], sys.argv[2])
keras.models.load_model(sys.argv[3], compile=False)
"""


def write_model(folder: Path, encoder_name: str) -> Path:
    """Writes weights of an encoder and a model folder that names them; returns their path."""
    weights = folder / "encoder.weights.h5"
    ENCODERS[encoder_name].build(encoder_name, None).save_weights(weights)
    encoder = Encoder(encoder_name, str(weights))
    words = (START_TOKEN, END_TOKEN, *(f"word{n}" for n in range(VOCABULARY_SIZE - 3)))
    vocabulary = Vocabulary(words, MAXIMUM_LENGTH, {})
    captioner = build_captioner(vocabulary.size, encoder.length)
    save_model(
        folder / "model",
        SavedModel(captioner, vocabulary, encoder.record()),
        recipe={"train": {"seed": 1}},
    )
    return weights


def time_process(*arguments: str) -> float:
    """Runs Python with these arguments and returns the seconds that it took."""
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise UserError(process.stderr)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--photo", type=Path, required=True, metavar="FILE", help="what to caption")
    parser.add_argument("--encoder", choices=ENCODERS, default="VGG16", help="the network")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        weights = write_model(Path(place), options.encoder)
        model = Path(place) / "model"
        bare = ["-c", BARE, options.encoder, str(weights), str(model / CAPTIONER)]
        whole = ["generate.py", str(options.photo.resolve()), "--model", str(model)]
        pairs = [(time_process(*bare), time_process(*whole)) for _ in range(REPETITIONS + 1)][1:]
    loading, everything = np.median(pairs, axis=0)
    print(
        f"{options.encoder}: importing and loading {loading:.2f} s, generate.py on one photo "
        f"{everything:.2f} s, {everything / loading:.3f} of it"
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
