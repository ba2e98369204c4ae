"""Captions of scenes in five languages, from the captions file to the captions of a model."""

import itertools
import json

import pytest
import regex
from PIL import Image
from support import StandIn, run_here

from captioning.files import CAPTIONS, DESCRIPTIONS, SPLITS, VOCABULARY

# Unicode's name of the script, who does what, and where; and the words of the first caption.
LANGUAGES = {
    "de": ("Latin", ["Ein Hund läuft", "Zwei Vögel fliegen"], [" im Schnee.", " auf die Straße!"]),
    "fr": ("Latin", ["Un chien court", "Deux oiseaux volent"], [" à l’école.", " dans l’herbe."]),
    "hi": ("Devanagari", ["एक कुत्ता दौड़ता है", "दो चिड़ियाँ हैं"], [" बर्फ़ में।", " सड़क पर।"]),
    "zh": ("Han", ["一只狗在跑", "两只鸟在飞"], ["，在雪地里。", "，在街道上。"]),
    "ar": ("Arabic", ["كلب يركض", "طائران يطيران"], [" في الثلج.", " في الشارع."]),
}
FIRST_WORDS = ("ein hund läuft im schnee", "un chien court à l' école")
FIRST_WORDS += ("एक कुत्ता दौड़ता है बर्फ़ में", "一 只 狗 在 跑 在 雪 地 里", "كلب يركض في الثلج")


def write_texts(data, language):
    """Writes the four captions of a language, of three photos each, one a split."""
    _, subjects, places = LANGUAGES[language]
    captions = [subject + place for subject in subjects for place in places]
    for split, name in SPLITS.items():
        (data / name).write_text("".join(f"{split}{index}.png\n" for index in range(4)))
    lines = [f"{split}{index}.png#0\t{captions[index]}\n" for split in SPLITS for index in range(4)]
    (data / CAPTIONS).write_text("".join(lines), encoding="utf-8")


def is_in_script(text, language):
    return regex.fullmatch(rf"[\p{{Script={LANGUAGES[language][0]}}}\p{{M}}\P{{L}}]+", text)


@pytest.mark.parametrize(("language", "first"), [*zip(LANGUAGES, FIRST_WORDS, strict=True)])
def test_the_words_of_a_language(tmp_path, language, first):
    write_texts(tmp_path, language)
    status, _, errors = run_here("prepare_text", "--data", tmp_path, "--language", language)
    assert (status, errors) == (0, "")
    descriptions = (tmp_path / DESCRIPTIONS).read_text(encoding="utf-8")
    assert descriptions.splitlines()[0] == f"train0 {first}"
    words = json.loads((tmp_path / VOCABULARY).read_text(encoding="utf-8"))["words"]
    assert set(first.split()) < set(words)
    assert all(is_in_script(word, language) for word in words if not word.endswith("seq"))


def test_a_model_writes_sentences_of_its_language(tmp_path, monkeypatch):
    data, model = tmp_path / "data", tmp_path / "model"
    (data / "photos").mkdir(parents=True)
    write_texts(data, "zh")
    for split, index in itertools.product(SPLITS, range(4)):
        Image.new("RGB", (32, 32), (80 * index, 0, 0)).save(data / "photos" / f"{split}{index}.png")
    for module in ("photos.encoders", "captioner"):
        monkeypatch.setattr(f"captioning.{module}.Encoder", StandIn, raising=False)
    flags = ["--encoder", "MobileNetV2", "--weights", "none"]
    assert run_here("prepare_photos", "--data", data, *flags).returncode == 0
    assert run_here("prepare_text", "--data", data, "--language", "zh").returncode == 0
    flags = "--epochs 8 --units 24 --batch-size 4 --learning-rate 0.02 --shown-photos 0"
    ended = run_here("train", "--data", data, "--model", model, *flags.split())
    assert ended.returncode == 0
    photo = data / "photos" / "train0.png"
    ended = run_here("generate", photo, "--model", model, "--beam", 1, "--sentences")
    _, caption = ended.stdout.strip().split("\t")
    assert " " not in caption
    assert len(caption) > 1
    assert caption.endswith("。")
    assert is_in_script(caption, "zh")
