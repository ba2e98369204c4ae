"""Whoever changes the network changes one place: a variant is trained, decoded and saved."""

import numpy as np
from msgspec import structs
from support import ENCODER_RECORD, FEATURE_LENGTH, VOCABULARY

from captioning.keras_setup import keras
from captioning.network import model as model_module
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.decoding import CaptionDecoder
from captioning.network.model import build_captioner
from captioning.network.model_folder import SavedModel, load_model, save_model
from captioning.network.training import CaptionTrainer, compile_trainer

layers = keras.layers


def build_other_word_half(vocabulary_size, units, word_dropout, output_dropout):
    """Builds a word half of an LSTM and a GRU, thus of three states, with a layer more."""
    token_ids = keras.Input((None,), dtype="int32")
    image_embedding = keras.Input((units,))
    states = [keras.Input((units,)) for _ in range(3)]
    hidden = layers.Embedding(vocabulary_size, units)(token_ids)
    hidden = layers.Dropout(word_dropout)(hidden)
    options = {"return_sequences": True, "return_state": True}
    hidden, *left = layers.LSTM(units, **options)(hidden, initial_state=states[:2])
    hidden, last = layers.GRU(units, **options)(hidden, initial_state=states[2])
    merged = layers.Add()([layers.Reshape((1, units))(image_embedding), hidden])
    merged = layers.LayerNormalization(name="new")(merged)
    logits = layers.Dense(vocabulary_size)(layers.Dropout(output_dropout)(merged))
    inputs = [token_ids, image_embedding, *states]
    return keras.Model(inputs, [logits, *left, last], name=model_module.WORD_HALF)


def greedy_by_whole_captions(captioner, features):
    """Captions each photo by the probabilities of the whole captioner on a growing prefix."""
    prefixes = np.full((len(features), 1), VOCABULARY.start_id, np.int32)
    for _ in range(VOCABULARY.maximum_length):
        probabilities = np.array(captioner([features, prefixes], training=False))[:, -1]
        probabilities[:, [0, VOCABULARY.start_id]] = 0
        prefixes = np.hstack([prefixes, probabilities.argmax(axis=1)[:, None].astype(np.int32)])
    captions = [row[1:].tolist() for row in prefixes]
    end = VOCABULARY.end_id
    return [row[: row.index(end) + 1] if end in row else row for row in captions]


def test_a_changed_network_is_trained_decoded_and_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(model_module, "build_word_half", build_other_word_half)
    keras.utils.set_random_seed(3)
    captioner = build_captioner(VOCABULARY.size, FEATURE_LENGTH, units=12)
    before = {weight.path: np.array(weight) for weight in captioner.trainable_weights}
    generator = np.random.default_rng(0)
    captions = [[2, *map(int, generator.choice([1, 3, 4, 6, 7], 3)), 5] for _ in range(24)]
    features = generator.normal(0, 2, (12, FEATURE_LENGTH)).astype(np.float32)
    split = CaptionedSplit([], [], features, captions, np.repeat(np.arange(12), 2))
    trainer = CaptionTrainer(captioner)
    compile_trainer(trainer, 0.05, 0.0, steps=12)
    # Compiling it takes far longer.
    trainer.run_eagerly = True
    trainer.fit(CaptionBatches(split, 4, 1), epochs=2, shuffle=False, verbose=0)
    for weight in captioner.trainable_weights:
        assert np.abs(np.array(weight) - before[weight.path]).max() > 0, weight.path

    decoder = CaptionDecoder(captioner, VOCABULARY)
    greedy = decoder.greedy(features)
    assert greedy == greedy_by_whole_captions(captioner, features)
    assert len(set(map(tuple, greedy))) > 1

    record = structs.replace(ENCODER_RECORD, length=FEATURE_LENGTH)
    save_model(tmp_path, SavedModel(captioner, VOCABULARY, record), {})
    loaded = CaptionDecoder(load_model(tmp_path).captioner, VOCABULARY)
    assert loaded.finished_captions(features, 3) == decoder.finished_captions(features, 3)
    tokens = [one.token_probabilities(features, greedy) for one in (decoder, loaded)]
    assert tokens[0] == tokens[1]


def test_the_saved_captioner_opens_with_keras_alone(tmp_path):
    captioner = build_captioner(9, 4, units=3)
    captioner.save(tmp_path / "captioner.keras")
    loaded = keras.models.load_model(tmp_path / "captioner.keras", safe_mode=True)
    inputs = [np.ones((2, 4), np.float32), np.array([[1, 2], [3, 0]], np.int32)]
    np.testing.assert_array_equal(np.array(loaded(inputs)), np.array(captioner(inputs)))
