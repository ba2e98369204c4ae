"""The encoders, alone and joined: weights, features, and what the record says of them."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from keras.src.backend import config as keras_config
from PIL import Image
from support import ROOT, write_tiny_data

import prepare_photos
from captioning.cli import UserError, run
from captioning.keras_setup import keras
from captioning.photos.encoders import ENCODERS, Architecture, Encoder
from captioning.photos.features import check_same_encoder, read_encoder_record, read_features
from captioning.photos.listing import find_photos
from captioning.photos.reading import encode_photos, read_in_sizes

JOINED = "EfficientNetLite0+MobileNetV2"


@pytest.fixture(scope="module")
def small_encoder():
    return Encoder("EfficientNetLite0", "none")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """Gives a file with weights of EfficientNetLite0 and the network that they are of."""
    network = ENCODERS["EfficientNetLite0"].build("EfficientNetLite0", None)
    generator = np.random.default_rng(2)
    for variable in network.weights:
        variable.assign(generator.random(variable.shape, dtype=np.float32))
    path = tmp_path_factory.mktemp("weights") / "mine.weights.h5"
    network.save_weights(path)
    return path, network


def photos_for(encoder, count=2):
    """Gives noise in the sizes that an encoder takes, preprocessed."""
    generator = np.random.default_rng(1)
    return [
        encoder.preprocess(
            [
                generator.integers(0, 256, (size.height, size.width, 3), dtype=np.uint8)
                for size in encoder.input_sizes
            ]
        )
        for _ in range(count)
    ]


def assert_same_direction(features, others, cosine):
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(others, axis=1)
    assert ((features * others).sum(axis=1) / norms).min() >= cosine


# The digest stands here so that nobody changes the weights unawares: whoever has trained on the
# features of an untrained encoder could no longer use their model.
def test_untrained_weights_are_the_same_everywhere_whatever_the_seed_of_others(small_encoder):
    assert small_encoder.record().weights_sha256.startswith("83f6a5b4b4b72ed7")
    keras.utils.set_random_seed(5)
    expected = np.random.random(3)
    keras.utils.set_random_seed(5)
    record = Encoder("EfficientNetLite0", "none").record()
    np.testing.assert_array_equal(np.random.random(3), expected)
    assert record == small_encoder.record()


def test_untrained_activations_neither_vanish_nor_explode():
    encoder = Encoder("MobileNetV2", "none")
    features = encoder.encode(photos_for(encoder))
    assert 0.1 < features.std() < 10
    assert not np.allclose(features[0], features[1], rtol=1e-3)


def test_a_short_batch_is_padded_and_not_compiled_anew(small_encoder, monkeypatch):
    photos = photos_for(small_encoder)
    expected = small_encoder.encode(photos, 3)
    (network,) = small_encoder._networks
    shapes, predict = [], network.predict_on_batch
    monkeypatch.setattr(
        network, "predict_on_batch", lambda images: shapes.append(images.shape) or predict(images)
    )
    features = small_encoder.encode(photos[:1], 3)
    assert shapes == [(3, 224, 224, 3)]
    assert features.shape == (1, 1280)
    np.testing.assert_allclose(features, expected[:1], rtol=1e-4, atol=1e-5)


# The layer, the length and the size of the input of those that are not built elsewhere here.
@pytest.mark.parametrize(
    ("name", "layer", "length", "size"),
    [("VGG16", "fc2", 4096, 224), ("InceptionV3", "avg_pool", 2048, 299)],
)
def test_encoder_table(name, layer, length, size):
    record = Encoder(name, "none").record()
    assert (record.encoder, record.layer, record.length) == (name, layer, length)
    assert record.input_size == [size, size]
    names = {"VGG16", "VGG19", "ResNet50", "InceptionV3", "EfficientNetV2B0", "MobileNetV2"}
    assert names | {"EfficientNetLite0", "EfficientNetLite2"} == set(ENCODERS)


def test_the_table_is_there_without_keras():
    program = (
        "import sys; from captioning.photos.encoders import ENCODERS, Encoder, split_name; "
        "assert 'keras' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_an_encoder_may_have_a_filter_and_preprocessing_of_its_own(monkeypatch, tmp_path):
    """Adds one: a line in the table, and a module with the two functions."""
    module = type(sys)("own_encoder")
    module.preprocess_input = lambda pixels: pixels / 255

    def means(weights, input_shape, **_):
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))

    module.Own = means
    monkeypatch.setitem(sys.modules, "own_encoder", module)
    monkeypatch.setitem(ENCODERS, "Own", Architecture("own_encoder", 8, resizing="bicubic"))
    encoder = Encoder("Own", "imagenet")
    assert encoder.record().resizing == "bicubic"
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    expected = np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(read_in_sizes(image, encoder.input_sizes)[0], expected)
    ((_, features),) = encode_photos([image], encoder, 1)
    np.testing.assert_allclose(features, expected.mean(axis=(0, 1)) / 255, rtol=1e-5)
    # Of joined encoders each resizes in its own way.
    monkeypatch.setitem(ENCODERS, "Other", dataclasses.replace(ENCODERS["Own"], resizing="box"))
    module.Other = means
    assert Encoder("Own+Other", "imagenet").record().resizing == "bicubic+box"


def test_bad_weights_are_refused(tmp_path, weights_file):
    with pytest.raises(UserError, match="does not hold the weights of EfficientNetLite2"):
        Encoder("EfficientNetLite2", str(weights_file[0]))
    (tmp_path / "bad.weights.h5").write_text("no weights")
    with pytest.raises(UserError, match="does not hold the weights of MobileNetV2"):
        Encoder("MobileNetV2", str(tmp_path / "bad.weights.h5"))


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("VGG17", "none", "no encoder VGG17: choose one of VGG16"),
        ("EfficientNetLite0+VGG17", "none", "no encoder VGG17"),
        ("EfficientNetLite0+", "none", "no encoder :"),
        ("VGG16+VGG16", "none", "names an encoder twice"),
        (JOINED, "none+none+none", "names 3 weights for 2 encoders"),
        (JOINED, "none+absent.h5", "absent.h5 are missing"),
        # A single file may have a plus in its name.
        ("EfficientNetLite0", "a+b.h5", "a+b.h5 are missing"),
    ],
)
def test_bad_names_are_refused(name, weights, words):
    with pytest.raises(UserError, match=words.replace("+", r"\+")):
        Encoder(name, weights)


def test_a_failed_download_says_where_the_weights_are(tmp_path, monkeypatch, capsys):
    """Sends Keras to a port where nothing listens, with an empty folder of its own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    # Keras has read the variable when it was imported.
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
    module = sys.modules[keras.applications.VGG16.__module__]
    monkeypatch.setattr(module, "WEIGHTS_PATH", "http://127.0.0.1:9/weights.h5")
    data = tmp_path / "data"
    write_tiny_data(data)
    assert run(prepare_photos.main, ["--data", str(data)]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    for part in (
        "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
        "64373286793e3c8b2b4e3219cbf3544b",
        str(tmp_path / "models"),
        "--weights FILE",
    ):
        assert part in sentence
    assert not (data / "features.pkl").exists()


@pytest.mark.parametrize(
    ("name", "weights", "stored"),
    [
        ("MobileNetV2", "mobilenet_v2_notop.weights.h5", "features_mobilenet_v2.npz"),
        ("EfficientNetLite0", "imagenet", "features_efficientnet_lite0.npz"),
        ("EfficientNetLite2", "imagenet", "features_efficientnet_lite2.npz"),
    ],
)
def test_real_photos_give_the_published_features(flickr8k, name, weights, stored):
    """Encodes real photos with trained weights and compares with the original networks' features.

    All 600 were compared once; the smallest cosine was 0.99995.
    """
    encoder = Encoder(name, weights if weights == "imagenet" else str(flickr8k / weights))
    paths = sorted((flickr8k / "photos").iterdir())[::50]
    features = {path.stem: result for path, result in encode_photos(paths, encoder, 6)}
    others = np.load(flickr8k / stored)
    rows = {str(photo_id): row for row, photo_id in enumerate(others["ids"])}
    rows = [rows[photo_id] for photo_id in features]
    if "features" in others:
        expected = others["features"][rows].astype(np.float64)
    else:
        expected = others["quantized"][rows] * others["scale"]
    assert_same_direction(np.stack(list(features.values())), expected, 0.999)


def test_bfloat16_gives_nearly_the_same_features_and_another_record(small_encoder):
    short = Encoder("EfficientNetLite0", "none", "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    features, others = (encoder.encode(photos_for(encoder)) for encoder in (small_encoder, short))
    assert others.dtype == np.float32
    assert not np.array_equal(features, others)
    assert_same_direction(features, others, 0.9)
    with pytest.raises(UserError, match="dtype is float32 in the one and bfloat16"):
        check_same_encoder(small_encoder.record(), "here", short.record(), "there")


def test_joined_encoders_put_their_features_end_to_end(weights_file, small_encoder):
    path, _ = weights_file
    joined = Encoder(JOINED, f"{path}+none")
    parts = [Encoder("EfficientNetLite0", str(path)), Encoder("MobileNetV2", "none")]
    photos = photos_for(joined)
    expected = [part.encode([[p[i]] for p in photos]) for i, part in enumerate(parts)]
    features = joined.encode(photos)
    assert features.shape == (2, joined.length) == (2, 2560)
    np.testing.assert_array_equal(features, np.concatenate(expected, axis=1))
    record = joined.record()
    assert (record.encoder, record.weights) == (JOINED, f"{path}+none")
    assert (record.layer, record.resizing) == ("avg_pool+avg_pool", "bilinear")
    assert record.input_size == [[224, 224], [224, 224]]
    # The weights of either are part of the digest.
    digests = {each.record().weights_sha256 for each in (joined, *parts, small_encoder)}
    assert len(digests) == 4


def test_weights_of_a_file_are_those_of_the_file(weights_file):
    """Encodes with the network that was saved."""
    path, network = weights_file
    encoder = Encoder("EfficientNetLite0", str(path))
    photos = photos_for(encoder)
    expected = network.predict_on_batch(np.stack([images for (images,) in photos]))
    np.testing.assert_array_equal(encoder.encode(photos), expected)


def test_the_pipeline_takes_joined_encoders(tiny_data):
    for path in find_photos(tiny_data / "photos")[2:]:
        path.unlink()
    arguments = ["--data", str(tiny_data), "--encoder", JOINED, "--weights", "none"]
    assert prepare_photos.main(arguments) == 0
    record = read_encoder_record(tiny_data)
    assert (record.encoder, record.length, record.count) == (JOINED, 2560, 2)
    assert read_features(tiny_data).shape == (2, 2560)
    # One with other encoders is refused.
    arguments[3] = "+".join(reversed(JOINED.split("+")))
    with pytest.raises(UserError, match="must not be mixed"):
        prepare_photos.main(arguments)
