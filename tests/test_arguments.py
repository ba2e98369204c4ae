"""Bad arguments of every script: one sentence, exit status 2, and nothing written."""

import importlib

import pytest

from captioning.cli import run

# The flags that take numbers, and what to give besides so that only the number is wrong.
NUMBERS = {
    "prepare_photos": ["--batch-size"],
    "prepare_text": ["--min-word-length", "--min-word-count", "--seed"],
    "train": ["--epochs", "--batch-size", "--seed"],
    "evaluate": ["--beam"],
    "generate": ["--beam"],
}
BAD_NUMBERS = ["-3", "0", "1.5", "one", "", "1e3", "٣x", "9" * 5000]
FOLDERS = {
    "prepare_photos": ["--data"],
    "prepare_text": ["--data"],
    "train": ["--data", "--model"],
    "evaluate": ["--data", "--model"],
    "generate": ["--model"],
}


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
            given += [flag, str(places[flag])]
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
        for flag in flags
        for value in BAD_NUMBERS
        if (flag, value) != ("--seed", "0")
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
        # That folder train.py makes.
        if (script, flag, kind) != ("train", "--model", "missing")
    ],
)
def test_what_is_no_folder_is_refused(refuse, tmp_path, script, flag, kind):
    place = tmp_path / "elsewhere"
    if kind != "missing":
        place.write_text("no folder")
    refuse(script, [flag, place / "below" if kind == "below a file" else place], place)


@pytest.mark.parametrize("script", NUMBERS)
@pytest.mark.parametrize("arguments", [["--no-such-flag"], ["--da", "x"], ["--split", "dog"]])
def test_flags_that_there_are_not_are_refused(refuse, script, arguments):
    refuse(script, arguments, "--help")


@pytest.mark.parametrize("flag", ["--data", "--model"])
def test_a_flag_without_its_value_is_refused(refuse, flag):
    refuse("train", ["--epochs", "2", flag], flag, "--help")


@pytest.mark.parametrize("flag", ["--csv", "--html"])
def test_a_folder_is_no_file_to_write_to(refuse, tmp_path, flag):
    refuse("generate", [flag, tmp_path], flag, tmp_path)


def test_more_photos_than_may_be_lost_are_no_batch(refuse):
    refuse("prepare_photos", ["--batch-size", "257"], "--batch-size", "256")


def test_an_encoder_that_there_is_not_is_refused(refuse):
    refuse("prepare_photos", ["--encoder", "VGG99", "--weights", "none"], "VGG99", "MobileNetV2")


def test_line_breaks_of_a_name_do_not_make_two_sentences(refuse, tmp_path):
    refuse("prepare_text", ["--data", tmp_path / "a\nb"], r"a\nb")
