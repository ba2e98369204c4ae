"""Files are written whole and over what others left, and carry nothing that runs."""

import pandas as pd

from captioning.files import command_for, photo_id
from captioning.storage import atomic_path, write_table, write_text


def test_a_table_carries_no_formula_and_leaves_the_rest_alone(tmp_path):
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("x","y")', "\n+1"]
    texts = ["a dog", 'a "big" dog, here', "1 = 1", "", "café", "two\nlines", "a\udcffb"]
    numbers = [-1.5, 0, 2, -3, 1e-7, 5, 1]
    table = pd.DataFrame({"formula": formulas, "text": texts, "number": numbers})
    write_table(tmp_path / "out.csv", table)
    written = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(written["formula"]) == [f"'{text}" for text in formulas]
    assert list(written["text"]) == [*texts[:-1], r"a\udcffb"]
    assert list(written["number"]) == numbers


def test_a_model_names_the_data_that_it_was_trained_on(tmp_path):
    (tmp_path / "recipe.toml").write_text('[made_with]\ndata = "data/mine"\n')
    command = f"run python train.py --data data/mine --model {tmp_path}"
    # Of the files that data and model folders share, it has the model's.
    assert {command_for(tmp_path / x) for x in ("captioner.keras", "vocabulary.json")} == {command}
    given = tmp_path / "given"
    assert f"--data {given} --model" in command_for(tmp_path / "captioner.keras", given)
    (tmp_path / "recipe.toml").write_text('[made_with]\ndata = "d"\n[evaluate]\nmodel = ["a", "b"]')
    assert command_for(tmp_path / "captions.csv") == "run python evaluate.py --data d --model a b"


def test_photo_ids():
    photos = {"dog.jpg": "dog", "train/x/a.b.jpeg": "a.b", "C:\\photos\\dog.JPG": "dog", ".jpg": ""}
    photos |= {"258_586949ec62.jpg.1": "258_586949ec62", "img.001": "img.001"}
    photos["cafe\u0301.jpg"] = "caf\u00e9"
    assert {name: photo_id(name) for name in photos} == photos


def test_half_files_and_links_of_strangers_are_replaced_and_not_followed(tmp_path):
    target, path = tmp_path / "mine.txt", tmp_path / "data" / "file.txt"
    target.write_text("mine")
    with atomic_path(path) as partial:
        partial.write_text("old")
    # What a killed run left, and links where the file is written and where it goes.
    for leave in (
        lambda: partial.write_text("half"),
        lambda: partial.symlink_to(target),
        lambda: path.unlink() or path.symlink_to(target),
    ):
        leave()
        write_text(path, "new")
        assert (path.is_symlink(), path.read_text(), target.read_text()) == (False, "new", "mine")
        assert list(path.parent.iterdir()) == [path]
