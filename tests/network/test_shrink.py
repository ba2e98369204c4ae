"""Making a model smaller, and counting which of its words people confirm."""

import numpy as np
import pandas as pd
import pytest
import shrink
from support import ENCODER_RECORD
from test_decoding import VOCABULARY, random_captioner

from benchmarks import words
from captioning.cli import UserError
from captioning.network.model_folder import SavedModel, load_model, save_model


@pytest.fixture
def model(tmp_path):
    captioner = random_captioner(1, length=ENCODER_RECORD.length)
    folder = tmp_path / "model"
    save_model(folder, SavedModel(captioner, VOCABULARY, ENCODER_RECORD), {"train": {"units": 32}})
    (folder / "history.csv").write_text("epoch\n1\n")
    (folder / "scores.json").write_text("{}")
    return folder


def test_weights_are_rounded_to_16_bits_and_all_else_stays(model, tmp_path, capsys):
    smaller = tmp_path / "smaller"
    assert shrink.main([str(model), str(smaller)]) == 0
    assert f"wrote {smaller}" in capsys.readouterr().out
    for before, after in zip(
        load_model(model).captioner.trainable_variables,
        load_model(smaller).captioner.trainable_variables,
        strict=True,
    ):
        before, after = np.asarray(before), np.asarray(after)
        assert not (after.view(np.uint32) & 0xFFFF).any()
        assert (after != before).any() or before.ndim == 1
        np.testing.assert_allclose(after, before, rtol=2**-8)
    for name in ("vocabulary.json", "features.json", "recipe.toml", "history.csv"):
        assert (smaller / name).read_bytes() == (model / name).read_bytes()
    assert not (smaller / "scores.json").exists()
    sizes = [(folder / "captioner.keras").stat().st_size for folder in (smaller, model)]
    assert sizes[0] < 0.7 * sizes[1]


def test_a_model_is_not_made_smaller_in_its_place(model, tmp_path):
    before = (model / "captioner.keras").read_bytes()
    with pytest.raises(UserError, match="is the model itself"):
        shrink.main([str(model), str(model)])
    assert (model / "captioner.keras").read_bytes() == before
    with pytest.raises(UserError, match=r"captioner\.keras is missing"):
        shrink.main([str(tmp_path / "nowhere"), str(tmp_path / "smaller")])


def test_words_are_confirmed_by_one_reference_and_missed_after_two():
    captions = [{"a", "man"}, {"a", "dog"}, {"a", "dog"}, {"snow"}]
    references = [
        [{"a", "guy"}, {"nobody"}],
        [{"a", "man"}, {"men"}],
        [{"a", "man"}, {"cat"}],
        [{"snow"}, {"dog"}],
    ]
    assert words.count({"man", "men", "guy"}, captions, references) == (1, 1, 1)
    assert words.count({"dog"}, captions, references) == (2, 0, 0)


def test_words_are_counted_in_what_evaluate_writes(tmp_path, capsys):
    table = pd.DataFrame(
        {"beam 3": ["a red dog", "a man"], "references": ["A dog . | Red dog .", "A dog . | Dog ."]}
    )
    table.to_csv(tmp_path / "captions.csv", index=False)
    assert words.main(["--model", str(tmp_path)]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["dog"] == ["1", "1", "100%", "1"]
    assert lines["man"] == ["1", "0", "0%", "0"]
    with pytest.raises(UserError, match="has no column 'beam 5'"):
        words.main(["--model", str(tmp_path), "--decoding", "beam 5"])
