"""generate.py: lines, JSON, table and page, and what it refuses to write."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from support import ROOT

from captioning import captioner


def test_lines_json_and_csv_hold_the_same(models, tiny_data, run_generate):
    photos = sorted((tiny_data / "photos").iterdir())
    model = ["--model", models / "english"]
    _, lines, errors = run_generate(tiny_data / "photos", *model)
    expected = [line.split("\t") for line in lines.splitlines()]
    assert [path for path, _ in expected] == [str(path) for path in photos]
    assert len({caption for _, caption in expected}) > 1
    assert errors == ""

    _, lines, _ = run_generate(tiny_data / "photos", *model, "--json")
    found = [json.loads(line) for line in lines.splitlines()]
    assert all(list(each) == ["photo", "caption", "confidence", "unsure"] for each in found)
    assert [[each["photo"], each["caption"]] for each in found] == expected
    assert all(0 < each["confidence"] <= 1 for each in found)

    _, lines, errors = run_generate(tiny_data / "photos", *model, "--csv", "new/table.csv")
    assert [line.split("\t") for line in lines.splitlines()] == expected
    table = pd.read_csv("new/table.csv", keep_default_na=False)
    assert table[list(found[0])].to_dict("records") == found
    assert errors == "wrote new/table.csv\n"


def test_captions_of_less_confidence_than_evaluation_found_are_marked(
    models, tiny_data, run_generate, monkeypatch, tmp_path
):
    shutil.copytree(models / "english", tmp_path / "model")
    flags = [tiny_data / "photos", "--model", tmp_path / "model", "--html", "page.html"]
    _, lines, _ = run_generate(*flags, "--json")
    before = [json.loads(line) for line in lines.splitlines()]
    assert not any(each["unsure"] for each in before)
    captioner.write_unsure_below(tmp_path / "model", [each["confidence"] for each in before])
    _, lines, _ = run_generate(*flags, "--json")
    is_unsure = [json.loads(line)["unsure"] for line in lines.splitlines()]
    order = sorted(range(12), key=lambda index: before[index]["confidence"])
    assert [index for index in order if is_unsure[index]] == order[:3]
    assert Path("page.html").read_text(encoding="utf-8").count("%, unsure</span>") == 3
    # A ? behind them, for people alone.
    _, lines, _ = run_generate(*flags)
    assert "?" not in lines
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, lines, _ = run_generate(*flags)
    assert [line.endswith("  ?") for line in lines.splitlines()] == is_unsure


def test_a_name_runs_nothing_in_a_terminal_and_a_model_of_painted_scenes_says_so(
    models, tiny_data, run_generate
):
    photo = tiny_data / "red\x1b[31m\n.png"
    shutil.copy(tiny_data / "photos" / "red_ball_snow.png", photo)
    status, lines, errors = run_generate(photo, "--model", models / "painted")
    assert (status, lines.count("\n")) == (0, 1)
    assert "\x1b" not in lines
    assert r"red\x1b[31m\n.png" in lines
    assert errors.startswith(f"warning: {models / 'painted'} was trained on painted scenes")


@pytest.mark.parametrize(("language", "stop"), [("english", "."), ("chinese", "。")])
def test_sentences_are_an_option(models, tiny_data, run_generate, language, stop):
    place, model = tiny_data / "photos", ["--model", models / language]
    _, plain, _ = run_generate(place, *model)
    _, lines, errors = run_generate(place, *model, "--sentences")
    assert "settings changed by recipe or flag: sentences True\n" in errors
    texts, sentences = (
        [line.partition("\t")[2] for line in text.splitlines()] for text in (plain, lines)
    )
    assert any(texts)
    assert sentences == [f"{text[:1].upper()}{text[1:]}{stop if text else ''}" for text in texts]
    assert (" " in "".join(texts)) == (language == "english")


def test_the_page_shows_every_photo(models, tiny_data, run_generate):
    flags = ["--model", models / "chinese", "--html", "page.html", "--beam", "5", "--consensus"]
    (tiny_data / "photos" / "clip.jpg").write_text("no photo")
    status, _, errors = run_generate(tiny_data / "photos", *flags)
    assert status == 1
    assert errors.endswith("wrote page.html\n")
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 12
    assert "consensus 5" in page
    assert "1 photo left out" in page
    assert "clip.jpg: cannot identify image file" in page
    assert 'lang="zh"' in page


def test_photos_that_cannot_be_read_are_named(models, tiny_data, run_generate):
    (tiny_data / "photos" / "one.mov").write_text("")
    (tiny_data / "photos" / "a.jpg").write_text("no photo")
    model = ["--model", models / "english"]
    status, lines, errors = run_generate(tiny_data / "photos", *model, "--json")
    first, *others = map(json.loads, lines.splitlines())
    assert (status, len(others)) == (1, 12)
    assert first["photo"] == str(tiny_data / "photos" / "a.jpg")
    assert first["error"].startswith("cannot identify image file")
    assert f"skipped {tiny_data / 'photos' / 'a.jpg'}: cannot identify image" in errors
    status, lines, errors = run_generate(tiny_data / "photos", *model, "--max-pixels", 9)
    assert (status, lines) == (2, "")
    assert errors.endswith("none of the photos can be read\n")


def test_the_model_is_that_of_flickr8k_or_else_that_of_the_project(
    models, tiny_data, run_generate, monkeypatch
):
    photo = tiny_data / "photos" / "red_ball_snow.png"
    monkeypatch.setattr(captioner, "choose_pretrained", lambda: models / "english")
    assert run_generate(photo)[2] == f"captions by {models / 'english'}\n"
    status, _, errors = run_generate(photo, "--model", "models/flickr8k")
    assert status == 2
    assert "models/flickr8k/captioner.keras is missing" in errors
    shutil.copytree(models / "english", "models/flickr8k")
    assert run_generate(photo)[2] == "captions by models/flickr8k\n"
    assert run_generate(photo, "--model", "models/flickr8k")[2] == ""


def test_photos_may_follow_the_models(models, tiny_data, run_generate):
    photo = tiny_data / "photos" / "red_ball_snow.png"
    of_models = ["--model", models / "english", models / "english"]
    for flags in (of_models[:2], of_models):
        before, after = run_generate(photo, *flags), run_generate(*flags, photo)
        assert before == after
        assert before[0] == 0


def test_serving_passes_the_settings_on(models, tiny_data, run_generate, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "captioning.pages.server.serve", lambda *given, **options: calls.append((given, options))
    )
    model = ["--model", models / "english"]
    flags = ["--port", 0, "--beam", 5, "--consensus", "--batch-size", 2]
    assert run_generate("--serve", *model, *flags)[:2] == (0, "")
    ((_, host, port), options) = calls[0]
    assert (host, port) == ("127.0.0.1", 0)
    decoding = {"beam": 5, "consensus": True, "count": 1, "no_repeat_ngram_size": 0}
    assert options == {**decoding, "batch_size": 2}


def test_the_last_commands_of_make_demo_caption_photos(models, tiny_data, run_generate):
    """Runs them in a folder that holds what they name, with small models."""
    shutil.copytree(tiny_data, "data/sample")
    for name in ("sample", "pretrained"):
        shutil.copytree(models / "english", f"models/{name}")
    options = {"capture_output": True, "text": True, "check": True}
    demo = ["make", "--dry-run", "demo", "PHOTOS=data/sample/photos/red_ball_snow.png"]
    recipe = subprocess.run(demo, cwd=ROOT, **options).stdout
    counts = []
    for command in re.findall(r"^\S+ generate\.py ((?:.*\\\n)*.*)", recipe, re.MULTILINE):
        expand = ["sh", "-c", f"printf '%s\\n' {command}"]
        arguments = subprocess.run(expand, **options).stdout.splitlines()
        status, lines, _ = run_generate(*arguments)
        assert status == 0
        counts.append(lines.count("\n"))
    # The photos of the test split, and the one that was named.
    assert counts == [2, 1]
