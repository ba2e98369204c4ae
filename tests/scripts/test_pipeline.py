"""The five scripts as a user runs them: in order, and out of order."""

import itertools
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from support import assert_refused, contents, run_here, write_tiny_data

from captioning.photos.features import read_encoder_record, read_features
from captioning.scores.scoring import Scores
from captioning.settings import SCRIPTS
from captioning.storage import read_json

# Small, and built in a second.
ENCODER = ["--encoder", "MobileNetV2", "--weights", "none"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Runs all five in order, and returns the folder and how each ended.

    One photo cannot be read; the name of another, which is only captioned, is not UTF-8.
    """
    place = tmp_path_factory.mktemp("pipeline")
    data = place / "data"
    write_tiny_data(data)
    (data / "photos" / "broken.jpg").write_text("no photo")
    (place / "more").mkdir()
    name = os.path.join(os.fsencode(place / "more"), b"caf\xe9 1.png")
    shutil.copy(data / "photos" / "red_ball_snow.png", name)
    folders = ["--data", data, "--model", place / "model"]
    photos = [data / "photos", place / "more", "--model", place / "model"]
    outputs = ["--csv", place / "below" / "out.csv", "--html", place / "below" / "out.html"]
    return place, {
        "prepare_photos": run_here("prepare_photos", "--data", data, *ENCODER),
        "prepare_text": run_here("prepare_text", "--data", data),
        "train": run_here("train", *folders, "--epochs", 2, "--batch-size", 4),
        "evaluate": run_here("evaluate", *folders, "--split", "train"),
        "generate": run_here("generate", *photos, *outputs),
    }


def test_statuses_and_what_to_run_next(pipeline):
    _, processes = pipeline
    for script in ("prepare_text", "train", "evaluate"):
        assert (processes[script].returncode, processes[script].stderr) == (0, "")
    for script in ("prepare_photos", "generate"):
        assert processes[script].returncode == 1, processes[script].stderr
        assert "broken.jpg" in processes[script].stderr
    for script, following in itertools.pairwise(SCRIPTS):
        assert f"python {following}.py" in processes[script].stdout


def test_each_stage_leaves_what_the_next_reads(pipeline):
    place, _ = pipeline
    features, record = read_features(place / "data"), read_encoder_record(place / "data")
    assert features.shape == (12, 1280)
    assert (record.encoder, record.layer, record.count) == ("MobileNetV2", "avg_pool", 12)
    (skipped,) = record.skipped
    assert skipped.photo.endswith("broken.jpg")
    for name in ("vocabulary.json", "features.json"):
        assert (place / "model" / name).read_bytes() == (place / "data" / name).read_bytes()
    scores = read_json(place / "model" / "scores.json", Scores)
    assert (scores.split, scores.photos) == ("train", 8)
    assert not (place / "model" / "checkpoint.npz").exists()


def test_photo_files_get_the_captions_of_their_features(pipeline):
    place, processes = pipeline
    lines = processes["generate"].stdout.splitlines()
    written = dict(line.split("\t") for line in lines)
    assert str(place / "more" / r"caf\udce9 1.png") in written
    captions = pd.read_csv(place / "model" / "captions.csv", keep_default_na=False)
    for _, row in captions.iterrows():
        path = place / "data" / "photos" / f"{row['photo_id']}.png"
        assert written[str(path)] == row["beam 3"]
    table = pd.read_csv(place / "below" / "out.csv", keep_default_na=False)
    assert dict(zip(table["photo"], table["caption"], strict=True)) == written
    page = (place / "below" / "out.html").read_text()
    assert page.count("data:image/jpeg") == len(written) == 13
    assert all(Path(photo).name in page for photo in written)


@pytest.mark.parametrize(
    ("script", "missing", "words"),
    [
        ("prepare_photos", "data/photos", ["photos"]),
        ("prepare_text", "data/Flickr8k.token.txt", ["captions"]),
        ("train", "data/features.pkl", ["features.pkl", "prepare_photos.py"]),
        ("train", "data/features.json", ["features.json", "prepare_photos.py"]),
        ("train", "data/descriptions.txt", ["descriptions.txt", "prepare_text.py"]),
        ("evaluate", "data/split-captions.tsv", ["split-captions.tsv", "prepare_text.py"]),
        ("evaluate", "model/captioner.keras", ["captioner.keras", "train.py"]),
        ("generate", "model/captioner.keras", ["captioner.keras", "train.py"]),
        ("generate", "model/vocabulary.json", ["vocabulary.json", "train.py"]),
    ],
)
def test_out_of_order_each_names_the_script_to_run_first(
    pipeline, tmp_path, script, missing, words
):
    place = tmp_path / "place"
    shutil.copytree(pipeline[0], place, ignore=shutil.ignore_patterns("more"))
    path = place / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = contents(place)
    data, model = ["--data", place / "data"], ["--model", place / "model"]
    photo = place / "data" / "photos" / "red_ball_snow.png"
    flags = {"generate": [photo, *model], "train": [*data, *model], "evaluate": [*data, *model]}
    assert_refused(run_here(script, *flags.get(script, data)), *words)
    assert contents(place) == before
