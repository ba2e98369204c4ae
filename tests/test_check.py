"""The check of the sample's captions against what was drawn."""

import shutil

import check
import draw
import numpy as np
import pandas as pd
import pytest
from support import contents, run_script

from captioning.cli import UserError, run

WORDS = {"dog": ["dog", "puppy"], "cat": ["cat"], "bird": ["bird"]}


def test_named_values():
    assert check.named_values("a puppy and a cat", WORDS) == {"dog", "cat"}
    assert check.named_values("a dogged walker", WORDS) == set()


def test_shares_are_those_counted_by_hand():
    captions = ["a dog", "a puppy runs", "a cat", "it runs", "a dog and a cat"]
    truths = np.array(["dog", "cat", "cat", "dog", "dog"])
    shares = check.check_property(captions, truths, "cat", WORDS, [np.arange(5)[::-1]])
    assert shares["named"] == pytest.approx(4 / 5)
    assert shares["right"] == pytest.approx(2 / 4)
    assert shares["blind"] == pytest.approx(2 / 5)
    assert shares["shuffled"] == pytest.approx(3 / 4)


def test_true_captions_are_right_and_fall_to_chance_when_shuffled():
    generator = np.random.default_rng(0)
    truths = generator.choice(["dog", "cat", "bird"], 300)
    captions = [f"a {truth}" for truth in truths]
    orders = [generator.permutation(300) for _ in range(100)]
    shares = check.check_property(captions, truths, "dog", WORDS, orders)
    assert shares["right"] == 1
    assert shares["shuffled"] == pytest.approx(1 / 3, abs=0.03)


def test_captions_that_name_nothing_give_zeros_in_silence(recwarn):
    shares = check.check_property(
        ["it runs"] * 3, np.array(["dog"] * 3), "dog", WORDS, [np.arange(3)]
    )
    assert (shares["named"], shares["right"], shares["shuffled"]) == (0, 0, 0)
    assert not recwarn.list


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Gives a data folder of 40 scenes and a model folder with captions that the drawer wrote."""
    place = tmp_path_factory.mktemp("check")
    data, model = place / "data", place / "model"
    assert draw.main(["--data", str(data), "--scenes", "40"]) == 0
    lines = (data / "Flickr8k.token.txt").read_text().splitlines()
    first = [line.split("\t") for line in lines if "#0\t" in line]
    model.mkdir()
    table = {"photo_id": [name.split(".")[0] for name, _ in first]}
    table["greedy"] = [caption.lower().rstrip(" .") for _, caption in first]
    pd.DataFrame(table).to_csv(model / "captions.csv", index=False)
    return place


@pytest.fixture
def folders(drawn, tmp_path):
    """Gives copies of both folders."""
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    return tmp_path / "data", tmp_path / "model"


def check_captions(folders, *flags):
    """Runs check.py in this process and returns its exit status."""
    data, model = folders
    flags = ["--decoding", "greedy", "--shuffles", "2", *flags]
    return run(check.main, ["--data", str(data), "--model", str(model), *flags])


def test_the_script_checks_people_s_own_captions(folders, capsys):
    """Gives it captions that the drawer wrote: all are true, and it must find so."""
    data, model = folders
    arguments = ["--data", str(data), "--model", str(model)]
    captions = (model / "captions.csv").read_text()
    (model / "captions.csv").unlink()
    with pytest.raises(UserError, match=r"captions\.csv is missing.*evaluate\.py"):
        check.main(arguments)
    (model / "captions.csv").write_text(captions)
    with pytest.raises(UserError, match=r"captions\.csv has no captions by beam 3.* greedy$"):
        check.main(arguments)
    capsys.readouterr()
    process = run_script("data/sample/check.py", *arguments, "--decoding", "greedy")
    assert process.returncode == 0, process.stderr
    truth = pd.read_json(model / "truth.json", typ="series")
    for name in ("setting", "subject", "colour", "action"):
        assert truth[name]["right"] == 1
        assert truth[name]["named"] > 0
        assert f"\n{name} " in process.stdout
    assert (model / "captions.png").read_bytes().startswith(b"\x89PNG")


GARBAGE = {
    "empty": b"",
    "blank": b"\n\n",
    "binary": bytes(range(256)) * 8,
    "a column": b"photo\nscene_0001.jpg\n",
    "open quote": b'photo,split\n"scene_0001.jpg,train\n',
    "more cells than columns": b"photo,greedy\na,b,c,d,e\n1,2\n",
    "fewer and more": b"photo,greedy\na\na,b,c,d\n",
    "huge": b"photo_id,greedy\n" + b"x" * 2_000_000 + b"," + b"y" * 2_000_000,
    "NUL": b"photo_id,greedy\n\0,\0\n",
}


@pytest.mark.parametrize("name", ["data/scenes.csv", "model/captions.csv"])
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_refused_in_a_sentence(folders, capsys, name, garbage):
    path = folders[0].parent / name
    path.write_bytes(GARBAGE[garbage])
    before = contents(path.parent.parent)
    assert check_captions(folders) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert str(path) in line
    assert "draw.py" in line or "evaluate.py" in line or "choose one of" in line
    assert len(line) < 1000
    assert printed.out == ""
    assert contents(path.parent.parent) == before


def test_scenes_without_a_column_or_a_training_scene_are_refused(folders, capsys):
    path = folders[0] / "scenes.csv"
    table = pd.read_csv(path)
    table.drop(columns="colour").to_csv(path, index=False)
    assert check_captions(folders) == 2
    assert f"{path} has no column colour: run python data/sample/draw.py" in capsys.readouterr().err
    table[table["split"] == "dev"].to_csv(path, index=False)
    assert check_captions(folders) == 2
    assert f"{path} has no training scene" in capsys.readouterr().err


def test_photos_that_are_gone_or_lie_elsewhere_are_refused(folders, capsys):
    data, model = folders
    table = pd.read_csv(data / "scenes.csv")
    shutil.move(data / "photos", data.parent / "elsewhere")
    table["photo"] = "../../elsewhere/" + table["photo"]
    table.to_csv(data / "scenes.csv", index=False)
    assert check_captions(folders) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        f"{data / 'photos' / 'scene_0001.jpg'} cannot be read (No such file or directory)" in line
    )
    assert {path.name for path in model.iterdir()} == {"captions.csv"}


def test_captions_are_shown_as_they_are(folders):
    """Gives it what matplotlib would take for a formula, and what would fill the picture."""
    path = folders[1] / "captions.csv"
    table = pd.read_csv(path)
    table["greedy"] = "a dog $x_{$ " + "very " * 20_000
    table.to_csv(path, index=False)
    assert check_captions(folders) == 0
