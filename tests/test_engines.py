"""Keras's other backends: what TensorFlow saved gives the same captions on them, and back."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from support import ENCODER_RECORD, ROOT, make_prepared_data

from captioning.backend import keras
from captioning.decoding import CaptionDecoder
from captioning.features import read_features
from captioning.model import build_captioner
from captioning.saved_model import SavedModel, load_model, save_model
from captioning.vocabulary import read_vocabulary

# Trains for two epochs on the backend, and decodes with a model that another backend saved.
ON_THE_BACKEND = """
import json, sys
from pathlib import Path
import numpy as np
import train
from captioning.cli import run
from captioning.decoding import CaptionDecoder
from captioning.backend import keras
from captioning.features import read_features
from captioning.saved_model import load_model
data, mine, other, backend = sys.argv[1:]
assert keras.backend.backend() == backend
arguments = ["--data", data, "--model", mine, "--epochs", "2", "--units", "16"]
assert run(train.main, arguments) == 0
model = load_model(Path(other))
features = np.stack(list(read_features(Path(data)).values()))
decoder = CaptionDecoder(model.captioner, model.vocabulary)
print(json.dumps([decoder.greedy(features), decoder.beam(features, 3)]))
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_models_go_from_backend_to_backend(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: it is optional, README.md says how to get it")
    data, mine, theirs = tmp_path / "data", tmp_path / "tensorflow", tmp_path / backend
    make_prepared_data(data)
    vocabulary = read_vocabulary(data, "")
    keras.utils.set_random_seed(3)
    captioner = build_captioner(vocabulary.size, ENCODER_RECORD["length"])
    # Large weights, so that photos differ in their captions.
    for variable in captioner.trainable_variables:
        variable.assign(4 * variable.value)
    save_model(mine, SavedModel(captioner, vocabulary, ENCODER_RECORD), {})
    arguments = [str(data), str(theirs), str(mine), backend]
    output = run_on(backend, ["-c", ON_THE_BACKEND, *arguments])

    features = np.stack(list(read_features(data).values()))
    decoder = CaptionDecoder(captioner, vocabulary)
    expected = [decoder.greedy(features), decoder.beam(features, 3)]
    assert json.loads(output.splitlines()[-1]) == expected
    assert len({tuple(caption) for caption in expected[0]}) > 1
    # Its own model loads here.
    assert load_model(theirs).captioner.count_params() > 0


def run_on(backend, arguments):
    """Runs Python on a backend and gives what it printed."""
    process = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
