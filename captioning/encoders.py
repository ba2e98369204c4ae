"""The encoders: pretrained networks that turn a photo into one vector."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from captioning.backend import keras
from captioning.cli import UserError

IMAGENET = "imagenet"
UNTRAINED = "none"

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"

# Numbers of a weight matrix that are worked on at once; VGG16 has one of 103 million.
PART = 2**22

# What `--weights none` draws the weights from; another seed would be another encoder.
UNTRAINED_SEED = 20130830

# Which part of the mean of a first-layer filter is taken off in an untrained network: at 1 the
# vectors tell shapes best but no longer the colour of the ground, at 0 the other way round. Chosen
# on the validation split of data/sample.
FIRST_LAYER_SHIFT = 0.7

_applications = keras.applications


@dataclass(frozen=True)
class Architecture:
    """One network of `keras.applications` and how photos become vectors with it.

    Args:
        network: callable of `keras.applications` that builds it.
        preprocess_input: callable of the same module: pixels 0 to 255 -> what the network takes.
        layer: str, the layer whose output is the vector, or `avg_pool` for the average over all
            places of the last convolution.
        size: int, height and width of the photos in pixels.
        source: str, where Keras takes the ImageNet weights from, told to those whose computer
            cannot reach it, or empty where only Keras's own message says so.
    """

    network: Callable
    preprocess_input: Callable
    layer: str
    size: int
    source: str = ""


# To add an encoder, add its line.
ARCHITECTURES = {
    "VGG16": Architecture(
        _applications.VGG16,
        _applications.vgg16.preprocess_input,
        "fc2",
        224,
        source="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5 (md5 64373286793e3c8b2b4e3219cbf3544b)",
    ),
    "VGG19": Architecture(_applications.VGG19, _applications.vgg19.preprocess_input, "fc2", 224),
    "ResNet50": Architecture(
        _applications.ResNet50, _applications.resnet50.preprocess_input, "avg_pool", 224
    ),
    "InceptionV3": Architecture(
        _applications.InceptionV3, _applications.inception_v3.preprocess_input, "avg_pool", 299
    ),
    "EfficientNetV2B0": Architecture(
        _applications.EfficientNetV2B0,
        _applications.efficientnet_v2.preprocess_input,
        "avg_pool",
        224,
    ),
    "MobileNetV2": Architecture(
        _applications.MobileNetV2, _applications.mobilenet_v2.preprocess_input, "avg_pool", 224
    ),
}


class Encoder:
    """A network with its weights, ready to turn photos into vectors.

    Args:
        name: str, a key of `ARCHITECTURES`.
        weights: str, `imagenet` (downloaded once by Keras), `none` (untrained, the same on every
            machine), or the path of a weights file.
        dtype: str, `float32`, or `bfloat16` for numbers of half the length, with which some
            processors are faster.

    Raises:
        UserError: if there is no such encoder, or its weights cannot be had.
    """

    def __init__(self, name, weights, dtype=FLOAT32):
        if name not in ARCHITECTURES:
            raise UserError(f"there is no encoder {name}: choose one of {', '.join(ARCHITECTURES)}")
        architecture = ARCHITECTURES[name]
        self.name = name
        self.weights = weights
        self.dtype = dtype
        self.layer = architecture.layer
        self.input_size = (architecture.size, architecture.size)
        self.preprocess = architecture.preprocess_input
        with _computing_in(dtype), _sparing_memory():
            self.network = _build_network(name, architecture, weights)
        self.length = self.network.output_shape[-1]

    def encode(self, images):
        """Turns preprocessed photos into vectors.

        Args:
            images: numpy.ndarray, float32, (photos, height, width, 3), as `preprocess` gives them.

        Returns:
            numpy.ndarray, float32, (photos, length).
        """
        return np.asarray(self.network.predict_on_batch(images), dtype=np.float32)

    def record(self):
        """Describes what makes the vectors, for `features.json`.

        Returns:
            dict: the encoder, its layer, where its weights came from, their SHA-256 digest, what
            it computes in, the input size in pixels, how photos are resized, and the length of a
            vector.
        """
        return {
            "encoder": self.name,
            "layer": self.layer,
            "weights": self.weights,
            "weights_sha256": _digest(self.network),
            "dtype": self.dtype,
            "input_size": list(self.input_size),
            "resizing": "bilinear",
            "length": self.length,
        }


@contextlib.contextmanager
def _computing_in(dtype):
    """Has layers that are built meanwhile compute in another type."""
    ordinary = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(ordinary)


@contextlib.contextmanager
def _sparing_memory():
    """Keeps the weights of networks that are built meanwhile from being in memory four times.

    Keras first draws random ones, which nobody will use. TensorFlow then copies what is assigned
    twice and keeps the memory of the old.
    """
    with contextlib.ExitStack() as stack:
        glorot = keras.initializers.GlorotUniform
        stack.enter_context(mock.patch.object(glorot, "__call__", _zeros))
        if keras.backend.backend() == "tensorflow":
            stack.enter_context(mock.patch.object(keras.Variable, "assign", _assign_in_parts))
        yield


def _zeros(initializer, shape, dtype=None):
    return keras.ops.zeros(shape, dtype)


def _assign_in_parts(variable, values):
    if tuple(variable.shape) != tuple(values.shape):
        raise ValueError(f"{variable.path} has shape {variable.shape}, not {values.shape}")
    _assign_rows(variable, (values[start:stop] for start, stop in _parts(variable.shape)))


def _assign_rows(variable, parts):
    """Does what `variable.assign` does, on TensorFlow in place and with a part at a time.

    Args:
        variable: keras.Variable.
        parts: iterable of arrays, of which each has the next rows.
    """
    if keras.backend.backend() != "tensorflow":
        variable.assign(np.concatenate(list(parts)))
        return
    import tensorflow as tf

    start = 0
    for part in parts:
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=variable.value.handle,
            begin=[start],
            end=[start + len(part)],
            strides=[1],
            value=tf.cast(part, variable.dtype),
        )
        start += len(part)
    # Otherwise everyone who reads it would now get a copy.
    tf.raw_ops.DisableCopyOnRead(resource=variable.value.handle)


def _parts(shape):
    """Divides an array along its first axis: yields tuples of int, start and stop."""
    rows = max(1, PART // int(np.prod(shape[1:])))
    for start in range(0, shape[0], rows):
        yield start, min(start + rows, shape[0])


def _build_network(name, architecture, weights):
    """Builds the network up to the wanted layer and gives it its weights."""
    pooled = architecture.layer == "avg_pool"
    options = {"include_top": False, "pooling": "avg"} if pooled else {"include_top": True}
    if pooled:
        options["input_shape"] = (architecture.size, architecture.size, 3)
    if weights == IMAGENET:
        network = _download(name, architecture, options)
    else:
        network = architecture.network(weights=None, **options)
        if weights == UNTRAINED:
            _draw_weights(network, architecture.preprocess_input)
        else:
            _load_weights(network, name, Path(weights))
    if pooled:
        return network
    return keras.Model(network.inputs, network.get_layer(architecture.layer).output)


def _download(name, architecture, options):
    """Has Keras fetch the weights, or take them from its folder where it fetched them before."""
    try:
        return architecture.network(weights=IMAGENET, **options)
    # Keras reports a failed download as a plain Exception, "… on ADDRESS: NUMBER -- REASON", and a
    # damaged file as ValueError.
    except Exception as error:
        reason = " ".join(str(error).rpartition(" -- ")[2].split()) or type(error).__name__
        place = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
        source = f" from {architecture.source}" if architecture.source else ""
        raise UserError(
            f"the ImageNet weights of {name} could not be downloaded ({reason}): run the same "
            f"command again when the network is there, or fetch them{source} by other means and "
            f"put the file into {place} or name it with --weights FILE"
        ) from error


def _load_weights(network, name, path):
    if not path.is_file():
        raise UserError(
            f"the weights {path} are missing: give a file, {IMAGENET} or {UNTRAINED} with --weights"
        )
    try:
        network.load_weights(path)
    # A damaged file fails in h5py or in Keras, with OSError, KeyError, ValueError and others.
    except Exception as error:
        raise UserError(
            f"{path} does not hold the weights of {name}: give another file with --weights"
        ) from error


def _draw_weights(network, preprocess_input):
    """Gives a network the same random weights on every machine, engine and run.

    Kernels are uniform; all else keeps its initial constant. In a deep network of independent
    weights all photos become alike, since what a rectifier gives is never negative and its mean
    outgrows the rest. So each filter is shifted to sum to zero, those of the first layer not
    wholly, since they see the colours. A rectified normal number has variance (pi - 1) / (2 pi), so
    kernels of variance 2 pi / (pi - 1) / fan-in pass the contrast on unchanged; without the shift
    it would be 2 / fan-in (He et al. 2015, arXiv:1502.01852, equation 10).
    """
    # Keras's own initializers differ from engine to engine; these bits do not.
    generator = np.random.Generator(np.random.PCG64(UNTRAINED_SEED))
    black, white = (np.full((1, 1, 3), level, dtype=np.float32) for level in (0, 255))
    # Some networks take pixels of -128 to 128; their vectors should be of the size of the others'.
    scale = 2 / float(np.max(preprocess_input(white) - preprocess_input(black)))
    shift = FIRST_LAYER_SHIFT
    for variable in network.weights:
        if not variable.name.endswith("kernel"):
            continue
        shape = tuple(variable.shape)
        # A depthwise kernel (height, width, channels, 1) reads one channel, any other all of them.
        inputs = (0, 1) if "depthwise" in variable.path else tuple(range(len(shape) - 1))
        fan_in = np.prod([shape[axis] for axis in inputs])
        # Numbers that are uniform over a range of 1 have variance 1 / 12.
        gain = np.float32(scale * np.sqrt(12 * 2 * np.pi / (np.pi - 1) / fan_in))
        if inputs == (0,):
            _draw_matrix(variable, generator, shift, gain)
        else:
            values = _draw(generator, shape)
            means = values.mean(axis=inputs, keepdims=True, dtype=np.float64)
            values -= (shift * means).astype(np.float32)
            variable.assign(values * gain)
        scale = shift = 1.0


def _draw(generator, shape):
    values = generator.random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    return values


def _draw_matrix(variable, generator, shift, gain):
    """Draws the kernel of a dense layer; no more than some rows are in memory twice."""
    shape = tuple(variable.shape)
    begun = generator.bit_generator.state
    total = np.zeros((1, shape[1]))
    for start, stop in _parts(shape):
        # In one sum, so that the order of the additions is that of the rows.
        rows = np.vstack([total, _draw(generator, (stop - start, shape[1]))])
        total = rows.sum(axis=0, keepdims=True)
    means = (shift * (total / shape[0])).astype(np.float32)
    # The same numbers once more.
    generator.bit_generator.state = begun
    sizes = [(stop - start, shape[1]) for start, stop in _parts(shape)]
    _assign_rows(variable, ((_draw(generator, size) - means) * gain for size in sizes))


def _digest(network):
    digest = hashlib.sha256()
    for variable in network.weights:
        for start, stop in _parts(variable.shape):
            digest.update(keras.ops.convert_to_numpy(variable[start:stop]).tobytes())
    return digest.hexdigest()
