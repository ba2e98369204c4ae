"""prepare_text.py as a person runs it: figures, what it prints and warns of, mistakes, locks."""

import hashlib
import shutil

import pytest
from support import assert_nothing_done, contents, prepare, write_three_photos

from captioning.files import DESCRIPTIONS, SPLIT_CAPTIONS, SPLITS, VOCABULARY
from captioning.storage import TEXT_LOCK, locked
from captioning.text.vocabulary import read_prepared_text

FRENCH = ["Une fille à vélo .", "L'école d'un garçon .", "Il y a un chien dans l’eau ."]


def test_the_official_figures(flickr8k, tmp_path, capsys):
    for path in flickr8k.glob("Flickr*.txt"):
        shutil.copy(path, tmp_path)
    assert prepare(tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    for line in (
        "photos with captions 8,092 92 of them in no split",
        "train split 6,000 0 photos without captions left out",
        "descriptions 40,460 2 of them empty after cleaning",
        "words before cleaning 476,706 8,918 different ones",
        "words after cleaning 372,935 8,763 different ones",
        "longest description 34 words with startseq and endseq",
        "examples 306,404 (photo, words so far) -> next word",
        "commonest words: in, the, on, is, and, dog, with, man, of, two",
    ):
        assert line in lines
    assert any(line.startswith("vocabulary 7,579 token ids") for line in lines)
    # The digests are of what the first version of the cleaning wrote.
    text = read_prepared_text(tmp_path)
    words = "\n".join(text.vocabulary.words).encode()
    found = [(tmp_path / DESCRIPTIONS).read_bytes(), words]
    assert [hashlib.sha256(content).hexdigest() for content in found] == [
        "698dfe8d99f21f993200c429ed8be2413e3b28a307c0d08b1de4131d10621c33",
        "b8c6bfb10711c6a65bd03cccf9cfbaedf4a6dca7f7b2225c5a3215b507f2479c",
    ]
    assert (text.vocabulary.size, text.vocabulary.maximum_length) == (7579, 34)
    for split, name in SPLITS.items():
        names = (tmp_path / name).read_text().split()
        assert text.splits[split] == [file_name.removesuffix(".jpg") for file_name in names]
    # The odd name of the official file stands among the others.
    assert "2258277193_586949ec62" in text.captions


def test_what_is_written(tmp_path, capsys):
    data = write_three_photos(tmp_path)
    before = contents(data)
    assert prepare(data) == 0
    assert contents(data).keys() - before.keys() == {SPLIT_CAPTIONS, DESCRIPTIONS, VOCABULARY}
    assert capsys.readouterr().out.splitlines()[-2] == f"next: python train.py --data {data}"


def test_photos_and_captions_that_miss_each_other_are_counted(tmp_path, capsys):
    data = write_three_photos(
        tmp_path, more="d.jpg#0\tIn no split .\n", train="a.jpg\nx.jpg\na.jpg"
    )
    (data / "photos" / "below").mkdir(parents=True)
    for name in ("a.jpg", "below/b.jpg", "e.jpg", ".hidden"):
        (data / "photos" / name).touch()
    assert prepare(data) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for line in (
        "photos with captions 4 1 of them in no split",
        "train split 2 1 photo without captions left out",
        "dev split 1 0 photos without captions left out",
        "without a file 2 files without captions 1 descriptions",
    ):
        assert line in printed


def test_the_language_is_recorded_and_keeps_short_words(tmp_path, capsys):
    data = write_three_photos(tmp_path, FRENCH)
    assert prepare(data, "--language", "fr", "--min-word-length", "2") == 0
    assert read_prepared_text(data).descriptions["a"] == [["une", "fille", "vélo"]]
    capsys.readouterr()
    assert prepare(data, "--language", "FR") == 0
    printed = capsys.readouterr()
    assert "settings changed by recipe or flag: language fr, min_word_length 1\n" in printed.out
    assert printed.err == ""
    text = read_prepared_text(data)
    assert text.vocabulary.cleaning["language"] == "fr"
    assert text.descriptions["a"] == [["une", "fille", "à", "vélo"]]
    assert text.descriptions["b"] == [["l'", "école", "d'", "un", "garçon"]]


def test_words_with_digits_are_kept_by_a_setting_that_is_recorded(tmp_path):
    data = write_three_photos(tmp_path, ["At 5 km/h .", "At 10 km/h .", "The 2nd dog ."])
    for flags, words in (([], ["at", "kmh"]), (["--keep-numbers"], ["at", "5", "kmh"])):
        assert prepare(data, *flags) == 0
        text = read_prepared_text(data)
        assert text.vocabulary.cleaning["keep_numbers"] is bool(flags)
        assert text.descriptions["a"] == [words]


@pytest.mark.parametrize(
    ("captions", "flags", "damaged"),
    [
        (FRENCH, ["--language", "fr"], 0),
        (["A dog is on a mat ."] * 3, ["--min-word-length", "3"], 3),
        (["A dog .", "10 km/h", "The 2nd dog"], [], 2),
        (["A dog .", "10 km/h", "The 2nd dog"], ["--keep-numbers"], 0),
    ],
)
def test_captions_that_lose_numbers_or_most_words_are_spoken_of(
    tmp_path, capsys, captions, flags, damaged
):
    data = write_three_photos(tmp_path, captions)
    assert prepare(data, *flags) == 0
    errors = capsys.readouterr().err
    assert errors.startswith(f"warning: {damaged} of 3 captions lose" if damaged else "")
    assert errors.count(" -> ") == damaged
    # A few are not.
    write_three_photos(tmp_path, captions, "d.jpg#0\tA red dog runs .\n" * 60)
    assert prepare(data, *flags) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--min-word-count", "2"], ["no word", "lower --min-word-length or --min-word-count"]),
        (["--data", "nowhere"], ["is missing", "put them there, unpacked", "--captions"]),
        (["--photos", "nowhere"], ["nowhere is not a folder"]),
        (["--language", "french"], ["language as ISO 639 has it, such as en, fr or hi, got 'fren"]),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(tmp_path, capsys, flags, words):
    data = write_three_photos(tmp_path)
    assert_nothing_done(data, capsys, *words, flags=flags)


def test_a_second_run_is_refused(tmp_path, capsys):
    data = write_three_photos(tmp_path)
    with locked(data, "prepare_text.py", TEXT_LOCK):
        assert_nothing_done(data, capsys, f"another run of prepare_text.py is at work in {data}")
    # In two terminals, as people do.
    with locked(data, "prepare_photos.py"):
        assert prepare(data) == 0
