"""The vocabulary: its order, token ids, and what is refused as no vocabulary."""

import json

import msgspec
import pytest

from captioning import storage
from captioning.cli import UserError
from captioning.files import RECIPE, VOCABULARY, pretrained_model
from captioning.text.vocabulary import (
    MAXIMUM_WORDS,
    Vocabulary,
    build_vocabulary,
    read_vocabulary,
    write_vocabulary,
)

CLEANING = {"language": "fr", "min_word_length": 2, "min_word_count": 1}
SMALL = Vocabulary(("startseq", "endseq", "ant", "bee"), 5, CLEANING)


def test_the_order_is_frequency_then_first_appearance():
    descriptions = [["zebra", "ant"], ["bee", "ant"], ["zebra", "ant"], ["cow"]]
    vocabulary = build_vocabulary(descriptions, CLEANING)
    assert vocabulary.words == ("startseq", "endseq", "ant", "zebra", "bee", "cow")
    assert (vocabulary.maximum_length, vocabulary.size) == (4, 7)
    assert vocabulary.language == "fr"
    assert vocabulary.tokenize(["ant", "unknown", "cow"]) == [1, 3, 6, 2]
    assert vocabulary.detokenize([1, 3, 6, 2, 0, 0]) == ["ant", "cow"]
    # One that is longer than those of training is cut.
    assert vocabulary.tokenize(["ant"] * 9) == [1, 3, 3, 3]


def test_rare_words_go_but_no_marker():
    rare = {**CLEANING, "min_word_count": 2}
    assert set(build_vocabulary([["ant", "ant", "bee"]], rare).words) == {
        *("ant", "startseq", "endseq")
    }
    with pytest.raises(UserError, match=r"no word .* is left: .*--min-word-count 3"):
        build_vocabulary([["ant", "ant", "bee"]], {**CLEANING, "min_word_count": 3})


def test_a_description_of_too_many_words_is_refused():
    assert build_vocabulary([["a"] * MAXIMUM_WORDS], CLEANING).maximum_length == 202
    with pytest.raises(UserError, match="has 201 words, more than the 200 that MAXIMUM_WORDS"):
        build_vocabulary([["a"] * (MAXIMUM_WORDS + 1)], CLEANING)


@pytest.mark.parametrize("word", ["می\u200cخواهم", "क्\u200dष", "é", "o'clock", "e\u0301", "Ærø"])
def test_a_vocabulary_survives_writing(tmp_path, word):
    vocabulary = msgspec.structs.replace(
        SMALL, words=("startseq", "endseq", word), files={"a.txt": "0" * 64}
    )
    write_vocabulary(tmp_path, vocabulary)
    assert read_vocabulary(tmp_path) == vocabulary
    # The digest is of the content, not of its layout.
    path = tmp_path / VOCABULARY
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_vocabulary(tmp_path) == vocabulary


def assert_refused(folder, fault, command="run python prepare_text.py --data"):
    with pytest.raises(UserError, match=fault) as error:
        read_vocabulary(folder)
    assert str(folder / VOCABULARY) in str(error.value)
    assert f"{command} {folder}" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"format": 2', '"format": 1', "format version 1, not 2"),
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
def test_a_damaged_file_is_refused(tmp_path, old, new, fault):
    write_vocabulary(tmp_path, SMALL)
    path = tmp_path / VOCABULARY
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert_refused(tmp_path, fault)


@pytest.mark.parametrize("content", ["[]", "null", '"words"', "7", "", "{}", None])
def test_what_is_no_vocabulary_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / VOCABULARY).write_text(content)
    assert_refused(tmp_path, VOCABULARY)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("words", ["startseq", "endseq", "startseq"], "repeated"),
        ("words", ["other", "endseq"], "startseq"),
        ("words", ["startseq"], "endseq"),
        ("words", ["startseq", "endseq", ""], "blank"),
        ("words", ["startseq", "endseq", 7], "words"),
        ("words", None, "words"),
        ("words", ["startseq", "endseq", "red\nskipped all.jpg"], "a line break"),
        ("words", ["startseq", "endseq", "red\x1b[2J"], "a control character"),
        ("words", ["startseq", "endseq", "red\u202e"], "a control character"),
        ("words", ["startseq", "endseq", "red ball"], "a blank"),
        ("maximum_length", "5", "maximum_length"),
        ("maximum_length", 1, "maximum_length"),
        ("maximum_length", 203, "maximum_length"),
        ("padding_id", 1, "padding"),
        ("cleaning", None, "cleaning"),
        ("files", ["a"], "files"),
    ],
)
def test_a_wrong_vocabulary_with_a_right_digest_is_refused(tmp_path, name, value, fault):
    """A stranger can compute the digest too."""
    write_vocabulary(tmp_path, SMALL)
    path = tmp_path / VOCABULARY
    content = {**json.loads(path.read_text()), name: value}
    del content["sha256"]
    content["sha256"] = storage._digest(content)
    path.write_text(json.dumps(content))
    assert_refused(tmp_path, fault)


def test_that_of_a_model_names_the_command_that_trains_it(tmp_path):
    (tmp_path / RECIPE).write_text('[made_with]\ndata = "mine"\n')
    assert_refused(tmp_path, "is missing", "run python train.py --data mine --model")


def test_the_model_that_comes_with_the_project_has_a_vocabulary():
    vocabulary = read_vocabulary(pretrained_model())
    assert (vocabulary.language, vocabulary.maximum_length) == ("en", 37)
    # Those of earlier versions do not say so, and are English.
    assert msgspec.structs.replace(vocabulary, cleaning={}).language == "en"
