"""Reading photos of every kind, and the encoders."""

import json
import os
import sys

import numpy as np
import pytest
from keras.src.backend import config as keras_config
from PIL import Image
from support import write_tiny_data

import prepare_photos
from captioning import encoders
from captioning.backend import keras
from captioning.cli import UserError, run
from captioning.encoders import ARCHITECTURES, Encoder
from captioning.features import check_same_encoder, read_features, write_features
from captioning.photos import PhotoError, encode_photos, find_photos, read_photo

SIZE = (64, 64)
RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.fixture(scope="module")
def small_encoder():
    return Encoder("MobileNetV2", "none")


def halves(left, right, size=SIZE):
    """Draws an image of two colours side by side."""
    image = Image.new("RGB", size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def assert_halves(pixels, left, right, tolerance=12):
    middle = SIZE[0] // 2
    np.testing.assert_allclose(pixels[middle, 8], left, atol=tolerance)
    np.testing.assert_allclose(pixels[middle, -8], right, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "convert", "options"),
    [
        ("a.png", lambda image: image.quantize(4), {}),
        ("a.jpg", lambda image: image.convert("CMYK"), {"quality": 95}),
        ("a.webp", lambda image: image, {"lossless": True}),
        ("a.gif", lambda image: image.quantize(4), {"save_all": True}),
        ("a.bmp", lambda image: image, {}),
        ("a.tiff", lambda image: image.convert("YCbCr"), {}),
        ("a.png", lambda image: image.convert("RGBA"), {}),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, name, convert, options):
    convert(halves(RED, BLUE)).save(tmp_path / name, **options)
    pixels = read_photo(tmp_path / name, SIZE)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (64, 64, 3)
    assert_halves(pixels, RED, BLUE)


def test_greys_of_1_8_and_16_bits(tmp_path):
    levels = np.zeros(SIZE, dtype=np.uint16)
    levels[:, :32], levels[:, 32:] = 0x4000, 0xC000
    Image.fromarray(levels).save(tmp_path / "sixteen.png")
    Image.fromarray((levels >> 8).astype(np.uint8)).save(tmp_path / "eight.png")
    for name in ("sixteen.png", "eight.png"):
        assert_halves(read_photo(tmp_path / name, SIZE), (0x40,) * 3, (0xC0,) * 3, tolerance=1)
    Image.fromarray(levels > 0x8000).save(tmp_path / "one.png")
    assert_halves(read_photo(tmp_path / "one.png", SIZE), (0,) * 3, (255,) * 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_lie_on_white(tmp_path, mode):
    if mode == "P":
        image = Image.new("P", SIZE, 1)
        image.putpalette([0, 0, 0, 200, 0, 0])
        image.paste(0, (0, 0, 32, 64))
        image.save(tmp_path / "a.png", transparency=0)
        seen = RED
    else:
        image = Image.new("RGBA", SIZE, (80, 80, 80, 255))
        image.paste((0, 0, 0, 0), (0, 0, 32, 64))
        image.convert(mode).save(tmp_path / "a.png")
        seen = (80, 80, 80)
    assert_halves(read_photo(tmp_path / "a.png", SIZE), (255, 255, 255), seen)


# What a camera held in each of the eight ways stores, as the transposition that undoes it.
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    undone_by = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    scene = halves(RED, BLUE, (96, 48))
    scene.paste((0, 200, 0), (0, 0, 96, 6))
    stored = scene
    if orientation != 1:
        stored = scene.transpose(inverse.get(orientation, undone_by[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(scene.resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", SIZE), expected)


def test_resizing_is_bilinear(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    expected = Image.fromarray(noise).resize((50, 40), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png", (40, 50)), np.asarray(expected))


def truncated(path):
    halves(RED, BLUE, (200, 200)).save(path)
    path.write_bytes(path.read_bytes()[:400])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not a photo"),
        truncated,
        lambda path: path.mkdir(),
    ],
)
def test_unreadable_photo_is_named_with_a_reason(tmp_path, damage):
    path = tmp_path / "a.jpg"
    damage(path)
    with pytest.raises(PhotoError, match=r"\w") as error:
        read_photo(path, SIZE)
    assert "\n" not in str(error.value)


def test_find_photos_leaves_other_files_and_links_alone(tmp_path):
    for name in (
        "b.JPG",
        "a.png",
        ".hidden.png",
        "notes.txt",
        "report.pdf",
        "below/c.webp",
        ".git/d.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.symlink(tmp_path, tmp_path / "below" / "loop")
    found = [str(path.relative_to(tmp_path)) for path in find_photos(tmp_path)]
    assert found == ["a.png", "b.JPG", "below/c.webp"]


def test_encoding_keeps_order_across_batches_and_gaps(tmp_path, small_encoder):
    write_tiny_data(tmp_path / "tiny")
    paths = find_photos(tmp_path / "tiny" / "photos")
    paths[4].write_bytes(b"")
    one_by_one = {path: next(encode_photos([path], small_encoder, 1))[1] for path in paths}
    for batch_size in (1, 5, 32):
        together = list(encode_photos(paths, small_encoder, batch_size))
        assert [path for path, _ in together] == paths
        for path, vector in together:
            if path == paths[4]:
                assert isinstance(vector, PhotoError)
            else:
                np.testing.assert_allclose(vector, one_by_one[path], rtol=1e-3, atol=1e-4)


def test_extract_features_skips_unreadable_and_double_photos(tmp_path, small_encoder):
    halves(RED, BLUE).save(tmp_path / "a.png")
    halves(BLUE, RED).save(tmp_path / "a.webp")
    (tmp_path / "b.jpg").write_text("text")
    skipped = []
    features = prepare_photos.extract_features(
        tmp_path, small_encoder, on_skip=lambda path, reason: skipped.append((path, reason))
    )
    assert list(features) == ["a"]
    assert features["a"].dtype == np.float32
    assert features["a"].shape == (1280,)
    first = next(encode_photos([tmp_path / "a.png"], small_encoder, 1))[1]
    np.testing.assert_allclose(features["a"], first, rtol=1e-4)
    assert [path for path, _ in skipped] == [str(tmp_path / "a.webp"), str(tmp_path / "b.jpg")]
    assert "a.png has the same identifier" in skipped[0][1]


def test_extract_features_refuses_a_folder_without_photos(tmp_path, small_encoder):
    with pytest.raises(UserError, match="holds no photos"):
        prepare_photos.extract_features(tmp_path, small_encoder)


# The digest stands here so that nobody changes the weights unawares: whoever has trained on the
# vectors of an untrained encoder could no longer use their model.
def test_untrained_weights_are_the_same_everywhere(small_encoder):
    assert small_encoder.record()["weights_sha256"].startswith("9be66f5d74081492")


@pytest.mark.parametrize(
    ("name", "length", "size"),
    [("MobileNetV2", 1280, 224), ("EfficientNetV2B0", 1280, 224)],
)
def test_encoder_table(name, length, size):
    record = Encoder(name, "none").record()
    assert (record["encoder"], record["length"]) == (name, length)
    assert record["input_size"] == [size, size]


def test_every_encoder_of_the_readme_is_there():
    names = {"VGG16", "VGG19", "ResNet50", "InceptionV3", "EfficientNetV2B0", "MobileNetV2"}
    assert names == set(ARCHITECTURES)


def test_vgg16_gives_4096_numbers_the_same_twice(tmp_path):
    write_tiny_data(tmp_path / "tiny")
    paths = find_photos(tmp_path / "tiny" / "photos")[:2]
    first, second = (
        dict(encode_photos(paths, Encoder("VGG16", "none"), batch_size)) for batch_size in (2, 1)
    )
    for path in paths:
        assert first[path].shape == (4096,)
        np.testing.assert_allclose(first[path], second[path], rtol=1e-4, atol=1e-3)
    assert not np.allclose(first[paths[0]], first[paths[1]])


def test_unknown_encoder_and_bad_weights_are_refused(tmp_path):
    with pytest.raises(UserError, match="choose one of VGG16"):
        Encoder("VGG17", "none")
    with pytest.raises(UserError, match="missing"):
        Encoder("MobileNetV2", str(tmp_path / "absent.h5"))
    (tmp_path / "bad.weights.h5").write_text("no weights")
    with pytest.raises(UserError, match="does not hold the weights of MobileNetV2"):
        Encoder("MobileNetV2", str(tmp_path / "bad.weights.h5"))


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


def test_real_photos_give_the_published_vectors(flickr8k, tmp_path):
    """Encodes the 600 real photos with trained weights and compares with vectors of another run."""
    data = tmp_path / "data"
    data.mkdir()
    os.symlink(flickr8k / "photos", data / "photos")
    weights = str(flickr8k / "mobilenet_v2_notop.weights.h5")
    arguments = ["--data", str(data), "--encoder", "MobileNetV2", "--weights", weights]
    assert prepare_photos.main(arguments) == 0
    features = read_features(data)
    stored = np.load(flickr8k / "features_mobilenet_v2.npz")
    rows = {str(name): row for row, name in enumerate(stored["ids"])}
    assert len(features) == 600
    for identifier, vector in features.items():
        other = stored["features"][rows[identifier]].astype(np.float64)
        cosine = vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other))
        assert cosine >= 0.999
    record = json.loads((data / "features.json").read_text())
    assert (record["encoder"], record["count"], record["skipped"]) == ("MobileNetV2", 600, [])


def test_write_features_records_what_was_skipped(tmp_path, small_encoder):
    vectors = {"a": np.ones(1280, dtype=np.float32)}
    skipped = [{"photo": "b.jpg", "reason": "no photo"}]
    write_features(tmp_path, vectors, small_encoder.record(), skipped)
    record = json.loads((tmp_path / "features.json").read_text())
    assert record["skipped"] == skipped
    assert record["layer"] == "avg_pool"
    np.testing.assert_array_equal(read_features(tmp_path)["a"], vectors["a"])


def test_short_numbers_give_nearly_the_same_vectors_and_another_record():
    images = np.random.default_rng(1).random((2, 224, 224, 3), dtype=np.float32) * 2 - 1
    exact, short = (Encoder("MobileNetV2", "none", dtype) for dtype in ("float32", "bfloat16"))
    assert keras.config.dtype_policy().name == "float32"
    vectors, others = exact.encode(images), short.encode(images)
    assert others.dtype == np.float32
    assert not np.array_equal(vectors, others)
    cosines = (vectors * others).sum(axis=1) / (
        np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    )
    assert cosines.min() > 0.9
    with pytest.raises(UserError, match="dtype is float32 in the one and bfloat16"):
        check_same_encoder(exact.record(), "here", short.record(), "there")


def test_weights_of_a_file_are_those_of_the_file(tmp_path, monkeypatch):
    network = Encoder("MobileNetV2", "none").network
    path = tmp_path / "mine.weights.h5"
    for variable in network.weights:
        variable.assign(np.random.default_rng(2).random(variable.shape, dtype=np.float32))
    network.save_weights(path)
    # So few numbers that every matrix is assigned in many parts.
    monkeypatch.setattr(encoders, "PART", 1000)
    loaded = Encoder("MobileNetV2", str(path)).network
    for one, other in zip(network.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_drawn_weights_do_not_depend_on_the_parts(monkeypatch):
    network = keras.Sequential([keras.Input((30,)), keras.layers.Dense(7)])
    drawn = []
    for part in (2**22, 7, 50):
        monkeypatch.setattr(encoders, "PART", part)
        encoders._draw_weights(network, lambda pixels: pixels)
        drawn.append(network.layers[0].kernel.numpy().copy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
