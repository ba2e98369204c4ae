"""The encoders: pretrained networks that turn a photo into its features."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.photos.architectures import (
    ARCHITECTURES,
    AVERAGE_POOL,
    FLOAT32,
    IMAGENET,
    JOIN,
    UNTRAINED,
    split_name,
    split_weights,
)
from captioning.photos.features import EncoderRecord

# What `--weights none` draws the weights from; another seed would be another encoder.
UNTRAINED_SEED = 20130830


class Encoder:
    """A network with its weights, or several whose features are put end to end.

    `name` is a key of `ARCHITECTURES`, or several joined by `+`. `weights` is `imagenet`, `none`
    (untrained, the same on every machine with the same Keras backend) or the path of a Keras
    weights file; joined encoders take one for all, or one each, joined by `+` too. `dtype` is
    `float32` or `bfloat16`, with which some processors are faster.

    Raises:
        UserError: if there is no such encoder, or its weights cannot be had.
    """

    def __init__(self, name: str, weights: str, dtype: str = FLOAT32):
        names = split_name(name)
        self.name = name
        self.weights = weights
        self.dtype = dtype
        self.architectures = [ARCHITECTURES[part] for part in names]
        self.input_sizes = [(each.size, each.size) for each in self.architectures]
        sources = split_weights(weights, len(names))
        ordinary = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            self.network = _join(list(map(_build_network, names, sources)))
        finally:
            keras.config.set_dtype_policy(ordinary)
        self.length = self.network.output_shape[-1]

    def preprocess(self, photo: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Scales one photo, which is there in each of `input_sizes`, to what the networks take."""
        return [
            architecture.preprocess_input(pixels.astype(np.float32))
            for architecture, pixels in zip(self.architectures, photo, strict=True)
        ]

    def encode(self, photos: Sequence[list[np.ndarray]], batch_size: int = 0) -> np.ndarray:
        """Turns photos from `preprocess` into features, float32, (photos, length).

        A batch of fewer than `batch_size` photos is padded: for another size the network would be
        compiled anew, which takes seconds.
        """
        padded = [*photos, *[photos[-1]] * (batch_size - len(photos))]
        images = [np.stack(column) for column in zip(*padded, strict=True)]
        features = np.asarray(self.network.predict_on_batch(images), dtype=np.float32)
        return features[: len(photos)]

    def record(self) -> EncoderRecord:
        """Describes all that makes the features what they are, for `features.json`."""
        sizes = [list(size) for size in self.input_sizes]
        return EncoderRecord(
            encoder=self.name,
            layer=JOIN.join(each.layer for each in self.architectures),
            weights=self.weights,
            weights_sha256=_digest(self.network),
            dtype=self.dtype,
            input_size=sizes if len(sizes) > 1 else sizes[0],
            resizing="bilinear",
            length=self.length,
        )


def _build_network(name: str, weights: str) -> keras.Model:
    """Builds a network up to the layer of its features, with its weights."""
    architecture = ARCHITECTURES[name]
    if weights == IMAGENET:
        network = _load_imagenet(name)
    else:
        network = architecture.network(weights=None)
        if weights == UNTRAINED:
            _draw_weights(network)
        else:
            _load_weights(network, name, Path(weights))
    is_last = architecture.layer == AVERAGE_POOL
    output = network.output if is_last else network.get_layer(architecture.layer).output
    return keras.Model(network.inputs, output, name=name)


def _join(networks: list[keras.Model]) -> keras.Model:
    if len(networks) == 1:
        return networks[0]
    inputs = [keras.Input(network.inputs[0].shape[1:]) for network in networks]
    features = [network([images]) for network, images in zip(networks, inputs, strict=True)]
    return keras.Model(inputs, keras.layers.concatenate(features))


def _load_imagenet(name: str) -> keras.Model:
    """Has Keras download the weights, or takes those that are on this computer already."""
    try:
        return ARCHITECTURES[name].network(weights=IMAGENET)
    except UserError:
        raise
    # Keras reports a failed download as a plain Exception, "… on ADDRESS: NUMBER -- REASON", and a
    # damaged file as ValueError.
    except Exception as error:
        reason = " ".join(str(error).rpartition(" -- ")[2].split()) or type(error).__name__
        place = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
        source = ARCHITECTURES[name].source
        source = f" from {source}" if source else ""
        raise UserError(
            f"the ImageNet weights of {name} could not be downloaded ({reason}): run the same "
            f"command again when the network is there, or fetch them{source} by other means and "
            f"put the file into {place} or name it with --weights FILE"
        ) from error


def _load_weights(network: keras.Model, name: str, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Of layers that the file lacks Keras only warns.
            warnings.filterwarnings("error", "Skipping nested container")
            network.load_weights(path)
    # A damaged file fails in h5py or in Keras, with OSError, KeyError, ValueError and others.
    except Exception as error:
        raise UserError(
            f"{path} does not hold the weights of {name}: give another file with --weights"
        ) from error


def _draw_weights(network: keras.Model) -> None:
    """Draws kernels with a fixed seed (He et al. 2015, arXiv:1502.01852, equation 10)."""
    for number, layer in enumerate(network.layers):
        # Each filter of a depthwise convolution reads one channel: that is its fan-out in Keras.
        mode = "fan_out" if isinstance(layer, keras.layers.DepthwiseConv2D) else "fan_in"
        # Uniform numbers need no logarithm, whose last bits differ between processors.
        draw = keras.initializers.VarianceScaling(2.0, mode, "uniform", UNTRAINED_SEED + number)
        for variable in layer.weights:
            if variable.name == "kernel":
                variable.assign(draw(variable.shape, FLOAT32))


def _digest(network: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in network.weights:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    return digest.hexdigest()
