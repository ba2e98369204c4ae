"""Photos that look alike: hashes, their comparison, and what is said of them."""

import io

import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image, ImageEnhance, ImageOps
from support import StandIn

import prepare_photos
from captioning.files import PAINTED_SCENES, PHOTOS
from captioning.photos import lookalikes
from captioning.photos.feature_cache import read_hashes
from captioning.photos.lookalikes import (
    PAIRS_NAMED,
    find_lookalikes,
    hash_photo,
    notes_on_lookalikes,
)


def resized(image):
    return np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR))


def as_jpeg(image, quality):
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content)


CHANGES = {
    "jpeg": lambda image: as_jpeg(image, 20),
    "a quarter of the size": lambda image: image.reduce(4),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "mirrored and saved": lambda image: as_jpeg(ImageOps.mirror(image), 50),
    "without 1% at each side": lambda image: ImageOps.crop(image, image.width // 100),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photo_looks_like_itself(change):
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        photo = hash_photo(resized(image))
        changed = hash_photo(resized(CHANGES[change](image)))
    assert find_lookalikes({"a": photo, "b": changed}, ["b"], ["a"]) == {"b": "a"}


# ---- What is said ----


def test_a_mirrored_copy_is_found_in_the_cache_that_prepare_photos_leaves(tiny_data, monkeypatch):
    class Encoder(StandIn):
        input_size = (48, 48)  # large enough to tell photos apart

    monkeypatch.setattr("captioning.photos.encoders.Encoder", Encoder)
    with Image.open(tiny_data / PHOTOS / "red_ball_snow.png") as image:
        ImageOps.mirror(image).save(tiny_data / PHOTOS / "copy.jpg", quality=60)
    arguments = ["--data", str(tiny_data), "--encoder", "MobileNetV2", "--weights", "none"]
    assert prepare_photos.main(arguments) == 0
    with Image.open(tiny_data / PHOTOS / "red_box_snow.png") as image:
        assert read_hashes(tiny_data)["red_box_snow"] == hash_photo(np.asarray(image))
    splits = {"train": ["red_ball_snow", "red_box_snow"], "dev": ["red_ball_grass"]}
    splits["test"] = ["copy", "blue_box_snow"]
    (note,) = notes_on_lookalikes(tiny_data, splits)
    assert note == (
        "warning: 1 photo of the test split and some of the train split look alike (copy like "
        "red_ball_snow): a model scores too high on what it has seen. Remove one photo of each "
        "pair from its split, or move it to the other, then run python prepare_text.py --data "
        f"{tiny_data}, train.py and evaluate.py."
    )
    # Painted scenes are meant to look alike.
    (tiny_data / PAINTED_SCENES).write_text("")
    assert notes_on_lookalikes(tiny_data, splits) == []


def test_every_two_splits_are_compared_and_many_pairs_counted(monkeypatch, tmp_path):
    (note,) = notes_on_lookalikes(tmp_path, {"train": ["a"], "dev": ["b"], "test": ["c"]})
    assert f"run python prepare_photos.py --data {tmp_path} again" in note
    # Now there are hashes.
    photos = [f"photo{index}" for index in range(30)]
    monkeypatch.setattr(lookalikes, "read_hashes", lambda data: dict.fromkeys(photos, "0" * 64))
    # Photos without a hash look like none.
    splits = {"train": [*photos[:1], "absent"], "dev": photos[1:3], "test": photos[3:]}
    dev, *others = notes_on_lookalikes(tmp_path, splits)
    assert dev.startswith(
        "warning: 2 photos of the dev split and some of the train split look alike (photo1 like "
        "photo0, photo2 like photo0):"
    )
    for note, split in zip(others, ("train", "dev"), strict=True):
        assert f"27 photos of the test split and some of the {split} split look alike (p" in note
        assert note.count(" like ") == PAIRS_NAMED
        assert ", …)" in note
    # Photos of one split may look alike.
    assert notes_on_lookalikes(tmp_path, {"train": photos, "dev": []}) == []
