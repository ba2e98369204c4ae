"""The network, defined once.

It is the merge network of Tanti, Gatt and Camilleri (2017), arXiv:1703.09137, in two halves. The
photo half turns the features of a photo into an image embedding. The word half reads token ids and
returns, after each of them, the logits of the next token. Training runs it over whole captions,
decoding one token at a time with its state carried along: the same layers, so the same function.

To change the network, change `build_photo_half` and `build_word_half`. Training, decoding, token
probabilities, checkpoints and saving use what these two return, whatever layers are in it and
however many states it has.
"""

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
    # Keras wants the parts of a model to have names of their own.
    named = [
        [keras.Model(half.input, half.output, name=f"{half.name}_{index}") for half in halves(one)]
        for index, one in enumerate(captioners)
    ]
    # The image embeddings of all photo halves, flattened, one after another.
    features = keras.Input(captioners[0].inputs[0].shape[1:], name="features")
    embeddings = [keras.layers.Flatten()(photo_half(features)) for photo_half, _ in named]
    joined = keras.ops.concatenate(embeddings, axis=-1)

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    image_embeddings = keras.Input(joined.shape[1:], name="image_embeddings")
    states, new_states, log_probabilities, start = [], [], [], 0
    for _, word_half in named:
        shape = word_half.inputs[1].shape[1:]
        part = image_embeddings[:, start : start + math.prod(shape)]
        start += math.prod(shape)
        own_states = [keras.Input((size,)) for size in state_sizes(word_half)]
        logits, *left = word_half([token_ids, keras.layers.Reshape(shape)(part), *own_states])
        log_probabilities.append(keras.ops.log_softmax(logits))
        states += own_states
        new_states += left
    # The logarithm of the mean probability, computed so that small ones do not vanish.
    total = keras.ops.logsumexp(keras.ops.stack(log_probabilities), axis=0)
    inputs = [token_ids, image_embeddings, *states]
    outputs = [total - math.log(len(captioners)), *new_states]
    return join_halves(
        keras.Model(features, joined, name=PHOTO_HALF),
        keras.Model(inputs, outputs, name=WORD_HALF),
    )


def halves(captioner: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Returns the photo half and the word half; raises `ValueError` for another network."""
    found = {layer.name: layer for layer in captioner.layers if isinstance(layer, keras.Model)}
    if set(found) != {PHOTO_HALF, WORD_HALF}:
        raise ValueError(f"Expected {PHOTO_HALF} and {WORD_HALF}. Received: {list(found)}")
    return found[PHOTO_HALF], found[WORD_HALF]


def state_sizes(word_half: keras.Model) -> list[int]:
    """Returns the length of each state of a word half."""
    return [state.shape[-1] for state in word_half.inputs[2:]]


def zero_states(word_half: keras.Model, batch_size: int) -> list[np.ndarray]:
    """Returns the states before the first token, each (batch_size, size), float32."""
    return [np.zeros((batch_size, size), dtype=np.float32) for size in state_sizes(word_half)]
