"""What must hold for whatever stands in the files of captions, looked for at random."""

import string
import unicodedata

import regex
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import prepare_text
from captioning.cli import UserError
from captioning.old import CAPTIONS, DRAWN_SPLITS, SPLITS
from captioning.text.captions import read_captions, read_descriptions, write_descriptions
from captioning.text.splits import SplitSettings, draw_splits, read_split
from captioning.text.vocabulary import (
    END_TOKEN,
    START_TOKEN,
    Vocabulary,
    digest_results,
    read_vocabulary,
    write_vocabulary,
)
from captioning.text.words import UNSPACED, clean_caption, clean_captions, split_into_words

# The same examples in every run; a file written anew in each may be in the same folder.
searched = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

words = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)
photo_ids = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)
descriptions = st.dictionaries(
    photo_ids, st.lists(st.lists(words, max_size=4), min_size=1, max_size=3), min_size=1
)

# Lines that are nearly right find more than bytes that are nearly all wrong.
pieces = st.sampled_from(
    ["a.jpg", "b.jpg", "b.png", "#", "#0", "#1", "\t", "\n", "\r", " ", ".", "%", "\ufeff", "dog"]
)
nearly_right = st.lists(pieces | st.text(max_size=3), max_size=40).map(
    lambda parts: "".join(parts).encode()
)
texts = st.text(max_size=20) | st.lists(words, max_size=6).map(" ".join)
names = st.text(st.characters(exclude_characters="\0\t\r\n", codec="utf-8"), min_size=1)
captions_lines = st.lists(st.tuples(names, st.integers(0, 9), texts), min_size=3, max_size=12).map(
    lambda lines: "\n".join(f"{name}.jpg#{k}\t{text}" for name, k, text in lines).encode()
)


def attempt(action):
    """Gives what an action returns and None, or None and the sentence that refuses it."""
    try:
        return action(), None
    except UserError as error:
        return None, str(error)


@searched
@given(content=st.binary(max_size=200) | nearly_right | captions_lines)
@example(content=b"\xef\xbb\xbfa.jpg#0\tA dog .\r\n\r\nb.jpg.1#0\t")
def test_a_captions_file_is_read_or_refused(tmp_path, content):
    (tmp_path / CAPTIONS).write_bytes(content)
    captions, refusal = attempt(lambda: read_captions(tmp_path))
    if refusal:
        assert str(tmp_path / CAPTIONS) in refusal
        assert len(refusal.splitlines()) == 1
        return
    # Whatever the form of its accents, an id has them composed.
    text = content.decode()
    composed = unicodedata.normalize("NFC", text)
    for photo, texts in captions.items():
        assert photo in composed
        assert texts
        for caption in texts:
            assert f"\t{caption}" in text
    # What was read, written anew, is read as the same.
    lines = [
        f"{photo}.jpg#{number}\t{caption}\n"
        for photo, texts in captions.items()
        for number, caption in enumerate(texts)
    ]
    (tmp_path / CAPTIONS).write_bytes("".join(lines).encode())
    assert read_captions(tmp_path) == captions


@searched
@given(content=captions_lines, seed=st.integers(0, 3))
def test_the_whole_stage_loses_nothing(tmp_path, content, seed):
    (tmp_path / DRAWN_SPLITS).unlink(missing_ok=True)
    (tmp_path / CAPTIONS).write_bytes(content)
    arguments = ["--data", str(tmp_path), "--split-seed", str(seed)]
    status, refusal = attempt(lambda: prepare_text.main(arguments))
    if refusal:
        assert str(tmp_path) in refusal
        assert not (tmp_path / DRAWN_SPLITS).exists()
        return
    assert status == 0
    captions = read_captions(tmp_path)
    cleaned = clean_captions(captions, min_word_length=2)
    assert read_descriptions(tmp_path) == cleaned
    parts = [read_split(tmp_path, split) for split in SPLITS]
    assert sorted(name for part in parts for name in part) == sorted(captions)
    vocabulary = read_vocabulary(tmp_path, "")
    for name in parts[0]:
        for description in cleaned[name]:
            assert vocabulary.detokenize(vocabulary.tokenize(description)) == description


@searched
@given(caption=st.text(), length=st.integers(1, 4))
@example(caption="İstanbul'da STRASSE-STRAẞE Ǆ ΑΣ'Σ e\u0301 ﬁn", length=1)
def test_clean_words_are_lower_case_letters(caption, length):
    cleaned = clean_caption(caption, length)
    for word in cleaned:
        # Python's own tables of Unicode are older.
        assert regex.fullmatch(r"\p{L}[\p{L}\p{M}\u200c\u200d]*", word)
        assert word == word.lower()
        assert len(word) >= length or UNSPACED.match(word)
        assert not set(word) & set(string.punctuation + string.whitespace + string.digits)
        assert word not in (START_TOKEN, END_TOKEN)
    assert clean_caption(" ".join(cleaned), length) == cleaned
    # Every word is one of those that the references of the standard scores have.
    assert set(cleaned) <= set(split_into_words(caption))


@searched
@given(
    others=st.lists(
        st.text(st.characters(categories="LMNPS"), min_size=1), unique=True, max_size=12
    ),
    maximum_length=st.integers(2, 202),
    cleaning=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    chosen=st.data(),
)
def test_a_vocabulary_survives_writing(tmp_path, others, maximum_length, cleaning, chosen):
    others = [word for word in others if word not in (START_TOKEN, END_TOKEN)]
    order = chosen.draw(st.permutations([START_TOKEN, END_TOKEN, *others]))
    vocabulary = Vocabulary(tuple(order), maximum_length, cleaning, {"a.txt": "0" * 64})
    write_vocabulary(tmp_path, vocabulary)
    assert read_vocabulary(tmp_path, "") == vocabulary
    assert sorted(vocabulary.token_ids.values()) == list(range(1, vocabulary.size))

    description = chosen.draw(st.lists(st.sampled_from([*others, "unknown word"]), max_size=20))
    token_ids = vocabulary.tokenize(description)
    known = [word for word in description if word in others]
    assert len(token_ids) <= maximum_length
    assert vocabulary.detokenize([*token_ids, 0, 0]) == known[: maximum_length - 1]


@searched
@given(descriptions=descriptions)
@example(
    descriptions={"\ufeffdog": [["a"]], " ": [[]], "%20": [["b"], []], "a\x1fb\u2028": [["c"]]}
)
def test_descriptions_survive_writing(tmp_path, descriptions):
    write_descriptions(tmp_path, descriptions)
    vocabulary = Vocabulary((START_TOKEN, END_TOKEN), 5, {}, digest_results(tmp_path))
    write_vocabulary(tmp_path, vocabulary)
    assert read_descriptions(tmp_path) == descriptions
    assert list(read_descriptions(tmp_path)) == list(descriptions)


@searched
@given(content=st.binary(max_size=60) | nearly_right)
def test_a_split_file_is_read_or_refused(tmp_path, content):
    (tmp_path / SPLITS["dev"]).write_bytes(content)
    found, refusal = attempt(lambda: read_split(tmp_path, "dev"))
    if refusal:
        assert str(tmp_path / SPLITS["dev"]) in refusal
        return
    assert found
    assert len(set(found)) == len(found)
    composed = unicodedata.normalize("NFC", content.decode())
    assert all(name in composed for name in found)


@searched
@given(
    names=st.sets(photo_ids, min_size=3, max_size=30),
    shares=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    data=st.data(),
)
def test_a_random_split_has_every_photo_once(names, shares, data):
    order = data.draw(st.permutations(sorted(names)))
    drawing = SplitSettings(*shares, seed=7)
    splits = draw_splits(order, drawing)
    assert sorted(name for part in splits.values() for name in part) == sorted(names)
    assert all(splits.values())
    again = draw_splits(sorted(names), drawing)
    assert {split: set(part) for split, part in again.items()} == {
        split: set(part) for split, part in splits.items()
    }
