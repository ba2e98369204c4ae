"""Photos at fsspec's addresses: listed, read and noticed when they change."""

import importlib.util
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import StandIn, draw_photos

import prepare_photos
from captioning.cli import UserError
from captioning.photos.feature_cache import open_cache
from captioning.photos.listing import list_photos
from captioning.photos.reading import PhotoError, read_photo
from captioning.photos.remote_photos import RemoteFolder, RemotePhoto, place_of
from captioning.text.places import Places, photo_folders, read_places, write_places

ADDRESS = "memory://bucket/photos"
PLACES = [RemoteFolder(ADDRESS)]


@pytest.fixture
def bucket():
    """Gives a file system in memory, emptied."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec comes with requirements-ray.txt")
    files = fsspec.filesystem("memory")
    files.store.clear()
    return files


def png(colour):
    content = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(content, "PNG")
    return content.getvalue()


def test_photos_are_listed_as_those_of_a_folder_are(bucket):
    for name in ("b.png", "sub/a.PNG", ".hidden.png", ".hidden/c.png", "sub/b.jpg", "notes.txt"):
        bucket.pipe(f"/bucket/photos/{name}", png("red"))
    bucket.pipe("/bucket/elsewhere.png", png("red"))
    skipped, left_out = {}, Counter()
    photos = list_photos(PLACES, skipped, left_out)
    assert list(photos) == ["b.png", "sub/a.PNG"]
    assert [photo.name for photo in photos.values()] == ["b.png", "a.PNG"]
    assert str(photos["sub/a.PNG"]) == f"{ADDRESS}/sub/a.PNG"
    assert skipped == {f"{ADDRESS}/sub/b.jpg": "b.png has the same photo id"}
    assert left_out == {".txt": 1}


def test_a_photo_is_read_as_from_a_file(bucket):
    bucket.pipe("/bucket/photos/a.png", png((1, 2, 3)))
    bucket.pipe("/bucket/photos/b.png", b"no photo")
    photos = list_photos(PLACES, {}, Counter())
    np.testing.assert_array_equal(
        read_photo(photos["a.png"], (2, 5)), np.full((2, 5, 3), (1, 2, 3))
    )
    with pytest.raises(PhotoError, match=r"cannot identify image file 'b.png'"):
        read_photo(photos["b.png"], (2, 2))
    bucket.rm("/bucket/photos/a.png")
    with pytest.raises(PhotoError, match=r"^No such file or directory$"):
        read_photo(photos["a.png"], (2, 2))


def test_only_a_photo_that_changed_has_another_signature(bucket, tmp_path):
    for name in ("a.png", "b.png"):
        bucket.pipe(f"/bucket/photos/{name}", png("red"))
    before = open_cache(tmp_path, list_photos(PLACES, {}, Counter())).signatures
    assert open_cache(tmp_path, list_photos(PLACES, {}, Counter())).signatures == before
    bucket.pipe("/bucket/photos/b.png", png("blue"))
    after = open_cache(tmp_path, list_photos(PLACES, {}, Counter())).signatures
    assert after["a.png"] == before["a.png"]
    assert after["b.png"] != before["b.png"]


def test_addresses_that_give_no_photos_are_refused(bucket):
    with pytest.raises(UserError, match=f"{ADDRESS} holds no photos: put some there"):
        list_photos(PLACES, {}, Counter())
    with pytest.raises(UserError, match="rubbish://x cannot be listed: Protocol not known"):
        list_photos([RemoteFolder("rubbish://x")], {}, Counter())


def test_without_fsspec_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"fsspec, which s3://b needs, .* -r requirements-ray.txt"):
        list_photos([RemoteFolder("s3://b")], {}, Counter())


def test_addresses_are_told_from_paths():
    assert place_of("s3://bucket/photos") == RemoteFolder("s3://bucket/photos")
    assert place_of("a/photos") == Path("a/photos")
    assert RemotePhoto("s3://bucket/a b.jpg", "").name == "a b.jpg"


def test_an_address_is_remembered_and_is_no_folder(tmp_path):
    (tmp_path / "more").mkdir()
    places = Places(photos=(RemoteFolder("s3://bucket/photos"), tmp_path / "more"))
    write_places(tmp_path, places)
    assert read_places(tmp_path) == places
    assert photo_folders(tmp_path) == [tmp_path / "more"]


def test_the_features_are_those_of_the_same_photos_in_a_folder(
    bucket, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("captioning.photos.encoders.Encoder", StandIn)
    draw_photos(tmp_path / "here" / "photos", 9)
    for path in (tmp_path / "here" / "photos").iterdir():
        bucket.pipe(f"/bucket/photos/{path.name}", path.read_bytes())
    flags = ["--encoder", "MobileNetV2", "--weights", "none"]
    assert prepare_photos.main(["--data", str(tmp_path / "here"), *flags]) == 1
    capsys.readouterr()
    there = ["--data", str(tmp_path / "there"), *flags]
    assert prepare_photos.main([*there, "--photos", ADDRESS]) == 1
    place = f"{ADDRESS}/photo 0003.png: cannot identify image file"
    assert place in capsys.readouterr().err
    # The address is remembered.
    assert prepare_photos.main(there) == 1
    assert "8 unchanged" in capsys.readouterr().out
    pickles = [(tmp_path / name / "features.pkl").read_bytes() for name in ("here", "there")]
    assert pickles[0] == pickles[1]
