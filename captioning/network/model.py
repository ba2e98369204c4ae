"""The network, defined once.

It is the merge network of Tanti, Gatt and Camilleri (2017), arXiv:1703.09137, in two halves. The
photo half turns the features of a photo into an image embedding. The word half reads token ids and
returns, after each of them, the logits of the next token. Training runs it over whole captions,
decoding one token at a time with its state carried along: the same layers, so the same function.

To change the network, change `build_photo_half` and `build_word_half`. Training, decoding, token
probabilities, checkpoints and saving use what these two return, whatever layers are in it and
however many states it has.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from captioning.keras_setup import keras

PHOTO_HALF = "photo_half"
WORD_HALF = "word_half"


def build_photo_half(feature_length: int, units: int, dropout: float) -> keras.Model:
    """Builds the half that runs once a photo: features -> image embedding.

    The features are (batch, feature_length); the image embedding may have any shape that the word
    half takes, here (batch, units).
    """
    features = keras.Input((feature_length,), name="features")
    hidden = keras.layers.Dropout(dropout, name="photo_dropout")(features)
    embedding = keras.layers.Dense(units, activation="relu", name="photo_dense")(hidden)
    return keras.Model(features, embedding, name=PHOTO_HALF)


def build_word_half(
    vocabulary_size: int, units: int, word_dropout: float, output_dropout: float
) -> keras.Model:
    """Builds the half that reads a caption: token ids, image embedding, states -> logits, states.

    The token ids are (batch, tokens), int32, and the logits (batch, tokens, vocabulary_size). The
    states are what the network must remember to go on where it stopped, each (batch, size), zero
    before the first token. An LSTM has two, a GRU one, a network of two LSTMs four.
    """
    layers = keras.layers
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    image_embedding = keras.Input((units,), name="image_embedding")
    states = [keras.Input((units,), name="hidden_state"), keras.Input((units,), name="cell_state")]

    # Captions are padded at their end, so what comes before needs no mask.
    embedded = layers.Embedding(vocabulary_size, units, name="embedding")(token_ids)
    embedded = layers.Dropout(word_dropout, name="word_dropout")(embedded)
    lstm = layers.LSTM(units, return_sequences=True, return_state=True, name="lstm")
    hidden, *new_states = lstm(embedded, initial_state=states)

    # One image embedding is added at every position.
    image_embedding_of_tokens = layers.Reshape((1, units), name="at_every_token")(image_embedding)
    merged = layers.Add(name="add")([image_embedding_of_tokens, hidden])
    decoded = layers.Dense(units, activation="relu", name="decoder_dense")(merged)
    decoded = layers.Dropout(output_dropout, name="output_dropout")(decoded)
    logits = layers.Dense(vocabulary_size, name="next_token")(decoded)
    return keras.Model([token_ids, image_embedding, *states], [logits, *new_states], name=WORD_HALF)


def join_halves(photo_half: keras.Model, word_half: keras.Model) -> keras.Model:
    """Builds the captioner: features and whole captions -> probabilities of each next token.

    These are (batch, feature_length), (batch, tokens) and (batch, tokens, vocabulary_size).
    """
    features = keras.Input(photo_half.inputs[0].shape[1:], name="features")
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    image_embedding = photo_half(features)
    zero = keras.ops.zeros_like(features[:, :1])
    states = [keras.ops.repeat(zero, size, axis=1) for size in state_sizes(word_half)]
    logits, *_ = word_half([token_ids, image_embedding, *states])
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model([features, token_ids], probabilities, name="captioner")


def build_captioner(
    vocabulary_size: int,
    feature_length: int,
    *,
    units: int = 256,
    photo_dropout: float = 0.5,
    word_dropout: float = 0.5,
    output_dropout: float = 0.25,
) -> keras.Model:
    """Builds an untrained captioner, as `join_halves` returns it."""
    return join_halves(
        build_photo_half(feature_length, units, photo_dropout),
        build_word_half(vocabulary_size, units, word_dropout, output_dropout),
    )


def average_captioners(captioners: Sequence[keras.Model]) -> keras.Model:
    """Builds a captioner whose probabilities are the mean of those of others, sharing their layers.

    They must take the same features and have the same vocabulary; all else may differ.
    """
    photo_halves, word_halves = zip(*map(halves, captioners), strict=True)
    return join_halves(_join_photo_halves(photo_halves), _average_word_halves(word_halves))


def _join_photo_halves(photo_halves: Sequence[keras.Model]) -> keras.Model:
    """Returns the image embeddings of all photo halves, flattened, one after another."""
    features = keras.Input(photo_halves[0].inputs[0].shape[1:], name="features")
    named = [_named(half, index) for index, half in enumerate(photo_halves)]
    embeddings = [keras.layers.Flatten()(half(features)) for half in named]
    return keras.Model(features, keras.ops.concatenate(embeddings, axis=-1), name=PHOTO_HALF)


def _average_word_halves(word_halves: Sequence[keras.Model]) -> keras.Model:
    """Runs all word halves, each on its part of what `_join_photo_halves` returns."""
    shapes = [half.inputs[1].shape[1:] for half in word_halves]
    ends = list(itertools.accumulate(map(math.prod, shapes)))
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    image_embeddings = keras.Input((ends[-1],), name="image_embeddings")

    states, new_states, log_probabilities = [], [], []
    for index, (half, shape, end) in enumerate(zip(word_halves, shapes, ends, strict=True)):
        states_of_half = [keras.Input((size,)) for size in state_sizes(half)]
        part = image_embeddings[:, end - math.prod(shape) : end]
        embedding = keras.layers.Reshape(shape)(part)
        logits, *left = _named(half, index)([token_ids, embedding, *states_of_half])
        log_probabilities.append(keras.ops.log_softmax(logits))
        states += states_of_half
        new_states += left
    # The logarithm of the mean probability, computed so that small ones do not vanish.
    total = keras.ops.logsumexp(keras.ops.stack(log_probabilities), axis=0)
    logits = total - math.log(len(word_halves))
    inputs, outputs = [token_ids, image_embeddings, *states], [logits, *new_states]
    return keras.Model(inputs, outputs, name=WORD_HALF)


def _named(half: keras.Model, index: int) -> keras.Model:
    """Returns the same half under a name of its own, as Keras wants it of the parts of a model."""
    return keras.Model(half.input, half.output, name=f"{half.name}_{index}")


def halves(captioner: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Returns the photo half and the word half; raises `ValueError` for another network."""
    found = {layer.name: layer for layer in captioner.layers if isinstance(layer, keras.Model)}
    if set(found) != {PHOTO_HALF, WORD_HALF}:
        raise ValueError(f"Expected {PHOTO_HALF} and {WORD_HALF}. Received: {list(found)}")
    return found[PHOTO_HALF], found[WORD_HALF]


def check_captioner(captioner: keras.Model, vocabulary_size: int) -> None:
    """Decodes two tokens of two captions, both at once and one after the other.

    Raises `ValueError` if the captioner was not made by `join_halves`, has another vocabulary, or
    anything is not finite. A layer that does not fit raises errors of its own.
    """
    photo_half, word_half = halves(captioner)
    features = keras.ops.ones((2, captioner.inputs[0].shape[-1]))
    token_ids = keras.ops.ones((2, 2), dtype="int32")
    outputs = [captioner([features, token_ids])]
    image_embedding = photo_half(features)
    states = list(map(keras.ops.convert_to_tensor, zero_states(word_half, 2)))
    for _ in range(2):
        logits, *states = word_half([token_ids[:, :1], image_embedding, *states])
        outputs.append(logits)
    shapes = [tuple(output.shape) for output in (*outputs, *states)]
    expected = [(2, tokens, vocabulary_size) for tokens in (2, 1, 1)]
    expected += [(2, size) for size in state_sizes(word_half)]
    if shapes != expected:
        raise ValueError(f"Expected the shapes {expected}. Received: {shapes}")
    for values in (*captioner.weights, *outputs):
        if not np.isfinite(keras.ops.convert_to_numpy(values)).all():
            raise ValueError(f"Expected finite weights and probabilities. Received: {values}")


def state_sizes(word_half: keras.Model) -> list[int]:
    """Returns the length of each state of a word half."""
    return [state.shape[-1] for state in word_half.inputs[2:]]


def zero_states(word_half: keras.Model, batch_size: int) -> list[np.ndarray]:
    """Returns the states before the first token, each (batch_size, size), float32."""
    return [np.zeros((batch_size, size), dtype=np.float32) for size in state_sizes(word_half)]
