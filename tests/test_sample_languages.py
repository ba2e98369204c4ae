"""All five scripts on drawn scenes captioned in German, French, Hindi, Chinese and Arabic."""

import html
import re
import shutil

import pytest
import regex
from sample_languages import WORDINGS, word_scene, write_photos, write_texts
from scenes import plan_scenes
from support import StandIn

import evaluate
import generate
import prepare_photos
import prepare_text
import train
from captioning import captioner
from captioning.old import PHOTOS
from captioning.text.captions import read_captions
from captioning.text.sentences import as_sentence
from captioning.text.splits import read_split
from captioning.text.vocabulary import read_vocabulary
from captioning.text.words import split_into_words

SCENES = 40


class Encoder(StandIn):
    """The stand-in, with features that a network learns from."""

    def encode(self, photos, batch_size=0):
        """Centres and scales them."""
        return (super().encode(photos) - 127) / 20


STOPS = {"de": ".", "fr": ".", "hi": "।", "zh": "。", "ar": "."}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Gives the scenes, and a data folder with their photos and features."""
    data = tmp_path_factory.mktemp("drawn")
    planned = plan_scenes(SCENES, seed=1)
    write_photos(data, planned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("captioning.photos.encoders.Encoder", Encoder)
        flags = ["--encoder", "MobileNetV2", "--weights", "none"]
        assert prepare_photos.main(["--data", str(data), *flags]) == 0
    return planned, data


def test_a_scene_is_worded_by_its_properties():
    (scene,) = plan_scenes(1, seed=1)
    scene = scene._replace(subject="woman", count=2, colour="red", action="sitting", setting="snow")
    assert {name: word_scene(scene, wording)[0] for name, wording in WORDINGS.items()} == {
        "de": "Zwei Frauen in Rot sitzen im Schnee.",
        "fr": "Deux femmes en rouge sont assises dans la neige.",
        "hi": "लाल कपड़ों में दो औरतें बर्फ़ में बैठी हैं।",
        "zh": "两个穿红色衣服的女人在雪地里坐着。",
        "ar": "امرأتان بملابس حمراء تجلسان في الثلج.",
    }


@pytest.mark.parametrize("language", WORDINGS)
def test_a_model_writes_captions_of_its_language(language, drawn, tmp_path, capsys, monkeypatch):
    planned, photos = drawn
    data, model = tmp_path / "data", tmp_path / "model"
    shutil.copytree(photos, data)
    write_texts(data, planned, language)
    folders = ["--data", str(data), "--model", str(model)]
    capsys.readouterr()
    assert prepare_text.main(["--data", str(data), "--language", language]) == 0
    assert capsys.readouterr().err == ""
    flags = ["--epochs", "12", "--min-steps", "1", "--units", "24", "--batch-size", "16"]
    flags += ["--learning-rate", "0.01"]
    assert train.main([*folders, *flags, "--shown-photos", "0"]) == 0
    capsys.readouterr()
    assert evaluate.main([*folders, "--beam", "1", "--consensus", "1"]) == 0
    printed = capsys.readouterr().out
    references = [read_captions(data)[photo] for photo in read_split(data, "test")]
    assert all(text in printed for texts in references[:1] for text in texts)

    monkeypatch.setattr(captioner, "Encoder", Encoder)
    page = tmp_path / "page.html"
    flags = ["--model", str(model), "--beam", "1", "--html", str(page), "--sentences"]
    assert generate.main([str(data / PHOTOS), *flags]) == 0
    captions = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    assert len(captions) == SCENES
    spoken = [caption for caption in captions if caption]
    assert len(spoken) > SCENES / 2
    assert len(set(spoken)) > 1
    known = set(read_vocabulary(model, "").words)
    of_script = rf"[\p{{Script={WORDINGS[language].script}}}\p{{M}}\P{{L}}]+"
    for caption in spoken:
        assert caption.endswith(STOPS[language])
        assert regex.fullmatch(of_script, caption)
        assert caption == as_sentence(caption, language)
        words = split_into_words(caption, language)
        assert words
        assert set(words) <= known
    for path, of_photos in ((page, captions), (model / "captions.html", [])):
        text = path.read_text(encoding="utf-8")
        assert f'<p class="words" lang="{language}" dir="auto">' in text
        plain = html.unescape(re.sub(r"<[^>]+>", "", text))
        assert all(caption in plain for caption in of_photos)
    assert f'<ul class="references" lang="{language}"><li dir="auto">' in text
    assert all(reference in plain for texts in references for reference in texts)
