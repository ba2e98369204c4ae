"""The classic recipe, written plainly: what the tests and the benchmarks compare with.

Every prefix of a caption is an example of its own, left-padded to the maximum length; the network
returns the next word only; a caption is written by calling `predict` for each word.
"""

from collections.abc import Iterator

import numpy as np

from captioning.keras_setup import keras
from captioning.network.model import halves
from captioning.text.vocabulary import Vocabulary

UNITS = 256
DROPOUT = 0.5

# The layers that hold weights; the captioner's halves have layers of the same names.
LAYERS = ("photo_dense", "embedding", "lstm", "decoder_dense", "next_token")


def build_classic_model(
    vocabulary_size: int, maximum_length: int, feature_length: int, dropout: float = DROPOUT
) -> keras.Model:
    """Builds the classic network: features and a padded prefix -> probabilities of the next word.

    The inputs are (batch, feature_length) and (batch, maximum_length), the output is (batch,
    vocabulary_size).
    """
    layers = keras.layers
    features = keras.Input((feature_length,))
    image_embedding = layers.Dropout(dropout)(features)
    image_embedding = layers.Dense(UNITS, activation="relu", name="photo_dense")(image_embedding)
    prefix = keras.Input((maximum_length,))
    embedded = layers.Embedding(vocabulary_size, UNITS, mask_zero=True, name="embedding")(prefix)
    hidden = layers.LSTM(UNITS, name="lstm")(layers.Dropout(dropout)(embedded))
    merged = layers.add([image_embedding, hidden])
    decoded = layers.Dense(UNITS, activation="relu", name="decoder_dense")(merged)
    outputs = layers.Dense(vocabulary_size, activation="softmax", name="next_token")(decoded)
    return keras.Model([features, prefix], outputs)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies the weights from a captioner to the classic network, or the other way round."""
    sources, targets = _layers_by_name(source), _layers_by_name(target)
    for name in LAYERS:
        targets[name].set_weights(sources[name].get_weights())


def _layers_by_name(model: keras.Model) -> dict[str, keras.Layer]:
    is_captioner = any(isinstance(layer, keras.Model) for layer in model.layers)
    parts = halves(model) if is_captioner else [model]
    return {layer.name: layer for part in parts for layer in part.layers}


def examples_of(
    captions: list[list[int]], maximum_length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists the examples of captions: every prefix with the token that follows it.

    Args:
        captions: token ids with start and end token.
        maximum_length: tokens of a padded prefix.

    Returns:
        Prefixes, left-padded, (examples, maximum_length); targets, (examples,); and the number of
        the caption of each, (examples,).
    """
    prefixes, targets, rows = [], [], []
    for row, token_ids in enumerate(captions):
        for length in range(1, len(token_ids)):
            prefixes.append([0] * (maximum_length - length) + token_ids[:length])
            targets.append(token_ids[length])
            rows.append(row)
    return np.array(prefixes), np.array(targets), np.array(rows)


def batches_of_photos(
    features: np.ndarray,
    captions_of_photos: list[list[list[int]]],
    vocabulary_size: int,
    maximum_length: int,
) -> Iterator[tuple]:
    """Yields inputs and one-hot targets photo by photo, as the classic recipe trains.

    The features are (photos, length), the captions token ids by photo.
    """
    for photo, captions in zip(features, captions_of_photos, strict=True):
        prefixes, targets, _ = examples_of(captions, maximum_length)
        one_hot = keras.utils.to_categorical(targets, vocabulary_size)
        yield (np.repeat(photo[None], len(prefixes), axis=0), prefixes), one_hot


def write_caption(model: keras.Model, vocabulary: Vocabulary, features: np.ndarray) -> list[int]:
    """Writes one caption greedily, reading the whole prefix anew for each word.

    The features are those of one photo, (length,). The end token is the last unless the maximum
    length was reached.
    """
    token_ids = [vocabulary.start_id]
    for _ in range(vocabulary.maximum_length):
        padding = [0] * (vocabulary.maximum_length - len(token_ids))
        probabilities = model.predict([features[None], np.array([padding + token_ids])], verbose=0)
        token_ids.append(int(probabilities[0].argmax()))
        if token_ids[-1] == vocabulary.end_id:
            break
    return token_ids[1:]
