"""The five scripts as a user runs them: in order, out of order, and with mistakes."""

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
from support import ROOT, assert_refused, run_script, write_tiny_data

from captioning.features import read_features
from captioning.vocabulary import Vocabulary, write_vocabulary

SCRIPTS = ["prepare_photos.py", "prepare_text.py", "train.py", "evaluate.py", "generate.py"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Runs all five in order with an untrained VGG16; one photo cannot be read."""
    place = tmp_path_factory.mktemp("pipeline")
    data, model = place / "data", place / "model"
    write_tiny_data(data)
    (data / "photos" / "broken.jpg").write_text("no photo")
    folders = ["--data", data, "--model", model]
    processes = {
        "prepare_photos.py": run_script(
            "prepare_photos.py", "--data", data, "--weights", "none", "--batch-size", 5
        ),
        "prepare_text.py": run_script("prepare_text.py", "--data", data),
        "train.py": run_script("train.py", *folders, "--epochs", 2, "--batch-size", 4, "--seed", 7),
        "evaluate.py": run_script("evaluate.py", *folders, "--split", "train"),
        "generate.py": run_script(
            "generate.py",
            data / "photos",
            *("--model", model, "--csv", place / "out.csv", "--html", place / "out.html"),
        ),
    }
    return place, processes


def test_exit_statuses_and_no_noise(pipeline):
    _, processes = pipeline
    for script in ("prepare_text.py", "train.py", "evaluate.py"):
        assert processes[script].returncode == 0, processes[script].stderr
        assert processes[script].stderr == ""
    for script in ("prepare_photos.py", "generate.py"):
        assert processes[script].returncode == 1, processes[script].stderr
        assert "skipped" in processes[script].stderr
        assert "broken.jpg" in processes[script].stderr


def test_each_script_says_what_to_run_next(pipeline):
    _, processes = pipeline
    for script, following in itertools.pairwise(SCRIPTS):
        assert f"python {following}" in processes[script].stdout


def test_photos_stage(pipeline):
    place, _ = pipeline
    features = read_features(place / "data")
    assert len(features) == 12
    assert all(vector.shape == (4096,) for vector in features.values())
    record = json.loads((place / "data" / "features.json").read_text())
    assert (record["encoder"], record["layer"], record["length"]) == ("VGG16", "fc2", 4096)
    (skipped,) = record["skipped"]
    assert skipped["photo"].endswith("broken.jpg")
    assert skipped["reason"]


def test_photos_stage_gives_the_same_vectors_again(pipeline, tmp_path):
    place, _ = pipeline
    shutil.copytree(place / "data" / "photos", tmp_path / "photos")
    run_script("prepare_photos.py", "--data", tmp_path, "--weights", "none", "--batch-size", 5)
    folders = (tmp_path, place / "data")
    first, second = ((folder / "features.pkl").read_bytes() for folder in folders)
    assert first == second
    first, second = (json.loads((folder / "features.json").read_text()) for folder in folders)
    assert first["weights_sha256"] == second["weights_sha256"]


def test_training_stage(pipeline):
    place, processes = pipeline
    history = pd.read_csv(place / "model" / "history.csv")
    assert list(history["epoch"]) == [1, 2]
    assert not (place / "model" / "unfinished").exists()
    for name in ("vocabulary.json", "features.json"):
        copy = json.loads((place / "model" / name).read_text())
        assert copy == json.loads((place / "data" / name).read_text())
    assert processes["train.py"].stdout.count("a person:") == 4


def test_evaluation_stage(pipeline):
    place, processes = pipeline
    scores = json.loads((place / "model" / "scores.json").read_text())
    assert (scores["split"], scores["photos"]) == ("train", 8)
    table = processes["evaluate.py"].stdout
    for row in ("greedy", "beam 3", "beam 5", "human", "shuffled photos", "classic (flattering)"):
        assert f"\n{row}  " in table
        assert np.isfinite(scores["rows"][row]["BLEU-1"])
    for remark in scores["remarks"]:
        assert remark in table.replace("\n", " ")
    page = (place / "model" / "captions.html").read_text()
    assert page.count("data:image/jpeg") == 8
    assert page.count("data:image/png") == 2
    captions = pd.read_csv(place / "model" / "captions.csv", keep_default_na=False)
    assert list(captions.columns) == ["photo", "greedy", "beam 3", "beam 5", "references"]
    assert len(captions) == 8
    assert captions["references"][0] == (
        "A red ball lies in the snow . | There 's one red ball , on snow !"
    )


def test_photo_files_get_the_captions_of_their_vectors(pipeline):
    place, processes = pipeline
    lines = processes["generate.py"].stdout.splitlines()
    assert len(lines) == 12
    said = dict(line.split("\t") for line in lines)
    captions = pd.read_csv(place / "model" / "captions.csv", keep_default_na=False)
    for _, row in captions.iterrows():
        path = place / "data" / "photos" / f"{row['photo']}.png"
        assert said[str(path)] == row["greedy"]
    table = pd.read_csv(place / "out.csv", keep_default_na=False)
    assert dict(zip(table["photo"], table["caption"], strict=True)) == said
    page = (place / "out.html").read_text()
    assert page.count("data:image/jpeg") == 12
    assert all(Path(photo).name in page for photo in said)


FLAGS = {
    "prepare_photos.py": ["--data", "--encoder", "--weights", "--batch-size"],
    "prepare_text.py": ["--data", "--min-word-length", "--min-word-count"],
    "train.py": ["--data", "--model", "--epochs", "--batch-size", "--seed", "--resume"],
    "evaluate.py": ["--data", "--model", "--split", "--beam", "--compare"],
    "generate.py": ["--model", "--beam", "--csv", "--html"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_teaches(script):
    process = run_script(script, "--help")
    assert process.returncode == 0
    assert process.stderr == ""
    for part in ("Reads", "Writes", "Takes", "default", *FLAGS[script]):
        assert part in process.stdout


def test_out_of_order_each_names_the_script_to_run_first(pipeline, tmp_path):
    place, _ = pipeline
    data, model = tmp_path / "data", tmp_path / "model"
    assert_refused(run_script("prepare_photos.py", "--data", data), data / "photos")
    assert_refused(run_script("prepare_text.py", "--data", data), data, "captions")
    write_tiny_data(data)
    train = ["train.py", "--data", data, "--model", model, "--epochs", 1]
    evaluate = ["evaluate.py", "--data", data, "--model", model]
    photo = data / "photos" / "red_ball_snow.png"

    assert_refused(run_script(*train), data / "features.pkl", "prepare_photos.py")
    for name in ("features.pkl", "features.json"):
        shutil.copy(place / "data" / name, data)
    assert_refused(run_script(*train), data / "descriptions.txt", "prepare_text.py")
    assert_refused(run_script(*evaluate), model / "captioner.keras", "train.py")
    assert_refused(
        run_script("generate.py", photo, "--model", model), model / "captioner.keras", "train.py"
    )
    assert not model.exists()
    shutil.copytree(place / "model", model)
    assert_refused(run_script(*evaluate), data / "descriptions.txt", "prepare_text.py")


def test_a_model_is_not_run_on_vectors_of_other_weights(pipeline, tmp_path):
    place, _ = pipeline
    data = tmp_path / "data"
    shutil.copytree(place / "data", data)
    path = data / "features.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "weights_sha256": "another"}))
    process = run_script("evaluate.py", "--data", data, "--model", place / "model")
    assert_refused(process, place / "model" / "features.json", path, "another")


def test_a_damaged_or_mismatched_model_is_refused(pipeline, tmp_path):
    place, _ = pipeline
    photo = place / "data" / "photos" / "red_ball_snow.png"

    def refuse(name, change, *words):
        model = tmp_path / name
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(place / "model", model)
        change(model / name)
        process = run_script("generate.py", photo, "--model", model)
        assert_refused(process, model / name, "train.py", *words)

    refuse("captioner.keras", lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged")
    refuse("vocabulary.json", lambda path: path.unlink(), "missing")

    def change_json(key, value):
        def change(path):
            path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

        return change

    def forge_vocabulary(path):
        write_vocabulary(path.parent, Vocabulary(("startseq", "endseq", "dog"), 5, {}))

    refuse("vocabulary.json", change_json("words", ["startseq", "endseq", "dog"]), "sha256")
    refuse("vocabulary.json", forge_vocabulary, "captioner.keras")
    refuse("features.json", change_json("length", 17), "captioner.keras", "17")


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("train.py", ["--epochs", "0"], ["--epochs", "at least 1"]),
        ("train.py", ["--batch-size", "-3"], ["--batch-size"]),
        ("train.py", ["--seed", "one"], ["--seed"]),
        ("train.py", ["--epoch", "3"], ["--epoch"]),
        ("evaluate.py", ["--split", "dog"], ["--split", "train", "dev", "test"]),
        ("evaluate.py", ["--beam", "1.5"], ["--beam"]),
        ("evaluate.py", ["--beam", "3", "-5"], ["--beam"]),
        ("generate.py", [], ["PHOTO_OR_FOLDER"]),
        ("generate.py", ["/no/such/photo.jpg"], ["/no/such/photo.jpg", "does not exist"]),
        ("prepare_photos.py", ["--batch-size", "0"], ["--batch-size"]),
        ("prepare_text.py", ["--min-word-length", "x"], ["--min-word-length"]),
    ],
)
def test_bad_arguments_are_refused(script, arguments, words):
    assert_refused(run_script(script, *arguments), script, *words)


def test_photos_that_cannot_be_read_at_all(pipeline, tmp_path):
    place, _ = pipeline
    (tmp_path / "photos").mkdir()
    assert_refused(run_script("prepare_photos.py", "--data", tmp_path), tmp_path / "photos")
    (tmp_path / "photos" / "a.jpg").write_text("text")
    process = run_script(
        "prepare_photos.py", "--data", tmp_path, "--encoder", "MobileNetV2", "--weights", "none"
    )
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "features.pkl").exists()
    process = run_script("generate.py", tmp_path / "photos" / "a.jpg", "--model", place / "model")
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == "generate.py: none of the photos can be read"


def test_beam_search_from_the_command_line(pipeline):
    place, _ = pipeline
    folders = ["--data", place / "data", "--model", place / "model"]
    model = place / "model"
    kept = {name: (model / name).read_bytes() for name in ("scores.json", "captions.csv")}
    process = run_script(
        "evaluate.py", *folders, "--split", "test", "--beam", 1, 2, "--compare", model
    )
    assert process.returncode == 0, process.stderr
    scores = json.loads((model / "scores.json").read_text())
    assert (scores["split"], scores["photos"]) == ("test", 2)
    assert [*scores["rows"]][:3] == ["greedy", "beam 2", "human"]
    assert [*scores["comparison"]] == ["greedy", "beam 2"]
    assert f"{model} (A) against {model} (B)" in process.stdout
    for name, content in kept.items():
        (model / name).write_bytes(content)


def test_captions_that_changed_since_the_cleaning_are_noticed(pipeline, tmp_path):
    place, _ = pipeline
    data = tmp_path / "data"
    shutil.copytree(place / "data", data)
    with open(data / "Flickr8k.token.txt", "a") as file:
        file.write("red_ball_snow.png#2\tOne more .\n")
    process = run_script("evaluate.py", "--data", data, "--model", place / "model")
    assert_refused(process, data / "descriptions.txt", f"prepare_text.py --data {data}")


def test_a_file_name_that_is_no_utf_8_is_captioned_all_the_same(pipeline, tmp_path):
    place, _ = pipeline
    photos = tmp_path / "photos"
    photos.mkdir()
    name = os.path.join(os.fsencode(photos), b"caf\xe9 1.png")
    shutil.copy(place / "data" / "photos" / "red_ball_snow.png", name)
    table = tmp_path / "below" / "out.csv"
    process = run_script("generate.py", photos, "--model", place / "model", "--csv", table)
    assert process.returncode == 0, process.stderr
    assert r"caf\udce9 1.png" in process.stdout
    assert r"caf\udce9 1.png" in table.read_text()
    for flag in ("--csv", "--html"):
        refused = run_script("generate.py", photos, "--model", place / "model", flag, tmp_path)
        assert_refused(refused, tmp_path, flag)


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
