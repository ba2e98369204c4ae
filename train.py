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

from captioning.captions import read_descriptions
from captioning.command_line import (
    DONE,
    ArgumentParser,
    UserError,
    positive_integer,
    run,
    seed_number,
)
from captioning.decoding import CaptionDecoder
from captioning.engine import keras
from captioning.features import read_encoder_record, read_features
from captioning.files import (
    CAPTIONER,
    CURVES,
    ENCODER_RECORD,
    GALLERY,
    GENERATED_CAPTIONS,
    HISTORY,
    SCORES,
    read_json,
    require,
    write_json,
    write_table,
    written_whole,
)
from captioning.locks import locked
from captioning.model_folder import model_name
from captioning.splits import usable_photos
from captioning.vocabulary import read_vocabulary, write_vocabulary

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
CHECKPOINT = "checkpoint.keras"
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


class MeanOverWords(keras.metrics.Mean):
    """A mean over all real words of an epoch, each counting once.

    Keras's own metrics take the mean of each padded caption first, so that a word would count less
    in a batch of long captions.
    """

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the figures of a batch: (captions, words) ids, probabilities, and 1 or 0."""
        figures = keras.ops.reshape(self.figure_of_each_word(y_true, y_pred), (-1,))
        super().update_state(figures, keras.ops.reshape(sample_weight, (-1,)))


@keras.saving.register_keras_serializable("captioning")
class MeanLossOverWords(MeanOverWords):
    """The cross-entropy per word, in nats."""

    def figure_of_each_word(self, y_true, y_pred):
        """Gives minus the logarithm of each right word's probability."""
        right = keras.ops.take_along_axis(y_pred, keras.ops.expand_dims(y_true, -1), axis=-1)
        return -keras.ops.log(keras.ops.maximum(right, np.finfo(np.float32).tiny))


@keras.saving.register_keras_serializable("captioning")
class MeanAccuracyOverWords(MeanOverWords):
    """The share of words that the network holds likeliest."""

    def figure_of_each_word(self, y_true, y_pred):
        """Gives 1 for each word that is guessed right, 0 for the others."""
        return keras.ops.equal(keras.ops.argmax(y_pred, axis=-1), y_true)


def compile_model(model, steps):
    """Sets the loss, the figures that are printed, the optimizer and its schedule.

    Args:
        model: keras.Model, from `define_model`.
        steps: int, batches of the whole training, over which the learning rate falls to zero.
    """
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
        # The metric called loss takes the place of Keras's figure, the mean of the batches' losses.
        weighted_metrics=[MeanLossOverWords(name="loss"), MeanAccuracyOverWords(name="accuracy")],
    )


class CaptionBatches(keras.utils.PyDataset):
    """Batches of captions of like length, in an order that depends on seed and epoch alone.

    Args:
        split: dict, from `load_split`.
        batch_size: int, captions a batch.
        seed: int.
    """

    def __init__(self, split, batch_size, seed):
        super().__init__()
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
        (row, vocabulary.encode(words))
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
        vocabulary: captioning.vocabulary.Vocabulary, written with the model.
        encoder_record: dict, written with the model.
        history: list of dict, the figures of the epochs done before.
    """

    def __init__(self, folder, vocabulary, encoder_record, history):
        super().__init__()
        self.folder = folder
        self.vocabulary = vocabulary
        self.encoder_record = encoder_record
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
            self._save_model()
        write_table(self.folder / HISTORY, pd.DataFrame(self.history))
        with written_whole(self.folder / CURVES) as partial:
            draw_curves(self.history, partial)
        with written_whole(self.folder / UNFINISHED / CHECKPOINT) as partial:
            self.model.save(partial)

    def _save_model(self):
        # Scores and captions of an earlier model would pass for those of this one.
        for name in (SCORES, GENERATED_CAPTIONS, GALLERY):
            (self.folder / name).unlink(missing_ok=True)
        write_vocabulary(self.folder, self.vocabulary)
        write_json(self.folder / ENCODER_RECORD, self.encoder_record)
        # A model that was never compiled is saved without the optimizer, a third of the size.
        name = model_name(self.vocabulary, self.encoder_record)
        plain = keras.Model(self.model.inputs, self.model.outputs, name=name)
        with written_whole(self.folder / CAPTIONER) as partial:
            plain.save(partial)


class ShowCaptions(keras.callbacks.Callback):
    """Prints what the network says of a few photos, so that a person sees it learn.

    Args:
        split: dict, from `load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.
    """

    def __init__(self, split, vocabulary):
        super().__init__()
        self.vectors = split["vectors"][:SHOWN_PHOTOS]
        self.references = split["references"][:SHOWN_PHOTOS]
        self.vocabulary = vocabulary
        self.decoder = None

    def on_epoch_end(self, epoch, logs=None):
        """Decodes greedily with the weights of this moment."""
        self.decoder = self.decoder or CaptionDecoder(self.model, self.vocabulary)
        captions = self.decoder.greedy(self.vectors)
        for word_ids, reference in zip(captions, self.references, strict=True):
            caption = " ".join(self.vocabulary.decode(word_ids))
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
    write_json(folder / UNFINISHED / SETTINGS, settings)


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


def take_up(data, folder, settings, steps_per_epoch):
    """Reads an interrupted run.

    Args:
        data: pathlib.Path of the data folder, for what a message tells the user to run.
        folder: pathlib.Path of the model folder.
        settings: dict, what this run is started with.
        steps_per_epoch: int, batches of an epoch.

    Returns:
        tuple of keras.Model, compiled, and list of dict: the network after its last whole epoch,
        and the figures of the epochs done.

    Raises:
        UserError: if there is no such run, it was started otherwise, or its files are damaged.
    """
    path = require_unfinished(data, folder)
    command = _without_resume(data, folder)
    earlier = read_json(folder / UNFINISHED / SETTINGS, command)
    for name, value in settings.items():
        if earlier.get(name) != value:
            raise UserError(
                f"{folder / UNFINISHED} was started with {name} {earlier.get(name)}, not {value}: "
                f"resume it with the same, or {command}"
            )
    try:
        model = keras.models.load_model(path, safe_mode=True)
        history = pd.read_csv(folder / HISTORY).to_dict("records")
    # A damaged file fails in zipfile, h5py, Keras or pandas, each with errors of its own.
    except Exception as error:
        raise UserError(f"{path} or {folder / HISTORY} is damaged: {command}") from error
    epochs_done = int(model.optimizer.iterations) // steps_per_epoch
    return model, history[:epochs_done]


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


def open_run(options, splits, vocabulary):
    """Starts a run or takes one up, as the user asked.

    Args:
        options: argparse.Namespace of the command line.
        splits: dict of str -> dict, from `load_split`.
        vocabulary: captioning.vocabulary.Vocabulary.

    Returns:
        tuple of keras.Model, compiled, and list of dict, the figures of the epochs done.
    """
    settings = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "data": digest(splits, vocabulary),
    }
    keras.utils.set_random_seed(options.seed)
    steps_per_epoch = -(-len(splits["train"]["captions"]) // options.batch_size)
    if options.resume:
        model, history = take_up(options.data, options.model, settings, steps_per_epoch)
        print(f"resuming after epoch {len(history)}")
        return model, history
    start_afresh(options.model, settings)
    model = define_model(vocabulary.size, splits["train"]["vectors"].shape[1])
    compile_model(model, steps_per_epoch * options.epochs)
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
    model, history = open_run(options, splits, vocabulary)
    print(f"the network has {model.count_params():,d} parameters")
    training, validation = (
        CaptionBatches(splits[split], options.batch_size, options.seed)
        for split in ("train", "dev")
    )
    progress = SaveProgress(options.model, vocabulary, encoder_record, history)
    callbacks = [ShowCaptions(splits["dev"], vocabulary), progress]
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
