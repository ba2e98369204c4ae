"""Trains the decoder: a photo's vector and the words so far in, the next word out.

    python train.py --data data/flickr8k --model models/flickr8k
    python train.py --data data/flickr8k --model models/flickr8k --resume

Reads   DATA/features.pkl, DATA/features.json           from prepare_photos.py
        DATA/descriptions.txt, DATA/vocabulary.json     from prepare_text.py
        DATA/Flickr_8k.trainImages.txt and devImages    the training and validation splits
Writes  MODEL/captioner.keras           the network of the epoch with the lowest validation loss
        MODEL/vocabulary.json, features.json            copies, so that the folder is complete
        MODEL/history.csv, curves.png   loss and accuracy of every epoch
        MODEL/unfinished/               what --resume needs, removed at the end
Takes   for Flickr8k on two cores well under a minute an epoch.
Next    python evaluate.py.
"""

import hashlib
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from captioning.backend import keras
from captioning.captions import read_descriptions
from captioning.cli import DONE, ArgumentParser, UserError, run
from captioning.decoding import CaptionDecoder
from captioning.features import read_encoder_record, read_features
from captioning.files import (
    CAPTIONER,
    CURVES,
    GALLERY,
    GENERATED_CAPTIONS,
    HISTORY,
    SCORES,
    require,
)
from captioning.model_folder import Captioner, save_captioner
from captioning.settings import positive_integer, seed_number
from captioning.splits import usable_photos
from captioning.storage import atomic_path, locked, read_json, write_json, write_table
from captioning.vocabulary import read_vocabulary

# Where things are.
DATA = Path("data/flickr8k")  # what prepare_photos.py and prepare_text.py wrote
MODEL = Path("models/flickr8k")  # the trained model goes there

# The network.
UNITS = 256  # length of the photo's code, of a word's embedding and of the LSTM's state
PHOTO_DROPOUT = 0.5  # share of the photo's numbers hidden in training
WORD_DROPOUT = 0.5  # share of the embedding's numbers hidden in training
OUTPUT_DROPOUT = 0.25  # share of the numbers hidden before the softmax in training

# Training.
EPOCHS = 15  # the most epochs; the learning rate falls to zero over all of them
BATCH_SIZE = 128  # captions a step
LEARNING_RATE = 1.2e-3  # at the start; it follows half a cosine down to zero
WEIGHT_DECAY = 0.01  # of AdamW
PATIENCE = 3  # epochs without a lower validation loss before training stops
SEED = 1  # of the first weights, of dropout and of the order of the batches

# What is shown after every epoch.
SHOWN_PHOTOS = 3  # photos of the validation split

# The folder in MODEL that an interrupted run leaves, and its files.
UNFINISHED = "unfinished"
CHECKPOINT = "checkpoint.npz"
SETTINGS = "settings.json"


def define_model(vocabulary_size, photo_length):
    """Builds the merge network of Tanti, Gatt and Camilleri (2017), arXiv:1703.09137.

    The LSTM gives its state at every position and the photo's code is added at every position, so
    one pass over a caption predicts each of its words from those before it.

    Args:
        vocabulary_size: int, number of word ids, padding included.
        photo_length: int, numbers in a photo's vector.

    Returns:
        keras.Model: [float32 (batch, photo_length), int32 (batch, words)] -> float32
        (batch, words, vocabulary_size), the probabilities of the word after each position.
    """
    layers = keras.layers

    photo = keras.Input((photo_length,), name="photo")
    photo_code = layers.Dropout(PHOTO_DROPOUT, name="photo_dropout")(photo)
    photo_code = layers.Dense(UNITS, activation="relu", name="photo_dense")(photo_code)
    photo_code = layers.Reshape((1, UNITS), name="photo_at_every_word")(photo_code)

    words = keras.Input((None,), dtype="int32", name="words")
    embedded = layers.Embedding(vocabulary_size, UNITS, mask_zero=True, name="embedding")(words)
    embedded = layers.Dropout(WORD_DROPOUT, name="word_dropout")(embedded)
    read = layers.LSTM(UNITS, return_sequences=True, name="lstm")(embedded)

    merged = layers.Add(name="add")([photo_code, read])
    decoded = layers.Dense(UNITS, activation="relu", name="decoder_dense")(merged)
    decoded = layers.Dropout(OUTPUT_DROPOUT, name="output_dropout")(decoded)
    next_word = layers.Dense(vocabulary_size, activation="softmax", name="next_word")(decoded)
    return keras.Model([photo, words], next_word, name="captioner")


def figures_of_words(decoded, kernel, bias, next_words):
    """Computes the cross-entropy of each word, and whether the network holds it likeliest.

    The probabilities are the largest numbers of the whole training by far. Keras's own loss and
    metrics go over them again and again; here they are computed once and serve all. The gradient of
    the cross-entropy by the logits is the probabilities, less 1 at the right word (Goodfellow,
    Bengio and Courville 2016, Deep Learning, section 6.2.2.3, spell it out for two classes).

    Args:
        decoded: float32 (words, units), what the last layer is given.
        kernel: float32 (units, vocabulary_size), the last layer's weights.
        bias: float32 (vocabulary_size,).
        next_words: int32 (words,), the ids of the right words.

    Returns:
        float32 (words, 2): the loss in nats; and 1 where no word is likelier than the right one,
            0 elsewhere.
    """
    ops = keras.ops

    @ops.custom_gradient
    def figures(decoded, kernel, bias):
        probabilities = ops.softmax(ops.matmul(decoded, kernel) + bias)
        right = ops.take_along_axis(probabilities, next_words[:, None], axis=-1)[:, 0]
        loss = -ops.log(ops.maximum(right, np.finfo(np.float32).tiny))
        is_likeliest = ops.cast(right >= ops.max(probabilities, axis=-1), "float32")

        def gradient(*arguments, upstream=None):
            # The engines differ in how they pass it.
            upstream = (arguments[0] if upstream is None else upstream)[:, :1]
            places = ops.stack([ops.arange(ops.shape(next_words)[0]), next_words], axis=-1)
            by_logits = ops.scatter_update(probabilities, places, right - 1)
            by_decoded = ops.matmul(by_logits, ops.transpose(kernel))
            # A zero that makes the next product wait for this one: two at once share the processor
            # badly.
            after = upstream + ops.minimum(ops.abs(by_decoded[:, :1]), 0)
            # A word's share of the loss multiplies the few numbers of its row, not the many.
            return (
                upstream * by_decoded,
                ops.matmul(ops.transpose(after * decoded), by_logits),
                ops.matmul(ops.transpose(after), by_logits)[0],
            )

        return ops.stack([loss, is_likeliest], axis=-1), gradient

    return figures(decoded, kernel, bias)


class WordFigures(keras.layers.Layer):
    """Takes the place of the captioner's last layer in training; see `figures_of_words`.

    Args:
        next_word: keras.layers.Dense, the last layer of the captioner.
    """

    def __init__(self, next_word):
        super().__init__(name="word_figures")
        self.next_word = next_word
        # The weights of the loss say already which words are padding.
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        """Gives none."""

    def call(self, decoded, next_words):
        """Gives the figures: float32 (batch, words, units), int32 (batch, words) -> (…, 2)."""
        ops = keras.ops
        figures = figures_of_words(
            ops.reshape(decoded, (-1, decoded.shape[-1])),
            ops.convert_to_tensor(self.next_word.kernel),
            ops.convert_to_tensor(self.next_word.bias),
            ops.reshape(next_words, (-1,)),
        )
        return ops.reshape(figures, (*ops.shape(next_words), 2))

    def compute_output_spec(self, decoded, next_words):
        """Gives the form of the figures."""
        return keras.KerasTensor((*next_words.shape, 2), "float32")


def states_of_words(embedded, kernel, recurrent_kernel, bias):
    """Runs an LSTM over captions and gives its state after every word.

    The same function as Keras's LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers
    et al. 2000). Keras goes word by word in all; here only what depends on the word before does so,
    and one product of all words serves the rest, which is faster.

    Args:
        embedded: float32 (batch, words, inputs).
        kernel: float32 (inputs, 4 units): input gate, forget gate, candidate, output gate.
        recurrent_kernel: float32 (units, 4 units).
        bias: float32 (4 units,).

    Returns:
        float32 (batch, words, units).
    """
    ops = keras.ops

    @ops.custom_gradient
    def states(embedded, kernel, recurrent_kernel, bias):
        inputs = ops.transpose(embedded, (1, 0, 2))
        rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
        by_inputs = ops.add(ops.matmul(rows, kernel), bias)
        by_inputs = ops.reshape(by_inputs, (*ops.shape(inputs)[:2], kernel.shape[1]))
        states, cells, *gates = _read_words(by_inputs, recurrent_kernel)

        def gradient(*arguments, upstream=None):
            # The engines differ in how they pass it.
            upstream = arguments[0] if upstream is None else upstream
            upstream = ops.transpose(upstream, (1, 0, 2))
            by_gates = _unread_words(upstream, cells, gates, recurrent_kernel)
            by_gates = ops.reshape(by_gates, (-1, kernel.shape[1]))
            by_rows = ops.matmul(by_gates, ops.transpose(kernel))
            earlier = ops.reshape(_one_later(states), (-1, recurrent_kernel.shape[0]))
            return (
                ops.transpose(ops.reshape(by_rows, ops.shape(inputs)), (1, 0, 2)),
                ops.matmul(ops.transpose(rows), by_gates),
                ops.matmul(ops.transpose(earlier), by_gates),
                ops.sum(by_gates, axis=0),
            )

        return ops.transpose(states, (1, 0, 2)), gradient

    return states(embedded, kernel, recurrent_kernel, bias)


def _one_later(values):
    """Moves what is there after each word to the next word; before the first there is nothing."""
    ops = keras.ops
    return ops.concatenate([ops.zeros_like(values[:1]), values[:-1]])


def _read_words(by_inputs, recurrent_kernel):
    """Goes through the words: states, cells and the four gates, each (words, batch, units)."""
    ops = keras.ops
    units = recurrent_kernel.shape[0]

    def read(carry, by_input):
        state, cell = carry[:2]
        sums = by_input + ops.matmul(state, recurrent_kernel)
        inlet, forget, candidate, outlet = (sums[:, n * units : (n + 1) * units] for n in range(4))
        inlet, forget, outlet = map(ops.sigmoid, (inlet, forget, outlet))
        candidate = ops.tanh(candidate)
        cell = forget * cell + inlet * candidate
        carry = (outlet * ops.tanh(cell), cell, inlet, forget, candidate, outlet)
        return carry, carry

    nothing = ops.zeros((ops.shape(by_inputs)[1], units))
    # What is given for each word must have the form of what is carried on.
    return ops.scan(read, 6 * (nothing,), by_inputs)[1]


def _unread_words(upstream, cells, gates, recurrent_kernel):
    """Goes back through the words: the gradient by the sums that the gates are made of.

    All that does not depend on the word after is computed for all words at once.
    """
    ops = keras.ops
    inlet, forget, candidate, outlet = gates
    squashed = ops.tanh(cells)
    by_cell = outlet * (1 - squashed * squashed)
    slopes = ops.concatenate(
        [
            candidate * inlet * (1 - inlet),
            _one_later(cells) * forget * (1 - forget),
            inlet * (1 - candidate * candidate),
            squashed * outlet * (1 - outlet),
        ],
        axis=-1,
    )
    backward = ops.transpose(recurrent_kernel)

    def unread(carry, word):
        of_state, of_cell, _ = carry
        of_state = of_state + upstream[word]
        of_cell = of_cell + of_state * by_cell[word]
        by_gates = ops.concatenate([of_cell, of_cell, of_cell, of_state], axis=-1) * slopes[word]
        carry = (ops.matmul(by_gates, backward), of_cell * forget[word], by_gates)
        return carry, carry

    nothing = (*2 * (ops.zeros_like(cells[0]),), ops.zeros_like(slopes[0]))
    words = ops.arange(ops.shape(cells)[0])
    return ops.scan(unread, nothing, words, reverse=True)[1][2]


class WordStates(keras.layers.Layer):
    """Takes the place of the captioner's LSTM in training; see `states_of_words`.

    Padding is read like words. It comes after the last word, so no word's state depends on it.

    Args:
        lstm: keras.layers.LSTM of the captioner.
    """

    def __init__(self, lstm):
        super().__init__(name="word_states")
        self.lstm = lstm
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        """Gives none."""

    def call(self, embedded):
        """Gives the states: float32 (batch, words, inputs) -> (batch, words, units)."""
        cell = self.lstm.cell
        weights = (cell.kernel, cell.recurrent_kernel, cell.bias)
        return states_of_words(embedded, *map(keras.ops.convert_to_tensor, weights))

    def compute_output_spec(self, embedded):
        """Gives the form of the states."""
        return keras.KerasTensor((*embedded.shape[:2], self.lstm.units), "float32")


def define_training_model(captioner):
    """Builds the network that trains the captioner's weights.

    Args:
        captioner: keras.Model, from `define_model`, whose layers it shares.

    Returns:
        keras.Model: [float32 (batch, photo_length), int32 (batch, words), int32 (batch, words) of
        the right next words] -> float32 (batch, words, 2), from `figures_of_words`.
    """
    layer = captioner.get_layer
    next_words = keras.Input((None,), dtype="int32", name="next_words")
    read = WordStates(layer("lstm"))(layer("word_dropout").output)
    merged = layer("add")([layer("photo_at_every_word").output, read])
    decoded = layer("output_dropout")(layer("decoder_dense")(merged))
    figures = WordFigures(layer("next_word"))(decoded, next_words)
    return keras.Model([*captioner.inputs, next_words], figures, name="training")


class WordLoss(keras.losses.Loss):
    """The mean over the real words of a batch."""

    def __init__(self):
        super().__init__(reduction="mean_with_sample_weight")

    def call(self, y_true, y_pred):
        """Picks each word's loss from the figures."""
        return y_pred[..., 0]


class MeanOverWords(keras.metrics.Mean):
    """A mean over all real words of an epoch, each counting once.

    Keras's own metrics take the mean of each padded caption first, so that a word would count less
    in a batch of long captions.

    Args:
        column: int, which of the figures.
        name: str.
    """

    def __init__(self, column, name):
        super().__init__(name=name)
        self.column = column

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: (captions, words) ids, (captions, words, 2) figures, and 1 or 0."""
        figures = keras.ops.reshape(y_pred[..., self.column], (-1,))
        super().update_state(figures, keras.ops.reshape(sample_weight, (-1,)))


def compile_model(model, steps):
    """Sets the loss, the figures that are printed, the optimizer and its schedule.

    Args:
        model: keras.Model, from `define_training_model`.
        steps: int, batches of the whole training, over which the learning rate falls to zero.
    """
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY),
        loss=WordLoss(),
        # The metric called loss takes the place of Keras's figure, the mean of the batches' losses.
        weighted_metrics=[MeanOverWords(0, "loss"), MeanOverWords(1, "accuracy")],
    )


class CaptionBatches(keras.utils.PyDataset):
    """Batches of captions of like length, in an order that depends on seed and epoch alone.

    Args:
        split: dict, from `load_split`.
        batch_size: int, captions a batch.
        seed: int.
    """

    def __init__(self, split, batch_size, seed):
        # With one worker Keras has TensorFlow tune the reading, which after every epoch waits for
        # its timer to end: up to half the time that the epoch took.
        super().__init__(workers=2)
        self.vectors = split["vectors"]
        self.photo_rows = split["photo_rows"]
        self.lengths = np.array([len(caption) for caption in split["captions"]])
        self.word_ids = np.zeros((len(self.lengths), self.lengths.max()), dtype=np.int32)
        for row, caption in zip(self.word_ids, split["captions"], strict=True):
            row[: len(caption)] = caption
        self.batch_size = batch_size
        self.seed = seed
        self.arrange(epoch=0)

    def arrange(self, epoch):
        """Sorts the captions by length, equals at random, and shuffles the batches.

        The shortest and the longest batch come first, since Keras takes it that a size in which
        the first two batches agree is the same in all.

        Args:
            epoch: int, counted from 0.
        """
        generator = np.random.default_rng([self.seed, epoch])
        order = np.lexsort((generator.random(len(self.lengths)), self.lengths))
        starts = range(0, len(order), self.batch_size)
        first, *middle = [order[start : start + self.batch_size] for start in starts]
        last = [middle.pop()] if middle else []
        shuffled = [middle[number] for number in generator.permutation(len(middle))]
        self.batches = [first, *last, *shuffled]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        """Gives one batch: ((vectors, words so far), next words, 1 for words and 0 for padding)."""
        rows = self.batches[number]
        word_ids = self.word_ids[rows, : self.lengths[rows].max()]
        targets = word_ids[:, 1:]
        # The last word of a caption is never read, only predicted: endseq becomes padding.
        words = np.where(targets == 0, 0, word_ids[:, :-1])
        weights = (targets != 0).astype(np.float32)
        return (self.vectors[self.photo_rows[rows]], words), targets, weights


class TrainingBatches(CaptionBatches):
    """The same batches as the network of `define_training_model` takes them."""

    def __getitem__(self, number):
        """Gives one batch: ((vectors, words so far, next words), next words, 1 or 0)."""
        (vectors, words), next_words, weights = super().__getitem__(number)
        return (vectors, words, next_words), next_words, weights


def load_split(data, split, features, descriptions, vocabulary):
    """Puts together what a split holds.

    Args:
        data: pathlib.Path of the data folder.
        split: str, `train` or `dev`.
        features: dict of str -> numpy.ndarray, float32, (length,).
        descriptions: dict of str -> list of list of str.
        vocabulary: captioning.vocabulary.Vocabulary.

    Returns:
        dict: `identifiers`, list of str; `references`, list of list of str, the words of the first
        description of each photo; `vectors`, float32, (photos, length); `photo_rows`, int,
        (captions,), the row of `vectors` of each caption; `captions`, list of list of int, the word
        ids of each, markers included.
    """
    identifiers = usable_photos(data, split, features, descriptions)
    pairs = [
        (row, vocabulary.tokenize(words))
        for row, identifier in enumerate(identifiers)
        for words in descriptions[identifier]
    ]
    return {
        "identifiers": identifiers,
        "references": [descriptions[identifier][0] for identifier in identifiers],
        "vectors": np.stack([features[identifier] for identifier in identifiers]),
        "photo_rows": np.array([row for row, _ in pairs]),
        "captions": [word_ids for _, word_ids in pairs],
    }


def digest(splits, vocabulary):
    """Identifies what a model is trained on, so that a run is not resumed on other data.

    Args:
        splits: dict of str -> dict, from `load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.

    Returns:
        str, a SHA-256 digest in hexadecimal.
    """
    whole = hashlib.sha256(repr(vocabulary).encode())
    for split in splits.values():
        whole.update(split["vectors"].data)
        whole.update(repr((split["identifiers"], split["captions"])).encode())
    return whole.hexdigest()


def print_splits(splits, vocabulary):
    """Prints the sizes of what is trained on and validated on.

    Args:
        splits: dict of str -> dict, from `load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.
    """
    for title, split in (("training", splits["train"]), ("validation", splits["dev"])):
        words = sum(len(caption) - 1 for caption in split["captions"])
        print(
            f"{title:10s} {len(split['identifiers']):7,d} photos {len(split['captions']):8,d} "
            f"captions {words:9,d} words to predict"
        )
    print(f"vocabulary {vocabulary.size:7,d} ids")


class RepeatableEpochs(keras.callbacks.Callback):
    """Makes an epoch depend on seed and number alone, so that a resumed run repeats it exactly.

    Args:
        batches: CaptionBatches of the training split.
        seed: int.
    """

    def __init__(self, batches, seed):
        super().__init__()
        self.batches = batches
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Arranges the batches and gives each dropout layer a state of the epoch's own."""
        self.batches.arrange(epoch)
        dropouts = [layer for layer in self.model.layers if isinstance(layer, keras.layers.Dropout)]
        for number, layer in enumerate(dropouts):
            # A layer that drops nothing draws nothing.
            if layer.rate > 0:
                state = layer.seed_generator.state
                words = np.random.SeedSequence([self.seed, epoch, number]).generate_state(2)
                state.assign(np.asarray(words >> 1, dtype=state.dtype))


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """Stops when the validation loss no longer falls, counting the epochs before a resumption.

    Args:
        history: list of dict, the figures of the epochs done before.
    """

    def __init__(self, history):
        super().__init__(monitor="val_loss", mode="min", patience=PATIENCE)
        self.history = list(history)

    def on_train_begin(self, logs=None):
        """Lives through the earlier epochs once more."""
        super().on_train_begin(logs)
        for epoch, figures in enumerate(self.history):
            self.on_epoch_end(epoch, figures)


def is_finished(history, epochs):
    """Tells whether a run has nothing left to do, as one that was killed at its very end.

    Args:
        history: list of dict, the figures of the epochs done.
        epochs: int, the most epochs.

    Returns:
        bool.
    """
    # Keras looks whether to stop after an epoch only, so a finished run must not begin another.
    asked = SimpleNamespace(stop_training=False)
    stopping = ResumableEarlyStopping(history)
    stopping.set_model(asked)
    stopping.on_train_begin()
    return asked.stop_training or len(history) >= epochs


class SaveProgress(keras.callbacks.Callback):
    """Writes after every epoch what makes it certain that the epoch is not lost.

    Args:
        folder: pathlib.Path of the model folder.
        captioner: captioning.model_folder.Captioner, whose network is trained.
        history: list of dict, the figures of the epochs done before.
    """

    def __init__(self, folder, captioner, history):
        super().__init__()
        self.folder = folder
        self.captioner = captioner
        self.history = list(history)

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Writes history and curves, the model if it is the best so far, and the checkpoint last.

        The checkpoint alone says how many epochs are done: a run that is killed before it is
        written does the epoch again and writes the same files once more.
        """
        best = min((row["val_loss"] for row in self.history), default=np.inf)
        self.history.append(
            {
                "epoch": epoch + 1,
                "seconds": round(time.monotonic() - self.started, 1),
                "learning_rate": float(self.model.optimizer.learning_rate),
                **{name: logs[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")},
            }
        )
        if not np.isfinite(logs["loss"] + logs["val_loss"]):
            return  # Nothing to keep and nothing to draw; `report` says so.
        if logs["val_loss"] < best:
            self._save_captioner()
        write_table(self.folder / HISTORY, pd.DataFrame(self.history))
        with atomic_path(self.folder / CURVES) as partial:
            draw_curves(self.history, partial)
        with atomic_path(self.folder / UNFINISHED / CHECKPOINT) as partial:
            write_checkpoint(partial, self.model)

    def _save_captioner(self):
        # Scores and captions of an earlier model would pass for those of this one.
        for name in (SCORES, GENERATED_CAPTIONS, GALLERY):
            (self.folder / name).unlink(missing_ok=True)
        save_captioner(self.folder, self.captioner)


def variables_of(model):
    """Lists all that training changes.

    Args:
        model: keras.Model, compiled.

    Returns:
        list of keras.Variable: the weights, and what the optimizer keeps.
    """
    model.optimizer.build(model.trainable_variables)
    return [*model.weights, *model.optimizer.variables]


def write_checkpoint(path, model):
    """Writes all that training changes, with checksums.

    Args:
        path: pathlib.Path of an .npz file.
        model: keras.Model, compiled.
    """
    arrays = [keras.ops.convert_to_numpy(variable) for variable in variables_of(model)]
    np.savez(path, *arrays)


def read_checkpoint(path, model):
    """Gives a network the state of another one like it.

    Args:
        path: pathlib.Path, from `write_checkpoint`.
        model: keras.Model, compiled.

    Raises:
        Exception: of any kind, if the file is damaged or of another network.
    """
    variables = variables_of(model)
    with np.load(path, allow_pickle=False) as file:
        # All of them, before the first is assigned.
        arrays = [file[f"arr_{number}"] for number in range(len(variables))]
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


class ShowCaptions(keras.callbacks.Callback):
    """Prints what the network says of a few photos, so that a person sees it learn.

    Args:
        split: dict, from `load_split`.
        captioner: captioning.model_folder.Captioner, whose network is trained.
    """

    def __init__(self, split, captioner):
        super().__init__()
        self.vectors = split["vectors"][:SHOWN_PHOTOS]
        self.references = split["references"][:SHOWN_PHOTOS]
        self.vocabulary = captioner.vocabulary
        self.decoder = CaptionDecoder(captioner.model, captioner.vocabulary)

    def on_epoch_end(self, epoch, logs=None):
        """Decodes greedily with the weights of this moment."""
        captions = self.decoder.greedy(self.vectors)
        for word_ids, reference in zip(captions, self.references, strict=True):
            caption = " ".join(self.vocabulary.detokenize(word_ids))
            print(f"  says:     {caption}\n  a person: {' '.join(reference)}\n")


def draw_curves(history, path):
    """Draws loss and accuracy, training and validation, with the best epoch marked.

    Args:
        history: list of dict, the figures of each epoch.
        path: pathlib.Path of the picture.
    """
    table = pd.DataFrame(history)
    best = table.loc[table["val_loss"].idxmin()]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    titles = {"loss": "Loss (nats per word)", "accuracy": "Accuracy (share of next words)"}
    for axes, (name, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        axes.plot(table["epoch"], table[name], marker="o", label="training, with dropout")
        axes.plot(table["epoch"], table[f"val_{name}"], marker="o", label="validation")
        axes.axvline(
            best["epoch"],
            color="grey",
            linestyle="--",
            label=f"best epoch, {best['epoch']:.0f}: {best[f'val_{name}']:.3f}",
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="Epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)


def start_afresh(folder, settings):
    """Prepares the model folder for a new run.

    Args:
        folder: pathlib.Path of the model folder.
        settings: dict, what the run is started with.
    """
    if (folder / UNFINISHED).exists():
        print(f"{folder / UNFINISHED} holds an interrupted run: starting anew, without --resume")
        discard(folder / UNFINISHED)
    write_json(folder / UNFINISHED / SETTINGS, settings, 1)


def discard(folder):
    """Removes a run's files; one that is stopped while it does so leaves no half of them.

    Args:
        folder: pathlib.Path.
    """
    doomed = folder.with_name(f".{folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.replace(doomed)
    shutil.rmtree(doomed)


def require_unfinished(data, folder):
    """Checks that there is a run to go on with.

    Args:
        data: pathlib.Path of the data folder, for what a message tells the user to run.
        folder: pathlib.Path of the model folder.

    Returns:
        pathlib.Path of its checkpoint.

    Raises:
        UserError: if there is none.
    """
    remedy = f"there is nothing to resume; {_without_resume(data, folder)}"
    return require(folder / UNFINISHED / CHECKPOINT, remedy)


def _without_resume(data, folder):
    return f"run python train.py --data {data} --model {folder} without --resume"


def take_up(data, folder, settings, model, steps_per_epoch):
    """Reads an interrupted run.

    Args:
        data: pathlib.Path of the data folder, for what a message tells the user to run.
        folder: pathlib.Path of the model folder.
        settings: dict, what this run is started with.
        model: keras.Model, compiled, which is given its state after the last whole epoch.
        steps_per_epoch: int, batches of an epoch.

    Returns:
        list of dict, the figures of the epochs done.

    Raises:
        UserError: if there is no such run, it was started otherwise, or its files are damaged.
    """
    path = require_unfinished(data, folder)
    command = _without_resume(data, folder)
    earlier = read_json(folder / UNFINISHED / SETTINGS, 1, command)
    for name, value in settings.items():
        if earlier.get(name) != value:
            raise UserError(
                f"{folder / UNFINISHED} was started with {name} {earlier.get(name)}, not {value}: "
                f"resume it with the same, or {command}"
            )
    try:
        read_checkpoint(path, model)
        history = pd.read_csv(folder / HISTORY).to_dict("records")
    # A damaged file fails in zipfile, NumPy, Keras or pandas, each with errors of its own.
    except Exception as error:
        raise UserError(f"{path} or {folder / HISTORY} is damaged: {command}") from error
    return history[: int(model.optimizer.iterations) // steps_per_epoch]


def parse_arguments(arguments=None):
    """Reads the command line; see the constants for the defaults."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the data folder")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="DIR", help="the model folder")
    for flag, kind, default, text in (
        ("--epochs", positive_integer, EPOCHS, "the most epochs"),
        ("--batch-size", positive_integer, BATCH_SIZE, "captions a step"),
        ("--seed", seed_number, SEED, "of the first weights, dropout and the order of the batches"),
    ):
        parser.add_argument(flag, type=kind, default=default, metavar="N", help=text)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    return parser.parse_args(arguments)


def fit(model, training, validation, history, options, callbacks):
    """Trains with Keras's own loop, from the epoch after the last in `history`.

    Args:
        model: keras.Model, compiled.
        training: CaptionBatches.
        validation: CaptionBatches.
        history: list of dict, the figures of the epochs done.
        options: argparse.Namespace with `epochs` and `seed`.
        callbacks: list of keras.callbacks.Callback that write and show.
    """
    model.fit(
        training,
        validation_data=validation,
        epochs=options.epochs,
        initial_epoch=len(history),
        # RepeatableEpochs shuffles, so that a resumed run sees the same order.
        shuffle=False,
        # A bar for a person, a line an epoch for a log file.
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            RepeatableEpochs(training, options.seed),
            # Named here so that its line is printed before the captions, not after them.
            keras.callbacks.ProgbarLogger(),
            keras.callbacks.TerminateOnNaN(),
            *callbacks,
            ResumableEarlyStopping(history),
        ],
    )


def read_inputs(data):
    """Reads what the two earlier stages wrote.

    Args:
        data: pathlib.Path of the data folder.

    Returns:
        tuple of dict of str -> dict, the splits `train` and `dev` from `load_split`;
        captioning.vocabulary.Vocabulary; and dict, what made the vectors.
    """
    features = read_features(data)
    encoder_record = read_encoder_record(data, f"run python prepare_photos.py --data {data}")
    descriptions = read_descriptions(data)
    vocabulary = read_vocabulary(data, f"run python prepare_text.py --data {data}")
    splits = {
        split: load_split(data, split, features, descriptions, vocabulary)
        for split in ("train", "dev")
    }
    return splits, vocabulary, encoder_record


def open_run(options, splits, captioner):
    """Starts a run or takes one up, as the user asked.

    Args:
        options: argparse.Namespace of the command line.
        splits: dict of str -> dict, from `load_split`.
        captioner: captioning.model_folder.Captioner, whose network is to be trained.

    Returns:
        tuple of keras.Model, from `define_training_model`, compiled, and list of dict, the figures
        of the epochs done.
    """
    settings = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "data": digest(splits, captioner.vocabulary),
    }
    steps_per_epoch = -(-len(splits["train"]["captions"]) // options.batch_size)
    model = define_training_model(captioner.model)
    compile_model(model, steps_per_epoch * options.epochs)
    if options.resume:
        history = take_up(options.data, options.model, settings, model, steps_per_epoch)
        print(f"resuming after epoch {len(history)}")
        return model, history
    start_afresh(options.model, settings)
    return model, []


def main(arguments=None):
    """Reads the inputs, trains, and writes after every epoch."""
    options = parse_arguments(arguments)
    if options.model.exists() and not options.model.is_dir():
        raise UserError(f"{options.model} is no folder: name another with --model")
    if options.resume:
        require_unfinished(options.data, options.model)
    splits, vocabulary, encoder_record = read_inputs(options.data)
    print_splits(splits, vocabulary)
    with locked(options.model, "train.py or evaluate.py"):
        history = train(options, splits, vocabulary, encoder_record)
    report(history, options)
    return DONE


def train(options, splits, vocabulary, encoder_record):
    """Starts a run or takes one up, and trains it to its end.

    Args:
        options: argparse.Namespace of the command line.
        splits: dict of str -> dict, from `load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.
        encoder_record: dict, what made the vectors.

    Returns:
        list of dict, the figures of each epoch.
    """
    keras.utils.set_random_seed(options.seed)
    network = define_model(vocabulary.size, splits["train"]["vectors"].shape[1])
    captioner = Captioner(network, vocabulary, encoder_record)
    model, history = open_run(options, splits, captioner)
    print(f"the network has {network.count_params():,d} parameters")
    training, validation = (
        TrainingBatches(splits[split], options.batch_size, options.seed)
        for split in ("train", "dev")
    )
    progress = SaveProgress(options.model, captioner, history)
    callbacks = [ShowCaptions(splits["dev"], captioner), progress]
    try:
        if not is_finished(history, options.epochs):
            fit(model, training, validation, history, options, callbacks)
    except KeyboardInterrupt:
        print(
            f"\nto go on after the last whole epoch: python train.py --data {options.data} "
            f"--model {options.model} --epochs {options.epochs} "
            f"--batch-size {options.batch_size} --seed {options.seed} --resume",
            file=sys.stderr,
        )
        raise
    discard(options.model / UNFINISHED)
    return progress.history


def report(history, options):
    """Prints which epoch was kept, what was written, and what to run next.

    Args:
        history: list of dict, the figures of each epoch.
        options: argparse.Namespace with `data`, `model` and `epochs`.

    Raises:
        UserError: if the loss is no number any more.
    """
    if not np.isfinite(history[-1]["loss"] + history[-1]["val_loss"]):
        raise UserError(
            f"the loss of epoch {len(history)} is no number: lower LEARNING_RATE in train.py, then "
            f"run python train.py --data {options.data} --model {options.model}"
        )
    best = min(history, key=lambda figures: figures["val_loss"])
    if len(history) < options.epochs:
        print(f"stopped after epoch {len(history)}: the validation loss no longer falls")
    print(
        f"kept epoch {best['epoch']:.0f}: validation loss {best['val_loss']:.4f}, "
        f"accuracy {best['val_accuracy']:.4f}"
    )
    print(f"wrote {', '.join(str(options.model / name) for name in (CAPTIONER, HISTORY, CURVES))}")
    print(f"next: python evaluate.py --data {options.data} --model {options.model}")


if __name__ == "__main__":
    sys.exit(run(main))
