"""Which photos folders, addresses and paths that a user names hold."""

import errno
import io
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.cli import UserError
from captioning.photos.feature_cache import open_cache
from captioning.photos.listing import (
    describe_left_out,
    expand_paths,
    find_photos,
    list_photos,
    path_of,
    photo_folders,
    write_photo_folders,
)
from captioning.photos.reading import PhotoError, read_photo


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()


def test_photos_are_found_by_their_extensions_in_order_and_hidden_ones_are_not(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "notes.txt", ".hidden.jpg", ".git/d.png", "below/c.webp")
    os.symlink(tmp_path, tmp_path / "below" / "loop")
    found = [str(path.relative_to(tmp_path)) for path in find_photos(tmp_path)]
    assert found == ["a.png", "b.JPG", "below/c.webp"]


def test_files_left_out_of_a_folder_are_counted_by_kind(tmp_path):
    touch(tmp_path, "a.png", "b.MOV", "c.mov", "below/d.mov", "README", "e.aae", "below/f.png")
    touch(tmp_path, ".DS_Store", ".git/g.mov", "below/.h.mov")
    left_out = Counter()
    assert len(find_photos(tmp_path, left_out=left_out)) == 2
    assert left_out == {".mov": 3, ".aae": 1, "": 1}
    assert describe_left_out(left_out) == "left out: 3 .mov, 1 without extension, 1 .aae"


def test_links_do_not_lead_out_of_the_folder(tmp_path):
    photos, elsewhere = tmp_path / "photos", tmp_path / "photos elsewhere"
    touch(photos, "below/b.png", "good.png")
    touch(elsewhere, "private.png")
    (photos / "inside.png").symlink_to("good.png")
    (photos / "below" / "upwards.png").symlink_to("../good.png")
    (photos / "outside.png").symlink_to(elsewhere / "private.png")
    (photos / "chain.png").symlink_to("outside.png")
    (photos / "folder").symlink_to(elsewhere)
    (photos / "notes.txt").symlink_to(elsewhere)
    (photos / "below" / "loop").symlink_to(photos)
    (photos / "circle.png").symlink_to("circle.png")
    (photos / "broken.png").symlink_to("nothing.png")
    skipped = {}
    found = [path.name for path in find_photos(photos, skipped)]
    # What cannot be opened is told by whoever reads it.
    assert found == ["b.png", "upwards.png", "broken.png", "circle.png", "good.png", "inside.png"]
    names = {str(photos / name) for name in ("chain.png", "folder", "notes.txt", "outside.png")}
    assert set(skipped) == names
    (tmp_path / "link").symlink_to(photos)
    assert [path.name for path in find_photos(tmp_path / "link")] == found


def test_each_photo_that_is_named_is_listed_once(tiny_data):
    photos = tiny_data / "photos"
    dog = tiny_data / "dog.unknown"
    shutil.copy(photos / "red_ball_snow.png", dog)
    (photos / "link.png").symlink_to(dog)
    (photos / "outside.png").symlink_to("/dev/null")
    skipped, last = {}, photos / "red_box_snow.png"
    found = expand_paths([last, dog, photos, dog], skipped, Counter())
    assert found[:2] == [last, dog]
    assert len(found) == len(set(found)) == 13
    assert found[2:] == sorted(found[2:])
    assert set(skipped) == {str(photos / "link.png"), str(photos / "outside.png")}
    assert set(skipped.values()) == {f"it is a link that points outside {photos}"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "holds no photos: "),
        (("a.mov", "b.mov"), "holds no photos (left out: 2 .mov): "),
    ],
)
def test_a_folder_without_photos_says_what_it_holds_instead(tmp_path, names, words):
    touch(tmp_path, *names)
    with pytest.raises(UserError) as listed:
        list_photos([tmp_path], {}, Counter())
    with pytest.raises(UserError) as expanded:
        expand_paths([tmp_path], {}, Counter())
    assert str(listed.value).startswith(f"{tmp_path} {words}put some there")
    assert str(expanded.value) == f"{tmp_path} {words}name a photo, or a folder with some"


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="missing does not exist: name a photo"):
        expand_paths([tmp_path / "missing"], {}, Counter())
    with pytest.raises(UserError, match=r"missing cannot be read \(No such file or directory\): "):
        list_photos([tmp_path / "missing"], {}, Counter())


def test_a_folder_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    """Has the system refuse, since root, who may run the tests, can read everything."""
    touch(tmp_path, "open/a.jpg", "open/below/b.jpg", "closed/c.jpg")
    ordinary, closed = os.scandir, {tmp_path / "closed", tmp_path / "open" / "below"}

    def scan(path):
        if Path(path) in closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return ordinary(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(UserError, match=r"closed cannot be read \(Permission denied\): "):
        list_photos([tmp_path / "open", tmp_path / "closed"], {}, Counter())
    skipped = {}
    assert list(list_photos([tmp_path / "open"], skipped, Counter())) == ["a.jpg"]
    assert skipped == {str(tmp_path / "open" / "below"): "Permission denied"}


def test_a_copy_is_counted_and_another_photo_of_the_same_name_is_named(tmp_path):
    for name, content in (("one/a.png", b"1"), ("two/a.png", b"1"), ("two/below/a.png", b"2")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    skipped, left_out = {}, Counter()
    found = list_photos([tmp_path / "one", tmp_path / "two"], skipped, left_out)
    assert found == {"a.png": tmp_path / "one" / "a.png"}
    assert describe_left_out(left_out) == "left out: 1 copied"
    assert skipped == {str(tmp_path / "two" / "below" / "a.png"): "a.png has the same photo id"}


def test_folders_are_those_named_now_or_before_or_in_the_data_folder(tmp_path):
    data, inside, outside = tmp_path / "data", tmp_path / "data" / "in it", tmp_path / "outside"
    assert photo_folders(data) == [data / "photos"]
    inside.mkdir(parents=True)
    outside.mkdir()
    assert photo_folders(data) == [data]
    (data / "photos").mkdir()
    assert photo_folders(data) == [data / "photos"]
    assert photo_folders(data, (outside,)) == [outside]
    write_photo_folders(data, [inside, outside])
    assert photo_folders(data) == [inside, outside]
    # What lies in the data folder moves with it.
    moved = data.rename(tmp_path / "moved")
    assert photo_folders(moved) == [moved / "in it", outside]
    outside.rmdir()
    with pytest.raises(UserError, match=r"outside is not a folder: .* prepare_photos.py --data"):
        photo_folders(moved)


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


def test_photos_at_an_address_are_listed_as_those_of_a_folder_are(bucket):
    address, skipped, left_out = path_of("memory://bucket/photos"), {}, Counter()
    photos = list_photos([address], skipped, left_out)
    assert list(photos) == ["b.png", "sub/a.PNG"]
    assert str(photos["sub/a.PNG"]) == "memory://bucket/photos/sub/a.PNG"
    assert skipped == {"memory://bucket/photos/sub/b.jpg": "b.png has the same photo id"}
    assert left_out == {".txt": 1}


def test_a_photo_at_an_address_is_read_as_from_a_file(bucket):
    bucket.pipe("/bucket/photos/b.png", b"no photo")
    photos = list_photos([path_of("memory://bucket/photos")], {}, Counter())
    red = np.full((2, 5, 3), (255, 0, 0))
    np.testing.assert_array_equal(read_photo(photos["sub/a.PNG"], (2, 5)), red)
    with pytest.raises(PhotoError, match=r"cannot identify image file 'b.png'"):
        read_photo(photos["b.png"], (2, 2))


def test_only_a_photo_at_an_address_that_changed_is_another(bucket, tmp_path):
    def made_of():
        photos = list_photos([path_of("memory://bucket/photos")], {}, Counter())
        with open_cache(tmp_path, photos) as cache:
            return cache.made_of

    before = made_of()
    assert made_of() == before
    bucket.pipe("/bucket/photos/b.png", png("tan"))
    after = made_of()
    assert after["sub/a.PNG"] == before["sub/a.PNG"]
    assert after["b.png"] != before["b.png"]


@pytest.mark.parametrize("address", ["s3://bucket/none", "memory://bucket/none"])
def test_an_address_without_photos_is_refused(bucket, address):
    with pytest.raises(UserError, match=f"^{address} (cannot be listed: |holds no photos: )"):
        list_photos([path_of(address)], {}, Counter())
