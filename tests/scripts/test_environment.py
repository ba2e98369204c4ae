"""Strange surroundings: closed or full output, signals, no packages, too little memory."""

import json
import os
import signal
import subprocess
import sys

import pytest
from support import ROOT

from captioning.cli import run

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="the system has no /dev/full")
SAY_SETTINGS = """
import sys
from captioning.cli import run
def main(arguments):
    from captioning.keras_setup import keras
    config = keras.config
    print(config.floatx(), config.dtype_policy().name, config.image_data_format(), config.epsilon())
    return 0
sys.exit(run(main))
"""


def in_shell(redirection, *command, folder=ROOT, **variables):
    """Runs Python with its streams redirected by the shell, and returns the process."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def _signals():
    """Puts back what handles the signals."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Shells have those that they start in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_change_nothing(tiny_data, redirection):
    process = in_shell(redirection, ROOT / "prepare_text.py", "--data", tiny_data)
    assert process.returncode == 0
    assert process.stderr == ""
    assert ("next:" in process.stdout) == (redirection == "2>&-")
    assert json.loads((tiny_data / "vocabulary.json").read_text())["words"]


@needs_full
def test_a_full_output_is_one_sentence(tiny_data):
    command = ROOT / "prepare_text.py", "--data", tiny_data
    process = in_shell(f"> {FULL}", *command)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line == "prepare_text.py: what it prints cannot be written: No space left on device"
    assert (tiny_data / "vocabulary.json").exists()
    # No one is left to tell; and a mistake stays what it is.
    assert in_shell(f"> {FULL} 2> {FULL}", *command).returncode == 2
    process = in_shell(f"> {FULL}", *command, "--no-such-flag")
    (line,) = process.stderr.splitlines()
    assert "--no-such-flag" in line


def test_a_reader_that_goes_away_ends_a_script_without_a_word(tiny_data):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.run(
        [sys.executable, ROOT / "prepare_text.py", "--data", tiny_data],
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write_end)
    assert (process.returncode, process.stderr) == (130, b"")


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("error", [None, ValueError("the file is damaged"), MemoryError()])
def test_a_signal_is_a_stop_even_where_a_library_turns_it_into_an_error(
    capsys, number, status, error
):
    def main(arguments):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise error or KeyboardInterrupt from None

    assert run(main) == status
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.endswith(": stopped")


class ResourceExhaustedError(Exception):
    """Stands in for TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MemoryError(), 2, "too little memory"),
        (ResourceExhaustedError(), 2, "too little memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: 8 GB"), 2, "too little memory"),
        (ModuleNotFoundError(name="no_such"), 2, "the package no_such is missing: run python -m"),
        (PermissionError(13, "Permission denied", "a.txt"), 2, "a.txt: Permission denied"),
        (ZeroDivisionError("a fault"), 70, "ZeroDivisionError: a fault"),
    ],
)
def test_an_error_is_one_sentence_but_for_a_fault_of_the_program(capsys, error, status, words):
    def main(arguments):
        raise error

    assert run(main) == status
    *others, line = capsys.readouterr().err.strip().splitlines()
    assert words in line
    assert ("Traceback (most recent call last):" in others) == (status == 70)
    assert bool(others) == (status == 70)


def test_settings_of_keras_are_those_of_the_project(tmp_path):
    settings = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    process = in_shell("", "-c", SAY_SETTINGS, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["float32", "float32", "channels_last", "1e-07"]


@pytest.mark.parametrize(
    ("settings", "engine", "word"),
    [({}, "no_such_engine", "no_such_engine"), ({"floatx": "int8"}, "", "floatx")],
)
def test_settings_that_keras_cannot_start_with_are_one_sentence(tmp_path, settings, engine, word):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    process = in_shell("", "-c", SAY_SETTINGS, KERAS_HOME=str(tmp_path), KERAS_BACKEND=engine)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    for part in (word, "KERAS_BACKEND", "keras.json"):
        assert part in line
