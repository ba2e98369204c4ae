"""Keras's other engines: what TensorFlow saved gives the same captions on them, and back."""

import importlib.util
import json

import pytest
from support import ENCODER_RECORD, make_prepared_data, random_captioner, run_script

from captioning.network.decoding import CaptionDecoder
from captioning.network.model_folder import SavedModel, load_model, save_model
from captioning.photos.features import read_features
from captioning.text.vocabulary import read_prepared_text

# Trains for two epochs on the engine, and decodes with a model that another engine saved.
ON_THE_ENGINE = """
import json, sys
from pathlib import Path
import numpy as np
import train
from captioning.cli import run
from captioning.network.decoding import CaptionDecoder
from captioning.keras_setup import keras
from captioning.photos.features import read_features
from captioning.network.model_folder import load_model
data, mine, other, engine = sys.argv[1:]
assert keras.backend.backend() == engine
assert run(train.main, ["--data", data, "--model", mine, "--epochs", "2"]) == 0
model = load_model(Path(other))
features = read_features(Path(data))[:]
decoder = CaptionDecoder(model.captioner, model.vocabulary)
print(json.dumps([decoder.greedy(features), decoder.finished_captions(features, 3)]))
"""


@pytest.mark.parametrize("engine", ["torch", "jax"])
def test_models_go_from_engine_to_engine(tmp_path, engine):
    if importlib.util.find_spec(engine) is None:
        pytest.skip(
            f"{engine} is not installed: it is optional, docs/engines.md says how to get it"
        )
    data, mine, theirs = tmp_path / "data", tmp_path / "tensorflow", tmp_path / engine
    make_prepared_data(data)
    vocabulary = read_prepared_text(data).vocabulary
    length = ENCODER_RECORD.length
    captioner = random_captioner(3, scale=4, length=length, vocabulary=vocabulary, units=256)
    save_model(mine, SavedModel(captioner, vocabulary, ENCODER_RECORD), {})
    arguments = [ON_THE_ENGINE, data, theirs, mine, engine]
    process = run_script("-c", *arguments, KERAS_BACKEND=engine)
    assert process.returncode == 0, process.stderr

    features = read_features(data)[:]
    decoder = CaptionDecoder(captioner, vocabulary)
    expected = [decoder.greedy(features), decoder.finished_captions(features, 3)]
    assert json.loads(process.stdout.splitlines()[-1]) == expected
    assert len({tuple(caption) for caption in expected[0]}) > 1
    # Its own model loads here.
    assert load_model(theirs).captioner.count_params() == captioner.count_params()
