"""Whoever changes the network changes one place: each variant is trained, decoded and saved."""

import functools

import numpy as np
import pytest
from support import ENCODER_RECORD

from captioning.keras_setup import keras
from captioning.network import model as model_module
from captioning.network.batches import CaptionBatches, CaptionedSplit
from captioning.network.decoding import CaptionDecoder, token_probabilities
from captioning.network.model import build_captioner, halves, zero_states
from captioning.network.model_folder import SavedModel, load_model, save_model
from captioning.network.training import CaptionTrainer, compile_trainer
from captioning.text.vocabulary import Vocabulary

layers = keras.layers

WORDS = ("startseq", "endseq", "ant", "bee", "cow", "dog", "elk", "fox")
VOCABULARY = Vocabulary(WORDS, 9, {})
FEATURE_LENGTH = ENCODER_RECORD.length
UNITS = 12


def build_word_half_with(change, cells=1, recurrent=layers.LSTM):
    """Builds a word half as `model.build_word_half` does, with a change of one kind."""

    def build(vocabulary_size, units, word_dropout, output_dropout):
        states_of_cell = 2 if recurrent is layers.LSTM else 1
        token_ids = keras.Input((None,), dtype="int32")
        image_embedding = keras.Input((units,))
        states = [keras.Input((units,)) for _ in range(cells * states_of_cell)]
        hidden = layers.Embedding(vocabulary_size, units)(token_ids)
        hidden = layers.Dropout(word_dropout)(hidden)
        new_states = []
        for cell in range(cells):
            layer = recurrent(units, return_sequences=True, return_state=True, name=f"cell_{cell}")
            start = states[cell * states_of_cell : (cell + 1) * states_of_cell]
            hidden, *left = layer(hidden, initial_state=start)
            new_states += left
        merged = layers.Add()([layers.Reshape((1, units))(image_embedding), hidden])
        if change is not None:
            merged = change(units)(merged)
        decoded = layers.Dense(units, activation="relu")(merged)
        decoded = layers.Dropout(output_dropout)(decoded)
        logits = layers.Dense(vocabulary_size)(decoded)
        return keras.Model(
            [token_ids, image_embedding, *states],
            [logits, *new_states],
            name=model_module.WORD_HALF,
        )

    return build


VARIANTS = {
    "as it stands": model_module.build_word_half,
    "layer normalization": build_word_half_with(lambda u: layers.LayerNormalization(name="new")),
    "second LSTM": build_word_half_with(None, cells=2),
    "another dense layer": build_word_half_with(lambda u: layers.Dense(u, "tanh", name="new")),
    "GRU": build_word_half_with(None, recurrent=layers.GRU),
}


def small_split():
    """Draws 24 captions of 2 to 7 words for 12 photos."""
    generator = np.random.default_rng(0)
    captions = [
        [1, *map(int, generator.integers(3, 9, length)), 2]
        for length in generator.integers(2, 8, 24)
    ]
    features = generator.normal(0, 2, (12, FEATURE_LENGTH)).astype(np.float32)
    return CaptionedSplit([], [], features, captions, np.repeat(np.arange(12), 2))


@pytest.fixture(params=VARIANTS)
def trained(request, monkeypatch):
    """Trains a variant for two epochs; returns it, its features, and weights before and after."""
    monkeypatch.setattr(model_module, "build_word_half", VARIANTS[request.param])
    keras.utils.set_random_seed(3)
    captioner = build_captioner(VOCABULARY.size, FEATURE_LENGTH, units=UNITS)
    before = {weight.path: np.array(weight) for weight in captioner.trainable_weights}
    trainer = CaptionTrainer(captioner)
    split = small_split()
    compile_trainer(trainer, 0.05, 0.0, steps=12)
    trainer.fit(CaptionBatches(split, 4, 1), epochs=2, shuffle=False, verbose=0)
    after = {weight.path: np.array(weight) for weight in captioner.trainable_weights}
    return captioner, split.features, before, after


def greedy_by_whole_captions(captioner, features):
    """Captions each photo by the probabilities of the whole captioner on a growing prefix."""
    captions = []
    for photo in features:
        prefix = [VOCABULARY.start_id]
        while prefix[-1] != VOCABULARY.end_id and len(prefix) <= VOCABULARY.maximum_length:
            inputs = [photo[None], np.array([prefix], dtype=np.int32)]
            probabilities = np.array(captioner.predict_on_batch(inputs))[0, -1]
            probabilities[[0, VOCABULARY.start_id]] = 0
            prefix.append(int(probabilities.argmax()))
        captions.append(prefix[1:])
    return captions


def test_a_changed_network_is_trained_decoded_and_saved(trained, tmp_path):
    captioner, features, before, after = trained
    for path, weight in before.items():
        assert np.abs(after[path] - weight).max() > 0, f"{path} is not trained"

    captions = CaptionDecoder(captioner, VOCABULARY).greedy(features)
    assert captions == greedy_by_whole_captions(captioner, features)
    assert len(set(map(tuple, captions))) > 1
    decoder = CaptionDecoder(captioner, VOCABULARY)
    assert decoder.beam(features, 1) == captions

    save_model(tmp_path, SavedModel(captioner, VOCABULARY, ENCODER_RECORD), {})
    loaded = load_model(tmp_path).captioner
    assert CaptionDecoder(loaded, VOCABULARY).greedy(features) == captions
    beams = [CaptionDecoder(one, VOCABULARY).beam(features, 3) for one in (captioner, loaded)]
    assert beams[0] == beams[1]
    probabilities = [
        token_probabilities(one, VOCABULARY, features, captions) for one in (captioner, loaded)
    ]
    assert probabilities[0] == probabilities[1]


def test_the_saved_captioner_opens_with_keras_alone(tmp_path):
    captioner = build_captioner(9, 4, units=3)
    captioner.save(tmp_path / "captioner.keras")
    loaded = keras.models.load_model(tmp_path / "captioner.keras", safe_mode=True)
    inputs = [np.ones((2, 4), np.float32), np.array([[1, 2], [3, 0]], np.int32)]
    np.testing.assert_array_equal(np.array(loaded(inputs)), np.array(captioner(inputs)))


def test_padding_at_the_end_changes_nothing(monkeypatch):
    """Neither the probabilities nor the gradient, compared with a mask: hence there is none."""
    sizes = {"units": 5, "photo_dropout": 0.0, "word_dropout": 0.0, "output_dropout": 0.0}
    captioner = build_captioner(9, 4, **sizes)
    masking = functools.partial(layers.Embedding, mask_zero=True)
    monkeypatch.setattr(layers, "Embedding", masking)
    masked = build_captioner(9, 4, **sizes)
    masked.set_weights(captioner.get_weights())
    mask = [layer.mask_zero for layer in halves(masked)[1].layers if layer.name == "embedding"]
    assert mask == [True]

    features = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    short, padded = np.array([[1, 4, 5]], np.int32), np.array([[1, 4, 5, 0, 0]], np.int32)
    np.testing.assert_allclose(
        np.array(captioner([features[:1], padded]))[:, :3],
        np.array(captioner([features[:1], short])),
        atol=1e-6,
    )
    prefixes = np.array([[1, 4, 5, 0, 0], [1, 3, 6, 7, 8]], np.int32)
    targets = np.array([[4, 5, 2, 0, 0], [3, 6, 7, 8, 2]], np.int32)
    gradients = []
    for model in (captioner, masked):
        trainer = CaptionTrainer(model)
        trainer.compile(keras.optimizers.SGD(1.0))
        before = [weight.copy() for weight in model.get_weights()]
        weight = (targets != 0).astype(np.float32)
        trainer.train_on_batch([features, prefixes], targets, sample_weight=weight)
        gradients.append([a - b for a, b in zip(before, model.get_weights(), strict=True)])
    for without_mask, with_mask in zip(*gradients, strict=True):
        np.testing.assert_allclose(without_mask, with_mask, atol=1e-6)
        assert np.abs(with_mask).max() > 0


def test_halves_and_states():
    captioner = build_captioner(9, 4, units=3)
    photo_half, word_half = halves(captioner)
    assert photo_half.output_shape == (None, 3)
    shapes = [(5, state.shape[-1]) for state in word_half.inputs[2:]]
    assert [state.shape for state in zero_states(word_half, 5)] == shapes
    assert len(shapes) == len(word_half.outputs) - 1 > 0
    other = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="word_half"):
        halves(other)
