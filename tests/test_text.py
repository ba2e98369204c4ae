"""Cleaning, the vocabulary and the files of captions, against the figures of Flickr8k."""

import shutil
from collections import Counter

import pytest

import prepare_text
from captioning.captions import (
    read_captions,
    read_descriptions,
    split_into_words,
    write_descriptions,
)
from captioning.command_line import UserError
from captioning.files import photo_identifier
from captioning.splits import read_split, usable_photos
from captioning.vocabulary import Vocabulary, read_vocabulary, write_vocabulary


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
    # The odd identifier of the official file stands among the others.
    assert "2258277193_586949ec62 people waiting for the subway" in lines


def test_official_vocabulary(official):
    vocabulary = read_vocabulary(official, "")
    assert vocabulary.size == 7579
    assert len(vocabulary.words) == 7578
    assert vocabulary.maximum_length == 34
    descriptions = read_descriptions(official)
    encoded = [
        vocabulary.encode(words)
        for identifier in read_split(official, "train")
        for words in descriptions[identifier]
    ]
    assert len(encoded) == 30000
    assert sum(len(word_ids) - 1 for word_ids in encoded) == 306404


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
        (" . , !", []),
        ("", []),
    ],
)
def test_clean_caption(caption, words):
    assert prepare_text.clean_caption(caption) == words


def test_minimum_word_length_keeps_short_words():
    assert prepare_text.clean_caption("a dog", min_word_length=1) == ["a", "dog"]


def test_split_into_words_keeps_one_letter_words_and_digits():
    assert split_into_words("A dog 's 2 balls .") == ["a", "dog", "s", "2", "balls"]


def test_vocabulary_order_is_frequency_then_first_appearance():
    descriptions = [["zebra", "ant"], ["bee", "ant"], ["zebra", "ant"], ["cow"]]
    vocabulary = prepare_text.build_vocabulary(descriptions)
    assert vocabulary.words == ("startseq", "endseq", "ant", "zebra", "bee", "cow")
    assert vocabulary.maximum_length == 4
    assert vocabulary.encode(["ant", "unknown", "cow"]) == [1, 3, 6, 2]
    assert vocabulary.decode([1, 3, 6, 2, 0, 0]) == ["ant", "cow"]


def test_minimum_word_count_drops_rare_words_but_no_marker():
    vocabulary = prepare_text.build_vocabulary([["ant", "ant", "bee"]], min_word_count=2)
    assert set(vocabulary.words) == {"ant", "startseq", "endseq"}


def test_vocabulary_survives_writing(tmp_path):
    vocabulary = Vocabulary(("startseq", "endseq", "Ærø"), 5, {"min_word_length": 2})
    write_vocabulary(tmp_path, vocabulary)
    assert read_vocabulary(tmp_path, "") == vocabulary


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"format": 1', '"format": 9', "format 9"),
        ('"ant"', '"startseq"', "twice"),
        ('"startseq"', '"other"', "startseq"),
        ('"maximum_length": 5', '"maximum_length": "5"', "maximum length"),
        ('"padding_id": 0', '"padding_id": 1', "padding"),
        ('"words"', '"worms"', "words"),
        ("{", "", "damaged"),
    ],
)
def test_damaged_vocabulary_is_refused(tmp_path, old, new, fault):
    write_vocabulary(tmp_path, Vocabulary(("startseq", "endseq", "ant"), 5, {}))
    path = tmp_path / "vocabulary.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=fault) as error:
        read_vocabulary(tmp_path, "run python prepare_text.py")
    assert str(path) in str(error.value)
    assert "run python prepare_text.py" in str(error.value)


def test_descriptions_survive_writing(tmp_path):
    descriptions = {"my dog 100%": [["dog"], []], "b": [["cat", "sat"]], "tab\tname": [["x"]]}
    write_descriptions(tmp_path, descriptions)
    assert read_descriptions(tmp_path) == descriptions


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("dog.jpg", "dog"),
        ("2258277193_586949ec62.jpg.1", "2258277193_586949ec62"),
        ("my.holiday.2024.JPEG", "my.holiday.2024"),
        ("2024.11.23.png", "2024.11.23"),
        ("no_extension", "no_extension"),
    ],
)
def test_photo_identifier(name, identifier):
    assert photo_identifier(name) == identifier


def test_captions_keep_order_tabs_and_marks(tmp_path):
    text = "﻿b.jpg#0\tA b.\r\na#1.jpg#0\tAn\ta.\r\n\r\nb.jpg#1\tB again.\r\n"
    (tmp_path / "Flickr8k.token.txt").write_text(text, encoding="utf-8", newline="")
    captions = read_captions(tmp_path)
    assert captions == {"b": ["A b.", "B again."], "a#1": ["An\ta."]}
    assert list(captions) == ["b", "a#1"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a.jpg#0 no tab\n", "line 1"),
        (b"a.jpg#0\tgood\nb.jpg\tno mark\n", "line 2"),
        (b"a.jpg#0\tcaf\xe9\n", "UTF-8"),
        (b"\n\n", "no captions"),
    ],
)
def test_bad_captions_file_is_refused(tmp_path, content, fault):
    (tmp_path / "Flickr8k.token.txt").write_bytes(content)
    with pytest.raises(UserError, match=fault) as error:
        read_captions(tmp_path)
    assert str(tmp_path / "Flickr8k.token.txt") in str(error.value)


def test_usable_photos_are_counted(tmp_path, capsys):
    (tmp_path / "Flickr_8k.testImages.txt").write_text("a.jpg\nb.jpg\nc.jpg\na.jpg\n\n")
    vectors, captions = {"a": 0, "b": 0}, {"a": 0, "c": 0}
    assert usable_photos(tmp_path, "test", vectors, captions) == ["a"]
    said = capsys.readouterr().err
    assert "2 of 3 photos left out (1 without a vector, 1 without captions)" in said
    with pytest.raises(UserError, match="names no photo that has both"):
        usable_photos(tmp_path, "test", {}, captions)


def test_histogram_counts_every_description():
    lengths = [0, 1, 2, 3, 3, 8]
    lines = prepare_text.length_histogram(lengths, bin_width=3, bar_width=6)
    counts = [int(line.split()[4]) for line in lines]
    assert counts == [3, 2, 1]
    assert [line.count("#") for line in lines] == [6, 4, 2]
    expected = Counter(length // 3 for length in lengths)
    assert counts == [expected[number] for number in range(3)]
