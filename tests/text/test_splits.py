"""Which photos are in which split: files of a person's, or at random."""

import unicodedata

import pytest
from support import assert_nothing_done, prepare, write_three_photos

from captioning.files import CAPTIONS, SPLITS, photo_id
from captioning.text.vocabulary import read_prepared_text


def splits_of(data, *flags):
    assert prepare(data, *flags) == 0
    return read_prepared_text(data).splits


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"test": "c.jpg\na.png"}, ["trainImages", "testImages", "share 1 photo,", "them 'a':"]),
        ({"dev": "x.jpg"}, ["devImages.txt names no photo that has captions"]),
        ({"dev": "a.jpg\ncaf\udce9.jpg"}, ["devImages.txt line 2 is not UTF-8"]),
        ({"train": None}, ["devImages.txt and Flickr_8k.testImages.txt, but not", "remove both"]),
    ],
)
def test_bad_splits_are_refused(tmp_path, capsys, splits, words):
    data = write_three_photos(tmp_path, **splits)
    assert_nothing_done(data, capsys, *words, data)


ODD_NAMES = [" leading.jpg", "a#1.jpg", "#.jpg", "100%.jpg", "%20.jpg", 'it\'s "him".jpg', "..jpg"]
ODD_NAMES += ["犬\u3000と猫.jpg", "no extension", "a,b;c.jpg", "folder/dog.jpg"]
# Accents are composed, whichever form of Unicode a file has: a Mac's names are not.
ODD_NAMES += ["\u2028\x85\x1c.jpg", "cafe\u0301.jpg"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_photos_of_any_name_keep_their_captions(tmp_path, name):
    more = f"{unicodedata.normalize('NFC', name)}#0\tA brown dog .\n"
    data = write_three_photos(tmp_path, train=f"x\n{name}", more=more)
    # x has no captions.
    assert splits_of(data)["train"] == [photo_id(name)]
    text = read_prepared_text(data)
    assert text.captions[photo_id(name)] == ["A brown dog ."]
    assert text.descriptions[photo_id(name)] == [["brown", "dog"]]


def split_at_random(folder, names, *flags):
    folder.mkdir()
    (folder / CAPTIONS).write_text("".join(f"{name}#0\tA dog .\n" for name in names))
    return splits_of(folder, *flags)


def test_without_split_files_the_photos_are_split_at_random(tmp_path, capsys):
    names = [f"photo.{number}.png" for number in range(205)]
    splits = split_at_random(tmp_path / "first", names)
    assert "splits: dev and test at random, with seed 1\n" in capsys.readouterr().out
    assert [len(part) for part in splits.values()] == [165, 20, 20]
    assert set().union(*splits.values()) == {f"photo.{number}" for number in range(205)}
    # So does a run on photos in another order, and one that has a few more hardly another.
    other_order = split_at_random(tmp_path / "second", names[::-1])
    assert all(set(other_order[split]) == set(splits[split]) for split in SPLITS)
    more = split_at_random(tmp_path / "third", [*names, "one.more.png"])
    assert len(set(splits["test"]) - set(more["test"])) <= 1
    # Another seed takes others, there too.
    assert splits_of(tmp_path / "first", "--split-seed", "2") != splits


def test_a_seed_gives_the_photos_that_it_always_gave_in_the_shares_of_the_flags(tmp_path):
    names = [f"{number}.png" for number in range(12)]
    splits = split_at_random(tmp_path / "data", names)
    assert splits["dev"] + splits["test"] == ["1", "11"]
    flags = ("--validation-share", "0.25", "--test-share", "0.34")
    assert [len(part) for part in splits_of(tmp_path / "data", *flags).values()] == [5, 3, 4]


def test_three_photos_can_be_split_but_not_fewer(tmp_path, capsys):
    splits = split_at_random(tmp_path / "data", ["a", " b c", "d#1.jpg"])
    assert [len(part) for part in splits.values()] == [1, 1, 1]
    (tmp_path / CAPTIONS).write_text("a.jpg#0\tA dog .\nb.jpg#0\tA dog .\n")
    assert_nothing_done(tmp_path, capsys, "2 photos,", "too few", CAPTIONS)
    flags = "--validation-share", "0.9", "--test-share", "0.9"
    assert_nothing_done(tmp_path / "data", capsys, "or lower --validation-share", flags=flags)


@pytest.mark.parametrize(
    ("named", "sizes", "origin"),
    [
        # One alone splits nothing.
        (["train"] * 20, [16, 2, 2], "dev and test at random"),
        (["train"] * 15 + ["test"] * 5, [14, 1, 5], "from the captions file; dev at random"),
        # Half of the validation photos.
        (["train"] * 16 + ["val"] * 4, [16, 2, 2], "from the captions file; test at random"),
        # Without training photos there is nothing to complete.
        (["val"] * 10 + ["test"] * 10, [16, 2, 2], "dev and test at random"),
    ],
)
def test_splits_that_the_captions_file_lacks_are_taken_from_others(
    tmp_path, capsys, named, sizes, origin
):
    rows = [f"{number}.jpg,A dog,{split}\n" for number, split in enumerate(named)]
    (tmp_path / "captions.csv").write_text("image,caption,split\n" + "".join(rows))
    splits = splits_of(tmp_path)
    assert [len(part) for part in splits.values()] == sizes
    assert set().union(*splits.values()) == {str(number) for number in range(20)}
    printed = " ".join(capsys.readouterr().out.split())
    assert f"splits: {origin}, with seed 1" in printed
