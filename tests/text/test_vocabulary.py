"""The vocabulary and the text prepared with it: read whole, of one run, or refused."""

import contextlib
import os

import pytest
from msgspec import structs
from support import stop_at

from captioning.cli import UserError
from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, VOCABULARY
from captioning.storage import digest_of_file, read_json, write_json
from captioning.text.vocabulary import (
    MAXIMUM_WORDS,
    PreparedText,
    Vocabulary,
    build_vocabulary,
    read_prepared_text,
    write_prepared_text,
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
    vocabulary = build_vocabulary([["ant", "ant", "bee"]], rare)
    assert vocabulary.words == ("ant", "startseq", "endseq")
    with pytest.raises(UserError, match=r"no word .* is left: .*--min-word-count"):
        build_vocabulary([["ant", "ant", "bee"]], {**CLEANING, "min_word_count": 3})


def test_a_description_of_too_many_words_is_refused():
    assert build_vocabulary([["a"] * MAXIMUM_WORDS], CLEANING).maximum_length == 202
    with pytest.raises(UserError, match="a a a … has over 200 words"):
        build_vocabulary([["a"] * (MAXIMUM_WORDS + 1)], CLEANING)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("words", ["other", "endseq"], "startseq"),
        ("words", ["startseq"], "endseq"),
        ("words", ["startseq", "endseq", 7], "words"),
        ("words", ["startseq", "endseq", "red\x1b[2J"], "a control character"),
        ("words", ["startseq", "endseq", "red ball"], "a blank"),
        ("maximum_length", 1, "maximum_length"),
        ("maximum_length", 203, "maximum_length"),
        ("files", ["a"], "files"),
    ],
)
def test_a_wrong_vocabulary_with_a_right_digest_is_refused(tmp_path, name, value, fault):
    """A stranger can compute the digest too."""
    wrong = structs.replace(SMALL)
    structs.force_setattr(wrong, name, value)
    write_json(tmp_path / VOCABULARY, wrong)
    with pytest.raises(UserError, match=f"{fault}.*: run python prepare_text.py --data {tmp_path}"):
        read_json(tmp_path / VOCABULARY, Vocabulary)


class EarlierVocabulary(Vocabulary, tag=1):
    """The same in an earlier form, with a right digest."""


def test_a_vocabulary_of_another_version_is_refused(tmp_path):
    write_json(tmp_path / VOCABULARY, EarlierVocabulary(SMALL.words, 5, CLEANING))
    with pytest.raises(UserError, match=r"is damaged \(Invalid value 1 - at `\$.format`"):
        read_json(tmp_path / VOCABULARY, Vocabulary)


WRITTEN = (SPLIT_CAPTIONS, DESCRIPTIONS, VOCABULARY)


def make_text(data, word="dog"):
    """Gives a text of four photos, of which one is in no split, with odd ids and captions."""
    captions = {"b": ['"A" dog', ""], "my dog 100%": ["A dog\t1.", "A \x85dog\u2028"]}
    captions |= {"none": [f"In no {word}"], "\ufeff%20": ['"']}
    descriptions = {"b": [[word], []], "my dog 100%": [[word], [word]]}
    descriptions |= {"none": [["split"]], "\ufeff%20": [[]]}
    words = ("startseq", "endseq", word, "می\u200cخواهم", "e\u0301")
    vocabulary = Vocabulary(words, 3, {"language": "en"})
    splits = {"train": ["my dog 100%"], "dev": ["x", "b"], "test": ["\ufeff%20"]}
    return PreparedText(vocabulary, descriptions, captions, splits, data)


@pytest.fixture
def text(tmp_path):
    text = make_text(tmp_path)
    write_prepared_text(text)
    return text


def test_what_is_written_is_read(text):
    found = read_prepared_text(text.data)
    assert found.vocabulary.words == text.vocabulary.words
    assert found.captions == text.captions
    assert found.descriptions == text.descriptions
    # Photos without captions are in no split.
    assert found.splits == {**text.splits, "dev": ["b"]}
    # Descriptions in the order of the captions file, captions in that of the splits.
    assert list(found.descriptions) == list(text.descriptions)
    assert list(found.captions) == ["my dog 100%", "b", "\ufeff%20", "none"]


def test_the_form_of_the_files(text):
    lines = (text.data / SPLIT_CAPTIONS).read_bytes().decode().split("\n")
    assert lines[:4] == [
        "photo\tsplit\tcaption",
        "my dog 100%\ttrain\tA dog\t1.",
        "my dog 100%\ttrain\tA \x85dog\u2028",
        'b\tdev\t"A" dog',
    ]
    assert lines[-2:] == ["none\t\tIn no dog", ""]
    lines = (text.data / DESCRIPTIONS).read_text().split("\n")
    assert lines[:3] == ["b dog", "b ", "my%20dog%20100%25 dog"]
    digests = read_json(text.data / VOCABULARY, Vocabulary).files
    assert digests == {name: digest_of_file(text.data / name) for name in digests}
    assert digests.keys() == {SPLIT_CAPTIONS, DESCRIPTIONS}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("moved", range(len(WRITTEN) + 1))
def test_a_stop_after_any_file_leaves_the_earlier_text_or_the_new_or_a_sentence(
    tmp_path, monkeypatch, moved, is_first
):
    texts = [make_text(tmp_path), make_text(tmp_path, "cat")]
    if not is_first:
        write_prepared_text(texts[0])
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        stop_at(patch, os, "replace", moved + 1)
        write_prepared_text(texts[1])
    assert not list(tmp_path.glob(".partial*"))
    # With no file moved nothing has changed; with the last in its place all has.
    if moved == len(WRITTEN) or (moved == 0 and not is_first):
        found = read_prepared_text(tmp_path)
        assert found.descriptions == texts[bool(moved)].descriptions
    else:
        with pytest.raises(UserError, match=r"prepare_text\.py"):
            read_prepared_text(tmp_path)
