"""Training: the same seed gives the same losses, a resumed run those of one left alone."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

import train
from captioning.cli import UserError
from captioning.features import read_features, write_features
from captioning.model_folder import load_captioner

EPOCHS = 4
FIGURES = ["epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"]


def arguments_for(data, model, *more):
    return ["--data", data, "--model", model, "--epochs", EPOCHS, "--batch-size", 4, *more]


def run_training(data, model, *more):
    assert train.main([str(item) for item in arguments_for(data, model, *more)]) == 0
    return pd.read_csv(model / "history.csv")


def interrupt(monkeypatch, owner, name, on_call):
    """Makes the given call of a method stop the run, as Ctrl-C or a kill would."""
    calls = []
    original = getattr(owner, name)

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) == on_call:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, stop)


@pytest.fixture
def left_alone(prepared_data, tmp_path):
    return run_training(prepared_data, tmp_path / "left_alone")


def test_a_run_leaves_a_whole_model_folder(prepared_data, tmp_path, capsys):
    folder = tmp_path / "model"
    history = run_training(prepared_data, folder)
    assert list(history["epoch"]) == [1, 2, 3, 4]
    names = {path.name for path in folder.iterdir()}
    assert names == {
        ".lock",
        "captioner.keras",
        "vocabulary.json",
        "features.json",
        "history.csv",
        "curves.png",
    }
    captioner = load_captioner(folder)
    assert not captioner.model.compiled
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert said.count("says:") == 2 * EPOCHS
    assert "python evaluate.py" in said
    assert f"{captioner.model.count_params():,d} parameters" in said


def test_the_saved_model_is_that_of_the_best_epoch(prepared_data, tmp_path):
    history = run_training(prepared_data, tmp_path / "model")
    model = load_captioner(tmp_path / "model").model
    vocabulary = train.read_vocabulary(prepared_data, "")
    features, descriptions = read_features(prepared_data), train.read_descriptions(prepared_data)
    split = train.load_split(prepared_data, "dev", features, descriptions, vocabulary)
    training = train.define_training_model(model)
    train.compile_model(training, 1)
    figures = training.evaluate(train.TrainingBatches(split, 4, 1), verbose=0, return_dict=True)
    assert figures["loss"] == pytest.approx(history["val_loss"].min(), rel=1e-5)


def test_the_network_learns_to_tell_photos_apart(prepared_data, tmp_path, monkeypatch):
    for name, value in (("LEARNING_RATE", 0.01), ("PATIENCE", 60), ("PHOTO_DROPOUT", 0.0)):
        monkeypatch.setattr(train, name, value)
    arguments = arguments_for(prepared_data, tmp_path / "model")
    arguments[arguments.index("--epochs") + 1] = 60
    assert train.main([str(item) for item in arguments]) == 0
    captioner = load_captioner(tmp_path / "model")
    decoder = train.CaptionDecoder(captioner.model, captioner.vocabulary)
    features = read_features(prepared_data)
    for identifier in ("red_ball_snow", "red_box_grass", "green_ball_grass"):
        colour, shape, _ = identifier.split("_")
        words = captioner.vocabulary.detokenize(decoder.greedy(features[identifier][None])[0])
        assert colour in words
        assert shape in words


def test_the_same_seed_gives_the_same_losses(prepared_data, tmp_path, left_alone):
    again = run_training(prepared_data, tmp_path / "again")
    pd.testing.assert_frame_equal(again[FIGURES], left_alone[FIGURES], check_exact=True)
    other = run_training(prepared_data, tmp_path / "other", "--seed", 2)
    assert not np.allclose(other["loss"], left_alone["loss"])


@pytest.mark.parametrize(
    ("owner", "name", "call", "epochs_kept"),
    [
        (train.ShowCaptions, "on_epoch_end", 3, 2),
        (train, "draw_curves", 2, 1),
        (train, "write_checkpoint", 2, 1),
    ],
)
def test_a_resumed_run_equals_one_left_alone(
    prepared_data, tmp_path, left_alone, monkeypatch, capsys, owner, name, call, epochs_kept
):
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, call)
        with pytest.raises(KeyboardInterrupt):
            run_training(prepared_data, folder)
    resumed = run_training(prepared_data, folder, "--resume")
    assert f"resuming after epoch {epochs_kept}\n" in capsys.readouterr().out
    pd.testing.assert_frame_equal(resumed[FIGURES], left_alone[FIGURES], check_exact=True)
    weights = [
        load_captioner(place).model.get_weights() for place in (folder, tmp_path / "left_alone")
    ]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_resume_is_refused_where_it_would_go_wrong(prepared_data, tmp_path, monkeypatch):
    folder = tmp_path / "stopped"
    with pytest.raises(UserError, match="nothing to resume"):
        run_training(prepared_data, folder, "--resume")
    with monkeypatch.context() as patch:
        interrupt(patch, train.ShowCaptions, "on_epoch_end", 2)
        with pytest.raises(KeyboardInterrupt):
            run_training(prepared_data, folder)
    with pytest.raises(UserError, match="seed 1, not 2"):
        run_training(prepared_data, folder, "--resume", "--seed", 2)
    features = read_features(prepared_data)
    features["red_ball_snow"][0] += 1
    record = json.loads((prepared_data / "features.json").read_text())
    write_features(prepared_data, features, record, [])
    with pytest.raises(UserError, match="was started with data"):
        run_training(prepared_data, folder, "--resume")


def test_a_loss_that_is_no_number_is_said(prepared_data, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "LEARNING_RATE", 1e38)
    with pytest.raises(UserError, match="lower LEARNING_RATE"):
        run_training(prepared_data, tmp_path / "model")
    assert not (tmp_path / "model" / "captioner.keras").exists()


def test_a_run_that_has_stopped_is_finished():
    def finished(*losses):
        return train.is_finished([{"val_loss": loss} for loss in losses], epochs=6)

    assert not finished()
    assert not finished(3.0, 2.0, 2.1, 2.2)
    assert finished(3.0, 2.0, 2.1, 2.2, 2.3)
    assert finished(6.0, 5.0, 4.0, 3.0, 2.0, 1.0)


def test_scores_of_an_earlier_model_do_not_stay(prepared_data, tmp_path):
    folder = tmp_path / "model"
    run_training(prepared_data, folder)
    (folder / "scores.json").write_text("{}")
    run_training(prepared_data, folder, "--seed", 2)
    assert not (folder / "scores.json").exists()


def test_early_stopping_counts_the_epochs_before_a_resumption():
    def stops_after(history, losses):
        callback = train.ResumableEarlyStopping([{"val_loss": loss} for loss in history])
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        callback.set_model(model)
        model.stop_training = False
        callback.on_train_begin()
        for number, loss in enumerate(losses, start=1):
            callback.on_epoch_end(len(history) + number - 1, {"val_loss": loss})
            if model.stop_training:
                return number
        return None

    losses = [3.0, 2.0, 2.5, 2.6, 2.7, 2.8]
    alone = stops_after([], losses)
    assert alone == 2 + train.PATIENCE
    for done in range(1, alone):
        assert stops_after(losses[:done], losses[done:]) == alone - done


def test_dropout_differs_between_epochs_layers_and_seeds():
    def states(seed, epoch):
        model = train.define_model(10, 6)
        batches = SimpleNamespace(arrange=lambda epoch: None)
        callback = train.RepeatableEpochs(batches, seed)
        callback.set_model(model)
        callback.on_epoch_begin(epoch)
        dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
        return [tuple(np.asarray(layer.seed_generator.state)) for layer in dropouts]

    assert states(1, 0) == states(1, 0)
    assert len({*states(1, 0), *states(1, 1), *states(2, 0)}) == 9
