"""What prepare_text.py leaves is read whole, of one run, or refused with the command."""

import contextlib
import os

import pytest

from captioning.cli import UserError
from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, VOCABULARY
from captioning.storage import digest_of_file, read_json
from captioning.text.vocabulary import (
    PreparedText,
    Vocabulary,
    read_prepared_text,
    usable_photos,
    write_prepared_text,
)

WRITTEN = (SPLIT_CAPTIONS, DESCRIPTIONS, VOCABULARY)


def make_text(data, word="dog", dev=("b",)):
    """Gives a text of four photos, of which one is in no split, with odd ids and captions."""
    captions = {"b": ['"A" dog', ""], "my dog 100%": ["A dog\t1.", "A \x85dog\u2028"]}
    captions |= {"none": [f"In no {word}"], "\ufeff%20": ['"']}
    descriptions = {"b": [[word], []], "my dog 100%": [[word], [word]]}
    descriptions |= {"none": [["split"]], "\ufeff%20": [[]]}
    vocabulary = Vocabulary(("startseq", "endseq", word), 3, {"language": "en"})
    splits = {"train": ["my dog 100%"], "dev": list(dev), "test": ["\ufeff%20"]}
    return PreparedText(vocabulary, descriptions, captions, splits, data)


@pytest.fixture
def text(tmp_path):
    text = make_text(tmp_path)
    write_prepared_text(text)
    return text


def test_what_is_written_is_read(text):
    found = read_prepared_text(text.data)
    assert found.captions == text.captions
    assert found.descriptions == text.descriptions
    assert found.splits == text.splits
    assert found.vocabulary.words == text.vocabulary.words
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


def test_photos_of_the_splits_without_captions_are_in_none(tmp_path):
    write_prepared_text(make_text(tmp_path, dev=("x", "b", "y")))
    assert read_prepared_text(tmp_path).splits["dev"] == ["b"]


# File, what is done to its content (None: it is removed), words of the sentence.
DAMAGES = [
    (SPLIT_CAPTIONS, None, "is missing"),
    (SPLIT_CAPTIONS, lambda content: content.replace(b"dog", b"cat", 1), "has changed since"),
    (SPLIT_CAPTIONS, lambda content: content[:-5], "has changed since"),
    (DESCRIPTIONS, None, "is missing"),
    (DESCRIPTIONS, lambda content: content + b"b dog\n", "has changed since"),
    (DESCRIPTIONS, lambda content: b"", "has changed since"),
    (VOCABULARY, None, "is missing"),
    (VOCABULARY, lambda content: content.replace(b'"dog"', b'"cat"'), "sha256"),
    (VOCABULARY, lambda content: content[:-5], "is damaged"),
]


@pytest.mark.parametrize(("name", "damage", "fault"), DAMAGES)
def test_damage_is_refused_with_the_command(text, name, damage, fault):
    path = text.data / name
    path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=fault) as error:
        read_prepared_text(text.data)
    assert str(path) in str(error.value)
    assert f"run python prepare_text.py --data {text.data}" in str(error.value)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("moved", range(len(WRITTEN) + 1))
def test_a_stop_after_any_file_leaves_the_earlier_text_or_the_new_or_a_sentence(
    tmp_path, monkeypatch, moved, is_first
):
    texts = [make_text(tmp_path), make_text(tmp_path, "cat")]
    if not is_first:
        write_prepared_text(texts[0])
    replace, calls = os.replace, []

    def stop(*paths):
        calls.append(paths)
        if len(calls) > moved:
            raise KeyboardInterrupt
        replace(*paths)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(os, "replace", stop)
        write_prepared_text(texts[1])
    assert not list(tmp_path.glob(".partial*"))
    # With no file moved nothing has changed; with the last in its place all has.
    if moved == len(WRITTEN) or (moved == 0 and not is_first):
        found = read_prepared_text(tmp_path)
        assert found.descriptions == texts[bool(moved)].descriptions
    else:
        with pytest.raises(UserError, match=r"prepare_text\.py"):
            read_prepared_text(tmp_path)


def test_usable_photos_have_features_and_captions(text, capsys):
    splits = {**text.splits, "test": ["b", "none", "\ufeff%20"]}
    text = PreparedText(text.vocabulary, text.descriptions, text.captions, splits, text.data)
    assert usable_photos(text, "test", {"none": 0, "b": 0, "x": 0}) == ["b", "none"]
    said = capsys.readouterr().err
    assert said == "test split: 1 of 3 photos left out, which have no features\n"
    assert usable_photos(text, "train", {"my dog 100%"}) == ["my dog 100%"]
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=f"no dev photo of {text.data} has .*prepare_photos.py"):
        usable_photos(text, "dev", {"x"})
