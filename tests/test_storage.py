"""Files are written whole or not at all, carry nothing that runs, and are held by one run."""

import subprocess
import sys

import pandas as pd
import pytest
from support import ROOT

from captioning.cli import UserError
from captioning.files import command_for, photo_id
from captioning.storage import (
    LOCK,
    Record,
    atomic_path,
    locked,
    read_json,
    write_json,
    write_table,
    write_text,
)


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


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(path) as partial:
        partial.with_name("no such file").replace(partial)
    assert path.read_text() == "old"
    with atomic_path(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_of_a_strangers_is_replaced_and_not_followed(tmp_path):
    target, link = tmp_path / "mine.txt", tmp_path / "data" / "file.txt"
    target.write_text("mine")
    link.parent.mkdir()
    link.symlink_to(target)
    write_text(link, "new")
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "new", "mine")


class Word(Record, tag=3):
    """A record to write and read."""

    text: str


class EarlierWord(Record, tag=2):
    """The same in an earlier form."""

    text: str


def test_a_record_of_another_version_is_damaged(tmp_path):
    path = tmp_path / "word.json"
    write_json(path, Word(text="dog"))
    assert read_json(path, Word) == Word(text="dog")
    write_json(path, EarlierWord(text="dog"))
    with pytest.raises(UserError, match=r"word.json is damaged \(Invalid value 2 - at `\$.format`"):
        read_json(path, Word)


def test_a_model_names_the_data_that_it_was_trained_on(tmp_path):
    (tmp_path / "recipe.toml").write_text('[made_with]\ndata = "data/mine"\n')
    command = f"run python train.py --data data/mine --model {tmp_path}"
    # Of the files that data and model folders share, it has the model's.
    assert {command_for(tmp_path / x) for x in ("captioner.keras", "vocabulary.json")} == {command}
    given = tmp_path / "given"
    assert f"--data {given} --model" in command_for(tmp_path / "captioner.keras", given)
    (tmp_path / "recipe.toml").write_text('[made_with]\ndata = "d"\n[evaluate]\nmodel = ["a", "b"]')
    # Evaluating the test split would leave the latter as it is.
    for name, more in {"captions.csv": "", "confidence.json": " --split dev"}.items():
        assert command_for(tmp_path / name) == f"run python evaluate.py --data d --model a b{more}"


def test_photo_ids():
    photos = {"dog.jpg": "dog", "train/x/a.b.jpeg": "a.b", "C:\\photos\\dog.JPG": "dog", ".jpg": ""}
    photos |= {"258_586949ec62.jpg.1": "258_586949ec62", "img.001": "img.001"}
    photos["cafe\u0301.jpg"] = "caf\u00e9"
    assert {name: photo_id(name) for name in photos} == photos


def test_a_killed_process_holds_no_lock(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from captioning.storage import locked\n"
        "with locked(Path(sys.argv[1]), 'a test'): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        with pytest.raises(UserError, match="another run of a test"), locked(tmp_path, "a test"):
            pass
        process.kill()
    with locked(tmp_path, "a test"):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_what_a_killed_run_left_half_written_goes_and_is_not_followed(tmp_path):
    target, path = tmp_path / "mine.txt", tmp_path / "data" / "file.txt"
    target.write_text("mine")
    with atomic_path(path) as partial:
        partial.write_text("old")
    for leave in (lambda: partial.write_text("half"), lambda: partial.symlink_to(target)):
        leave()
        write_text(path, "new")
        assert (path.read_text(), target.read_text()) == ("new", "mine")
        assert list(path.parent.iterdir()) == [path]
