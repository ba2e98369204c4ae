"""evaluate.py --models: one table of models, with the settings in which they differ."""

import pytest

import evaluate
from captioning.cli import UserError, run
from captioning.recipes import write_recipe
from captioning.scores.scoring import write_scores

TRAIN = {"units": 256, "word_dropout": 0.5, "learning_rate": 0.0012, "seed": 1}


def write_model(folder, bleu=20.0, cider=50.0, beams=(), split="test", photos=1000, **settings):
    """Writes scores and recipe; `beams` and `consensus` are (width, BLEU-4, CIDEr-D)."""
    folder.mkdir(parents=True)
    results = {"greedy": {"BLEU-4": bleu, "CIDEr-D": cider}}
    for width, beam_bleu, beam_cider in beams:
        results[f"beam {width}"] = {"BLEU-4": beam_bleu, "CIDEr-D": beam_cider}
    for width, beam_bleu, beam_cider in settings.pop("consensus", ()):
        results[f"consensus {width}"] = {"BLEU-4": beam_bleu, "CIDEr-D": beam_cider}
    scores = {"data": "data/tiny", "split": split, "photos": photos, "results": results}
    write_scores(folder, scores)
    encoder = settings.pop("encoder", "VGG16")
    recipe = {
        "prepare_photos": {"encoder": encoder},
        "prepare_text": {"min_word_count": 1},
        "train": {**TRAIN, **settings},
        "made_with": {"data": "data/tiny", "keras": "3.9"},
    }
    write_recipe(folder / "recipe.toml", recipe)
    return folder


def print_models(capsys, *folders):
    """Runs evaluate.py --models and returns status, output and errors."""
    status = run(evaluate.main, ["--models", *map(str, folders)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cells_of(out, folder):
    """Returns the cells of a model, in all parts of the table."""
    lines = [line for line in out.splitlines() if line.startswith(f"{folder} ")]
    return " ".join(line.removeprefix(str(folder)) for line in lines).split()


def test_scores_and_the_settings_that_differ(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    small = write_model(tmp_path / "models" / "small", beams=[(3, 22.0, 55.0), (5, 23.0, 54.0)])
    large = write_model(
        tmp_path / "models" / "large", 24.04, 61.96, units=512, encoder="MobileNetV2", extra=True
    )
    names = [folder.relative_to(tmp_path) for folder in (small, large)]
    before = files_of(tmp_path)
    status, out, err = print_models(capsys, *names)
    assert (status, err) == (0, "")
    assert files_of(tmp_path) == before
    assert "Models on the test split of data/tiny, 1,000 photos" in out
    # The best beam is that of the best CIDEr-D.
    scores = ["20.0", "50.0", "3", "22.0", "55.0"]
    assert cells_of(out, names[0]) == [*scores, "VGG16", "256", "-"]
    scores = ["24.0", "62.0", "-", "-", "-"]
    assert cells_of(out, names[1]) == [*scores, "MobileNetV2", "512", "True"]
    for setting in ("encoder", "units", "extra"):
        assert f" {setting}" in out
    for setting in ("word_dropout", "learning_rate", "seed", "min_word_count", "keras"):
        assert setting not in out
    assert max(map(len, out.splitlines())) <= 80
    assert "warning" not in out


def test_consensus_stands_beside_the_beam_as_far_as_it_was_scored(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "old", beams=[(3, 22.0, 55.0)], seed=2)
    write_model(tmp_path / "new", consensus=[(5, 22.5, 56.0), (20, 22.4, 57.0)])
    status, out, err = print_models(capsys, "old", "new")
    assert (status, err) == (0, "")
    assert cells_of(out, "old") == ["20.0", "50.0", "3", "22.0", "55.0", "-", "-", "-", "2"]
    assert cells_of(out, "new") == [*("20.0", "50.0", "-", "-", "-"), *("20", "22.4", "57.0"), "1"]
    assert "best consensus" in out


def test_an_average_has_no_settings(tmp_path, capsys):
    first, second = (write_model(tmp_path / name, units=len(name)) for name in ("one", "three"))
    average = write_model(tmp_path / "one+three", 24.0, 60.0)
    write_recipe(average / "recipe.toml", {"evaluate": {"model": [str(first), str(second)]}})
    _, out, _ = print_models(capsys, first, second, average)
    assert cells_of(out, second)[5:] == ["5"]
    assert cells_of(out, average) == ["24.0", "60.0", "-", "-", "-", "-"]
    (average / "scores.json").unlink()
    _, _, err = print_models(capsys, first, average)
    assert f"run python evaluate.py --model {first} {second}\n" in err


def test_many_settings_continue_below(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    changed = {"units": 64, "word_dropout": 0.25, "learning_rate": 0.01, "seed": 9, "epochs": 77}
    write_model(tmp_path / "models" / "first_of_all_models")
    write_model(tmp_path / "models" / "second_of_all_models", **changed)
    names = [f"models/{name}_of_all_models" for name in ("first", "second")]
    _, out, _ = print_models(capsys, *names)
    assert cells_of(out, names[1])[5:] == ["64", "0.25", "0.01", "9", "77"]
    assert max(map(len, out.splitlines())) <= 80


def test_one_model(tmp_path, capsys):
    model = write_model(tmp_path / "model")
    status, out, _ = print_models(capsys, model)
    assert status == 0
    assert cells_of(out, model) == ["20.0", "50.0", "-", "-", "-"]
    assert "Settings" not in out


@pytest.mark.parametrize("other", [{"split": "dev"}, {"photos": 999}])
def test_scores_on_different_photos_are_warned_about(tmp_path, capsys, other):
    model = write_model(tmp_path / "a")
    status, out, _ = print_models(capsys, model, write_model(tmp_path / "b", **other))
    assert status == 0
    assert cells_of(out, model)[5:] == ["data/tiny", "test", "1000"]
    assert "warning: scores on different photos" in out


def test_folders_without_scores_or_recipe_are_named_with_the_command(tmp_path, capsys):
    model = write_model(tmp_path / "model")
    unscored, bare = write_model(tmp_path / "unscored"), write_model(tmp_path / "bare")
    old, damaged = write_model(tmp_path / "old"), write_model(tmp_path / "damaged")
    (unscored / "scores.json").unlink()
    (bare / "recipe.toml").unlink()
    (old / "scores.json").write_text('{"split": "test", "rows": {}}')
    (damaged / "recipe.toml").write_text("units = 3")
    (tmp_path / "README.md").write_text("not a model")
    status, out, err = print_models(capsys, *sorted(tmp_path.iterdir()), tmp_path / "nowhere")
    assert status == 1
    assert str(model) in out
    for folder in (unscored, bare, old, damaged):
        assert f"{folder} " not in out
    evaluate_it = "run python evaluate.py --data data/tiny --model"
    train_it = "run python train.py --model"
    assert f"{unscored / 'scores.json'} is missing: {evaluate_it} {unscored}\n" in err
    assert f"{old / 'scores.json'} has format version None, not 1: {evaluate_it} {old}\n" in err
    assert f"{bare / 'recipe.toml'} is missing: {train_it} {bare}\n" in err
    assert f"{tmp_path / 'nowhere' / 'recipe.toml'} is missing: {train_it}" in err
    assert f"{damaged / 'recipe.toml'} is damaged" in err
    assert len(err.splitlines()) == 5


def test_no_model_at_all_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match=r"recipe\.toml is missing: run python train\.py"):
        evaluate.main(["--models", str(tmp_path)])
    (tmp_path / "README.md").write_text("not a model")
    with pytest.raises(UserError, match="--models names no folder"):
        evaluate.main(["--models", str(tmp_path / "README.md")])
    with pytest.raises(UserError, match="not allowed with"):
        evaluate.main(["--models", str(tmp_path), "--compare", str(tmp_path)])
