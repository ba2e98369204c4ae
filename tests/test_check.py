"""The check of the sample's captions against what was drawn."""

import check
import draw
import numpy as np
import pandas as pd
import pytest
from support import run_script

from captioning.cli import UserError

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


def test_the_script_checks_people_s_own_captions(tmp_path, capsys):
    """Gives it captions that the drawer wrote: all are true, and it must find so."""
    data, model = tmp_path / "data", tmp_path / "model"
    assert draw.main(["--data", str(data), "--scenes", "40"]) == 0
    arguments = ["--data", str(data), "--model", str(model)]
    with pytest.raises(UserError, match=r"captions\.csv is missing.*evaluate\.py"):
        check.main(arguments)
    lines = (data / "Flickr8k.token.txt").read_text().splitlines()
    first = [line.split("\t") for line in lines if "#0\t" in line]
    model.mkdir()
    table = {"photo_id": [name.split(".")[0] for name, _ in first]}
    table["greedy"] = [caption.lower().rstrip(" .") for _, caption in first]
    pd.DataFrame(table).to_csv(model / "captions.csv", index=False)
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
