"""The table of the networks that can encode photos."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from captioning import efficientnet_lite
from captioning.backend import keras

# In place of a layer's name: the average over all places of the last convolution.
AVERAGE_POOL = "avg_pool"


@dataclass(frozen=True)
class Architecture:
    """How to build a network (`weights` is `imagenet` or None) and which layer gives the features.

    `size` is the height and width of its input in pixels. `source` says where the ImageNet weights
    can be had by those whose computer cannot download them.
    """

    network: Callable[..., keras.Model]
    preprocess_input: Callable[[np.ndarray], np.ndarray]
    layer: str
    size: int
    source: str = ""


def _pooled(network: Callable, module: ModuleType, size: int) -> Architecture:
    """Describes a network of `keras.applications` without its classifier."""
    options = {"include_top": False, "pooling": "avg", "input_shape": (size, size, 3)}
    network = functools.partial(network, **options)
    return Architecture(network, module.preprocess_input, AVERAGE_POOL, size)


def _lite(name: str) -> Architecture:
    network = functools.partial(efficientnet_lite.build_network, name)
    size = efficientnet_lite.VARIANTS[name].size
    return Architecture(network, efficientnet_lite.preprocess_input, AVERAGE_POOL, size)


_keras = keras.applications

# To add an encoder, add its line.
ARCHITECTURES = {
    "VGG16": Architecture(
        _keras.VGG16,
        _keras.vgg16.preprocess_input,
        "fc2",
        224,
        source="https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5 (md5 64373286793e3c8b2b4e3219cbf3544b)",
    ),
    "VGG19": Architecture(_keras.VGG19, _keras.vgg19.preprocess_input, "fc2", 224),
    "ResNet50": _pooled(_keras.ResNet50, _keras.resnet50, 224),
    "InceptionV3": _pooled(_keras.InceptionV3, _keras.inception_v3, 299),
    "EfficientNetV2B0": _pooled(_keras.EfficientNetV2B0, _keras.efficientnet_v2, 224),
    "MobileNetV2": _pooled(_keras.MobileNetV2, _keras.mobilenet_v2, 224),
    "EfficientNetLite0": _lite("EfficientNetLite0"),
    "EfficientNetLite2": _lite("EfficientNetLite2"),
}
