"""CLIP's ViT-B/16: the image tower, with the weights that OpenAI released.

A vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) of 86 million parameters, trained
to tell which caption belongs to which of 400 million photos (Radford et al. 2021,
arXiv:2103.00020). Its features are its image embedding and, end to end with it, the class token
that the last block leaves.

Two kinds of files hold the weights, by the names that they have in the `transformers` library:
safetensors, as OpenAI's release, and ONNX. The one that pip can install is ONNX with the matrices
rounded to 8 bits; they are multiplied out, and all is computed in float32.
"""

from pathlib import Path

import numpy as np

from captioning.keras_setup import keras

layers, ops = keras.layers, keras.ops

# Kernels are set later on; to draw 86 million random numbers first would take a second.
_unset = {"kernel_initializer": "zeros"}

SIZE, PATCH = 224, 16
BLOCKS, HEADS, WIDTH, EMBEDDING = 12, 12, 768, 512
EPSILON = 1e-5

# What the channels were scaled by when CLIP was trained.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)

# Standard deviation of the numbers of each half over Flickr8k's photos; divided by it, both weigh
# the same in what is trained on them.
EMBEDDING_SCALE, CLASS_TOKEN_SCALE = 0.456, 0.269


def preprocess_input(pixels: np.ndarray) -> np.ndarray:
    """Scales pixels of 0 to 255, (height, width, 3), as the network was trained."""
    return (pixels / np.float32(255) - MEAN) / DEVIATION


class ClassTokenAndPositions(layers.Layer):
    """Puts the class token before the patches, and adds to each an embedding of its position."""

    def build(self, shape: tuple[int | None, int, int]) -> None:
        """Makes the weights for patches of (photos, patches, width)."""
        self.class_token = self.add_weight(shape=(1, 1, shape[2]), name="class_token")
        self.positions = self.add_weight(shape=(1, shape[1] + 1, shape[2]), name="positions")

    def call(self, patches):
        """Returns (photos, 1 + patches, width)."""
        class_tokens = ops.repeat(self.class_token, ops.shape(patches)[0], axis=0)
        return ops.concatenate([class_tokens, patches], axis=1) + self.positions


def quick_gelu(x):
    """The activation that CLIP was trained with, in place of the exact GELU."""
    return x * ops.sigmoid(1.702 * x)


def CLIPViTB16(weights: None = None) -> keras.Model:  # noqa: N802
    """Builds the network with initial weights: (photos, 224, 224, 3) to (photos, 1,280)."""
    photos = keras.Input((SIZE, SIZE, 3))
    # A layer has the name of its weights in the file.
    name = "vision_model.embeddings.patch_embedding"
    x = layers.Conv2D(WIDTH, PATCH, PATCH, use_bias=False, name=name, **_unset)(photos)
    x = layers.Reshape((-1, WIDTH))(x)
    x = ClassTokenAndPositions(name="vision_model.embeddings")(x)
    x = _normalized(x, "vision_model.pre_layrnorm")
    for block in range(BLOCKS):
        # Of the last block only the class token is read.
        read = x if block < BLOCKS - 1 else x[:, :1]
        x = _block(read, x, f"vision_model.encoder.layers.{block}")
    class_token = x[:, 0]
    normalized = _normalized(class_token, "vision_model.post_layernorm")
    project = layers.Dense(EMBEDDING, use_bias=False, name="visual_projection", **_unset)
    halves = [project(normalized) / EMBEDDING_SCALE, class_token / CLASS_TOKEN_SCALE]
    features = layers.Concatenate(name="embedding_and_class_token")(halves)
    return keras.Model(photos, features)


def _normalized(x, name):
    return layers.LayerNormalization(epsilon=EPSILON, name=name)(x)


def _block(read, x, name):
    """Computes a block at the tokens `read` of all tokens `x`."""
    attend = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"{name}.self_attn", **_unset)
    normalize = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}.layer_norm1")
    read = read + attend(normalize(read), normalize(x))
    hidden = _normalized(read, f"{name}.layer_norm2")
    hidden = layers.Dense(4 * WIDTH, quick_gelu, name=f"{name}.mlp.fc1", **_unset)(hidden)
    return read + layers.Dense(WIDTH, name=f"{name}.mlp.fc2", **_unset)(hidden)


def load_weights(network: keras.Model, path: Path) -> None:
    """Sets all weights from a safetensors or ONNX file; one of all CLIP has more than are needed.

    Raises `KeyError` for one that the file lacks, and `ValueError` for one of another size.
    """
    from safetensors.numpy import load_file

    tensors = read_onnx(path) if path.suffix == ".onnx" else load_file(path)
    for layer in network.layers:
        for variable, name in zip(layer.weights, _tensor_names(layer), strict=True):
            tensor = tensors[f"{layer.name}.{name}"]
            if variable.name == "kernel":
                # PyTorch has outputs first, then inputs; Keras has them last, inputs first.
                tensor = tensor.transpose(*range(2, tensor.ndim), 1, 0)
            variable.assign(tensor.reshape(variable.shape))


def _tensor_names(layer: layers.Layer) -> list[str]:
    if isinstance(layer, ClassTokenAndPositions):
        return ["class_embedding", "position_embedding.weight"]
    if isinstance(layer, layers.MultiHeadAttention):
        projections = ("q_proj", "k_proj", "v_proj", "out_proj")
        return [f"{name}.{part}" for name in projections for part in ("weight", "bias")]
    return ["weight", "bias"][: len(layer.weights)]


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """Reads the weights of an exported image tower, by the names that they had before.

    The matrices have lost theirs; each is named after the node that multiplies by it. One of 8 bits
    comes with a scale and a zero point for each column.
    """
    import onnx

    graph = onnx.load(path).graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in ("MatMul", "MatMulInteger") or node.input[1] not in tensors:
            continue
        matrix = tensors[node.input[1]].astype(np.float32)
        if node.op_type == "MatMulInteger":
            scale = tensors[node.input[1].replace("_quantized", "_scale")]
            matrix = (matrix - tensors[node.input[3]]) * scale
        name = node.name.rpartition("/")[0].strip("/").replace("/", ".")
        tensors[f"{name}.weight"] = matrix.T
    return tensors
