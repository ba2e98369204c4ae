"""Tables and notes as they are printed, and the table of several models."""

import re

import pytest
from support import assert_refused, run_here

from captioning.network.model_folder import write_recipe
from captioning.scores import report, scoring
from captioning.scores.scoring import Scores
from captioning.storage import write_json
from captioning.text.vocabulary import PreparedText, Vocabulary

WORDS = ("startseq", "endseq", "dog", "cat", "runs", "sits", "red", "blue")
VOCABULARY = Vocabulary(WORDS, 6, {})


def summarize(captions, titles=("greedy",)):
    """Scores captions of photos that are each described in their own words, twice."""
    words = [["dog", "runs"], ["cat", "sits"], ["red", "dog"], ["blue", "cat"]]
    references = [[text, [*text, "here"]] for text in words]
    texts = [[*map(" ".join, of_photo)] for of_photo in references]
    ids = [VOCABULARY.tokenize(caption)[1:] for caption in captions(words)]
    cleaned, given = (dict(zip("abcd", each, strict=True)) for each in (references, texts))
    splits = {"train": ["e"], "test": [*"abcd"]}
    text = PreparedText(VOCABULARY, cleaned | {"e": [["dog", "runs"]]}, given, splits)
    split = scoring.SplitReferences(text, "test", "abcd")
    rows = scoring.score_rows(dict.fromkeys(titles, ids), VOCABULARY, split)
    return rows, scoring.summarize(rows, VOCABULARY, split)


def cells_of(out, title):
    """Returns the cells of a row, in all parts of a table."""
    begin = re.compile(re.escape(str(title)) + r" +(?!\()")
    lines = [line for line in out.splitlines() if begin.match(line)]
    return " ".join(begin.sub("", line) for line in lines).split()


def test_the_table_continues_below_where_a_line_has_no_room(capsys):
    titles = ("greedy", "beam 3", "consensus 5")
    _, results = summarize(lambda words: [*words[:3], ["dog"]], titles)
    report.print_table(report.results_table(results))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "\\" not in out
    for title, row in results.items():
        expected = []
        for name, (low, high) in row["intervals"].items():
            expected += [f"{row[name]:.1f}", f"±{(high - low) / 2:.1f}"]
            assert low - 1e-9 <= row[name] <= high + 1e-9
        expected += [f"{row['mean_length']:.1f}", f"{row['distinct_captions']}"]
        expected += [f"{row[key]:.1f}%" for key in ("vocabulary_coverage", "copied_from_training")]
        assert cells_of(out, title) == expected


def test_a_captioner_that_repeats_a_reference_has_full_marks_and_no_warning():
    rows, results = summarize(lambda words: words)
    greedy = results["greedy"]
    for name in ("BLEU-1", "BLEU-2", "ROUGE-L"):
        assert greedy[name] == pytest.approx(100)
        assert greedy["intervals"][name] == pytest.approx([100, 100])
    assert greedy["copied_from_training"] == 25
    notes = report.notes_on(rows)
    assert not any(note.startswith("warning: greedy") for note in notes)
    for title in ("human", "shuffled photos", "classic (flattering)"):
        assert any(note.startswith(f"{title}: ") for note in notes)
    assert not any(note.startswith("consensus: ") for note in notes)


def test_captions_that_show_a_fault_are_warned_about():
    for captions in ([[]] * 4, [["dog"]] * 4, [["cat", "sits"], ["dog", "runs"]] * 2):
        rows, _ = summarize(lambda words, captions=captions: captions)
        assert "the model seems to ignore the photo" in report.notes_on(rows)[0]


# ---- evaluate.py --models ----


def write_model(folder, scored=None, split="test", photos=1000, **settings):
    """Writes scores and recipe; `scored` is title -> (BLEU-4, CIDEr-D)."""
    results = {
        title: dict(zip(("BLEU-4", "CIDEr-D"), scores, strict=True))
        for title, scores in ({"greedy": (20.0, 50.0)} | (scored or {})).items()
    }
    scores = {"data": "data/tiny", "split": split, "photos": photos, "results": results}
    write_json(folder / "scores.json", Scores(**scores, notes=[], photo_ids=(), captions={}))
    encoder = settings.pop("encoder", "VGG16")
    tables = {
        "prepare_photos": {"encoder": encoder},
        "train": {"units": 256, "seed": 1, **settings},
    }
    write_recipe(folder / "recipe.toml", {**tables, "made_with": {"data": "data/tiny"}})
    return folder


def print_models(*folders):
    return run_here("evaluate", "--models", *folders)


def test_scores_and_the_settings_that_differ(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    beams = {"beam 3": (22.0, 55.0), "beam 5": (23.0, 54.0), "consensus 20": (22.4, 57.0)}
    write_model(tmp_path / "models" / "small", beams)
    other = {"greedy": (24.04, 61.96)}
    write_model(tmp_path / "models" / "large", other, units=512, encoder="Mobile", extra=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    status, out, err = print_models("models/small", "models/large")
    assert (status, err) == (0, "")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    scores = ["20.0", "50.0", "22.0", "55.0", "23.0", "54.0", "22.4", "57.0"]
    scored_on = ["data/tiny", "test", "1000"]
    assert cells_of(out, "models/small") == [*scored_on, *scores, "VGG16", "256", "-"]
    scores = ["24.0", "62.0", *["-"] * 6]
    assert cells_of(out, "models/large") == [*scored_on, *scores, "Mobile", "512", "True"]
    assert "seed" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_an_average_has_no_settings(tmp_path):
    first, second = (write_model(tmp_path / name, units=len(name)) for name in ("one", "three"))
    average = write_model(tmp_path / "one+three")
    write_recipe(average / "recipe.toml", {"evaluate": {"model": [str(first), str(second)]}})
    _, out, _ = print_models(first, second, average)
    assert [cells_of(out, folder)[-1] for folder in (first, second, average)] == ["3", "5", "-"]
    (average / "scores.json").unlink()
    _, _, err = print_models(first, average)
    assert f"run python evaluate.py --model {first} {second} first\n" in err


def test_folders_without_scores_or_recipe_are_named_with_the_command(tmp_path):
    folders = [write_model(tmp_path / name) for name in ("model", "unscored", "bare", "old")]
    model, unscored, bare, old = folders
    (unscored / "scores.json").unlink()
    (bare / "recipe.toml").unlink()
    (old / "scores.json").write_text('{"split": "test", "rows": {}}')
    (tmp_path / "README.md").write_text("not a model")
    status, out, err = print_models(*sorted(tmp_path.iterdir()), tmp_path / "nowhere")
    assert status == 1
    assert cells_of(out, model)
    for folder in (unscored, bare, old):
        assert not cells_of(out, folder)
    evaluate_it = "run python evaluate.py --data data/tiny --model"
    assert f"{unscored / 'scores.json'} is missing: {evaluate_it} {unscored} first\n" in err
    assert f"it was edited, or is old): {evaluate_it} {old} again" in err
    assert f"{bare / 'recipe.toml'} is missing: run python train.py" in err
    assert f"{tmp_path / 'nowhere' / 'recipe.toml'} is missing: run python train.py" in err
    assert len(err.splitlines()) == 4


def test_no_model_at_all_is_a_mistake(tmp_path):
    (tmp_path / "README.md").write_text("not a model")
    for arguments, words in (
        ([tmp_path], "recipe.toml is missing: run python train.py"),
        ([tmp_path / "README.md"], "--models names no folder"),
        ([tmp_path, "--compare", tmp_path], "not allowed with"),
    ):
        assert_refused(print_models(*arguments), words)
