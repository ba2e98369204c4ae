"""Which photos folders, addresses and paths that a user names hold."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from support import read_photo

from captioning.cli import UserError
from captioning.photos.listing import (
    PhotoNames,
    expand_paths,
    find_photos,
    list_photos,
    path_of,
    photo_folders,
    write_photo_folders,
)
from captioning.photos.reading import PhotoError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()


def test_photos_are_found_by_their_extensions(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "b.MOV", "below/d.mov", "README", "below/c.webp", ".DS_Store")
    touch(tmp_path, ".a.png", ".git/d.png", ".git/below/d.png", "below/.h.png", "below/.git/i.png")
    # A folder is no photo, whatever its name.
    touch(tmp_path, "folder.png/j.png")
    found = [str(path.relative_to(tmp_path)) for path in find_photos(tmp_path)]
    assert found == ["a.png", "b.JPG", "below/c.webp", "folder.png/j.png"]


def test_links_to_photos_are_photos_and_those_to_folders_are_not_followed(tmp_path):
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    touch(photos, "good.png")
    touch(elsewhere, "another.png", "below/deep.png")
    (photos / "linked.png").symlink_to(elsewhere / "another.png")
    (photos / "folder").symlink_to(elsewhere)
    (photos / "loop").symlink_to(photos)
    (photos / "circle.png").symlink_to("circle.png")
    found = [path.name for path in find_photos(photos)]
    # What cannot be opened is told by whoever reads it.
    assert found == ["circle.png", "good.png", "linked.png"]
    (tmp_path / "link").symlink_to(photos)
    assert [path.name for path in find_photos(tmp_path / "link")] == found


def test_each_photo_that_is_named_is_listed_once(tiny_data):
    photos = tiny_data / "photos"
    dog = tiny_data / "dog.unknown"
    shutil.copy(photos / "red_ball_snow.png", dog)
    last = photos / "red_box_snow.png"
    found = expand_paths([last, dog, photos, dog])
    assert found[:2] == [last, dog]
    assert len(found) == len(set(found)) == 13
    assert found[2:] == sorted(found[2:])


def test_a_folder_without_photos_or_that_is_not_there_is_refused(tmp_path):
    touch(tmp_path, "a.mov", ".a.png")
    with pytest.raises(UserError, match=f"{tmp_path} holds no photos: name"):
        expand_paths([tmp_path])
    with pytest.raises(UserError, match="missing does not exist: name a photo"):
        expand_paths([tmp_path / "missing"])


def test_of_photos_of_one_id_the_first_counts(tmp_path):
    touch(tmp_path, "one/a.png", "two/a.png", "two/below/a.JPG", "two/b.png")
    first, skipped = tmp_path / "one" / "a.png", {}
    found = list_photos([tmp_path / "one", tmp_path / "two"], skipped)
    assert found == {"a": first, "b": tmp_path / "two" / "b.png"}
    others = [tmp_path / "two" / "a.png", tmp_path / "two" / "below" / "a.JPG"]
    assert skipped == dict.fromkeys(map(str, others), f"{first} has the same photo id")


def test_a_folder_in_an_id_has_its_accents_composed_as_names_in_captions_have_them(tmp_path):
    for folder in ("e\u0301te\u0301", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(folder.encode())
    names = PhotoNames([tmp_path])
    for name in ("\u00e9t\u00e9/1.png", "e\u0301te\u0301/1.png"):
        assert names.files[names.id_of(name)].parent.name == "e\u0301te\u0301"
    beside = tmp_path / "e\u0301te\u0301" / "captions.csv"
    assert names.files[names.id_of("1.png", beside)].parent == beside.parent


def test_folders_are_those_named_now_or_before_or_in_the_data_folder(tmp_path):
    data, inside, outside = tmp_path / "data", tmp_path / "data" / "in it", tmp_path / "outside"
    inside.mkdir(parents=True)
    outside.mkdir()
    assert photo_folders(data) == [data]
    (data / "photos").mkdir()
    assert photo_folders(data) == [data / "photos"]
    write_photo_folders(data, [inside, outside])
    assert photo_folders(data) == [inside, outside]
    # What lies in the data folder moves with it.
    moved = data.rename(tmp_path / "moved")
    assert photo_folders(moved) == [moved / "in it", outside]


def png(colour):
    content = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def bucket():
    """Gives a file system in memory, in which memory://bucket/photos is the folder of photos."""
    pytest.importorskip("upath", reason="universal_pathlib is not installed")
    files = path_of("memory://bucket").fs
    files.store.clear()
    for name in ("b.png", "sub/a.PNG", ".hidden.png", ".hidden/c.png", "sub/b.jpg", "notes.txt"):
        files.pipe(f"/bucket/photos/{name}", png("red"))
    files.pipe("/bucket/elsewhere.png", png("red"))
    yield files
    files.store.clear()


def test_photos_at_an_address_are_listed_and_read_as_those_of_a_folder_are(bucket):
    address, skipped = path_of("memory://bucket/photos"), {}
    photos = list_photos([address], skipped)
    assert list(photos) == ["b", "a"]
    assert str(photos["a"]) == "memory://bucket/photos/sub/a.PNG"
    assert skipped == {f"{address}/sub/b.jpg": f"{photos['b']} has the same photo id"}
    red = np.full((2, 5, 3), (255, 0, 0))
    np.testing.assert_array_equal(read_photo(photos["a"], (2, 5)), red)
    bucket.pipe("/bucket/photos/b.png", b"no photo")
    with pytest.raises(PhotoError, match="cannot identify image file"):
        read_photo(photos["b"], (2, 2))


def test_only_a_photo_at_an_address_that_changed_is_encoded_again(bucket, bench):
    for colour, encoded in (("red", 2), ("red", 0), ("tan", 1)):
        if colour == "tan":
            bucket.pipe("/bucket/photos/b.png", png(colour))
        assert bench.run("--photos", "memory://bucket/photos")[0] == 1
        assert bench.encoded == encoded


@pytest.mark.parametrize("address", ["s3://bucket/none", "memory://bucket/none"])
def test_an_address_without_photos_is_refused(bucket, address):
    with pytest.raises(UserError, match=f"^{address} (cannot be listed: |holds no photos: )"):
        list_photos([path_of(address)], {})
