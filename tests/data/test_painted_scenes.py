"""The painted scenes: the same on every run, laid out as Flickr8k is, their captions true."""

import csv
import itertools
import re
from collections import Counter

import draw
import pytest
import scenes
import wording
from PIL import Image
from support import assert_refused, contents, run_here

from captioning.files import CAPTIONS, PAINTED_SCENES, SPLITS

SEEDS = (0, 1)
KNOWN_VALUES = {
    "split": tuple(SPLITS),
    "setting": scenes.SETTINGS,
    "subject": tuple(scenes.SUBJECT_COLOURS),
    "count": ("1", "2"),
    "colour": {colour for colours in scenes.SUBJECT_COLOURS.values() for colour in colours},
    "action": tuple(scenes.ACTION_SUBJECTS),
}


@pytest.fixture
def _quick(monkeypatch):
    """Paints one spot of a scene's own instead of the whole."""

    def paint_spot(scene):
        return Image.new("RGB", (1, 1), scene.choices("spot").randrange(2**24))

    monkeypatch.setattr(draw, "paint_scene", paint_spot)


def paint(data, *flags, count=20):
    """Runs the script and returns its exit status."""
    return run_here("draw", "--data", data, "--scenes", count, *flags).returncode


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Gives a folder of 30 scenes, and what the script printed."""
    data = tmp_path_factory.mktemp("sample")
    process = run_here("draw", "--data", data, "--scenes", 30)
    assert process.returncode == 0, process.stderr
    return data, process.stdout


def test_the_layout_is_that_of_flickr8k(painted):
    data, _ = painted
    names = [line.split("\t")[0] for line in (data / CAPTIONS).read_text().splitlines()]
    photos = sorted(path.name for path in (data / "photos").iterdir())
    assert names == [f"{photo}#{index}" for photo in photos for index in range(5)]
    splits = [(data / name).read_text().splitlines() for name in SPLITS.values()]
    assert all(splits)
    assert sorted(itertools.chain(*splits)) == photos
    for path in (data / "photos").iterdir():
        with Image.open(path) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (224, 224), "RGB")


def test_the_truth_and_what_is_printed_name_what_is_held_out(painted):
    data, printed = painted
    lines = printed.splitlines()
    assert lines[-1] == f"next: python prepare_photos.py --data {data} --encoder EfficientNetLite0"
    assert any("30 photos with 150 captions" in line for line in lines)
    with open(data / PAINTED_SCENES, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    for row in rows:
        assert row["photo"] in (data / SPLITS[row["split"]]).read_text().split()
        assert all(row[column] in values for column, values in KNOWN_VALUES.items())
        combination = f"  {row['setting']} {row['subject']} {row['action']}"
        assert (combination in lines) == (row["split"] == "test")


@pytest.mark.usefixtures("_quick")
def test_the_same_seed_paints_the_same_and_another_seed_does_not(tmp_path):
    assert paint(tmp_path / "one", "--seed", "5") == 0
    # With fewer scenes no photo of an earlier run stays.
    assert paint(tmp_path / "again", "--seed", "6", count=30) == 0
    other = contents(tmp_path / "again")
    assert paint(tmp_path / "again", "--seed", "5") == 0
    expected = contents(tmp_path / "one")
    assert contents(tmp_path / "again") == expected
    assert all(other[name] != content for name, content in expected.items())


@pytest.mark.parametrize("name", [CAPTIONS, "photos/scene_0001.jpg", PAINTED_SCENES])
@pytest.mark.usefixtures("_quick")
def test_what_it_did_not_paint_is_kept(tmp_path, name):
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine.jpg#0\tMy own photo .\n")
    words = f"{own} was not painted by this script: choose another --data"
    assert_refused(run_here("draw", "--data", tmp_path), words)
    assert contents(tmp_path) == {name: b"mine.jpg#0\tMy own photo .\n"}
    # Nor are photos removed that a table of its own form names besides.
    data, kept = tmp_path / "data", tmp_path / "data" / "scene_9999.jpg"
    assert paint(data, count=21) == 0
    with open(data / PAINTED_SCENES, "a") as table:
        table.write("../scene_9999.jpg,train,beach,dog,1,brown,running\n")
    kept.write_text("mine")
    assert paint(data) == 0
    assert kept.exists()
    assert not (data / "photos" / "scene_0021.jpg").exists()


@pytest.mark.parametrize("seed", SEEDS)
def test_training_shows_every_value_and_no_combination_of_the_test_split(seed):
    planned = scenes.plan_scenes(700, seed)
    sizes = Counter(scene.split for scene in planned)
    assert sizes == {"train": 500, "dev": 90, "test": 110}
    found = {split: set() for split in SPLITS}
    for scene in planned:
        found[scene.split].add((scene.setting, scene.subject, scene.action))
    assert not found["test"] & (found["train"] | found["dev"])
    pairs = [pair for held_out in found["test"] for pair in itertools.combinations(held_out, 2)]
    assert len(pairs) == len(set(pairs))
    training = [scene for scene in planned if scene.split == "train"]
    for name in wording.WORDS:
        counts = Counter(str(getattr(scene, name)) for scene in training)
        assert set(counts) == set(KNOWN_VALUES[name])
        assert min(counts.values()) >= 10


def words_of(caption):
    return set(re.findall("[a-z]+", caption.lower()))


@pytest.mark.parametrize("seed", SEEDS)
def test_captions_are_true_and_written_as_flickr8k_has_them(seed):
    allowed = re.compile(r"[A-Z][a-z]*( [a-z]+| ,)+ \.")
    named, planned = Counter(), scenes.plan_scenes(300, seed)
    for scene in planned:
        captions = wording.write_captions(scene)
        assert len(captions) == 5
        for caption in captions:
            assert allowed.fullmatch(caption), caption
            assert not re.search(r"\ba [aeio]|\ban [^aeiou]", caption.lower()), caption
            assert f" {'are' if scene.count == 1 else 'is'} " not in caption
            said = {
                (name, value)
                for name, values in wording.WORDS.items()
                for value, words in values.items()
                if words_of(caption).intersection(words)
            }
            assert all(value == str(getattr(scene, name)) for name, value in said), caption
            assert {"setting", "action"} & {name for name, _ in said}, caption
            named.update(name for name, _ in said)
    assert named["subject"] > 0.9 * 5 * len(planned)
    assert 0.4 < named["colour"] / (5 * len(planned)) < 0.9
