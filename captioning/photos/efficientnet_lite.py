"""EfficientNet-Lite0 and -Lite2, with ImageNet weights that are installed by pip.

The networks are those of https://github.com/tensorflow/tpu (models/official/efficientnet/lite):
EfficientNet (Tan and Le 2019, arXiv:1905.11946) without squeeze-and-excitation and with ReLU6. The
weights are a PyTorch file, which is read without PyTorch.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from captioning.keras_setup import keras

layers = keras.layers
# Kernels are set later on; to draw them first would take time.
_options = {"padding": "same", "use_bias": False}
_convolution = partial(layers.Conv2D, kernel_initializer="zeros", **_options)
_depthwise = partial(layers.DepthwiseConv2D, depthwise_initializer="zeros", **_options)

# Kernel size, strides and expansion of each stage.
STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))

# What a pickled state dict may name; of a tensor its storage, offset, shape and strides are kept.
_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: arguments[:4],
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


def preprocess_input(pixels: np.ndarray) -> np.ndarray:
    """Scales pixels of 0 to 255 to about -1 to 1, as the networks were trained."""
    return (pixels - np.float32(127)) / np.float32(128)


def build_network(
    filters: Sequence[int],
    repeats: Sequence[int],
    *,
    input_shape: tuple[int, int, int],
    **_pooled: Any,
) -> keras.Model:
    """Builds a network up to the average pooling, with initial weights.

    `filters` and `repeats` are those of each stage.
    """
    inputs = keras.Input(input_shape)
    # A layer has the name of its weights in the file.
    x = _normalized(_convolution(32, 3, strides=2, name="_conv_stem")(inputs), "_bn0")
    names = (f"_blocks.{block}." for block in range(sum(repeats)))
    for stage, width, count in zip(STAGES, filters, repeats, strict=True):
        kernel_size, strides, expansion = stage
        for steps in [strides] + [1] * (count - 1):
            x = _inverted_residual(x, next(names), (kernel_size, steps, expansion), width)
    x = _normalized(_convolution(1280, 1, name="_conv_head")(x), "_bn1")
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


EfficientNetLite0 = partial(build_network, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1))
EfficientNetLite2 = partial(build_network, (16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1))


def _inverted_residual(inputs, name, stage, filters):
    x, (kernel_size, strides, expansion) = inputs, stage
    if expansion != 1:
        expand = _convolution(x.shape[-1] * expansion, 1, name=f"{name}_expand_conv")
        x = _normalized(expand(x), f"{name}_bn0")
    x = _depthwise(kernel_size, strides, name=f"{name}_depthwise_conv")(x)
    x = _normalized(x, f"{name}_bn1")
    x = _convolution(filters, 1, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn2")(x)
    return layers.add([inputs, x]) if inputs.shape == x.shape else x


def _normalized(x, name):
    return layers.ReLU(max_value=6)(layers.BatchNormalization(epsilon=1e-3, name=name)(x))


class _StateUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        return _ALLOWED[module, name]

    def persistent_load(self, pid: tuple) -> tuple:
        return pid


def unpickle_state_dict(content: bytes) -> dict[str, np.ndarray]:
    """Unpickles a state dict in the format that `torch.save` had before version 1.6.

    That is a stream of pickles (magic number, protocol, system, state dict, keys of the storages),
    then of each storage its length as int64 and its numbers. Here each tensor has its own.

    Raises:
        KeyError: if it holds any class that is not part of a state dict.
    """
    file = io.BytesIO(content)
    *_, tensors, keys = [_StateUnpickler(file).load() for _ in range(5)]
    # A storage is described as "storage", dtype, key, device and length.
    names = {storage[2]: name for name, (storage, *_) in tensors.items()}
    arrays = {}
    for key in keys:
        (_, dtype, *_), _, shape, strides = tensors[names[key]]
        numbers = file.read(int.from_bytes(file.read(8), "little") * dtype.itemsize)
        steps = [stride * dtype.itemsize for stride in strides]
        # Unlike `as_strided` this refuses what lies outside the storage.
        arrays[names[key]] = np.ndarray(shape, dtype, numbers, strides=steps)
    return arrays


def load_weights(network: keras.Model, path: Path) -> None:
    """Sets all weights from a file of PyTorch's (.pth) or of Keras's."""
    if path.suffix != ".pth":
        network.load_weights(path)
        return
    state = unpickle_state_dict(path.read_bytes())
    for layer in network.layers:
        kernel = state.get(f"{layer.name}.weight")
        if isinstance(layer, layers.BatchNormalization):
            fields = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([state[f"{layer.name}.{field}"] for field in fields])
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([kernel.transpose(2, 3, 0, 1)])
        elif isinstance(layer, layers.Conv2D):
            layer.set_weights([kernel.transpose(2, 3, 1, 0)])
