"""The five scripts as a user runs them: in order, out of order, and with mistakes."""

import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support import ROOT, StandIn, assert_refused, run_script, write_tiny_data

from captioning.cli import UserError, run
from captioning.old import read_json, write_json
from captioning.photos import features
from captioning.text import vocabulary

SCRIPTS = ["prepare_photos.py", "prepare_text.py", "train.py", "evaluate.py", "generate.py"]

# Small, and built in a second; where the encoder does not matter.
ENCODER = ["--encoder", "MobileNetV2", "--weights", "none"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Runs all five in order, each in a process of its own.

    One photo cannot be read; the name of another, which is only captioned, is not UTF-8.
    """
    place = tmp_path_factory.mktemp("pipeline")
    data, model = place / "data", place / "model"
    write_tiny_data(data)
    (data / "photos" / "broken.jpg").write_text("no photo")
    (place / "more").mkdir()
    name = os.path.join(os.fsencode(place / "more"), b"caf\xe9 1.png")
    shutil.copy(data / "photos" / "red_ball_snow.png", name)
    folders = ["--data", data, "--model", model]
    processes = {
        "prepare_photos.py": run_script(
            "prepare_photos.py", "--data", data, *ENCODER, "--batch-size", 5
        ),
        "prepare_text.py": run_script("prepare_text.py", "--data", data),
        "train.py": run_script("train.py", *folders, "--epochs", 2, "--batch-size", 4, "--seed", 7),
        "evaluate.py": run_script("evaluate.py", *folders, "--split", "train"),
        "generate.py": run_script(
            "generate.py",
            *(data / "photos", place / "more", "--model", model),
            *("--csv", place / "below" / "out.csv", "--html", place / "below" / "out.html"),
        ),
    }
    return place, processes


@pytest.fixture
def run_here(capsys):
    """A function that runs a script in this process, and returns what `run_script` returns."""

    def run_here(script, *arguments):
        main = importlib.import_module(script.removesuffix(".py")).main
        capsys.readouterr()
        try:
            status = run(main, [str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse's way to end after --help.
            status = stop.code
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(script, status, captured.out, captured.err)

    return run_here


def sign(path, version, **changes):
    """Changes a JSON file as someone could who computes its digest anew."""
    write_json(path, {**read_json(path, version, ""), **changes}, version)


# ---- In order ----


def test_exit_statuses_and_no_noise(pipeline):
    _, processes = pipeline
    for script in ("prepare_text.py", "train.py", "evaluate.py"):
        assert processes[script].returncode == 0, processes[script].stderr
        assert processes[script].stderr == ""
    for script in ("prepare_photos.py", "generate.py"):
        assert processes[script].returncode == 1, processes[script].stderr
        assert "skipped" in processes[script].stderr
        assert "broken.jpg" in processes[script].stderr
    assert "settings" not in processes["generate.py"].stderr


def test_each_script_says_what_to_run_next(pipeline):
    _, processes = pipeline
    for script, following in itertools.pairwise(SCRIPTS):
        assert f"python {following}" in processes[script].stdout


def test_photos_stage(pipeline):
    place, _ = pipeline
    found = features.read_features(place / "data")
    assert len(found) == 12
    assert all(feature.shape == (1280,) for feature in found.values())
    record = json.loads((place / "data" / "features.json").read_text())
    assert (record["encoder"], record["layer"], record["length"]) == (
        *("MobileNetV2", "avg_pool"),
        1280,
    )
    (skipped,) = record["skipped"]
    assert skipped["photo"].endswith("broken.jpg")
    assert skipped["reason"]


def test_photos_stage_computes_the_same_features_again(pipeline, tmp_path, run_here):
    place, _ = pipeline
    shutil.copytree(place / "data" / "photos", tmp_path / "photos")
    run_here("prepare_photos.py", "--data", tmp_path, *ENCODER, "--batch-size", 5)
    folders = (tmp_path, place / "data")
    first, second = ((folder / "features.pkl").read_bytes() for folder in folders)
    assert first == second
    first, second = (json.loads((folder / "features.json").read_text()) for folder in folders)
    assert first["weights_sha256"] == second["weights_sha256"]


def test_the_default_encoder_is_that_of_the_classic_recipe(tiny_data, run_here, monkeypatch):
    def stop(*arguments):
        raise UserError(f"asked for {arguments}")

    monkeypatch.setattr("captioning.photos.encoders.Encoder", stop)
    process = run_here("prepare_photos.py", "--data", tiny_data)
    assert_refused(process, "asked for ('VGG16', 'imagenet', 'float32')")


def test_training_stage(pipeline):
    place, processes = pipeline
    history = pd.read_csv(place / "model" / "history.csv")
    assert list(history["epoch"]) == [1, 2]
    assert not (place / "model" / "checkpoint.npz").exists()
    for name in ("vocabulary.json", "features.json"):
        copy = json.loads((place / "model" / name).read_text())
        assert copy == json.loads((place / "data" / name).read_text())
    assert processes["train.py"].stdout.count("  reference:") == 4


def test_evaluation_stage(pipeline):
    place, processes = pipeline
    scores = json.loads((place / "model" / "scores.json").read_text())
    assert (scores["split"], scores["photos"]) == ("train", 8)
    table = processes["evaluate.py"].stdout
    for row in (
        *("greedy", "beam 3", "beam 5", "consensus 5"),
        *("human", "greedy (same references as human)"),
        *("shuffled photos", "classic (flattering)"),
    ):
        assert f"\n{row}  " in table
        assert np.isfinite(scores["results"][row]["BLEU-1"])
    for note in scores["notes"]:
        assert note in table.replace("\n", " ")
    page = (place / "model" / "captions.html").read_text()
    assert page.count("data:image/jpeg") == 8
    assert page.count("data:image/png") == 2
    captions = pd.read_csv(place / "model" / "captions.csv", keep_default_na=False)
    assert list(captions.columns) == [
        *("photo_id", "greedy", "beam 3", "beam 5", "consensus 5", "references")
    ]
    assert len(captions) == 8
    assert captions["references"][0] == (
        "A red ball lies in the snow . | There 's one red ball , on snow !"
    )


def test_generation_stage(pipeline):
    place, processes = pipeline
    lines = processes["generate.py"].stdout.splitlines()
    assert len(lines) == 13
    written = dict(line.split("\t") for line in lines)
    assert str(place / "more" / r"caf\udce9 1.png") in written
    table = pd.read_csv(place / "below" / "out.csv", keep_default_na=False)
    assert list(table.columns) == ["photo", "caption", "confidence"]
    assert table["confidence"].between(0, 1).all()
    assert dict(zip(table["photo"], table["caption"], strict=True)) == written
    page = (place / "below" / "out.html").read_text()
    assert page.count("data:image/jpeg") == 13
    assert "beam 3" in page
    assert all(Path(photo).name in page for photo in written)
    # The probabilities of the page are those of the words, and of the end where there is one.
    maximum_length = vocabulary.read_vocabulary(place / "model").maximum_length
    tokens = [min(len(caption.split()) + 1, maximum_length) for caption in written.values()]
    assert page.count('data-probability="') == sum(tokens)


def test_photo_files_get_the_captions_of_their_features(pipeline):
    place, processes = pipeline
    written = dict(line.split("\t") for line in processes["generate.py"].stdout.splitlines())
    captions = pd.read_csv(place / "model" / "captions.csv", keep_default_na=False)
    for _, row in captions.iterrows():
        path = place / "data" / "photos" / f"{row['photo_id']}.png"
        assert written[str(path)] == row["beam 3"]


def test_beam_search_from_the_command_line(pipeline, tmp_path, run_here):
    place, _ = pipeline
    model = tmp_path / "model"
    shutil.copytree(place / "model", model)
    flags = ["--data", place / "data", "--model", model, "--split", "test", "--beam", 1, 2]
    flags += ["--consensus", 1, "--no-repeat-ngram-size", 1]
    shutil.copytree(model, tmp_path / "other")
    assert run_here("evaluate.py", *flags, "--model", tmp_path / "other").returncode == 0
    process = run_here("evaluate.py", *flags, "--compare", tmp_path / "other")
    assert process.returncode == 0, process.stderr
    scores = json.loads((model / "scores.json").read_text())
    assert (scores["split"], scores["photos"]) == ("test", 2)
    assert [*scores["results"]][:3] == ["greedy", "beam 2", "human"]
    assert [*scores["comparison"]] == ["greedy", "beam 2"]
    assert f"{model} (A) against {tmp_path / 'other'} (B)" in process.stdout


def test_generate_prints_changed_settings_apart_from_the_captions(pipeline, tmp_path, run_here):
    place, _ = pipeline
    photo = place / "data" / "photos" / "red_ball_snow.png"
    (tmp_path / "beam.toml").write_text("[generate]\nbeam = 2\nconsensus = true\n")
    flags = ["--model", place / "model", "--html", tmp_path / "out.html"]
    process = run_here("generate.py", photo, *flags, "--recipe", tmp_path / "beam.toml")
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("\n") == 1
    assert process.stdout.startswith(f"{photo}\t")
    assert process.stderr.startswith("settings changed by recipe or flag: beam 2, consensus True\n")
    assert "consensus 2" in (tmp_path / "out.html").read_text()


DECODING = ["--beam", "--consensus", "--no-repeat-ngram-size"]
FLAGS = {
    "prepare_photos.py": ["--data", "--encoder", "--weights", "--batch-size", "--recipe"],
    "prepare_text.py": ["--data", "--min-word-length", "--min-word-count", "--recipe"],
    "train.py": ["--data", "--model", "--epochs", "--batch-size", "--seed", "--resume", "--recipe"],
    "evaluate.py": ["--data", "--model", "--split", *DECODING, "--compare", "--models", "--recipe"],
    "generate.py": ["--model", *DECODING, "--csv", "--html", "--weights", "--recipe"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_teaches(run_here, script):
    process = run_here(script, "--help")
    assert process.returncode == 0
    assert process.stderr == ""
    for part in ("Reads", "Writes", "Takes", "default", *FLAGS[script]):
        assert part in process.stdout
    assert max(map(len, process.stdout.splitlines())) <= 80


# ---- Out of order, and with mistakes ----


def test_out_of_order_each_names_the_script_to_run_first(pipeline, tmp_path, run_here):
    place, _ = pipeline
    data, model = tmp_path / "data", tmp_path / "model"
    assert_refused(run_here("prepare_photos.py", "--data", data), data / "photos")
    assert_refused(run_here("prepare_text.py", "--data", data), data, "captions")
    write_tiny_data(data)
    train = ["train.py", "--data", data, "--model", model, "--epochs", 1]
    generate = ["generate.py", data / "photos" / "red_ball_snow.png", "--model", model]
    evaluate = ["evaluate.py", "--data", data, "--model", model]

    assert_refused(run_here(*train), data / "features.pkl", "prepare_photos.py")
    for name in ("features.pkl", "features.json"):
        shutil.copy(place / "data" / name, data)
    assert_refused(run_here(*train), data / "descriptions.txt", "prepare_text.py")
    assert_refused(run_here(*generate), model / "captioner.keras", "train.py")
    assert_refused(run_here(*evaluate), model / "captioner.keras", "train.py")
    assert not model.exists()
    shutil.copytree(place / "model", model)
    assert_refused(run_here(*evaluate), data / "vocabulary.json", "prepare_text.py")


def test_a_model_is_not_run_on_features_of_other_weights(pipeline, tmp_path, run_here):
    place, _ = pipeline
    data = tmp_path / "data"
    shutil.copytree(place / "data", data)
    sign(data / "features.json", features.FORMAT, weights_sha256="another")
    process = run_here("evaluate.py", "--data", data, "--model", place / "model")
    assert_refused(process, place / "model" / "features.json", data / "features.json", "another")


def test_photos_are_not_captioned_with_other_weights(pipeline, run_here, monkeypatch):
    from captioning import captioner

    place, _ = pipeline
    record = read_json(place / "model" / "features.json", features.FORMAT, "")

    class Other(StandIn):
        def record(self):
            return {**record, "weights_sha256": "another"}

    monkeypatch.setattr(captioner, "Encoder", Other)
    photo = place / "data" / "photos" / "red_ball_snow.png"
    process = run_here("generate.py", photo, "--model", place / "model", "--weights", "other.h5")
    assert_refused(process, place / "model" / "features.json", "--weights other.h5", "another")


@pytest.fixture
def refuse_damaged(pipeline, tmp_path, run_here):
    """A function that damages a file of the model and checks that generate.py refuses the model."""
    place, _ = pipeline

    def refuse(name, change, *words):
        model = tmp_path / "model"
        shutil.copytree(place / "model", model)
        change(model / name)
        photo = place / "data" / "photos" / "red_ball_snow.png"
        process = run_here("generate.py", photo, "--model", model)
        assert_refused(process, model / name, "train.py", *words)

    return refuse


def edit_words(path):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "words": ["startseq", "endseq", "dog"]}))


def forge_words(path):
    sign(path, vocabulary.FORMAT, words=["startseq", "endseq", "dog"])


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("captioner.keras", lambda path: path.write_bytes(path.read_bytes()[:5000]), ["damaged"]),
        ("vocabulary.json", Path.unlink, ["missing"]),
        ("vocabulary.json", edit_words, ["sha256"]),
        ("vocabulary.json", forge_words, ["captioner.keras"]),
        (
            "features.json",
            lambda path: sign(path, features.FORMAT, length=17),
            ["captioner.keras", "17"],
        ),
    ],
    ids=["cut off", "missing", "edited", "forged", "other length"],
)
def test_a_damaged_or_mismatched_model_is_refused(refuse_damaged, name, change, words):
    refuse_damaged(name, change, *words)


# test_arguments.py tries many more, in its own process.
def test_bad_arguments_are_refused():
    process = run_script("prepare_text.py", "--min-word-length", "x")
    assert_refused(process, "--min-word-length")
    assert process.stderr.startswith("prepare_text.py: ")


def test_photos_that_cannot_be_read_at_all(pipeline, tmp_path, run_here):
    place, _ = pipeline
    model = ["--model", place / "model"]
    (tmp_path / "photos").mkdir()
    assert_refused(run_here("prepare_photos.py", "--data", tmp_path), tmp_path / "photos")
    assert_refused(run_here("generate.py", tmp_path / "photos", *model), tmp_path / "photos")
    (tmp_path / "photos" / "a.jpg").write_text("text")
    process = run_here("prepare_photos.py", "--data", tmp_path, *ENCODER)
    assert process.returncode == 2
    assert not (tmp_path / "features.pkl").exists()
    process = run_here("generate.py", tmp_path / "photos" / "a.jpg", *model)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].endswith(": none of the photos can be read")


def test_captions_that_changed_since_the_cleaning_are_noticed(pipeline, tmp_path, run_here):
    place, _ = pipeline
    data = tmp_path / "data"
    shutil.copytree(place / "data", data)
    with open(data / "Flickr8k.token.txt", "a") as file:
        file.write("red_ball_snow.png#2\tOne more .\n")
    process = run_here("evaluate.py", "--data", data, "--model", place / "model")
    changed = data / "Flickr8k.token.txt"
    assert_refused(process, changed, "vocabulary.json", f"prepare_text.py --data {data}")


def test_output_that_nobody_reads_is_no_success(pipeline):
    place, _ = pipeline
    command = [sys.executable, str(ROOT / "prepare_text.py"), "--data", str(place / "data")]
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.run(
        command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write_end)
    assert process.returncode == 141
    assert process.stderr == ""
