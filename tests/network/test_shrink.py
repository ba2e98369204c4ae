"""models/shrink.py: weights of 16 bits, all else as it was."""

import numpy as np
import pytest
import shrink
from support import ENCODER_RECORD, VOCABULARY, random_captioner

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
