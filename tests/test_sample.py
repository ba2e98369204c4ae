"""The sample data set: the same on every run, laid out as Flickr8k is, its captions true."""

import csv
import itertools
import os
import re
import shutil
from collections import Counter

import draw
import figures
import painting
import pytest
import scenes
import wording
from PIL import Image
from support import assert_refused, contents, run_script

from captioning.cli import UserError, run
from captioning.old import PHOTO_SCRIPTS, SPLITS, locked, photo_id
from captioning.text.captions import read_captions
from captioning.text.splits import read_split
from captioning.text.words import split_into_words

SCRIPT = "data/sample/draw.py"
SEEDS = (0, 1, 2)
KNOWN_VALUES = {
    "split": tuple(SPLITS),
    "setting": scenes.SETTINGS,
    "subject": tuple(scenes.SUBJECT_COLOURS),
    "count": ("1", "2"),
    "colour": {colour for colours in scenes.SUBJECT_COLOURS.values() for colour in colours},
    "action": tuple(scenes.ACTION_SUBJECTS),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Gives a folder of 60 scenes, and what the script printed."""
    data = tmp_path_factory.mktemp("sample")
    process = run_script(SCRIPT, "--data", data, "--scenes", 60)
    assert process.returncode == 0, process.stderr
    return data, process.stdout


def read_truth(data):
    """Reads the rows of scenes.csv."""
    with open(data / scenes.SCENE_TABLE, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def combinations_by_split(planned):
    """Collects each split's combinations of setting, subject and action."""
    found = {split: set() for split in SPLITS}
    for scene in planned:
        found[scene.split].add((scene.setting, scene.subject, scene.action))
    return found


def test_the_layout_is_that_of_flickr8k(drawn):
    data, _ = drawn
    captions = read_captions(data)
    splits = {split: read_split(data, split) for split in SPLITS}
    assert all(splits.values())
    everything = list(itertools.chain(*splits.values()))
    assert len(everything) == len(set(everything)) == 60
    assert set(everything) == set(captions)
    assert all(len(texts) == 5 for texts in captions.values())
    photos = sorted((data / "photos").iterdir())
    assert {photo_id(photo.name) for photo in photos} == set(captions)
    for photo in photos:
        with Image.open(photo) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (224, 224), "RGB")
    numbers = [
        line.split("\t")[0].rpartition("#")[2]
        for line in (data / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    ]
    assert numbers == [str(number) for number in range(5)] * 60


def test_the_truth_names_known_values(drawn):
    data, _ = drawn
    rows = read_truth(data)
    assert list(rows[0]) == ["photo", *KNOWN_VALUES]
    for row in rows:
        assert (data / "photos" / row["photo"]).is_file()
        for column, values in KNOWN_VALUES.items():
            assert row[column] in values
        assert photo_id(row["photo"]) in read_split(data, row["split"])


def test_the_summary_names_what_is_held_out_and_what_comes_next(drawn):
    data, printed = drawn
    lines = printed.splitlines()
    assert lines[-1] == f"next: python prepare_photos.py --data {data} --encoder EfficientNetLite0"
    assert any("60 photos with 300 captions" in line for line in lines)
    for row in read_truth(data):
        combination = f"  {row['setting']} {row['subject']} {row['action']}"
        assert (combination in lines) == (row["split"] == "test")


def test_the_same_seed_draws_the_same_and_another_seed_does_not(tmp_path, capsys):
    folders = {}
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        folder = tmp_path / name
        assert draw.main(["--data", str(folder), "--scenes", "20", "--seed", str(seed)]) == 0
        folders[name] = contents(folder)
    capsys.readouterr()
    assert folders["one"] == folders["again"]
    assert set(folders["one"]) == set(folders["other"])
    assert all(folders["one"][name] != folders["other"][name] for name in folders["one"])


def test_fewer_scenes_leave_no_old_photo_behind(tmp_path, capsys):
    for count in (30, 20):
        assert draw.main(["--data", str(tmp_path), "--scenes", str(count)]) == 0
    capsys.readouterr()
    assert len(list((tmp_path / "photos").iterdir())) == len(read_captions(tmp_path)) == 20


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "photos/scene_0001.jpg", "scenes.csv"])
def test_what_it_did_not_draw_is_kept(tmp_path, name):
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine.jpg#0\tMy own photo .\n")
    assert_refused(run_script(SCRIPT, "--data", tmp_path, "--scenes", 20), own, "--data")
    assert own.read_text() == "mine.jpg#0\tMy own photo .\n"
    assert [path.name for path in tmp_path.iterdir()] == [name.split("/")[0]]


@pytest.mark.parametrize(
    "content",
    [b"", b"photo\n../keep.jpg\n", b"\xff\x00\n", b"photo," + b"x" * 200_000, b'"open\n'],
    ids=["empty", "one column", "binary", "huge", "open quote"],
)
def test_a_table_of_scenes_that_it_did_not_write_is_refused(tmp_path, capsys, content):
    (tmp_path / "scenes.csv").write_bytes(content)
    (tmp_path / "keep.jpg").write_text("mine")
    before = contents(tmp_path)
    assert run(draw.main, ["--data", str(tmp_path), "--scenes", "20"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'scenes.csv'} was not drawn by this script" in line
    assert contents(tmp_path) == before


def test_only_photos_that_it_drew_are_removed(tmp_path, capsys):
    """Gives it a table of its own form that names other photos: those stay."""
    data = tmp_path / "data"
    assert draw.main(["--data", str(data), "--scenes", "21"]) == 0
    kept = [data / "photos" / "dog.jpg", data / "photos" / "scene_beach.jpg"]
    kept += [tmp_path / "scene_9999.jpg", data / "scene_9999.jpg"]
    rows = ["../../scene_9999.jpg", "../scene_9999.jpg", str(tmp_path / "scene_9999.jpg")]
    with open(data / "scenes.csv", "a") as table:
        for name in [*rows, "dog.jpg", "scene_beach.jpg"]:
            table.write(f"{name},train,beach,dog,1,brown,running\n")
    for path in kept:
        path.write_text("mine")
    half = data / "photos" / ".partial-of-a-killed-run.jpg"
    half.write_text("half")
    os.utime(half, (0, 0))
    assert draw.main(["--data", str(data), "--scenes", "20"]) == 0
    assert all(path.read_text() == "mine" for path in kept)
    assert not (data / "photos" / "scene_0021.jpg").exists()
    assert not half.exists()


def test_a_second_drawing_is_refused(tmp_path, capsys):
    assert draw.main(["--data", str(tmp_path), "--scenes", "20"]) == 0
    before = contents(tmp_path)
    capsys.readouterr()
    with locked(tmp_path, "a test"):
        assert run(draw.main, ["--data", str(tmp_path), "--scenes", "20", "--seed", "2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"another run of {PHOTO_SCRIPTS} is at work in {tmp_path}" in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("is_first_run", [True, False])
def test_a_drawing_that_was_stopped_is_not_gone_on_with(
    tmp_path, capsys, monkeypatch, is_first_run
):
    assert draw.main(["--data", str(tmp_path / "whole"), "--scenes", "20"]) == 0
    data, arguments = tmp_path / "data", ["--scenes", "20"]
    for name in ("paint_scene", "write_text", "write_captions", "remove_old_scenes"):
        if not is_first_run:
            assert draw.main(["--data", str(data), "--scenes", "22", "--seed", "2"]) == 0
        with monkeypatch.context() as patch:
            patch.setattr(draw, name, stop)
            assert run(draw.main, ["--data", str(data), *arguments]) == 130
        if name != "remove_old_scenes":
            with pytest.raises(UserError, match=r"Flickr8k\.token\.txt is missing"):
                read_captions(data)
        assert draw.main(["--data", str(data), *arguments]) == 0
        assert contents(data) == contents(tmp_path / "whole")
        shutil.rmtree(data)


def stop(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("seed", SEEDS)
def test_the_test_split_shows_only_combinations_that_training_never_does(seed):
    planned = scenes.plan_scenes(700, seed)
    found = combinations_by_split(planned)
    assert not found["test"] & found["train"]
    assert not found["test"] & found["dev"]
    assert found["test"] == set(scenes.hold_out(scenes.all_combinations(), seed))
    sizes = Counter(scene.split for scene in planned)
    assert sizes == {"train": 500, "dev": 90, "test": 110}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_value_occurs_plenty_in_training(seed):
    training = [scene for scene in scenes.plan_scenes(700, seed) if scene.split == "train"]
    for name, values in KNOWN_VALUES.items():
        if name != "split":
            counts = Counter(str(getattr(scene, name)) for scene in training)
            assert set(counts) == set(values)
            assert min(counts.values()) >= 10


@pytest.mark.parametrize("seed", range(20))
def test_held_out_combinations_have_every_value_and_share_no_two(seed):
    held_out = scenes.hold_out(scenes.all_combinations(), seed)
    settings, subjects, actions = (set(values) for values in zip(*held_out, strict=True))
    assert settings == set(scenes.SETTINGS)
    assert subjects == set(scenes.SUBJECT_COLOURS)
    assert actions == set(scenes.ACTION_SUBJECTS)
    pairs = [pair for combination in held_out for pair in itertools.combinations(combination, 2)]
    assert len(pairs) == len(set(pairs))
    assert 1 / 15 < len(held_out) / len(scenes.all_combinations()) < 1 / 6


def test_no_word_names_two_values_of_a_property():
    for name, values in wording.WORDS.items():
        assert set(values) == set(KNOWN_VALUES[name])
        words = [word for words in values.values() for word in words]
        assert len(words) == len(set(words))
        assert all(word.islower() and word.isalpha() for word in words)


@pytest.mark.parametrize("seed", SEEDS)
def test_captions_are_true(seed):
    for scene in scenes.plan_scenes(300, seed):
        for caption in wording.write_captions(scene):
            words = set(split_into_words(caption))
            for name, values in wording.WORDS.items():
                for value, names in values.items():
                    if words.intersection(names):
                        assert value == str(getattr(scene, name)), caption


def test_captions_are_written_as_flickr8k_has_them():
    allowed = re.compile(r"[A-Z][a-z]*( [a-z]+| ,)+ \.")
    for scene in scenes.plan_scenes(300, 3):
        captions = wording.write_captions(scene)
        assert len(captions) == 5
        for caption in captions:
            assert allowed.fullmatch(caption), caption
            assert not re.search(r"\ba [aeio]", caption.lower()), caption
            assert not re.search(r"\ban [^aeiou]", caption.lower()), caption
            if scene.count == 1:
                assert " are " not in caption
            else:
                assert " is " not in caption


def test_captions_name_the_setting_or_the_action_and_mostly_the_subject():
    named = Counter()
    total = 0
    for scene in scenes.plan_scenes(300, 4):
        for caption in wording.write_captions(scene):
            words = set(split_into_words(caption))
            total += 1
            hits = {
                name
                for name in wording.WORDS
                if words.intersection(wording.WORDS[name][getattr(scene, name)])
            }
            assert hits & {"setting", "action"}, caption
            named.update(hits)
    assert named["subject"] > 0.9 * total
    assert named["setting"] > 0.8 * total
    assert 0.4 * total < named["colour"] < 0.9 * total


@pytest.mark.parametrize("combination", scenes.all_combinations()[::7], ids=" ".join)
def test_a_figure_stands_out_from_its_scenery(combination):
    setting, subject, action = combination
    colour = scenes.SUBJECT_COLOURS[subject][0]
    scene = scenes.Scene("a.jpg", "train", setting, subject, 1, colour, action, 1)
    picture = painting.paint_scene(scene)
    assert picture.size == (painting.SIZE, painting.SIZE)
    colour = figures.COLOURS[scene.colour]
    near = sum(
        count
        for count, pixel in picture.getcolors(painting.SIZE**2)
        if max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 48
    )
    assert near > 0.01 * painting.SIZE**2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scenes", "many"),
        ("--scenes", "0"),
        ("--scenes", "19"),
        ("--seed", "-1"),
        ("--colour", "red"),
    ],
    ids=" ".join,
)
def test_bad_flags_are_refused_in_one_sentence(tmp_path, arguments):
    with pytest.raises(UserError, match=arguments[0]):
        draw.main(["--data", str(tmp_path / "new"), *arguments])
    assert not (tmp_path / "new").exists()
