"""Files are written whole or not at all, and carry nothing that runs."""

import numpy as np
import pandas as pd
import pytest

from captioning.old import atomic_path, write_table, write_text


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


def test_a_link_of_a_strangers_is_replaced_and_not_followed(tmp_path):
    target, link = tmp_path / "mine.txt", tmp_path / "data" / "file.txt"
    target.write_text("mine")
    link.parent.mkdir()
    link.symlink_to(target)
    write_text(link, "new")
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "new", "mine")
