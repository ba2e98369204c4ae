"""The classic recipe, written plainly: what the tests and the benchmarks compare with.

Every beginning of a caption is an example of its own, left-padded to the maximum length; the
network gives the next word only; a caption is written by calling `predict` for each word.
"""

import numpy as np

from captioning.backend import keras

UNITS = 256
DROPOUT = 0.5

# The layers that hold weights; train.py's network has the same.
LAYERS = ("photo_dense", "embedding", "lstm", "decoder_dense", "next_word")


def define_classic_model(vocabulary_size, maximum_length, photo_length, dropout=DROPOUT):
    """Builds the classic network.

    Args:
        vocabulary_size: int, number of word ids, padding included.
        maximum_length: int, ids in a padded beginning.
        photo_length: int, numbers in a photo's vector.
        dropout: float, share of the numbers hidden in training.

    Returns:
        keras.Model: [float32 (batch, photo_length), int (batch, maximum_length)] -> float32
        (batch, vocabulary_size), the probabilities of the next word.
    """
    layers = keras.layers
    photo = keras.Input((photo_length,))
    photo_code = layers.Dropout(dropout)(photo)
    photo_code = layers.Dense(UNITS, activation="relu", name="photo_dense")(photo_code)
    words = keras.Input((maximum_length,))
    embedded = layers.Embedding(vocabulary_size, UNITS, mask_zero=True, name="embedding")(words)
    read = layers.LSTM(UNITS, name="lstm")(layers.Dropout(dropout)(embedded))
    merged = layers.add([photo_code, read])
    decoded = layers.Dense(UNITS, activation="relu", name="decoder_dense")(merged)
    outputs = layers.Dense(vocabulary_size, activation="softmax", name="next_word")(decoded)
    return keras.Model([photo, words], outputs)


def copy_weights(source, target):
    """Copies the weights of one network to the other.

    Args:
        source: keras.Model with `LAYERS`.
        target: keras.Model with `LAYERS` of the same sizes.
    """
    for name in LAYERS:
        target.get_layer(name).set_weights(source.get_layer(name).get_weights())


def examples_of(captions, maximum_length):
    """Lists the examples of captions: every beginning with the word that follows it.

    Args:
        captions: list of list of int, word ids with both markers.
        maximum_length: int, ids in a padded beginning.

    Returns:
        tuple of three numpy.ndarray of int: beginnings, left-padded, (examples, maximum_length);
        next words, (examples,); and the number of the caption of each, (examples,).
    """
    beginnings, next_words, rows = [], [], []
    for row, word_ids in enumerate(captions):
        for length in range(1, len(word_ids)):
            beginnings.append([0] * (maximum_length - length) + word_ids[:length])
            next_words.append(word_ids[length])
            rows.append(row)
    return np.array(beginnings), np.array(next_words), np.array(rows)


def batches_of_photos(vectors, captions_of_photos, vocabulary_size, maximum_length):
    """Gives the examples photo by photo with one-hot targets, as the classic recipe trains.

    Args:
        vectors: numpy.ndarray, float32, (photos, length).
        captions_of_photos: list of list of list of int, the captions of each photo.
        vocabulary_size: int.
        maximum_length: int.

    Yields:
        tuple of inputs and targets, as `fit` takes them.
    """
    for vector, captions in zip(vectors, captions_of_photos, strict=True):
        beginnings, next_words, _ = examples_of(captions, maximum_length)
        targets = keras.utils.to_categorical(next_words, vocabulary_size)
        yield (np.repeat(vector[None], len(beginnings), axis=0), beginnings), targets


def write_caption(model, vocabulary, photo):
    """Writes one caption greedily, reading the whole beginning anew for each word.

    Args:
        model: keras.Model, from `define_classic_model`.
        vocabulary: captioning.vocabulary.Vocabulary.
        photo: numpy.ndarray, float32, (length,).

    Returns:
        list of int, word ids, the last that of `endseq` unless the maximum length was reached.
    """
    word_ids = [vocabulary.start_id]
    for _ in range(vocabulary.maximum_length):
        padding = [0] * (vocabulary.maximum_length - len(word_ids))
        probabilities = model.predict([photo[None], np.array([padding + word_ids])], verbose=0)
        word_ids.append(int(probabilities[0].argmax()))
        if word_ids[-1] == vocabulary.end_id:
            break
    return word_ids[1:]
