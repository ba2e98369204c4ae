"""Cleaning, the vocabulary and the files of captions, against the figures of Flickr8k."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from support import ROOT, assert_nothing_done, contents, prepare

import prepare_text
from captioning.cli import OWN_FAULT, UserError
from captioning.old import (
    CAPTIONS,
    DESCRIPTIONS,
    SPLITS,
    VOCABULARY,
    photo_id,
    read_json,
    write_json,
)
from captioning.text.captions import (
    read_captions,
    read_captions_of,
    read_descriptions,
    write_descriptions,
)
from captioning.text.splits import read_split, usable_photos
from captioning.text.summary import length_histogram
from captioning.text.vocabulary import (
    FORMAT,
    Vocabulary,
    build_vocabulary,
    digest_results,
    read_vocabulary,
    write_vocabulary,
)
from captioning.text.words import clean_caption, split_into_words

GOOD = b"a.jpg#0\tA good dog .\n"


def test_captions_of_some_photos_are_those_of_all(tmp_path):
    data = write_data(tmp_path, GOOD + b"a.jpg#1\tA second .\n")
    captions = read_captions(data)
    assert read_captions_of(data, ["c", "a"]) == {photo: captions[photo] for photo in "ca"}


def write_data(folder, captions, train="a.jpg", dev="b.jpg", test="c.jpg"):
    """Writes captions of photos a, b and c before the given ones, and one photo a split."""
    folder.mkdir(exist_ok=True)
    others = b"b.jpg#0\tA cat .\nc.jpg#0\tA cow .\n"
    (folder / CAPTIONS).write_bytes(captions + others if captions is not None else others)
    for split, names in (("train", train), ("dev", dev), ("test", test)):
        names = names.encode() if isinstance(names, str) else names
        (folder / SPLITS[split]).write_bytes(names + b"\n")
    return folder


@pytest.fixture(scope="module")
def official(flickr8k, tmp_path_factory):
    """Runs prepare_text.py's main on the official captions."""
    data = tmp_path_factory.mktemp("official")
    for path in flickr8k.glob("Flickr*.txt"):
        shutil.copy(path, data)
    assert prepare_text.main(["--data", str(data)]) == 0
    return data


def test_official_descriptions(official):
    lines = (official / "descriptions.txt").read_text().splitlines()
    assert len(lines) == 40460
    assert len({line.split()[0] for line in lines}) == 8092
    assert sum(len(line.split()) == 1 for line in lines) == 2
    assert len({word for line in lines for word in line.split()[1:]}) == 8763
    # The odd photo of the official file stands among the others.
    assert "2258277193_586949ec62 people waiting for the subway" in lines


def test_official_vocabulary(official):
    vocabulary = read_vocabulary(official, "")
    assert vocabulary.size == 7579
    assert len(vocabulary.words) == 7578
    assert vocabulary.maximum_length == 34
    descriptions = read_descriptions(official)
    tokenized = [
        vocabulary.tokenize(words)
        for photo in read_split(official, "train")
        for words in descriptions[photo]
    ]
    assert len(tokenized) == 30000
    assert sum(len(token_ids) - 1 for token_ids in tokenized) == 306404


def test_official_summary_names_the_figures(official, capsys):
    prepare_text.main(["--data", str(official)])
    printed = capsys.readouterr().out
    for figure in ("8,092", "40,460", "8,763", "7,579", "306,404"):
        assert figure in printed


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog 's ball .", ["dog", "ball"]),
        ("Tri-colored DOGS, running!", ["tricolored", "dogs", "running"]),
        ("2 men in 4x4s and no. 5", ["men", "in", "and", "no"]),
        ("Ein Mädchen läuft", ["ein", "mädchen", "läuft"]),
        ("“quoted” — words…", ["quoted", "words"]),
        ("Ein Ma\u0308dchen la\u0308uft", ["ein", "mädchen", "läuft"]),
        ("startseq Dog runs endseq", ["dog", "runs"]),
        ("tabs\tand\u3000wide\xa0blanks", ["tabs", "and", "wide", "blanks"]),
        (" . , !", []),
        ("", []),
    ],
)
def test_clean_caption(caption, words):
    assert clean_caption(caption, min_word_length=2) == words


def test_minimum_word_length_keeps_short_words():
    assert clean_caption("a dog", min_word_length=1) == ["a", "dog"]


def test_split_into_words_keeps_one_letter_words_and_digits():
    assert split_into_words("A dog 's 2 balls .") == ["a", "dog", "s", "2", "balls"]


def test_vocabulary_order_is_frequency_then_first_appearance():
    descriptions = [["zebra", "ant"], ["bee", "ant"], ["zebra", "ant"], ["cow"]]
    vocabulary = build_vocabulary(descriptions, 2, 1)
    assert vocabulary.words == ("startseq", "endseq", "ant", "zebra", "bee", "cow")
    assert vocabulary.maximum_length == 4
    assert vocabulary.tokenize(["ant", "unknown", "cow"]) == [1, 3, 6, 2]
    assert vocabulary.detokenize([1, 3, 6, 2, 0, 0]) == ["ant", "cow"]


def test_minimum_word_count_drops_rare_words_but_no_marker():
    vocabulary = build_vocabulary([["ant", "ant", "bee"]], 2, min_word_count=2)
    assert set(vocabulary.words) == {"ant", "startseq", "endseq"}


def test_vocabulary_survives_writing(tmp_path):
    sources = {"descriptions.txt": "0" * 64}
    vocabulary = Vocabulary(("startseq", "endseq", "Ærø"), 5, {"min_word_length": 2}, sources)
    write_vocabulary(tmp_path, vocabulary)
    assert read_vocabulary(tmp_path, "") == vocabulary


SMALL_VOCABULARY = Vocabulary(("startseq", "endseq", "ant", "bee"), 5, {})


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"format": 2', '"format": 1', "format version 1"),
        # Another writer's format.
        ('"format"', '"version"', "format version None"),
        # What only the digest tells from a whole file.
        ('"ant"', '"aft"', "sha256"),
        ('"ant",\n  "bee"', '"bee",\n  "ant"', "sha256"),
        ('"maximum_length": 5', '"maximum_length": 5000000000', "sha256"),
        ('"sha256"', '"sha25"', "sha256"),
        ("{", "", "damaged"),
        ("{", "[{", "damaged"),
    ],
)
def test_damaged_vocabulary_is_refused(tmp_path, old, new, fault):
    write_vocabulary(tmp_path, SMALL_VOCABULARY)
    path = tmp_path / VOCABULARY
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert_vocabulary_refused(tmp_path, fault)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("words", ["startseq", "endseq", "startseq"], "repeated"),
        ("words", ["other", "endseq"], "startseq"),
        ("words", ["startseq"], "endseq"),
        ("words", ["startseq", "endseq", ""], "words"),
        ("words", ["startseq", "endseq", 7], "words"),
        ("words", None, "words"),
        ("words", ["startseq", "endseq", "red\nskipped all.jpg"], "a line break"),
        ("words", ["startseq", "endseq", "red\x1b[2J"], "a control character"),
        ("words", ["startseq", "endseq", "red\u202e"], "a control character"),
        ("words", ["startseq", "endseq", "red ball"], "a blank"),
        ("maximum_length", "5", "maximum_length"),
        ("maximum_length", 1, "maximum_length"),
        ("padding_id", 1, "padding"),
        ("cleaning", None, "cleaning"),
        ("sources", None, "sources"),
    ],
)
def test_wrong_vocabulary_with_a_right_digest_is_refused(tmp_path, name, value, fault):
    write_vocabulary(tmp_path, SMALL_VOCABULARY)
    content = read_json(tmp_path / VOCABULARY, FORMAT, "")
    write_json(tmp_path / VOCABULARY, {**content, name: value}, FORMAT)
    assert_vocabulary_refused(tmp_path, fault)


@pytest.mark.parametrize("word", ["می\u200cخواهم", "क्\u200dष", "é", "o'clock", "e\u0301"])
def test_words_of_any_spelling_are_read(tmp_path, word):
    vocabulary = dataclasses.replace(SMALL_VOCABULARY, words=("startseq", "endseq", word))
    write_vocabulary(tmp_path, vocabulary)
    assert read_vocabulary(tmp_path, "") == vocabulary


def assert_vocabulary_refused(folder, fault):
    with pytest.raises(UserError, match=fault) as error:
        read_vocabulary(folder, "run python prepare_text.py")
    assert str(folder / VOCABULARY) in str(error.value)
    assert str(error.value).endswith("run python prepare_text.py")


@pytest.mark.parametrize("content", ["[]", "null", '"words"', "7", "", "{}"])
def test_a_vocabulary_that_is_no_object_is_refused(tmp_path, content):
    (tmp_path / VOCABULARY).write_text(content)
    assert_vocabulary_refused(tmp_path, VOCABULARY)


def test_the_digest_is_of_the_content_not_of_its_layout(tmp_path):
    vocabulary = Vocabulary(("startseq", "endseq", "ant"), 5, {})
    write_vocabulary(tmp_path, vocabulary)
    path = tmp_path / VOCABULARY
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_vocabulary(tmp_path, "") == vocabulary


def test_descriptions_survive_writing(tmp_path):
    descriptions = {"my dog 100%": [["dog"], []], "b": [["cat", "sat"]], "tab\tname": [["x"]]}
    write_descriptions(tmp_path, descriptions)
    sources = digest_results(tmp_path)
    write_vocabulary(tmp_path, Vocabulary(("startseq", "endseq"), 5, {}, sources))
    assert read_descriptions(tmp_path) == descriptions


@pytest.mark.parametrize("name", [DESCRIPTIONS, CAPTIONS, SPLITS["train"]])
def test_what_has_changed_since_the_cleaning_is_noticed(tmp_path, name):
    data = write_data(tmp_path, GOOD)
    assert prepare(data) == 0
    assert read_descriptions(data)
    with open(data / name, "a") as file:
        file.write("c.jpg#1\tOne more .\n")
    with pytest.raises(UserError, match=r"prepare_text\.py") as error:
        read_descriptions(data)
    assert str(data / name) in str(error.value)


@pytest.mark.parametrize("name", [DESCRIPTIONS, VOCABULARY])
def test_descriptions_are_not_read_without_what_belongs_to_them(tmp_path, name):
    data = write_data(tmp_path, GOOD)
    assert prepare(data) == 0
    (data / name).unlink()
    with pytest.raises(UserError, match=r"prepare_text\.py") as error:
        read_descriptions(data)
    assert str(data / name) in str(error.value)


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("dog.jpg", "dog"),
        ("2258277193_586949ec62.jpg.1", "2258277193_586949ec62"),
        ("my.holiday.2024.JPEG", "my.holiday.2024"),
        ("2024.11.23.png", "2024.11.23"),
        ("no_extension", "no_extension"),
    ],
)
def test_photo_photo(name, photo):
    assert photo_id(name) == photo


def test_captions_keep_order_tabs_and_marks(tmp_path):
    text = "﻿b.jpg#0\tA b.\r\na#1.jpg#0\tAn\ta.\r\n\r\nb.jpg#1\tB again.\r\n"
    (tmp_path / "Flickr8k.token.txt").write_text(text, encoding="utf-8", newline="")
    captions = read_captions(tmp_path)
    assert captions == {"b": ["A b.", "B again."], "a#1": ["An\ta."]}
    assert list(captions) == ["b", "a#1"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"b.jpg#1 no tab", "name.jpg#0<TAB>caption"),
        (b"b.jpg\tno mark", "name.jpg#0<TAB>caption"),
        (b"#1\tno name", "name.jpg#0<TAB>caption"),
        (b"no#1number.jpg\ta caption", "name.jpg#0<TAB>caption"),
        (b".jpg#0\tno name", "extension"),
        (b"b.jpg#1\tA dog .c.jpg#1\tA line end is missing .", "two captions"),
        (b"a.png#1\tOf another photo .", "same photo id as 'a.jpg'"),
        (b"b.jpg#1\tcaf\xe9", "UTF-8"),
        (b"b.jpg#1\tA d\0g .", "NUL"),
        (b"b.jpg#1\t" + b"word " * 10_000, "10,000 words"),
        (b"b.jpg#1\t" + b"x" * 10_000_000, "10,000,000 characters"),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_bad_line_is_named(tmp_path, capsys, line, fault, line_end):
    data = write_data(tmp_path, b"\n" + GOOD + line + b"\n")
    path = data / CAPTIONS
    path.write_bytes(path.read_bytes().replace(b"\n", line_end))
    assert_nothing_done(data, capsys, f"{path} line 3 ", fault)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "no captions"),
        (b"\n \n\t\n", "no captions"),
        ("a.jpg#0\tA dog .\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("a.jpg#0\tA dog .\n".encode("utf-16-le"), "line 1 holds a NUL"),
        (bytes(range(256)), "line 1 holds a NUL"),
    ],
)
def test_a_file_that_holds_no_captions_is_refused(tmp_path, capsys, content, fault):
    data = write_data(tmp_path, GOOD)
    (data / CAPTIONS).write_bytes(content)
    assert_nothing_done(data, capsys, data / CAPTIONS, fault)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path, line_end):
    lines = ["a.jpg#0\tAn a .", "\ufeffb.jpg#0\tA b .", "c.jpg#0\tA\x85\u2028c ."]
    text = "\ufeff" + line_end.join(lines)
    (tmp_path / CAPTIONS).write_text(text, encoding="utf-8", newline="")
    (tmp_path / SPLITS["train"]).write_text(
        line_end.join(["\ufeffa.jpg", "\ufeffb.jpg ", ""]), encoding="utf-8", newline=""
    )
    expected = {"a": ["An a ."], "b": ["A b ."], "c": ["A\x85\u2028c ."]}
    assert read_captions(tmp_path) == expected
    assert read_split(tmp_path, "train") == ["a", "b"]


def test_empty_captions_stay_and_are_counted(tmp_path, capsys):
    data = write_data(tmp_path, GOOD + b"a.jpg#1\t\na.jpg#2\t . ! ,\n")
    assert prepare(data) == 0
    assert "2 of them empty after cleaning" in capsys.readouterr().out
    assert read_descriptions(data)["a"] == [["good", "dog"], [], []]


def test_a_line_that_stands_twice_counts_once(tmp_path, capsys):
    again = b"a.jpg#1\tA good dog .\na.jpg#0\tOf the same number .\n"
    data = write_data(tmp_path, GOOD + again + GOOD + GOOD)
    assert prepare(data) == 0
    said = capsys.readouterr().err
    assert said == (f"{data / CAPTIONS}: 2 repeated captions ignored, the first line 4\n")
    assert len(read_descriptions(data)["a"]) == 3


@pytest.mark.parametrize(
    "name",
    [
        "my dog.jpg",
        " leading.jpg",
        "a#1.jpg",
        "#.jpg",
        "100%.jpg",
        "%20.jpg",
        'it\'s "him".jpg',
        "<b>&amp;.jpg",
        "犬\u3000と猫.jpg",
        "cafe\u0301.jpg",
        "🐕.jpg",
        "..jpg",
        "no extension",
        "a,b;c.jpg",
        "folder/dog.jpg",
        "\u2028\x85\x1c.jpg",
    ],
)
def test_photos_of_any_name_keep_their_captions(tmp_path, name):
    data = write_data(tmp_path, f"{name}#0\tA brown dog .\n".encode(), train="x\n" + name)
    assert prepare(data) == 0
    photo = photo_id(name)
    assert read_split(data, "train") == ["x", photo]
    assert read_descriptions(data)[photo] == [["brown", "dog"]]


def test_a_name_may_have_another_extension_or_a_blank_after_it(tmp_path):
    data = write_data(tmp_path, GOOD + b"a.JPG#1\tB .\na.jpg.1 #2 \tC .\n")
    assert read_captions(data)["a"] == ["A good dog .", "B .", "C ."]


def test_usable_photos_are_counted(tmp_path, capsys):
    (tmp_path / "Flickr_8k.testImages.txt").write_text("a.jpg\nb.jpg\nc.jpg\na.jpg\n\n")
    vectors, captions = {"a": 0, "b": 0}, {"a": 0, "c": 0}
    assert usable_photos(tmp_path, "test", vectors, captions) == ["a"]
    said = capsys.readouterr().err
    assert "2 of 3 photos left out (1 without features, 1 without captions)" in said
    with pytest.raises(UserError, match="names no test photo that has both"):
        usable_photos(tmp_path, "test", {}, captions)


def test_histogram_counts_every_description():
    lengths = [0, 1, 2, 3, 3, 8]
    lines = length_histogram(lengths, bin_width=3, bar_width=6)
    counts = [int(line.split()[4]) for line in lines]
    assert counts == [3, 2, 1]
    assert [line.count("#") for line in lines] == [6, 4, 2]
    expected = Counter(length // 3 for length in lengths)
    assert counts == [expected[number] for number in range(3)]


def test_photos_and_captions_that_miss_each_other_are_counted(tmp_path, capsys):
    data = write_data(tmp_path, GOOD + b"d.jpg#0\tIn no split .\n", train="a.jpg\nx.jpg\na.jpg")
    (data / "photos" / "below").mkdir(parents=True)
    for name in ("a.jpg", "below/b.jpg", "e.jpg", ".hidden"):
        (data / "photos" / name).write_bytes(b"")
    assert prepare(data) == 0
    # The path is long, so that the line goes on below.
    printed = " ".join(capsys.readouterr().out.split())
    for line in (
        "photos with captions 4 1 of them in no split",
        "train split 2 1 photo without captions left out",
        "dev split 1 0 photos without captions left out",
        f"without a file 2 files without captions 1 in {data / 'photos'} splits",
    ):
        assert line in printed


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"test": "c.jpg\na.png"}, ["trainImages", "testImages", "share 1 photo,", "them 'a':"]),
        ({"dev": "c.jpg"}, ["devImages", "testImages", "share 1 photo,", "them 'c':"]),
        ({"train": "\n \n"}, ["trainImages.txt is empty"]),
        ({"dev": ""}, ["devImages.txt is empty"]),
        ({"train": "x.jpg"}, ["trainImages.txt names no photo that has captions"]),
        ({"test": "x.jpg"}, ["testImages.txt names no photo that has captions"]),
        ({"dev": b"a.jpg\ncaf\xe9.jpg"}, ["devImages.txt line 2 is not UTF-8"]),
        ({"dev": b"\0"}, ["devImages.txt line 1 holds a NUL"]),
    ],
)
def test_bad_splits_are_refused(tmp_path, capsys, splits, words):
    data = write_data(tmp_path, GOOD, **splits)
    assert_nothing_done(data, capsys, *words, data)


@pytest.mark.parametrize("missing", [["train"], ["dev"], ["test"], ["train", "test"]])
def test_some_split_files_without_the_others_are_refused(tmp_path, capsys, missing):
    data = write_data(tmp_path, GOOD)
    for split in missing:
        (data / SPLITS[split]).unlink()
    words = [data / SPLITS[missing[0]], "is missing", "remove", f"prepare_text.py --data {data}"]
    assert_nothing_done(data, capsys, *words)


def split_at_random(folder, names, *flags):
    folder.mkdir()
    lines = [f"{name}#0\tA dog .\n" for name in names]
    (folder / CAPTIONS).write_text("".join(lines), encoding="utf-8")
    assert prepare(folder, *flags) == 0
    return {split: read_split(folder, split) for split in SPLITS}


def test_without_split_files_the_photos_are_split_at_random(tmp_path, capsys):
    names = [f"photo.{number}.png" for number in range(205)]
    splits = split_at_random(tmp_path / "first", names)
    printed = capsys.readouterr().out
    for word in ("at random", "seed 1", "splits.json"):
        assert word in printed
    assert {split: len(part) for split, part in splits.items()} == {
        "train": 165,
        "dev": 20,
        "test": 20,
    }
    assert set().union(*splits.values()) == {f"photo.{number}" for number in range(205)}
    # The next run draws the same.
    written = contents(tmp_path / "first")
    assert prepare(tmp_path / "first") == 0
    assert contents(tmp_path / "first") == written

    other_order = split_at_random(tmp_path / "second", names[::-1])
    assert {split: set(part) for split, part in other_order.items()} == {
        split: set(part) for split, part in splits.items()
    }
    assert split_at_random(tmp_path / "third", names, "--split-seed", "2") != splits
    more = split_at_random(tmp_path / "fourth", [*names, "one.more.png"])
    assert len(set(splits["test"]) - set(more["test"])) <= 1


def test_another_seed_draws_anew_where_the_splits_were_drawn(tmp_path):
    names = [f"{number}.png" for number in range(40)]
    splits = split_at_random(tmp_path / "data", names)
    assert prepare(tmp_path / "data", "--split-seed", "2") == 0
    again = {split: read_split(tmp_path / "data", split) for split in SPLITS}
    assert again != splits
    assert again == split_at_random(tmp_path / "fresh", names, "--split-seed", "2")


def test_shares_may_come_from_a_flag_or_a_recipe(tmp_path, capsys):
    names = [f"{number}.png" for number in range(20)]
    flags = ("--validation-share", "0.25", "--test-share", "0.3")
    splits = split_at_random(tmp_path / "flag", names, *flags)
    assert [len(splits[split]) for split in ("train", "dev", "test")] == [9, 5, 6]
    printed = " ".join(capsys.readouterr().out.split())
    assert "changed by recipe or flag: validation_share 0.25, test_share 0.3 " in printed
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[prepare_text]\nvalidation_share = 0.25\ntest_share = 0.3\n")
    assert split_at_random(tmp_path / "recipe", names, "--recipe", str(recipe)) == splits


@pytest.mark.parametrize("flag", ["--split-seed", "--validation-share", "--test-share"])
def test_drawing_is_refused_where_files_say_the_splits(tmp_path, capsys, flag):
    data = write_data(tmp_path, GOOD)
    assert_nothing_done(data, capsys, flag, data, SPLITS["test"], flags=[flag, "0"])


def test_shares_that_leave_nothing_to_train_on_are_refused(tmp_path, capsys):
    data = write_data(tmp_path, GOOD)
    flags = ["--validation-share", "0.5", "--test-share", "0.5"]
    assert_nothing_done(data, capsys, "nothing to train on", flags=flags)


def test_files_of_the_splits_that_come_later_replace_drawn_ones(tmp_path):
    data = tmp_path / "data"
    split_at_random(data, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    for split, names in (("train", "a.jpg\nb.jpg"), ("dev", "c.jpg"), ("test", "d.jpg")):
        (data / SPLITS[split]).write_text(names)
    with pytest.raises(UserError, match=r"trainImages\.txt has changed"):
        read_descriptions(data)
    assert prepare(data) == 0
    assert read_split(data, "train") == ["a", "b"]
    assert not (data / "splits.json").exists()
    assert read_descriptions(data)


def test_damaged_drawn_splits_are_noticed(tmp_path):
    split_at_random(tmp_path / "data", ["a.jpg", "b.jpg", "c.jpg"])
    path = tmp_path / "data" / "splits.json"
    path.write_text(path.read_text().replace("a.jpg", "x.jpg"))
    with pytest.raises(UserError, match=r"splits\.json was damaged.*prepare_text\.py"):
        read_split(tmp_path / "data", "dev")


def test_three_photos_can_be_split_but_not_two(tmp_path, capsys):
    splits = split_at_random(tmp_path / "three", ["a", " b c", "d#1.jpg"])
    assert sorted(len(part) for part in splits.values()) == [1, 1, 1]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / CAPTIONS).write_bytes(GOOD + b"b.jpg#0\tA cat .\n")
    assert_nothing_done(tmp_path / "two", capsys, "2 photos", "too few", CAPTIONS)


def test_a_random_split_is_not_written_where_something_else_is_wrong(tmp_path, capsys):
    data = write_data(tmp_path, GOOD)
    for name in SPLITS.values():
        (data / name).unlink()
    assert_nothing_done(data, capsys, "no word", flags=["--min-word-length", "90"])


@pytest.mark.parametrize(
    "flags",
    [("--min-word-length", "90"), ("--min-word-count", "2"), ("--min-word-count", "9" * 30)],
)
def test_cleaning_that_leaves_no_words_is_refused(tmp_path, capsys, flags):
    data = write_data(tmp_path, GOOD)
    assert_nothing_done(data, capsys, data / CAPTIONS, *flags, flags=flags)


def test_a_data_folder_that_is_none_is_refused(tmp_path, capsys):
    data = write_data(tmp_path, GOOD)
    for place, words in (
        (data / CAPTIONS, ["is not a folder", "--data"]),
        (data / CAPTIONS / "below", ["missing"]),
        (data / "nowhere", [data / "nowhere" / CAPTIONS, "missing", "captions"]),
        (data / ("x" * 300), ["x" * 300]),
    ):
        assert_nothing_done(data, capsys, *words, flags=["--data", str(place)])
    assert not (data / "nowhere").exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, capsys):
    data = write_data(tmp_path, GOOD)
    (data / DESCRIPTIONS).mkdir()
    assert_nothing_done(data, capsys, data / DESCRIPTIONS)


def test_a_stop_between_the_two_files_is_noticed(tmp_path, monkeypatch):
    data = write_data(tmp_path, GOOD)
    assert prepare(data) == 0
    (data / CAPTIONS).write_bytes((data / CAPTIONS).read_bytes() + b"a.jpg#1\tStop .\n")
    monkeypatch.setattr(prepare_text, "write_vocabulary", lambda *_: 1 / 0)
    assert prepare(data) == OWN_FAULT
    with pytest.raises(UserError, match=r"prepare_text\.py"):
        read_descriptions(data)


def test_a_description_longer_than_the_training_ones_is_cut():
    vocabulary = build_vocabulary([["ant", "bee"]], 2, 1)
    assert vocabulary.words == ("startseq", "ant", "bee", "endseq")
    assert vocabulary.tokenize(["ant", "bee", "ant", "bee"]) == [1, 2, 3, 2]
    assert vocabulary.tokenize(["unknown"] * 9) == [1, 4]


def test_text_is_prepared_without_loading_a_network():
    heavy = "{'keras', 'tensorflow', 'numpy', 'pandas'}"
    code = f"import sys, prepare_text; sys.exit(len({heavy} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert process.returncode == 0
