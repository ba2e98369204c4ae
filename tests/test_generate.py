"""What generate.py tells its story with, and what it prints."""

import html
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec import structs
from support import ENCODER_RECORD, StandIn, contents, draw_photo, generate_desc

import generate
from captioning import captioner
from captioning.cli import UserError, run
from captioning.keras_setup import keras
from captioning.network.decoding import CaptionDecoder
from captioning.network.model import build_captioner
from captioning.network.model_folder import SavedModel, save_model
from captioning.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("ant", "startseq", "bee", "cow", "endseq", "dog", "elk"), 7, {})


@pytest.mark.parametrize("beam_width", [1, 3])
def test_captions_are_the_words_that_were_decoded(beam_width):
    keras.utils.set_random_seed(3)
    captioner = build_captioner(VOCABULARY.size, 4)
    # Large weights, so that captions differ between photos.
    for variable in captioner.trainable_variables:
        variable.assign(2 * variable.value)
    features = np.random.default_rng(0).normal(0, 2, (200, 4)).astype(np.float32)
    decoded = CaptionDecoder(captioner, VOCABULARY).beam(features, beam_width)
    captions = generate_desc(captioner, VOCABULARY, features, beam_width)
    assert captions == [" ".join(VOCABULARY.detokenize(ids)) for ids in decoded]
    # Captions that end, that end with the last token that there is room for, and that do not end.
    length, end = VOCABULARY.maximum_length, VOCABULARY.end_id
    kinds = {(len(ids) == length, ids[-1] == end) for ids in decoded}
    assert kinds == {(False, True), (True, True), (True, False)}


@pytest.mark.parametrize("flag", ["--csv", "--html"])
def test_a_photo_after_a_flag_is_not_overwritten(tiny_data, flag):
    photo = tiny_data / "photos" / "red_ball_snow.png"
    content = photo.read_bytes()
    with pytest.raises(UserError, match=f"red_ball_snow.png does not end in .{flag[2:]}: name"):
        generate.main([flag, str(photo), str(tiny_data / "photos")])
    assert photo.read_bytes() == content
    with pytest.raises(UserError, match=r"- does not end in \.html: name a file with --html"):
        generate.main(["--html", "-", str(tiny_data / "photos")])


@pytest.mark.parametrize("flag", ["--csv", "--html"])
def test_a_place_that_cannot_be_written_to_is_found_before_captioning(tiny_data, monkeypatch, flag):
    below_a_file = tiny_data / "Flickr8k.token.txt" / "out"
    with pytest.raises(UserError, match=r"Flickr8k.token.txt is no folder to write to"):
        generate.main([flag, f"{below_a_file}{flag.replace('--', '.')}", str(tiny_data / "photos")])
    # Root may write everywhere.
    monkeypatch.setattr("os.access", lambda place, mode: place != tiny_data)
    output = tiny_data / "new" / f"out{flag.replace('--', '.')}"
    with pytest.raises(UserError, match="tiny is no folder to write to"):
        generate.main([flag, str(output), str(tiny_data / "photos")])


def refuse(capsys, folder, *arguments):
    """Checks that arguments are refused before anything is done, and returns the sentence."""
    before = contents(folder)
    assert run(generate.main, [str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert contents(folder) == before
    return line


@pytest.mark.parametrize("flag", ["--csv", "--html"])
def test_a_photo_with_the_extension_of_a_table_is_not_overwritten(tiny_data, capsys, flag):
    photos = tiny_data / "photos"
    photo, link = photos / f"photo.{flag[2:]}", tiny_data / f"link.{flag[2:].upper()}"
    shutil.copy(photos / "red_ball_snow.png", photo)
    link.symlink_to(photos / "red_box_snow.png")
    for output, named in (
        (photo, photo),
        (photos / ".." / "photos" / photo.name, photo),
        (link, photos),
    ):
        line = refuse(capsys, tiny_data, named, flag, output)
        assert f"{output} is one of the photos: name another file with {flag}" in line
    assert link.is_symlink()


def test_table_and_page_that_are_one_file_are_refused(tiny_data, capsys):
    for name in ("out.csv", "out.html"):
        (tiny_data / name).symlink_to("../tiny/out")
    line = refuse(
        capsys,
        tiny_data,
        tiny_data,
        "--csv",
        tiny_data / "out.csv",
        "--html",
        tiny_data / "out.html",
    )
    assert f"--csv and --html lead to one file, {tiny_data / 'out'}: name two" in line


def test_a_device_or_a_pipe_is_refused_at_once(tiny_data, capsys):
    os.mkfifo(tiny_data / "pipe.csv")
    (tiny_data / "null.html").symlink_to(os.devnull)
    for flag, name in (("--csv", "pipe.csv"), ("--html", "null.html")):
        line = refuse(capsys, tiny_data, tiny_data, flag, tiny_data / name)
        assert f"{tiny_data / name} is a device or a pipe, or links to one" in line
    assert (tiny_data / "pipe.csv").is_fifo()
    assert (tiny_data / "null.html").is_symlink()


def test_a_consensus_of_one_caption_is_refused(tmp_path):
    with pytest.raises(UserError, match="--consensus chooses among the captions of a beam"):
        generate.main([str(tmp_path), "--consensus", "--beam", "1"])


# ---- The whole script, with an encoder that is quick to start ----

RECORD = structs.replace(ENCODER_RECORD, weights="imagenet")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Writes a model folder whose captions are not empty."""
    folder = tmp_path_factory.mktemp("trained")
    keras.utils.set_random_seed(3)
    model = build_captioner(VOCABULARY.size, RECORD.length)
    for variable in model.trainable_variables:
        variable.assign(2 * variable.value)
    recipe = {"made_with": {"drawn_scenes": True}}
    save_model(folder / "scenes", SavedModel(model, VOCABULARY, RECORD), recipe)
    save_model(folder / "photographs", SavedModel(model, VOCABULARY, RECORD), {})
    return folder


@pytest.fixture
def run_generate(tmp_path, monkeypatch, capsys):
    """Gives a function that runs generate.py in an empty folder, and returns what it prints."""

    class Encoder(StandIn):
        def encode(self, photos, batch_size=0):
            return (super().encode(photos) - 127) / 20

        def record(self):
            return RECORD

    monkeypatch.setattr(captioner, "Encoder", Encoder)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run_in_process(*arguments):
        capsys.readouterr()
        status = generate.main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run_in_process


def test_json_and_csv_on_standard_output(trained, tiny_data, run_generate):
    photos = sorted((tiny_data / "photos").iterdir())
    model = ["--model", trained / "photographs"]
    _, lines, _ = run_generate(tiny_data / "photos", *model)
    expected = [line.split("\t") for line in lines.splitlines()]
    assert [path for path, _ in expected] == [str(path) for path in photos]
    assert len({caption for _, caption in expected}) > 1

    _, lines, _ = run_generate(tiny_data / "photos", *model, "--json")
    found = [json.loads(line) for line in lines.splitlines()]
    assert all(list(each) == ["photo", "caption", "confidence"] for each in found)
    assert [[each["photo"], each["caption"]] for each in found] == expected
    assert all(0 < each["confidence"] < 1 for each in found)

    _, text, _ = run_generate(tiny_data / "photos", *model, "--csv", "-")
    table = pd.read_csv(io.StringIO(text), keep_default_na=False)
    assert table.to_dict("records") == found


def test_links_are_followed_to_the_files_that_are_written(
    trained, tiny_data, run_generate, tmp_path
):
    photo, model = tiny_data / "photos" / "red_ball_snow.png", ["--model", trained / "photographs"]
    outputs = ["--csv", "table.csv", "--html", "page.html"]
    run_generate(photo, *model, *outputs)
    expected = [Path(name).read_bytes() for name in outputs[1::2]]
    for name in outputs[1::2]:
        Path(name).rename(tmp_path / name)
        (tmp_path / name).write_text("old")
        Path(name).symlink_to(tmp_path / name)
    assert run_generate(photo, *model, *outputs)[2] == "wrote table.csv\nwrote page.html\n"
    assert all(Path(name).is_symlink() for name in outputs[1::2])
    assert [(tmp_path / name).read_bytes() for name in outputs[1::2]] == expected


@pytest.fixture
def chinese(trained, tmp_path):
    """Writes a model folder with other words, which are Chinese."""
    words = ("犬", "startseq", "跑", "雪", "endseq", "在", "里")
    keras.utils.set_random_seed(3)
    model = build_captioner(len(words) + 1, RECORD.length)
    for variable in model.trainable_variables:
        variable.assign(2 * variable.value)
    vocabulary = Vocabulary(words, 7, {"language": "zh"})
    save_model(tmp_path / "chinese", SavedModel(model, vocabulary, RECORD), {})
    return tmp_path / "chinese"


def test_sentences_are_an_option_and_on_the_page_always(
    trained, chinese, tiny_data, run_generate, tmp_path
):
    place = tiny_data / "photos"
    pages = [tmp_path / "here" / name for name in ("one.html", "two.html")]
    for folder, language, stop in ((trained / "photographs", "en", "."), (chinese, "zh", "。")):
        model = ["--model", folder]
        _, plain, _ = run_generate(place, *model, "--html", pages[0])
        _, lines, _ = run_generate(place, *model, "--html", pages[1], "--sentences")
        _, json_lines, _ = run_generate(place, *model, "--json", "--sentences")
        texts, sentences = (
            [line.partition("\t")[2] for line in text.splitlines()] for text in (plain, lines)
        )
        assert any(texts)
        assert sentences == [
            f"{text[:1].upper()}{text[1:]}{stop if text else ''}" for text in texts
        ]
        assert sentences == [json.loads(line)["caption"] for line in json_lines.splitlines()]
        assert (" " in "".join(texts)) == (language == "en")
        # The page is the same in either case.
        first, second = (page.read_text(encoding="utf-8") for page in pages)
        assert first == second
        assert f'<p class="words" lang="{language}" dir="auto">' in first
        shown = html.unescape(re.sub("<[^>]+>", "", first))
        assert all(text in shown for text in sentences)


def test_a_photo_that_cannot_be_read_has_a_json_line_too(trained, tiny_data, run_generate):
    (tiny_data / "photos" / "a.jpg").write_text("no photo")
    model = ["--model", trained / "photographs"]
    status, lines, _ = run_generate(tiny_data / "photos", *model, "--json")
    first, *others = map(json.loads, lines.splitlines())
    path = str(tiny_data / "photos" / "a.jpg")
    assert (status, len(others)) == (1, 12)
    assert first == {"photo": path, "error": "cannot identify image file 'a.jpg'"}


def test_serving_passes_the_settings_on(trained, tiny_data, run_generate, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "captioning.pages.server.serve", lambda *given, **options: calls.append((given, options))
    )
    model = ["--model", trained / "photographs"]
    flags = ["--port", 0, "--beam", 5, "--consensus", "--batch-size", 2]
    assert run_generate("--serve", *model, *flags)[:2] == (0, "")
    ((_, host, port), options) = calls[0]
    assert (host, port) == ("127.0.0.1", 0)
    assert options == {"beam": 5, "consensus": True, "no_repeat_ngram_size": 0, "batch_size": 2}
    for more in ([tiny_data / "photos"], ["--csv", "-"], ["--json"], ["--html", "a.html"]):
        with pytest.raises(UserError, match="--serve takes photos on its page: leave out"):
            run_generate("--serve", *more, *model)


def test_the_table_and_json_lines_exclude_each_other(tiny_data):
    with pytest.raises(UserError, match="not allowed with argument --csv"):
        generate.main([str(tiny_data), "--csv", "-", "--json"])


def test_the_model_is_that_of_flickr8k_or_else_that_of_the_project(
    trained, tiny_data, run_generate, monkeypatch
):
    photo = tiny_data / "photos" / "red_ball_snow.png"
    monkeypatch.setattr(generate, "pretrained_model", lambda: trained / "photographs")
    status, _, errors = run_generate(photo)
    sentence = f"captions by {trained / 'photographs'}, the model that comes with the project\n"
    assert (status, errors) == (0, sentence)
    with pytest.raises(UserError, match=r"^models.flickr8k.captioner\.keras is missing in .*here"):
        run_generate(photo, "--model", "models/flickr8k")
    shutil.copytree(trained / "photographs", "models/flickr8k")
    assert run_generate(photo)[2] == "captions by models/flickr8k\n"
    assert run_generate(photo, "--model", "models/flickr8k")[2] == ""


def test_a_model_of_drawn_scenes_warns_of_photographs_only(
    trained, tiny_data, tmp_path, run_generate
):
    draw_photo(tmp_path / "photograph.png", "red", "ball", "snow")
    (tiny_data / "scenes.csv").write_text("")
    model = ["--model", trained / "scenes" / "captioner.keras"]
    assert run_generate(tiny_data / "photos", *model)[2] == ""
    status, _, errors = run_generate(tiny_data / "photos", tmp_path / "photograph.png", *model)
    assert status == 0
    assert errors.startswith(f"warning: {trained / 'scenes'} was trained on drawn scenes")
    assert len(errors.splitlines()) == 1


def test_what_is_left_out_of_a_folder_is_counted(trained, tiny_data, run_generate):
    for name in ("one.mov", "two.MOV", "README"):
        (tiny_data / "photos" / name).write_text("")
    (tiny_data / "photos" / "broken.jpg").write_text("no photo")
    status, lines, errors = run_generate(
        tiny_data / "photos", "--model", trained / "photographs", "--max-pixels", 48 * 48
    )
    assert (status, len(lines.splitlines())) == (1, 12)
    assert errors.splitlines()[-1] == "left out: 2 .mov, 1 file without extension"
    assert "broken.jpg: cannot identify image file" in errors
    with pytest.raises(UserError, match="none of the photos can be read"):
        run_generate(tiny_data / "photos", "--model", trained / "photographs", "--max-pixels", 9)
