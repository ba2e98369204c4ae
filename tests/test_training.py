"""Training: the same seed gives the same losses, a resumed run those of an undisturbed one."""

import json
import shutil
import time
import tomllib

import numpy as np
import pandas as pd
import pytest
from support import ENCODER_RECORD, make_prepared_data

import train
from captioning.cli import UserError
from captioning.keras_setup import keras
from captioning.network import model as model_module
from captioning.network import progress, training
from captioning.network.batches import CaptionBatches, load_split
from captioning.network.checkpoint import read_checkpoint
from captioning.network.decoding import generate_desc
from captioning.network.model import build_captioner
from captioning.network.saved_model import load_model
from captioning.network.training import (
    CaptionTrainer,
    compile_trainer,
    is_best,
    is_finished,
    plan_steps,
)
from captioning.photos.features import read_features, write_features
from captioning.scores import report
from captioning.text.captions import read_descriptions
from captioning.text.vocabulary import read_vocabulary

EPOCHS = 4
REPRODUCIBLE = ["epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"]


def run_training(data, model, *more):
    arguments = ["--data", data, "--model", model, "--epochs", EPOCHS, "--batch-size", 4, *more]
    assert train.main([str(item) for item in arguments]) == 0
    return pd.read_csv(model / "history.csv")


def interrupt(monkeypatch, owner, name, on_call):
    """Makes the given call of a function stop the run, as Ctrl-C or a kill would."""
    calls = []
    original = getattr(owner, name)

    def stop(*arguments, **options):
        calls.append(1)
        if len(calls) == on_call:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, stop)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "tiny"
    make_prepared_data(folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def plain_curves():
    """Spares most runs the drawing, which takes most of the time of so small an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "draw_curves", lambda history, path: path.write_bytes(b"curves"))
        yield


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """Returns the history and the model folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("undisturbed") / "model"
    return run_training(data, folder), folder


@pytest.fixture
def interrupted(data, tmp_path, monkeypatch):
    """Returns the model folder of a run that was stopped in its second epoch."""
    folder = tmp_path / "interrupted"
    with monkeypatch.context() as patch:
        interrupt(patch, progress.ShowCaptions, "on_epoch_end", 2)
        with pytest.raises(KeyboardInterrupt):
            run_training(data, folder)
    return folder


def test_a_run_leaves_a_complete_model_folder(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training, "draw_curves", report.draw_curves)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "scores.json").write_text("of an earlier model")
    history = run_training(data, folder, "--units", 8, "--word-dropout", 0.25)
    assert list(history["epoch"]) == [1, 2, 3, 4]
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "captioner.keras",
        "training-photos.json",
        "vocabulary.json",
        "features.json",
        "recipe.toml",
        "history.csv",
        "curves.png",
    }
    model = load_model(folder)
    assert not model.captioner.compiled
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    # As people wrote it, not cleaned.
    for shown in ("A blue ball lies in the snow .", "A blue ball lies in the grass ."):
        assert printed.count(f"  reference: {shown}\n") == EPOCHS
    assert "best so far\n" in printed
    assert "Epoch 4/4 in " in printed
    assert "settings changed by recipe or flag: units 8, word_dropout 0.25" in printed
    assert "python evaluate.py" in printed
    assert "kept epoch 4:" in printed
    assert "the last epoch was the best: try --batch-size 4 --epochs 8, or a higher" in printed
    # Typed flags are not changed, and so the recipe must not ask for more steps either.
    assert "few captions" not in printed
    assert f"{model.captioner.count_params():,d} parameters" in printed

    recipe = tomllib.loads((folder / "recipe.toml").read_text())
    assert recipe["train"]["units"] == 8
    assert (recipe["train"]["epochs"], recipe["train"]["min_steps"]) == (EPOCHS, 1)
    assert recipe["prepare_text"]["min_word_count"] == 1
    assert recipe["prepare_photos"]["encoder"] == "VGG16"
    assert recipe["made_with"]["data"] == str(data)
    assert recipe["made_with"]["backend"]


def test_a_run_by_the_recipe_of_a_model_repeats_it(data, undisturbed, tmp_path):
    history, folder = undisturbed
    arguments = ["--data", data, "--model", tmp_path, "--recipe", folder / "recipe.toml"]
    assert train.main([str(item) for item in arguments]) == 0
    again = pd.read_csv(tmp_path / "history.csv")
    pd.testing.assert_frame_equal(again[REPRODUCIBLE], history[REPRODUCIBLE], check_exact=True)


def test_another_seed_gives_other_losses(data, undisturbed, tmp_path):
    history, _ = undisturbed
    other = run_training(data, tmp_path / "other", "--seed", 2)
    assert not np.allclose(other["loss"], history["loss"])


def test_the_saved_model_is_that_of_the_best_epoch(data, undisturbed):
    history, folder = undisturbed
    model = load_model(folder)
    features, descriptions = read_features(data), read_descriptions(data)
    split = load_split(data, "dev", features, descriptions, model.vocabulary)
    trainer = CaptionTrainer(model.captioner)
    compile_trainer(trainer, 1e-3, 0.0, 1)
    scores = trainer.evaluate(CaptionBatches(split, 4, 1), verbose=0, return_dict=True)
    assert scores["loss"] == pytest.approx(history["val_loss"].min(), rel=1e-5)


def test_the_network_learns_to_tell_photos_apart(data):
    features, descriptions = read_features(data), read_descriptions(data)
    vocabulary = read_vocabulary(data, "")
    split = load_split(data, "train", features, descriptions, vocabulary)
    keras.utils.set_random_seed(1)
    captioner = build_captioner(vocabulary.size, split.features.shape[1], photo_dropout=0.0)
    trainer = CaptionTrainer(captioner)
    compile_trainer(trainer, 0.01, 0.01, steps=120)
    inputs, targets, sample_weight = CaptionBatches(split, len(split.captions), seed=1)[0]
    for _ in range(120):
        trainer.train_on_batch(inputs, targets, sample_weight=sample_weight)
    photo_ids = ("red_ball_snow", "red_box_grass", "green_ball_grass")
    photos = features.select(photo_ids)[:]
    captions = generate_desc(captioner, vocabulary, photos)
    for photo_id, caption in zip(photo_ids, captions, strict=True):
        colour, shape, _ = photo_id.split("_")
        assert {colour, shape} <= set(caption.split())


@pytest.mark.parametrize(
    ("owner", "name", "call", "epochs_kept"),
    [
        (progress.ShowCaptions, "on_epoch_end", 3, 2),
        (training, "draw_curves", 2, 1),
        (training, "write_checkpoint", 2, 1),
    ],
)
def test_a_resumed_run_equals_an_undisturbed_one(
    data, tmp_path, undisturbed, monkeypatch, capsys, owner, name, call, epochs_kept
):
    history, complete = undisturbed
    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, call)
        with pytest.raises(KeyboardInterrupt):
            run_training(data, folder)
    assert f"--data {data} --model {folder} --epochs 4 --batch-size 4 --resume" in (
        capsys.readouterr().err
    )
    resumed = run_training(data, folder, "--resume")
    assert f"resuming after epoch {epochs_kept}\n" in capsys.readouterr().out
    pd.testing.assert_frame_equal(resumed[REPRODUCIBLE], history[REPRODUCIBLE], check_exact=True)
    weights = [load_model(place).captioner.get_weights() for place in (folder, complete)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_resume_needs_a_checkpoint(data, tmp_path):
    with pytest.raises(UserError, match=r"nothing to resume.*without --resume"):
        run_training(data, tmp_path / "model", "--resume")
    assert not (tmp_path / "model").exists()


def test_resume_is_refused_under_any_changed_setting(data, interrupted, monkeypatch):
    changed = {
        "units": 128,
        "photo_dropout": 0.4,
        "word_dropout": 0.3,
        "output_dropout": 0.2,
        "learning_rate": 0.001,
        "weight_decay": 0.1,
        "patience": 4,
        "seed": 2,
    }
    flags = [item for name, value in changed.items() for item in (f"--{name}", value)]
    flags = [str(flag).replace("_", "-") for flag in flags]
    with pytest.raises(UserError, match="resume it with the same settings, or run") as refusal:
        run_training(data, interrupted, "--resume", *flags)
    for name, value in changed.items():
        earlier = getattr(train, name.upper())
        assert f"{name} {earlier}, not {value}" in str(refusal.value)
    # A constant that was edited is a changed setting too.
    monkeypatch.setattr(train, "WORD_DROPOUT", 0.3)
    with pytest.raises(UserError, match=r"a run with word_dropout 0\.5, not 0\.3; network"):
        run_training(data, interrupted, "--resume")


def test_resume_is_refused_on_other_inputs_or_damage(data, interrupted, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(data, other)
    features = read_features(data)
    changed = features[:] + (np.array(features.ids) == "red_ball_snow")[:, None]
    write_features(other, features.ids, changed, ENCODER_RECORD)
    with pytest.raises(UserError, match="a run with inputs"):
        run_training(other, interrupted, "--resume")

    checkpoint = interrupted / "checkpoint.npz"
    content = bytearray(checkpoint.read_bytes())
    for place in (len(content) // 4, len(content) // 2, len(content) - 30):
        damaged = bytearray(content)
        damaged[place] ^= 1
        checkpoint.write_bytes(damaged)
        with pytest.raises(UserError, match="without --resume"):
            run_training(data, interrupted, "--resume")
    checkpoint.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="is damaged"):
        run_training(data, interrupted, "--resume")


@pytest.mark.parametrize("content", [None, "", "epoch\n", "epoch,loss\n7,x\n"])
def test_resume_needs_no_history_file(data, tmp_path, interrupted, undisturbed, content):
    """The checkpoint has the figures, and the file is written anew."""
    history, _ = undisturbed
    (interrupted / "history.csv").unlink()
    if content is not None:
        (interrupted / "history.csv").write_text(content)
    resumed = run_training(data, interrupted, "--resume")
    pd.testing.assert_frame_equal(resumed[REPRODUCIBLE], history[REPRODUCIBLE], check_exact=True)


def test_a_checkpoint_of_compressed_zeros_is_not_unpacked(tmp_path, monkeypatch):
    run = np.array(json.dumps({"settings": {}, "history": []}))
    np.savez_compressed(tmp_path / "checkpoint.npz", np.zeros(10**6), run=run)
    monkeypatch.setattr(np, "load", lambda *arguments, **options: 1 / 0)
    with pytest.raises(UserError, match=r"checkpoint\.npz is damaged: start anew") as refusal:
        read_checkpoint(tmp_path, {}, "start anew")
    assert isinstance(refusal.value.__cause__, ValueError)


def test_a_clock_that_no_archive_can_be_dated_by_is_reported_before_training(
    data, tmp_path, monkeypatch
):
    """As computers without a battery have it before they reach a time server."""
    monkeypatch.setattr(
        time, "localtime", lambda *_: time.struct_time((1970, 1, 1, 0, 0, 0, 3, 1, 0))
    )
    with pytest.raises(ValueError, match="ZIP does not support timestamps before 1980"):
        build_captioner(5, 3, units=2).save(tmp_path / "any.keras")
    with pytest.raises(UserError, match=r"clock of this computer says 1970.*: set the clock"):
        run_training(data, tmp_path / "model")


def test_resume_is_refused_after_a_change_of_the_network(data, interrupted, monkeypatch):
    original = model_module.build_photo_half

    def changed(feature_length, units, dropout):
        """Has the same weights, but another activation."""
        half = original(feature_length, units, dropout)
        half.get_layer("photo_dense").activation = keras.activations.tanh
        return half

    monkeypatch.setattr(model_module, "build_photo_half", changed)
    with pytest.raises(UserError, match=r"a run with network .*, not .*: resume it with the same"):
        run_training(data, interrupted, "--resume")


def test_a_loss_that_is_not_finite_is_reported(data, tmp_path):
    with pytest.raises(UserError, match="--learning-rate below"):
        run_training(data, tmp_path / "model", "--learning-rate", 1e38)
    assert not (tmp_path / "model" / "captioner.keras").exists()


@pytest.mark.parametrize(
    ("losses", "finished"),
    [
        ([], False),
        ([3.0, 2.0, 2.1, 2.2], False),
        ([3.0, 2.0, 2.1, 2.2, 2.3], True),
        ([3.0, 2.0, 2.1, 2.2, 1.9], False),
        ([2.0, 2.0, 2.0], False),
        ([2.0, 2.0, 2.0, 2.0], True),
        ([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], True),
    ],
)
def test_training_stops_after_patience_or_the_last_epoch(losses, finished):
    history = [{"val_loss": loss} for loss in losses]
    assert is_finished(history, epochs=6, patience=3) is finished


@pytest.mark.parametrize(("warmup_steps", "steps"), [(0, 10), (4, 14)])
def test_the_learning_rate_rises_and_then_follows_half_a_cosine(warmup_steps, steps):
    trainer = CaptionTrainer(build_captioner(5, 3, units=2))
    compile_trainer(trainer, 0.8, 0.0, steps, warmup_steps)
    rate = trainer.optimizer._learning_rate
    for step in range(warmup_steps):
        assert float(rate(step)) == pytest.approx(0.8 * step / warmup_steps)
    for step in range(11):
        expected = 0.4 * (1 + np.cos(np.pi * step / 10))
        assert float(rate(warmup_steps + step)) == pytest.approx(expected, abs=1e-6)


def test_a_warm_up_that_leaves_no_step_is_refused(data, tmp_path):
    with pytest.raises(UserError, match="--warmup-steps 999 leaves none of"):
        run_training(data, tmp_path, "--warmup-steps", 999)


def test_a_checkpoint_of_other_shapes_is_refused(data, interrupted, monkeypatch):
    def larger(*sizes, **options):
        return build_captioner(*sizes, **options | {"units": 300})

    monkeypatch.setattr(model_module, "build_captioner", larger)
    monkeypatch.setattr(model_module, "network_digest", lambda captioner: digest)
    run = json.loads(str(np.load(interrupted / "checkpoint.npz")["run"]))
    digest = run["settings"]["network"]
    with pytest.raises(UserError, match=r"written by another network: run .* without --resume"):
        run_training(data, interrupted, "--resume")


def test_the_best_epoch_has_the_lowest_loss_or_in_fine_tuning_the_highest_cider_d():
    taught = [{"val_loss": 3.0}, {"val_loss": 2.0}, {"val_loss": 2.5}]
    assert [is_best(taught[: count + 1]) for count in range(3)] == [True, True, False]
    taught[1]["val_cider_d"] = 40.0
    rewarded = [{"val_cider_d": score} for score in (39.0, 41.0, 41.0, 45.0)]
    found = [is_best(taught + rewarded[: count + 1]) for count in range(4)]
    assert found == [False, True, False, True]


def test_weights_scale_the_loss_of_each_word_and_not_the_metrics():
    keras.utils.set_random_seed(1)
    captioner = build_captioner(6, 3, units=4, photo_dropout=0, word_dropout=0, output_dropout=0)
    trainer = CaptionTrainer(captioner)
    compile_trainer(trainer, 0.0, 0.0, 1)
    features = np.random.default_rng(1).random((2, 3), dtype=np.float32)
    prefixes, targets = np.array([[1, 3, 4], [1, 5, 0]]), np.array([[3, 4, 2], [5, 2, 0]])
    weights = np.array([[2.0, 2, 2], [-1, -1, 0]], dtype=np.float32)
    probabilities = captioner.predict_on_batch([features, prefixes])
    losses = -np.log(np.take_along_axis(probabilities, targets[:, :, None], axis=2)[:, :, 0])
    logits = trainer([features, prefixes], training=False)
    loss = trainer.compute_loss(None, targets, logits, weights)
    assert float(loss) == pytest.approx((losses * weights).sum() / 5, rel=1e-5)
    assert float(trainer.mean_loss.result()) == pytest.approx(losses[targets > 0].mean(), rel=1e-5)


# ---- The least number of steps ----


@pytest.mark.parametrize(
    ("captions", "fixed", "expected"),
    [
        # All of Flickr8k, and as few as keep the batch size.
        (30_000, (), (128, 15)),
        (14_849, (), (128, 15)),
        (14_848, (), (64, 15)),
        (7_425, (), (64, 15)),
        (7_424, (), (32, 15)),
        (3_713, (), (32, 15)),
        (3_712, (), (32, 16)),
        (1_000, (), (32, 55)),
        (1, (), (32, 1755)),
        (1_000, ("epochs", "units"), (32, 15)),
        (1_000, ("batch_size",), (128, 220)),
        (1_000, ("batch_size", "epochs"), (128, 15)),
    ],
)
def test_few_captions_are_trained_in_smaller_batches_for_more_epochs(captions, fixed, expected):
    batch_size, epochs, min_steps = plan_steps(captions, 128, 15, 1755, fixed)
    assert (batch_size, epochs) == expected
    steps = -(-captions // batch_size) * epochs
    assert min_steps == (1755 if steps >= 1755 else 1)
    # The recipe of the run repeats it.
    assert plan_steps(captions, batch_size, epochs, min_steps) == (batch_size, epochs, min_steps)


def test_all_of_flickr8k_is_trained_as_the_constants_say():
    constants = train.BATCH_SIZE, train.EPOCHS, train.MIN_STEPS
    assert plan_steps(30_000, *constants) == constants == (128, 15, 2000)


def test_a_batch_size_is_not_halved_to_less_than_the_least_nor_raised_to_it():
    assert plan_steps(100, 63, 15, 1000) == (63, 500, 1000)
    assert plan_steps(100, 4, 15, 1000) == (4, 40, 1000)


def test_training_takes_the_least_number_of_steps(data, tmp_path, capsys, monkeypatch):
    short, folder = tmp_path / "short.toml", tmp_path / "model"
    short.write_text("[train]\nepochs = 2\nunits = 8\nmin_steps = 5\n")
    flags = ["--data", str(data), "--model", str(folder), "--recipe", str(short)]
    with monkeypatch.context() as patch:
        interrupt(patch, progress.ShowCaptions, "on_epoch_end", 4)
        with pytest.raises(KeyboardInterrupt):
            train.main(flags)
    assert "few captions: batches of 32 and 5 epochs; --min-steps 1" in capsys.readouterr().out
    assert train.main([*flags, "--resume"]) == 0
    history = pd.read_csv(folder / "history.csv")
    assert len(history) == 5
    assert history["learning_rate"].iloc[-1] == pytest.approx(0, abs=1e-9)
    recipe = tomllib.loads((folder / "recipe.toml").read_text())["train"]
    assert (recipe["batch_size"], recipe["epochs"], recipe["min_steps"]) == (32, 5, 5)


def test_longer_training_is_advised_only_where_the_last_epoch_was_the_best(data, tmp_path, capsys):
    flags = ["--units", 8, "--learning-rate", 0, "--patience", 1, "--shown-photos", 0]
    run_training(data, tmp_path, *flags)
    printed = capsys.readouterr().out
    assert "the last epoch" not in printed
    assert "reference" not in printed
