"""Strange surroundings: closed or full output, signals, no packages, too little memory."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import ROOT

from captioning.cli import UserError, run

SAY_SOMETHING = "from captioning.cli import run; raise SystemExit(run(lambda _: print(1) or 0))"
SAY_SETTINGS = """
from captioning.cli import run
def main(arguments):
    from captioning.keras_setup import keras
    say = keras.config
    print(say.floatx(), say.dtype_policy().name, say.image_data_format(), say.epsilon())
    return 0
raise SystemExit(run(main))
"""


def in_shell(program, redirection="", **variables):
    """Runs a program with its streams redirected by the shell, and returns the process."""
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, program]
    environment = {**os.environ, "PYTHONUNBUFFERED": "", **variables}
    options = {"capture_output": True, "text": True, "timeout": 300, "check": False}
    return subprocess.run(command, env=environment, cwd=ROOT, **options)


@pytest.fixture
def _signals():
    """Puts back what handles the signals."""
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Shells have those that they start in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_one_sentence():
    process = in_shell(SAY_SOMETHING, "> /dev/full")
    errors = "-c: what it prints cannot be written: No space left on device\n"
    assert (process.returncode, process.stdout, process.stderr) == (2, "", errors)
    # Where not even that can be said, the status tells it.
    assert in_shell(SAY_SOMETHING, "> /dev/full 2> /dev/full").returncode == 2


def test_a_script_runs_in_a_thread_which_may_handle_no_signals():
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(run, lambda _: 0, []).result() == 0


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


def damaged_for_want_of_memory():
    """Returns the error of a file that could not be read for want of memory."""
    error = UserError("the file is damaged")
    error.__cause__ = ResourceExhaustedError()
    return error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        # The reader of the output has gone, as head does: not a word.
        (BrokenPipeError(), 130, ""),
        (MemoryError(), 2, "too little memory"),
        (ResourceExhaustedError(), 2, "too little memory"),
        (damaged_for_want_of_memory(), 2, "too little memory"),
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
    *others, line = capsys.readouterr().err.strip().splitlines() or [""]
    assert words in line
    assert bool(line) == bool(words)
    assert others[:1] == ["Traceback (most recent call last):"][: status == 70]


@pytest.mark.parametrize(
    ("engine", "status", "words"),
    [
        ("tensorflow", 0, ["float32 float32 channels_last 1e-07"]),
        ("absent", 2, ["Keras cannot start", "absent", "KERAS_BACKEND", "keras.json"]),
    ],
)
def test_settings_of_keras_are_those_of_the_project(tmp_path, engine, status, words):
    settings = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    process = in_shell(SAY_SETTINGS, KERAS_HOME=str(tmp_path), KERAS_BACKEND=engine)
    assert process.returncode == status, process.stderr
    (line,) = (process.stdout + process.stderr).splitlines()
    assert all(word in line for word in words)
