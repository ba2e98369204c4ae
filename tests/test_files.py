"""Files are written whole or not at all, follow links, and carry nothing that runs."""

import os

import numpy as np
import pandas as pd
import pytest

from captioning.cli import UserError
from captioning.storage import atomic_path, write_table, write_text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", '=HYPERLINK("x","y")', "\n+1"]
)
def test_a_table_carries_no_formula(tmp_path, text):
    write_table(tmp_path / "out.csv", pd.DataFrame({"photo": [text], "caption": ["a dog"]}))
    row = pd.read_csv(tmp_path / "out.csv", dtype=str).iloc[0]
    assert row["photo"] == f"'{text}"
    assert row["caption"] == "a dog"


def test_numbers_and_ordinary_texts_are_left_alone(tmp_path):
    texts = ["a dog", 'a "big" dog, here', "1 = 1", "", "café", "two\nlines"]
    numbers = np.array([-1.5, 0, 2, -3, 1e-7, 5])
    write_table(tmp_path / "out.csv", pd.DataFrame({"text": texts, "number": numbers}))
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert list(table["text"]) == texts
    assert list(table["number"]) == list(numbers)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(path) as partial:
        partial.with_name("no such file").replace(partial)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_path(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("is_relative", [True, False])
def test_a_link_stays_one_and_its_file_is_replaced(tmp_path, is_there, is_relative):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "big", tmp_path / "data" / "file.txt"
    link.parent.mkdir()
    (tmp_path / "between").symlink_to("disk/big" if is_relative else target)
    link.symlink_to("../between" if is_relative else tmp_path / "between")
    if is_there:
        target.write_text("old")
    with atomic_path(link) as partial:
        # Beside the file, on whose disk there is room, with the extension that was asked for.
        assert (partial.parent, partial.suffix) == (target.parent, ".txt")
        partial.write_text("new")
        assert target.exists() == is_there
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert [*target.parent.iterdir()] == [target]


def test_a_link_to_a_folder_that_is_gone_is_an_ordinary_error(tmp_path):
    link = tmp_path / "file.txt"
    link.symlink_to(tmp_path / "unmounted" / "file.txt")
    with pytest.raises(FileNotFoundError):
        write_text(link, "new")
    assert [*tmp_path.iterdir()] == [link]


def test_devices_and_pipes_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for target in (pipe, os.devnull):
        link = tmp_path / "link"
        link.symlink_to(target)
        for path in (pipe, link):
            with pytest.raises(UserError, match=f"{path} is a device or a pipe"):
                write_text(path, "new")
        assert link.is_symlink()
        link.unlink()
    assert pipe.is_fifo()
    assert [*tmp_path.iterdir()] == [pipe]
