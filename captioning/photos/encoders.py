"""The encoders: pretrained networks that turn a photo into its features.

Keras is loaded once a network is built, not before: `--help` lists the names.
"""

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from captioning.cli import UserError
from captioning.photos.features import EncoderRecord
from captioning.photos.reading import BILINEAR, Size

if TYPE_CHECKING:
    from captioning.keras_setup import keras

# Weights that are no file: trained on ImageNet, and random ones from a seed.
IMAGENET = "imagenet"
UNTRAINED = "none"
UNTRAINED_SEED = 20130830

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"

# Joins the names of encoders whose features are put end to end, and the weights of each.
JOIN = "+"

# In place of a layer's name: the average over all places of the last convolution.
AVERAGE_POOL = "avg_pool"


@dataclass(frozen=True)
class Architecture:
    """Where a network is found, and what becomes of a photo before it.

    The module has what those of `keras.applications` have: a function of the encoder's name that
    builds the network, and `preprocess_input` for pixels of 0 to 255.
    """

    module: str
    size: int  # height and width of the input
    layer: str = AVERAGE_POOL  # gives the features
    resizing: str = BILINEAR  # one of Pillow's filters

    def load(self) -> ModuleType:
        """Imports the module, once it is needed."""
        return import_module(self.module)

    def build(self, name: str, weights: str | None) -> "keras.Model":
        """Builds the network with `imagenet` weights or, if None, initial ones."""
        shape = (self.size, self.size, 3)
        pooled = {"include_top": False, "pooling": "avg", "input_shape": shape}
        options = pooled if self.layer == AVERAGE_POOL else {}
        return getattr(self.load(), name)(weights=weights, **options)


# To add an encoder, add its line.
ENCODERS = {
    "VGG16": Architecture("keras.applications.vgg16", 224, "fc2"),
    "VGG19": Architecture("keras.applications.vgg19", 224, "fc2"),
    "ResNet50": Architecture("keras.applications.resnet50", 224),
    "InceptionV3": Architecture("keras.applications.inception_v3", 299),
    "EfficientNetV2B0": Architecture("keras.applications.efficientnet_v2", 224),
    "MobileNetV2": Architecture("keras.applications.mobilenet_v2", 224),
    "EfficientNetLite0": Architecture("captioning.photos.efficientnet_lite", 224),
    "EfficientNetLite2": Architecture("captioning.photos.efficientnet_lite", 260),
}


def split_name(name: str, weights: str) -> list[tuple[str, str]]:
    """Splits the name of joined encoders, such as `EfficientNetLite2+MobileNetV2`.

    Returns each with its weights; these are given for all, or one for each.

    Raises:
        UserError: if there is no such encoder, one is named twice, or weights are missing.
    """
    names = name.split(JOIN)
    # The name of a single encoder's file may hold a +.
    sources = weights.split(JOIN) if len(names) > 1 else [weights]
    for part in names:
        if part not in ENCODERS:
            raise UserError(f"there is no encoder {part}: choose one of {', '.join(ENCODERS)}")
    if len(set(names)) < len(names):
        raise UserError(f"--encoder {name} names an encoder twice: name each once")
    if len(sources) not in (1, len(names)):
        raise UserError(f"--weights {weights} must be one for all encoders, or one for each")
    for source in sources:
        if source not in (IMAGENET, UNTRAINED) and not Path(source).is_file():
            words = f"{IMAGENET} or {UNTRAINED} with --weights"
            raise UserError(f"the weights {source} are missing: give a file, {words}")
    return list(zip(names, sources * (len(names) // len(sources)), strict=True))


class Encoder:
    """A network with its weights, or several whose features are put end to end.

    `name` is a key of `ENCODERS`, or several joined by `+`. `weights` is `imagenet`, `none`
    (untrained, the same on every machine with the same Keras backend) or the path of a Keras
    weights file; joined encoders take one for all, or one each, joined by `+` too. `dtype` is
    `float32` or `bfloat16`, with which some processors are faster.

    Raises:
        UserError: if there is no such encoder, or its weights cannot be had.
    """

    def __init__(self, name: str, weights: str, dtype: str = FLOAT32):
        from captioning.keras_setup import keras

        pairs = split_name(name, weights)
        self.name, self.weights, self.dtype = name, weights, dtype
        self._parts = [ENCODERS[part] for part, _ in pairs]
        self.input_sizes = [Size(part.size, part.size, part.resizing) for part in self._parts]
        ordinary = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            self._networks = [_build(*pair) for pair in pairs]
        finally:
            keras.config.set_dtype_policy(ordinary)
        self.length = sum(network.output_shape[-1] for network in self._networks)

    def preprocess(self, photo: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Scales one photo, which is there in each of `input_sizes`, to what the networks take."""
        return [
            part.load().preprocess_input(pixels.astype(np.float32))
            for part, pixels in zip(self._parts, photo, strict=True)
        ]

    def encode(self, photos: Sequence[list[np.ndarray]], batch_size: int = 0) -> np.ndarray:
        """Turns photos from `preprocess` into features, float32, (photos, length).

        A batch of fewer than `batch_size` photos is padded: for another size the network would be
        compiled anew, which takes seconds.
        """
        padded = [*photos, *[photos[-1]] * (batch_size - len(photos))]
        features = [
            network.predict_on_batch(np.stack(images))
            for network, images in zip(self._networks, zip(*padded, strict=True), strict=True)
        ]
        return np.concatenate(features, axis=1, dtype=np.float32)[: len(photos)]

    def record(self) -> EncoderRecord:
        """Describes all that makes the features what they are, for `features.json`."""
        sizes = [[height, width] for height, width, _ in self.input_sizes]
        filters = dict.fromkeys(part.resizing for part in self._parts)
        digest = hashlib.sha256()
        for variable in (weight for network in self._networks for weight in network.weights):
            digest.update(np.asarray(variable).tobytes())
        return EncoderRecord(
            encoder=self.name,
            layer=JOIN.join(part.layer for part in self._parts),
            weights=self.weights,
            weights_sha256=digest.hexdigest(),
            dtype=self.dtype,
            input_size=sizes if len(sizes) > 1 else sizes[0],
            resizing=JOIN.join(filters),
            length=self.length,
        )


def _build(name: str, weights: str) -> "keras.Model":
    """Builds a network up to the layer of its features, with its weights."""
    from captioning.keras_setup import keras

    part = ENCODERS[name]
    try:
        network = part.build(name, IMAGENET if weights == IMAGENET else None)
        if weights == UNTRAINED:
            _randomize(network)
        elif weights != IMAGENET:
            with warnings.catch_warnings():
                # Of layers that the file lacks Keras only warns.
                warnings.filterwarnings("error", "Skipping nested container")
                network.load_weights(weights)
    except UserError:
        raise
    # A failed download is a plain Exception; a damaged file fails in h5py or in Keras, with
    # OSError, KeyError, ValueError and others.
    except Exception as error:
        raise UserError(_explain(name, weights, error)) from error
    is_last = part.layer == AVERAGE_POOL
    output = network.output if is_last else network.get_layer(part.layer).output
    return keras.Model(network.inputs, output, name=name)


def _explain(name: str, weights: str, error: Exception) -> str:
    if weights != IMAGENET:
        return f"{weights} does not hold the weights of {name}: give another file with --weights"
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    # Keras's message has the address.
    return (
        f"the ImageNet weights of {name} cannot be had ({' '.join(str(error).split())}): run the "
        "same command again when the network is there, or fetch them by other means and put the "
        f"file into {folder} or name it with --weights FILE"
    )


def _randomize(network: "keras.Model") -> None:
    """Fills kernels by a fixed seed (He et al. 2015, arXiv:1502.01852, equation 10)."""
    from captioning.keras_setup import keras

    for index, layer in enumerate(network.layers):
        # Each filter of a depthwise convolution reads one channel: that is its fan-out in Keras.
        mode = "fan_out" if isinstance(layer, keras.layers.DepthwiseConv2D) else "fan_in"
        # Uniform numbers need no logarithm, whose last bits differ between processors.
        random = keras.initializers.VarianceScaling(2.0, mode, "uniform", UNTRAINED_SEED + index)
        for variable in layer.weights:
            if variable.name == "kernel":
                variable.assign(random(variable.shape, FLOAT32))
