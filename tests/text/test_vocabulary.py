"""The vocabulary: its order, token ids, and what is refused as no vocabulary."""

import json

import msgspec
import pytest

from captioning import storage
from captioning.cli import UserError
from captioning.files import RECIPE, VOCABULARY, pretrained_model
from captioning.storage import read_json, write_json
from captioning.text.vocabulary import (
    MAXIMUM_WORDS,
    Vocabulary,
    build_vocabulary,
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
    with pytest.raises(UserError, match="a a a … has 201 words, of which MAXIMUM_WORDS"):
        build_vocabulary([["a"] * (MAXIMUM_WORDS + 1)], CLEANING)


@pytest.mark.parametrize("word", ["می\u200cخواهم", "क्\u200dष", "é", "o'clock", "e\u0301", "Ærø"])
def test_a_vocabulary_survives_writing(tmp_path, word):
    vocabulary = msgspec.structs.replace(
        SMALL, words=("startseq", "endseq", word), files={"a.txt": "0" * 64}
    )
    write_json(tmp_path / VOCABULARY, vocabulary)
    assert read_json(tmp_path / VOCABULARY, Vocabulary) == vocabulary
    # The digest is of the content, not of its layout.
    path = tmp_path / VOCABULARY
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_json(tmp_path / VOCABULARY, Vocabulary) == vocabulary


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
        ("cleaning", None, "cleaning"),
        ("files", ["a"], "files"),
    ],
)
def test_a_wrong_vocabulary_with_a_right_digest_is_refused(tmp_path, name, value, fault):
    """A stranger can compute the digest too."""
    write_json(tmp_path / VOCABULARY, SMALL)
    path = tmp_path / VOCABULARY
    content = {**json.loads(path.read_text()), name: value}
    del content["sha256"]
    content["sha256"] = storage._digest(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{fault}.*: run python prepare_text.py --data {tmp_path}"):
        read_json(tmp_path / VOCABULARY, Vocabulary)
    # That of a model is made by training.
    (tmp_path / RECIPE).write_text('[made_with]\ndata = "mine"\n')
    with pytest.raises(UserError, match=f"{path} .*: run python train.py --data mine --model"):
        read_json(tmp_path / VOCABULARY, Vocabulary)


def test_the_model_that_comes_with_the_project_has_a_vocabulary():
    vocabulary = read_json(pretrained_model() / VOCABULARY, Vocabulary)
    assert (vocabulary.language, vocabulary.maximum_length) == ("en", 37)
    # One that does not say so is English.
    assert msgspec.structs.replace(vocabulary, cleaning={}).language == "en"
