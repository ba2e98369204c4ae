"""Measures how much time generate.py takes for one photo besides importing and loading.

    python benchmarks/startup.py --photo PHOTO

Prints  seconds of generate.py on one photo, and of a process that imports Keras and loads the
        encoder's weights and the model, nothing else; medians of alternating runs, after one of
        each that fills the file cache
Takes   about a minute and a half with VGG16. Run nothing beside it.

The weights are untrained ones in a file of the real size, and the captioner is of the size that
Flickr8k's captions give it; neither changes the time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.encoders import ARCHITECTURES, UNTRAINED, Encoder
from captioning.files import CAPTIONER
from captioning.model import build_captioner
from captioning.saved_model import SavedModel, save_model
from captioning.vocabulary import END_TOKEN, START_TOKEN, Vocabulary

ROOT = Path(__file__).resolve().parent.parent

ENCODERS = ("VGG16", "VGG19")  # those whose features are a layer's output
VOCABULARY_SIZE = 7579  # that of Flickr8k
REPETITIONS = 5

# Importing and loading alone.
BARE = """
import sys
from captioning.backend import keras
from captioning.encoders import Encoder
Encoder(sys.argv[1], sys.argv[2])
keras.models.load_model(sys.argv[3], compile=False)
"""


def write_model(folder: Path, name: str) -> Path:
    """Writes weights of an encoder, whose path it returns, and a model folder that uses them."""
    encoder = Encoder(name, UNTRAINED)
    weights = folder / "encoder.weights.h5"
    # With the layers that the encoder leaves out, as in the files that there are.
    whole = ARCHITECTURES[name].network(weights=None)
    for layer in encoder.network.layers:
        if layer.weights:
            whole.get_layer(layer.name).set_weights(layer.get_weights())
    whole.save_weights(weights)
    words = (START_TOKEN, END_TOKEN, *(f"word{n}" for n in range(VOCABULARY_SIZE - 3)))
    vocabulary = Vocabulary(words, 34, {})
    record = {**encoder.record(), "weights": str(weights)}
    captioner = build_captioner(vocabulary.size, encoder.length)
    save_model(folder / "model", SavedModel(captioner, vocabulary, record), {})
    return weights


def seconds_of(*command: str) -> float:
    """Returns the seconds that Python takes with these arguments."""
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if process.returncode != 0:
        raise UserError(process.stderr)
    return seconds


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--photo", type=Path, required=True, metavar="FILE", help="what to caption")
    parser.add_argument("--encoder", choices=ENCODERS, default=ENCODERS[0], help="the network")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    options = parse_arguments(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        weights = write_model(folder, options.encoder)
        model = folder / "model"
        bare = ["-c", BARE, options.encoder, str(weights), str(model / CAPTIONER)]
        whole = ["generate.py", str(options.photo.resolve()), "--model", str(model)]
        pairs = [(seconds_of(*bare), seconds_of(*whole)) for _ in range(REPETITIONS + 1)][1:]
    loading, everything = np.median(pairs, axis=0)
    print(
        f"{options.encoder}: importing and loading {loading:.2f} s, generate.py on one photo "
        f"{everything:.2f} s, {everything / loading:.3f} of it"
    )
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
