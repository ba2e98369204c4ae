"""The encoders, alone and joined: weights, features, and what the record says of them."""

import copy
import json
import sys

import numpy as np
import pytest
from keras.src.backend import config as keras_config
from support import write_tiny_data

import prepare_photos
from captioning.cli import UserError, run
from captioning.keras_setup import keras
from captioning.photos.architectures import ARCHITECTURES
from captioning.photos.encoders import Encoder
from captioning.photos.features import check_same_encoder, read_features
from captioning.photos.listing import find_photos
from captioning.photos.reading import encode_photos

JOINED = "EfficientNetLite0+MobileNetV2"


@pytest.fixture(scope="module")
def small_encoder():
    return Encoder("EfficientNetLite0", "none")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """Gives a file with weights of EfficientNetLite0 and the network that they are of."""
    network = ARCHITECTURES["EfficientNetLite0"].network(weights=None)
    generator = np.random.default_rng(2)
    for variable in network.weights:
        variable.assign(generator.random(variable.shape, dtype=np.float32))
    path = tmp_path_factory.mktemp("weights") / "mine.weights.h5"
    network.save_weights(path)
    return path, network


def photos_for(encoder, count=2):
    """Draws noise in the sizes that an encoder takes, preprocessed."""
    generator = np.random.default_rng(1)
    return [
        encoder.preprocess(
            [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in encoder.input_sizes]
        )
        for _ in range(count)
    ]


def assert_same_direction(features, others, cosine):
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(others, axis=1)
    assert ((features * others).sum(axis=1) / norms).min() >= cosine


# The digest stands here so that nobody changes the weights unawares: whoever has trained on the
# features of an untrained encoder could no longer use their model.
def test_untrained_weights_are_the_same_everywhere(small_encoder):
    assert small_encoder.record()["weights_sha256"].startswith("83f6a5b4b4b72ed7")


def test_untrained_weights_and_the_seed_of_others_do_not_touch(small_encoder):
    keras.utils.set_random_seed(5)
    expected = np.random.random(3)
    keras.utils.set_random_seed(5)
    record = Encoder("EfficientNetLite0", "none").record()
    np.testing.assert_array_equal(np.random.random(3), expected)
    assert record == small_encoder.record()


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetLite2"])
def test_untrained_activations_neither_vanish_nor_explode(name):
    encoder = Encoder(name, "none")
    features = encoder.encode(photos_for(encoder))
    assert 0.1 < features.std() < 10
    assert not np.allclose(features[0], features[1], rtol=1e-3)


def test_a_short_batch_is_padded_and_not_compiled_anew(small_encoder):
    photos = photos_for(small_encoder)
    shapes = []
    predict = small_encoder.network.predict_on_batch

    class Network:
        def predict_on_batch(self, images):
            shapes.append(images[0].shape)
            return predict(images)

    padded = copy.copy(small_encoder)
    padded.network = Network()
    features = padded.encode(photos[:1], 3)
    assert [shape[0] for shape in shapes] == [3]
    np.testing.assert_allclose(features, small_encoder.encode(photos)[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "length", "size"),
    [("InceptionV3", 2048, 299), ("EfficientNetV2B0", 1280, 224)],
)
def test_encoder_table(name, length, size):
    record = Encoder(name, "none").record()
    assert (record["encoder"], record["layer"], record["length"]) == (name, "avg_pool", length)
    assert record["input_size"] == [size, size]


def test_every_encoder_of_the_classic_list_is_there():
    names = {"VGG16", "VGG19", "ResNet50", "InceptionV3", "EfficientNetV2B0", "MobileNetV2"}
    assert names | {"EfficientNetLite0", "EfficientNetLite2"} <= set(ARCHITECTURES)


def test_vgg16_gives_4096_numbers_the_same_twice(tmp_path):
    write_tiny_data(tmp_path / "tiny")
    paths = find_photos(tmp_path / "tiny" / "photos")[:2]
    encoder = Encoder("VGG16", "none")
    assert (encoder.record()["layer"], encoder.record()["length"]) == ("fc2", 4096)
    first, second = (dict(encode_photos(paths, encoder, batch_size)) for batch_size in (2, 1))
    for path in paths:
        assert first[path].shape == (4096,)
        np.testing.assert_allclose(first[path], second[path], rtol=1e-4, atol=1e-3)
    assert not np.allclose(first[paths[0]], first[paths[1]])


def test_unknown_encoder_and_bad_weights_are_refused(tmp_path):
    with pytest.raises(UserError, match="no encoder VGG17: choose one of VGG16"):
        Encoder("VGG17", "none")
    with pytest.raises(UserError, match="missing"):
        Encoder("EfficientNetLite0", str(tmp_path / "absent.h5"))
    (tmp_path / "bad.weights.h5").write_text("no weights")
    with pytest.raises(UserError, match="does not hold the weights of EfficientNetLite0"):
        Encoder("EfficientNetLite0", str(tmp_path / "bad.weights.h5"))


def test_weights_of_another_network_are_refused(weights_file):
    with pytest.raises(UserError, match="does not hold the weights of EfficientNetLite2"):
        Encoder("EfficientNetLite2", str(weights_file[0]))


def test_a_failed_download_says_where_the_weights_are(tmp_path, monkeypatch, capsys):
    """Sends Keras to a port where nothing listens, with an empty folder of its own."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    # Keras has read the variable when it was imported.
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path))
    module = sys.modules[keras.applications.VGG16.__module__]
    monkeypatch.setattr(module, "WEIGHTS_PATH", "http://127.0.0.1:9/weights.h5")
    data = tmp_path / "data"
    write_tiny_data(data)
    assert run(lambda arguments: prepare_photos.main(["--data", str(data), *arguments]), []) == 2
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
def test_real_photos_give_the_published_features(flickr8k, tmp_path, name, weights, stored):
    """Encodes real photos with trained weights and compares with the original networks' features.

    All 600 were compared once; the smallest cosine was 0.99995.
    """
    (tmp_path / "photos").mkdir()
    for path in sorted((flickr8k / "photos").iterdir())[::25]:
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    weights = weights if weights == "imagenet" else str(flickr8k / weights)
    arguments = ["--data", str(tmp_path), "--encoder", name, "--weights", weights]
    assert prepare_photos.main(arguments) == 0
    features = read_features(tmp_path)
    assert len(features) == 24
    others = np.load(flickr8k / stored)
    rows = {str(photo_id): row for row, photo_id in enumerate(others["ids"])}
    rows = [rows[photo_id] for photo_id in features]
    if "features" in others:
        expected = others["features"][rows].astype(np.float64)
    else:
        expected = others["quantized"][rows] * others["scale"]
    assert_same_direction(np.stack(list(features.values())), expected, 0.999)
    record = json.loads((tmp_path / "features.json").read_text())
    assert (record["encoder"], record["count"], record["skipped"]) == (name, 24, [])


def test_bfloat16_gives_nearly_the_same_features_and_another_record(small_encoder):
    short = Encoder("EfficientNetLite0", "none", "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    features, others = (encoder.encode(photos_for(encoder)) for encoder in (small_encoder, short))
    assert others.dtype == np.float32
    assert not np.array_equal(features, others)
    assert_same_direction(features, others, 0.9)
    with pytest.raises(UserError, match="dtype is float32 in the one and bfloat16"):
        check_same_encoder(small_encoder.record(), "here", short.record(), "there")


def test_weights_of_a_file_are_those_of_the_file(weights_file):
    path, network = weights_file
    loaded = Encoder("EfficientNetLite0", str(path)).network
    for one, other in zip(network.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_joined_encoders_put_their_features_end_to_end(weights_file, small_encoder):
    path, _ = weights_file
    name = "EfficientNetLite2+EfficientNetLite0"
    joined = Encoder(name, f"none+{path}")
    parts = [Encoder("EfficientNetLite2", "none"), Encoder("EfficientNetLite0", str(path))]
    assert joined.input_sizes == [(260, 260), (224, 224)]
    photos = photos_for(joined)
    expected = [part.encode([[p[i]] for p in photos]) for i, part in enumerate(parts)]
    features = joined.encode(photos)
    assert features.shape == (2, joined.length) == (2, 2560)
    np.testing.assert_allclose(features, np.concatenate(expected, axis=1), rtol=1e-3, atol=1e-4)
    record = joined.record()
    assert record["encoder"] == name
    assert record["layer"] == "avg_pool+avg_pool"
    assert record["weights"] == f"none+{path}"
    assert record["input_size"] == [[260, 260], [224, 224]]
    # The weights of either are part of the digest.
    digests = {record["weights_sha256"], *(part.record()["weights_sha256"] for part in parts)}
    digests.add(Encoder(name, "none").record()["weights_sha256"])
    assert len(digests) == 4


def test_the_pipeline_takes_joined_encoders(tiny_data, capsys):
    arguments = ["--data", str(tiny_data), "--encoder", JOINED, "--weights", "none"]
    assert prepare_photos.main(arguments) == 0
    record = json.loads((tiny_data / "features.json").read_text())
    assert (record["encoder"], record["length"], record["count"]) == (JOINED, 2560, 12)
    assert {features.shape for features in read_features(tiny_data).values()} == {(2560,)}
    # A second run needs no encoder; one with other encoders is refused.
    assert prepare_photos.main(arguments) == 0
    arguments[3] = "+".join(reversed(JOINED.split("+")))
    with pytest.raises(UserError, match=r"must not be mixed"):
        prepare_photos.main(arguments)


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("EfficientNetLite0+VGG17", "none", "no encoder VGG17"),
        ("EfficientNetLite0+", "none", "no encoder :"),
        ("VGG16+VGG16", "none", "names an encoder twice"),
        (JOINED, "none+none+none", "names 3 weights for 2 encoders"),
        (JOINED, "none+absent.h5", "absent.h5 are missing"),
    ],
)
def test_bad_names_of_joined_encoders_are_refused(name, weights, words):
    with pytest.raises(UserError, match=words.replace("+", r"\+")):
        Encoder(name, weights)


def test_a_single_weights_file_may_have_a_plus_in_its_name(tmp_path):
    with pytest.raises(UserError, match=r"a\+b\.h5 are missing"):
        Encoder("EfficientNetLite0", str(tmp_path / "a+b.h5"))
