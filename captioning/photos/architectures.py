"""The table of the networks that can encode photos, and the words that name them and their weights.

Keras is loaded once a network is built, not before: `--help` lists the names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from captioning.cli import UserError

if TYPE_CHECKING:
    from captioning.keras_setup import keras

IMAGENET = "imagenet"
UNTRAINED = "none"

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"

# Joins the names of encoders whose features are put end to end, and the weights of each.
JOIN = "+"

# In place of a layer's name: the average over all places of the last convolution.
AVERAGE_POOL = "avg_pool"


@dataclass(frozen=True)
class Architecture:
    """How to build a network (`weights` is `imagenet` or None) and which layer gives the features.

    `size` is the height and width of its input in pixels. `source` says where the ImageNet weights
    can be had by those whose computer cannot download them.
    """

    network: Callable[..., "keras.Model"]
    preprocess_input: Callable[[np.ndarray], np.ndarray]
    layer: str
    size: int
    source: str = ""


def _application(
    name: str, module: str, layer: str, size: int, source: str = "", **options
) -> Architecture:
    """Describes a network of `keras.applications` and the module there that preprocesses for it."""

    def network(weights: str | None) -> "keras.Model":
        return getattr(_applications(), name)(weights=weights, **options)

    def preprocess_input(pixels: np.ndarray) -> np.ndarray:
        return getattr(_applications(), module).preprocess_input(pixels)

    return Architecture(network, preprocess_input, layer, size, source)


def _applications() -> ModuleType:
    from captioning.keras_setup import keras

    return keras.applications


def _pooled(name: str, module: str, size: int) -> Architecture:
    """Describes a network of `keras.applications` without its classifier."""
    options = {"include_top": False, "pooling": "avg", "input_shape": (size, size, 3)}
    return _application(name, module, AVERAGE_POOL, size, **options)


def _lite(name: str, size: int) -> Architecture:
    def network(weights: str | None) -> "keras.Model":
        from captioning.photos.efficientnet_lite import build_network

        return build_network(name, weights, size)

    def preprocess_input(pixels: np.ndarray) -> np.ndarray:
        from captioning.photos import efficientnet_lite

        return efficientnet_lite.preprocess_input(pixels)

    return Architecture(network, preprocess_input, AVERAGE_POOL, size)


# To add an encoder, add its line.
ARCHITECTURES = {
    "VGG16": _application(
        "VGG16",
        "vgg16",
        "fc2",
        224,
        source="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5 (md5 64373286793e3c8b2b4e3219cbf3544b)",
    ),
    "VGG19": _application("VGG19", "vgg19", "fc2", 224),
    "ResNet50": _pooled("ResNet50", "resnet50", 224),
    "InceptionV3": _pooled("InceptionV3", "inception_v3", 299),
    "EfficientNetV2B0": _pooled("EfficientNetV2B0", "efficientnet_v2", 224),
    "MobileNetV2": _pooled("MobileNetV2", "mobilenet_v2", 224),
    "EfficientNetLite0": _lite("EfficientNetLite0", 224),
    "EfficientNetLite2": _lite("EfficientNetLite2", 260),
}


def split_name(name: str) -> list[str]:
    """Splits the name of joined encoders, such as `EfficientNetLite2+MobileNetV2`.

    Raises:
        UserError: if there is no such encoder, or one is named twice.
    """
    names = name.split(JOIN)
    for part in names:
        if part not in ARCHITECTURES:
            raise UserError(f"there is no encoder {part}: choose one of {', '.join(ARCHITECTURES)}")
    if len(set(names)) < len(names):
        raise UserError(f"--encoder {name} names an encoder twice: name each once")
    return names


def split_weights(weights: str, count: int) -> list[str]:
    """Returns the weights of each of so many encoders, `weights` being for all or joined too.

    Raises:
        UserError: if the number is another, or a file is missing.
    """
    # The name of a single encoder's file may hold a +.
    sources = weights.split(JOIN) if count > 1 else [weights]
    if len(sources) not in (1, count):
        raise UserError(
            f"--weights {weights} names {len(sources)} weights for {count} encoders: give one for "
            f"all, or one for each, joined by {JOIN}"
        )
    for source in sources:
        if source not in (IMAGENET, UNTRAINED) and not Path(source).is_file():
            raise UserError(
                f"the weights {source} are missing: give a file, {IMAGENET} or {UNTRAINED} with "
                "--weights"
            )
    return sources * (count // len(sources))
