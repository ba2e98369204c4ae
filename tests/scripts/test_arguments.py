"""Bad arguments of every script: one sentence, exit status 2, and nothing written."""

import importlib

import pytest

from captioning.cli import one_line, run

# The flags of each script that take a whole number, with the least one allowed; the flags that take
# a folder; and others, each with what is wrong and words of the sentence.
NUMBERS = {
    "prepare_photos": {"--batch-size": 1},
    "prepare_text": {
        "--min-word-length": 1,
        "--min-word-count": 1,
        "--split-seed": 0,
    },
    "train": {"--epochs": 1, "--batch-size": 1, "--seed": 0, "--shown-photos": 0},
    "evaluate": {
        "--beam": 1,
        "--consensus": 1,
        "--no-repeat-ngram-size": 0,
        "--shown-photos": 0,
    },
    "generate": {"--beam": 1, "--no-repeat-ngram-size": 0, "--batch-size": 1},
}
FOLDERS = {
    "prepare_photos": ["--data"],
    "prepare_text": ["--data"],
    "train": ["--data", "--model"],
    "evaluate": ["--data", "--model"],
    "generate": ["--model"],
    "download": ["--data", "--archives"],
}
OTHERS = [
    # Not more photos than may be lost at once.
    ("prepare_photos", ["--batch-size", "257"], ["--batch-size", "256"]),
    ("prepare_photos", ["--encoder", "VGG99", "--weights", "none"], ["VGG99", "MobileNetV2"]),
    ("prepare_text", ["--split-seed", str(2**31)], ["--split-seed", 2**31]),
    ("train", ["--epochs", "2", "--data"], ["--data", "--help"]),
    ("train", ["--epochs", "2", "--model"], ["--model", "--help"]),
    ("evaluate", ["--beam", "3", "-5"], ["--beam"]),
    ("generate", ["/no/such/photo.jpg"], ["/no/such/photo.jpg does not exist"]),
    # The flag takes the only photo for its value.
    ("generate", ["--weights"], ["PHOTO_OR_FOLDER", "--help"]),
    ("download", ["--base-url"], ["--base-url", "--help"]),
]
BAD_NUMBERS = ["1.5", "one"]

# The scripts whose flags come from `SettingsParser`.
WITH_RECIPE = ["prepare_photos", "prepare_text", "train", "evaluate", "generate", "download"]


@pytest.fixture
def refuse(prepared_data, capsys):
    """Gives a function that runs a script and checks that it refuses, and leaves all as it was."""

    def files():
        # A lock that stays is no result.
        found = [path for path in prepared_data.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in found if path.name != ".lock"}

    def check(script, arguments, *words):
        before = files()
        places = {"--data": prepared_data, "--model": prepared_data / "model"}
        given = [str(part) for part in arguments]
        for flag in {"--data", "--model"}.intersection(FOLDERS[script]).difference(given):
            given = [flag, str(places[flag]), *given]
        if script == "generate":
            given.append(str(prepared_data / "photos" / "red_ball_snow.png"))
        assert run(importlib.import_module(script).main, given) == 2
        captured = capsys.readouterr()
        # train.py has said by then what it has read.
        assert captured.out == "" or script == "train"
        assert len(captured.err.splitlines()) == 1
        for word in words:
            assert str(word) in captured.err
        assert files() == before

    return check


@pytest.mark.parametrize(
    ("script", "flag", "value"),
    [
        (script, flag, value)
        for script, flags in NUMBERS.items()
        for flag, least in flags.items()
        for value in (*BAD_NUMBERS, str(least - 1))
    ],
)
def test_what_is_no_number_of_the_wanted_kind_is_refused(refuse, script, flag, value):
    refuse(script, [f"{flag}={value}"], flag, "expected a whole number")


@pytest.mark.parametrize(
    ("script", "flag", "kind"),
    [
        (script, flag, kind)
        for script, flags in FOLDERS.items()
        for flag in flags
        for kind in ("file", "missing", "below a file")
        # These folders are made.
        if (script, flag, kind)
        not in (("train", "--model", "missing"), ("download", "--data", "missing"))
    ],
)
def test_what_is_no_folder_is_refused(refuse, tmp_path, script, flag, kind):
    place = tmp_path / "elsewhere"
    if kind != "missing":
        place.write_text("no folder")
    refuse(script, [flag, place / "below" if kind == "below a file" else place], place)


@pytest.mark.parametrize("script", FOLDERS)
@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["--da", "x"], ["--split", "dog"]])
def test_flags_that_there_are_not_are_refused(refuse, script, arguments):
    refuse(script, arguments, "--help")


@pytest.mark.parametrize("script", WITH_RECIPE)
@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        (None, "cannot be read"),
        ("[train", "not a TOML file"),
        ("[nothing]\nseed = 1\n", "nothing"),
        ("[{script}]\nno_such_setting = 1\n", "no_such_setting"),
        ("[{script}]\n{folder} = 1\n", "expected a "),
    ],
    ids=["missing", "no TOML", "unknown table", "unknown setting", "wrong type"],
)
def test_a_wrong_recipe_is_refused(refuse, tmp_path, script, recipe, word):
    path = tmp_path / "wrong.toml"
    if recipe is not None:
        folder = FOLDERS[script][0].removeprefix("--")
        path.write_text(recipe.replace("{script}", script).replace("{folder}", folder))
    refuse(script, ["--recipe", path], path, word)


@pytest.mark.parametrize(("script", "arguments", "words"), OTHERS)
def test_other_wrong_values_are_refused(refuse, script, arguments, words):
    refuse(script, arguments, *words)


def test_line_breaks_of_a_name_do_not_make_two_sentences(refuse, tmp_path):
    refuse("prepare_text", ["--data", tmp_path / "a\nb"], r"a\nb")


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "a\u2066b", "a\x9bb"]
)
def test_what_would_not_print_in_one_line_is_escaped(text):
    assert one_line(text) == text.encode("unicode_escape").decode("ascii")


@pytest.mark.parametrize(
    "text", ["می\u200cخواهم", "क्\u200dष", "un chien\u00a0!", "犬\u3000猫", "é"]
)
def test_the_spelling_of_languages_is_not_escaped(text):
    assert one_line(text) == text


def test_paths_with_blanks_are_quoted_in_commands(refuse, tmp_path):
    place = tmp_path / "my folder"
    refuse("train", ["--data", place], f"prepare_photos.py --data '{place}'")
