"""The check of captions against what was painted."""

import json
import shutil
from pathlib import Path

import check
import draw
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support import assert_refused, contents, run_here

from captioning.files import CAPTIONS, GENERATED_CAPTIONS, PAINTED_SCENES

WORDS = {"dog": ["dog", "puppy"], "cat": ["cat"], "bird": ["bird"]}


def test_shares_are_those_counted_by_hand():
    assert check.named_values("a dogged walker", WORDS) == set()
    captions = ["a dog", "a puppy runs", "a cat", "it runs", "a dog and a cat"]
    truths = np.array(["dog", "cat", "cat", "dog", "dog"])
    shares = check.check_property(captions, truths, "cat", WORDS, [np.arange(5)[::-1]])
    assert shares == pytest.approx(
        {"named": 4 / 5, "right": 2 / 4, "blind": 2 / 5, "shuffled": 0.75}
    )


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Gives a data folder of 40 scenes and a model folder with captions that the painter wrote."""
    place = tmp_path_factory.mktemp("check")
    data, model = place / "data", place / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "paint_scene", lambda scene: Image.new("RGB", (8, 8)))
        assert draw.main(["--data", str(data), "--scenes", "40"]) == 0
    lines = (data / CAPTIONS).read_text().splitlines()
    first = [line.split("\t") for line in lines if "#0\t" in line]
    model.mkdir()
    table = {"photo_id": [name.split(".")[0] for name, _ in first]}
    table["greedy"] = [caption.lower().rstrip(" .") for _, caption in first]
    pd.DataFrame(table).to_csv(model / GENERATED_CAPTIONS, index=False)
    return place


@pytest.fixture
def folder(painted, tmp_path):
    """Gives a copy of the folder of both."""
    return shutil.copytree(painted, tmp_path / "copy")


def check_captions(folder):
    """Runs check.py."""
    flags = ["--decoding", "greedy", "--shuffles", "20"]
    return run_here("check", "--data", folder / "data", "--model", folder / "model", *flags)


def test_true_captions_are_right_and_fall_to_chance_when_shuffled(folder):
    status, printed, _ = check_captions(folder)
    assert status == 0
    truth = json.loads((folder / "model" / "truth.json").read_text())
    assert truth["captions"] == 40
    for name, shares in truth["properties"].items():
        assert shares["right"] == 1
        assert shares["named"] > 0
        assert shares["shuffled"] == pytest.approx(shares["blind"], abs=0.35)
        assert f"\n{name} " in printed
    assert (folder / "model" / "captions.png").read_bytes().startswith(b"\x89PNG")


def rewrite(change):
    return lambda path: change(pd.read_csv(path)).to_csv(path, index=False)


GARBAGE = bytes(range(256)) * 8
TABLE, CAPTIONED = f"data/{PAINTED_SCENES}", f"model/{GENERATED_CAPTIONS}"
PAINT, EVALUATE = "run python data/sample/draw.py", "run python evaluate.py"
DAMAGES = [
    (TABLE, Path.unlink, PAINT),
    (TABLE, lambda path: path.write_bytes(GARBAGE), PAINT),
    (TABLE, lambda path: path.write_text('photo,split\n"scene_0001.jpg,train\n'), PAINT),
    (TABLE, rewrite(lambda table: table.drop(columns="colour")), f"has no column colour: {PAINT}"),
    (TABLE, rewrite(lambda table: table[table["split"] == "dev"]), f"no training scene: {PAINT}"),
    (CAPTIONED, Path.unlink, EVALUATE),
    (CAPTIONED, lambda path: path.write_bytes(GARBAGE), EVALUATE),
    (CAPTIONED, rewrite(lambda table: table.drop(columns="greedy")), "has no captions by greedy"),
]


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGES)
def test_a_damaged_table_is_refused_in_a_sentence(folder, name, damage, words):
    damage(folder / name)
    before = contents(folder)
    assert_refused(check_captions(folder), folder / name, words)
    assert contents(folder) == before
