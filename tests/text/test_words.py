"""How captions of any language are split into words, cleaned, joined and written as sentences."""

import pytest

from captioning.text.words import (
    NUMBER,
    join_words,
    sentence_parts,
    word_cleaner,
    word_splitter,
)


def clean(caption, min_word_length=2, language="en"):
    return word_cleaner(min_word_length, language)(caption)


def split(caption, language="en"):
    return word_splitter(language)(caption)


def as_sentence(words, language="en"):
    return "".join(map("".join, sentence_parts(words, language)))


# Caption, its clean words separated by "|", and its sentence, of each language.
CAPTIONS = [
    ("de", "Der große Hund, geht's?", "der|große|hund|gehts", "Der große hund gehts."),
    ("fr", "L’été : est-il là ?", "l'|été|est-|il|là", "L'été est-il là."),
    ("hi", "कुत्ता बर्फ़ में है।", "कुत्ता|बर्फ़|में|है", "कुत्ता बर्फ़ में है।"),
    ("zh", "两只狗，在T恤上跑。", "两|只|狗|在|t|恤|上|跑", "两只狗在t恤上跑。"),
    ("ja", "黒い犬がボール。", "黒|い|犬|が|ボ|ー|ル", "黒い犬がボール。"),
    ("th", "เด็ก กำลังวิ่ง", "เ|ด็|ก|กำ|ลั|ง|วิ่|ง", "เด็กกำลังวิ่ง"),
    ("ar", "كَلْبٌ أسود يركض، في الثلج.", "كَلْبٌ|أسود|يركض|في|الثلج", "كَلْبٌ أسود يركض في الثلج."),
    ("fa", "سگ سیاه می\u200cدود", "سگ|سیاه|می\u200cدود", "سگ سیاه می\u200cدود."),
    ("it", "Un po' d'acqua, dell'uomo", "un|po|d'|acqua|dell'|uomo", "Un po d'acqua dell'uomo."),
    ("ro", "Un bărbat într‑o barcă", "un|bărbat|într-|o|barcă", "Un bărbat într-o barcă."),
    ("uk", "Сім’я з п'яти", "сім'я|з|п'яти", "Сім'я з п'яти."),
    ("tr", "İKİ KIZ ılık suda", "iki|kız|ılık|suda", "İki kız ılık suda."),
    ("ur", "ایک کتا دوڑتا ہے۔", "ایک|کتا|دوڑتا|ہے", "ایک کتا دوڑتا ہے۔"),
    ("ka", "შავი ძაღლი", "შავი|ძაღლი", "შავი ძაღლი."),
    ("he", "ילד בבית־ספר", "ילד|בבית־|ספר", "ילד בבית־ספר."),
    ("bo", "ཁྱི་ནག་པོ།", "ཁྱི་|ནག་|པོ", "ཁྱི་ནག་པོ།"),
    # The joiner at the end changes the last letter.
    ("ml", "അവന്\u200d", "അവന്\u200d", "അവന്\u200d."),
    ("km", "ក្មេងប្រុស", "ក្មេ|ង|ប្រុ|ស", "ក្មេងប្រុស។"),
]


@pytest.mark.parametrize(("language", "caption", "words", "sentence"), CAPTIONS)
def test_captions_of_a_language(language, caption, words, sentence):
    words = words.split("|")
    assert clean(caption, 1, language) == words
    assert as_sentence(words, language) == sentence
    # What was written is split into the same words, which captions.csv needs.
    for written in (join_words(words), sentence):
        assert split(written, language) == words


# Language, caption, all of its words, however short.
SPLIT = [
    ("fr", "l' école d' été", ["l'", "école", "d'", "été"]),
    ("fr", "jusqu' à l'«école»", ["jusqu'", "à", "l'", "école"]),
    ("fr", "'quoted' -dash- mot--mot", ["quoted", "dash", "mot-", "mot"]),
    ("fr", "l'\u00adécole", ["l'", "école"]),
    ("fr", "L'E\u0301COLE", ["l'", "école"]),
    ("zh", "2只狗 v 2 T恤", ["2", "只", "狗", "v", "2", "t", "恤"]),
    ("en", "l'école t-shirt don’t", ["lécole", "tshirt", "dont"]),
    ("en", "soft\u00adware \u200edog\u200f \ufeffcat", ["software", "dog", "cat"]),
    ("en", "the\u200bdog \u200cdog\u200d", ["the", "dog", "dog"]),
    # A mark that Unicode composes with its letter, one that it does not, and one of no letter.
    ("en", "e\u0301 x\u0302y \u0301", ["é", "x\u0302y", "\u0301"]),
    # As in Chinese, wherever a character of it stands.
    ("xx", "a 狗 or 犬犬", ["a", "狗", "or", "犬", "犬"]),
    ("en", "Hunde-\nhütte", ["hunde", "hütte"]),
    ("en", " . , !", []),
]


@pytest.mark.parametrize(("language", "caption", "words"), SPLIT)
def test_captions_are_split(language, caption, words):
    assert split(caption, language) == words


# Language, least length, caption, clean words.
CLEAN = [
    ("en", 2, "Tri-colored DOGS, running!", ["tricolored", "dogs", "running"]),
    ("en", 2, "2 men in 4x4s and no. 5", ["men", "in", "and", "no"]),
    ("en", 2, "startseq Dog runs endseq", ["dog", "runs"]),
    ("en", 1, "🐕 dog ½ 2nd \u0301", ["dog"]),
    # The minimum is not for scripts without blanks.
    ("en", 2, "a dog 狗 เด็ก की é", ["dog", "狗", "เ", "ด็", "ก", "की"]),
    ("fr", 3, "l'eau y va", ["eau"]),
]


@pytest.mark.parametrize(("language", "length", "caption", "words"), CLEAN)
def test_captions_are_cleaned(language, length, caption, words):
    assert clean(caption, length, language) == words


WITH_DIGITS = [
    ("en", "A sign: 5 km/h, not 10!", ["sign", "5", "kmh", "not", "10"]),
    ("en", "The 2nd of a 4x4s at 20°C", ["the", "2nd", "of", "4x4s", "at", "20°c"]),
    ("hi", "१० किमी", ["१०", "किमी"]),
    ("zh", "10只狗", ["10", "只", "狗"]),
]


@pytest.mark.parametrize(("language", "caption", "words"), WITH_DIGITS)
def test_words_with_digits_are_kept_where_that_is_wanted(language, caption, words):
    assert word_cleaner(2, language, keep_numbers=True)(caption) == words
    assert clean(caption, 2, language) == [word for word in words if not NUMBER.search(word)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], ""),
        (["l'", "eau", "à", "l'"], "L'eau à l'."),
        (["一", "只", "dog", "和", "cat", "cat"], "一只dog和cat cat."),
        (["セーター", "2"], "セーター2。"),
        (["ঐ", "কুকুর"], "ঐ কুকুর।"),
        (["շուն"], "Շուն։"),
        (["2"], "2"),
        (["ǆak"], "ǅak."),
    ],
)
def test_words_are_joined_to_sentences(words, sentence):
    assert as_sentence(words) == sentence
