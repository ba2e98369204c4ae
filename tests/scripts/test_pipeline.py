"""The five scripts as a user runs them: in order, and out of order."""

import itertools
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from msgspec import structs
from support import assert_refused, contents, run_here, write_tiny_data

from captioning.photos.features import (
    EncoderRecord,
    read_encoder_record,
    read_features,
    write_features,
)
from captioning.scores.scoring import Scores
from captioning.settings import SCRIPTS
from captioning.storage import locked, read_json, write_json
from captioning.text.vocabulary import Vocabulary

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
    assert features[:].shape == (12, 1280)
    assert (record.encoder, record.layer, record.count) == ("MobileNetV2", "avg_pool", 12)
    (skipped,) = record.skipped
    assert skipped["photo"].endswith("broken.jpg")
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


# ---- Missing, damaged, of another run, at work ----


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def write(text):
    return lambda path: path.write_text(text)


def replace(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


def by_another_encoder(path):
    """Changes the record as one who computes its digest anew."""
    record = read_json(path, EncoderRecord)
    write_json(path, structs.replace(record, encoder="VGG19"))


def by_other_words(path):
    """Changes the vocabulary in the same way."""
    vocabulary = read_json(path, Vocabulary)
    write_json(path, structs.replace(vocabulary, words=vocabulary.words[::-1]))


def without_training_photos(data):
    """Leaves the features of one photo, of the validation split."""
    features = read_features(data).select(["blue_ball_snow"])
    write_features(data, features.ids, features[:], features.record)


PHOTOS, TEXT = "prepare_photos.py --data", "prepare_text.py --data"
# Who reads a file, the file, what happens to it, and words of the sentence besides its name.
DAMAGES = [
    ("prepare_photos", "data/photos", shutil.rmtree, ["holds no photos"]),
    ("prepare_text", "data/Flickr8k.token.txt", Path.unlink, ["is missing"]),
    ("train", "data/features.pkl", Path.unlink, ["is missing", PHOTOS]),
    ("train", "data/features.pkl", cut, [PHOTOS]),
    ("train", "data/features.pkl", flip, [PHOTOS]),
    ("train", "data", without_training_photos, ["no train photo of", PHOTOS]),
    ("train", "data/features.json", Path.unlink, ["is missing", PHOTOS]),
    ("train", "data/features.json", flip, ["is damaged", PHOTOS]),
    ("train", "data/descriptions.txt", Path.unlink, ["is missing", TEXT]),
    ("train", "data/descriptions.txt", replace("red", "blue"), ["has changed since", TEXT]),
    ("train", "data/vocabulary.json", Path.unlink, ["is missing", TEXT]),
    ("train", "data/vocabulary.json", write("{"), ["is damaged", TEXT]),
    ("train", "data/vocabulary.json", write("[]"), ["is damaged", "sha256", TEXT]),
    ("train", "data/vocabulary.json", write("[" * 100_000), ["is damaged", TEXT]),
    ("train", "data/vocabulary.json", replace('"red"', '"tan"'), ["is damaged", "edited", TEXT]),
    ("evaluate", "data/split-captions.tsv", Path.unlink, ["is missing", TEXT]),
    ("evaluate", "data/split-captions.tsv", replace("red", "blue"), ["has changed since", TEXT]),
    ("evaluate", "data/features.json", by_another_encoder, ["VGG19", "MobileNetV2"]),
    ("evaluate", "model/training-photos.json", flip, ["is damaged", "train.py --data"]),
    ("evaluate", "model/captioner.keras", Path.unlink, ["is missing", "train.py --data"]),
    ("generate", "model/captioner.keras", Path.unlink, ["is missing", "train.py --data"]),
    ("generate", "model/captioner.keras", cut, ["is damaged", "train.py --data"]),
    ("generate", "model/captioner.keras", flip, ["is damaged", "train.py --data"]),
    ("generate", "model/captioner.keras", write("x"), ["is damaged", "train.py --data"]),
    ("generate", "model/vocabulary.json", Path.unlink, ["is missing", "train.py --data"]),
    ("generate", "model/vocabulary.json", flip, ["is damaged", "train.py --data"]),
    ("generate", "model/vocabulary.json", by_other_words, ["not trained with", "train.py"]),
    ("generate", "model/features.json", by_another_encoder, ["not trained with", "train.py"]),
]


@pytest.fixture
def copy(pipeline, tmp_path):
    """Gives a copy of what the five have left, and a function that runs one of them on it."""
    place = tmp_path / "place"
    shutil.copytree(pipeline[0], place, ignore=shutil.ignore_patterns("more"))
    data, model = ["--data", place / "data"], ["--model", place / "model"]
    flags = {"train": [*data, *model, "--min-steps", 1], "evaluate": [*data, *model]}
    flags["generate"] = [place / "data" / "photos" / "red_ball_snow.png", *model]
    return place, lambda script: run_here(script, *flags.get(script, data))


@pytest.mark.parametrize(("script", "name", "damage", "words"), DAMAGES)
def test_a_missing_or_damaged_file_is_refused_with_the_script_to_run(
    copy, script, name, damage, words
):
    place, run_script = copy
    path = place / name
    damage(path)
    before = contents(place)
    found = path.parent if path.name in ("photos", "Flickr8k.token.txt") else path
    assert_refused(run_script(script), found, *words)
    assert contents(place) == before


@pytest.mark.parametrize(
    ("script", "folder"), [("prepare_photos", "data"), ("train", "model"), ("evaluate", "model")]
)
def test_a_second_run_in_the_same_folder_is_refused(copy, script, folder):
    place, run_script = copy
    before = contents(place)
    with locked(place / folder, "a test"):
        ended = run_script(script)
    # The settings may have been printed.
    ended = ended._replace(stdout="")
    assert_refused(ended, "another run of ", f"{script}.py", f"is at work in {place / folder}")
    assert contents(place) == before
