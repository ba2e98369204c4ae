"""prepare_text.py on captions in other languages: what is recorded, and what it warns of."""

import hashlib
import unicodedata

import pytest
from test_text import prepare, write_data

from captioning.cli import UserError
from captioning.old import CAPTIONS, DESCRIPTIONS, photo_id
from captioning.scores.scoring import read_references
from captioning.text.captions import read_captions, read_descriptions
from captioning.text.splits import read_split
from captioning.text.summary import doubts_about_cleaning
from captioning.text.vocabulary import Vocabulary, read_vocabulary
from captioning.text.words import clean_captions

FRENCH = ["Une fille à vélo .", "L'école d'un garçon .", "Il y a un chien dans l’eau ."]
HINDI = ["एक कुत्ता बर्फ़ में दौड़ता है।", "दो बच्चे पानी में हैं।", "लाल कपड़ों में एक औरत।"]
CHINESE = ["一只黑狗在雪地上跑。", "两个孩子在湖边。", "一个女人骑着自行车。"]
TIBETAN = "ཁྱི་ནག་པོ་ཞིག་གངས་ནང་རྒྱུག་གི་འདུག་བྱ་དཀར་པོ་ཞིག་འཕུར་གྱི་འདུག"
RUSSIAN = ["Собака бежит в снегу .", "Мальчик с мячом у озера .", "Женщина и ребёнок ."]


def write_captions(folder, captions):
    """Writes a caption of each of three photos, one a split."""
    data = write_data(folder, b"")
    lines = [f"{name}.jpg#0\t{caption}\n" for name, caption in zip("abc", captions, strict=True)]
    (data / CAPTIONS).write_text("".join(lines), encoding="utf-8")
    return data


def test_the_language_is_recorded_and_keeps_short_words(tmp_path, capsys):
    data = write_captions(tmp_path, FRENCH)
    assert prepare(data, "--language", "FR") == 0
    printed = capsys.readouterr()
    assert "settings changed by recipe or flag: language fr, min_word_length 1\n" in printed.out
    assert printed.err == ""
    vocabulary = read_vocabulary(data, "")
    assert vocabulary.cleaning == {"language": "fr", "min_word_length": 1, "min_word_count": 1}
    assert vocabulary.language == "fr"
    assert read_descriptions(data) == {
        "a": [["une", "fille", "à", "vélo"]],
        "b": [["l'", "école", "d'", "un", "garçon"]],
        "c": [["il", "y", "a", "un", "chien", "dans", "l'", "eau"]],
    }
    # The references are split as the descriptions are.
    assert read_references(data, "test", {"c": 0}).words == [[read_descriptions(data)["c"][0]]]


def test_a_flag_or_a_recipe_sets_the_minimum_all_the_same(tmp_path):
    data = write_captions(tmp_path, FRENCH)
    recipe = tmp_path / "recipe.toml"
    for text, flags, length in (
        ('language = "fr"\n', (), 1),
        ('language = "fr"\nmin_word_length = 2\n', (), 2),
        ('language = "fr"\n', ("--min-word-length", "2"), 2),
        ('language = "fr"\nmin_word_length = 2\n', ("--min-word-length", "1"), 1),
        ("", (), 2),
        ("", ("--min-word-length", "1"), 1),
    ):
        recipe.write_text(f"[prepare_text]\n{text}")
        assert prepare(data, "--recipe", str(recipe), *flags) == 0
        assert read_vocabulary(data, "").cleaning["min_word_length"] == length


@pytest.mark.parametrize("language", ["french", "f", "", "fr-FR", "12"])
def test_what_is_no_code_of_a_language_is_refused(tmp_path, capsys, language):
    data = write_captions(tmp_path, FRENCH)
    capsys.readouterr()
    assert prepare(data, f"--language={language}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected the code of a language as ISO 639 has it, such as en, fr or hi, got " in line
    assert not (data / DESCRIPTIONS).exists()


def test_a_vocabulary_that_does_not_say_so_is_english():
    assert Vocabulary(("startseq", "endseq"), 5, {"min_word_length": 2}).language == "en"


@pytest.mark.parametrize(
    ("captions", "language", "length", "words"),
    [
        (FRENCH, "en", 2, ["l'école", "2 of 3 captions have lost a word of one letter"]),
        (FRENCH, "de", 1, ["l'école", "2 of 3 captions have elided words"]),
        (FRENCH, "fr", 1, []),
        (RUSSIAN, "en", 2, ["3 of 3 captions have lost a word of one letter", "--language fr"]),
        (RUSSIAN, "ru", 1, []),
        (HINDI, "en", 2, []),
        (CHINESE, "en", 2, []),
        (["A dog .", "A cat .", "Cat ."], "en", 2, []),
        (["12 345", "🐕 🐕", "A dog ."], "en", 2, ["2 of 3 captions are left with no word"]),
        (["A dog is on a mat ."] * 3, "en", 4, ["or keep short words with --min-word-length 1"]),
        # Tibetan has another sign between syllables in place of blanks.
        ([TIBETAN], "en", 2, ["or one that is the whole"]),
        ([TIBETAN], "bo", 1, []),
    ],
)
def test_damage_is_noticed(captions, language, length, words):
    texts = {str(number): [text] for number, text in enumerate(captions)}
    doubts = doubts_about_cleaning(texts, clean_captions(texts, length, language), language)
    said = " ".join(" ".join(doubts).split())
    assert bool(doubts) == bool(words)
    for word in words:
        assert word in said


def test_a_warning_shows_three_captions_before_and_after(tmp_path, capsys):
    data = write_captions(tmp_path, RUSSIAN)
    assert prepare(data) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: 3 of 3 captions have lost a word of one letter that English does not have",
        "  Собака бежит в снегу . -> собака бежит снегу",
        "  Мальчик с мячом у озера . -> мальчик мячом озера",
        "  Женщина и ребёнок . -> женщина ребёнок",
        "  name their language with --language, such as --language fr",
    ]


def test_few_damaged_captions_are_not_spoken_of():
    texts = {str(number): ["A dog runs ."] for number in range(39)} | {"x": ["..."]}
    assert doubts_about_cleaning(texts, clean_captions(texts, 2), "en") == []
    texts |= {"y": ["!"], "z": [""]}
    (doubt,) = doubts_about_cleaning(texts, clean_captions(texts, 2), "en")
    assert doubt.startswith("3 of 42 captions")


def test_a_caption_of_too_many_characters_is_refused(tmp_path, capsys):
    data = write_captions(tmp_path, ["狗" * 201, *CHINESE[1:]])
    assert prepare(data, "--language", "zh") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a caption of 'a' is split into 201 words" in line
    assert str(data) in line
    assert not (data / DESCRIPTIONS).exists()


def test_official_captions_are_cleaned_to_the_same_bytes(flickr8k, tmp_path, capsys):
    """The digest is of what the first version of the cleaning wrote."""
    for path in flickr8k.glob("Flickr*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert prepare(tmp_path) == 0
    assert capsys.readouterr().err == ""
    descriptions = (tmp_path / DESCRIPTIONS).read_bytes()
    words = "\n".join(read_vocabulary(tmp_path, "").words).encode()
    assert [hashlib.sha256(content).hexdigest() for content in (descriptions, words)] == [
        "698dfe8d99f21f993200c429ed8be2413e3b28a307c0d08b1de4131d10621c33",
        "b8c6bfb10711c6a65bd03cccf9cfbaedf4a6dca7f7b2225c5a3215b507f2479c",
    ]


def test_a_name_is_the_same_photo_in_every_form_of_unicode(tmp_path):
    """Captions with composed accents, splits with decomposed ones as a Mac writes them, or both."""
    names = ["café", "Hündin", "ペット"]
    composed, decomposed = (
        [unicodedata.normalize(form, f"{name}.jpg") for name in names] for form in ("NFC", "NFD")
    )
    assert all(one != other for one, other in zip(composed, decomposed, strict=True))
    data = write_data(tmp_path, b"", *decomposed)
    lines = [f"{name}#0\tA dog .\n" for name in composed]
    lines.append(f"{decomposed[0]}#1\tAgain .\n")
    (data / CAPTIONS).write_text("".join(lines), encoding="utf-8")
    assert prepare(data) == 0
    ids = [*map(photo_id, decomposed)]
    assert ids == [unicodedata.normalize("NFC", name) for name in names]
    assert [len(read_captions(data)[photo]) for photo in ids] == [2, 1, 1]
    assert list(read_descriptions(data)) == ids
    assert [read_split(data, split) for split in ("train", "dev", "test")] == [[i] for i in ids]


def test_two_names_of_one_photo_are_refused_in_any_form(tmp_path):
    data = write_data(tmp_path, "cafe\u0301.jpg#0\tA .\ncaf\u00e9.png#0\tB .\n".encode())
    with pytest.raises(UserError, match="same photo id"):
        read_captions(data)
