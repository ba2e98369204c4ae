"""Strange surroundings: escapes, closed or full output, no temporary folder, little memory."""

import json
import os
import subprocess
import sys

import pytest
from support import ROOT

import prepare_text
from captioning.cli import one_line, run
from captioning.scores.report import print_example

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="the system has no /dev/full")

NO_TEMPORARY_FOLDER = """
import tempfile
def refuse():
    raise FileNotFoundError(2, "No usable temporary directory found")
tempfile._get_default_tempdir = refuse
"""

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


def in_shell(redirection, *command, **variables):
    """Runs Python with its streams redirected by the shell, and returns the process."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirection}', sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


ESCAPE = "\x1b[2Ja"


def test_what_strangers_wrote_is_printed_without_their_terminal_escapes(tmp_path, capsys):
    # Captions of which little is left, so that a warning shows some; and each of them twice.
    rows = [f"{number}.jpg,red x y {ESCAPE} z dog" for number in range(9)]
    lines = [f"photo,text{ESCAPE}", *rows, *rows]
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    flags = ["--data", str(tmp_path), "--caption-column", f"text{ESCAPE}"]
    assert run(prepare_text.main, flags) == 0
    print_example(ESCAPE, [ESCAPE])
    printed = capsys.readouterr()
    assert printed.out.count(one_line(ESCAPE)) >= 3
    assert one_line(ESCAPE) in printed.err
    assert "\x1b" not in printed.out + printed.err


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_closed_streams_change_nothing(tiny_data, redirection):
    process = in_shell(redirection, ROOT / "prepare_text.py", "--data", tiny_data)
    assert process.returncode == 0
    assert process.stderr == ""
    assert ("next:" in process.stdout) == (">&-" not in redirection.replace("2>&-", ""))
    assert json.loads((tiny_data / "vocabulary.json").read_text())["words"]


def test_a_file_does_not_get_the_number_of_a_closed_stream(tmp_path):
    code = (
        "import os; from captioning.cli import run\n"
        f"def main(_):\n f = open({str(tmp_path / 'file')!r}, 'w')\n"
        " os.write(1, b'noise'); os.write(2, b'noise'); f.write('mine'); f.close(); return 0\n"
        "run(main)"
    )
    assert in_shell(">&- 2>&- <&-", "-c", code).returncode == 0
    assert (tmp_path / "file").read_text() == "mine"


@needs_full
@pytest.mark.parametrize(
    ("unbuffered", "status", "words"),
    [
        ("", 1, "what it prints cannot be written (No space left on device), but all its files"),
        ("1", 141, "stopped, since what it prints cannot be written (No space left on device)"),
    ],
)
def test_a_full_output_is_one_sentence(tiny_data, unbuffered, status, words):
    command = ROOT / "prepare_text.py", "--data", tiny_data
    process = in_shell(f"> {FULL}", *command, PYTHONUNBUFFERED=unbuffered)
    assert process.returncode == status
    (line,) = process.stderr.splitlines()
    assert words in line
    assert (tiny_data / "vocabulary.json").exists()
    # No one is left to tell.
    process = in_shell(f"> {FULL} 2> {FULL}", *command, PYTHONUNBUFFERED=unbuffered)
    assert process.returncode == status


@needs_full
def test_full_output_leaves_mistakes_and_help_what_they_are(tmp_path):
    process = in_shell(f"> {FULL}", ROOT / "prepare_text.py", "--data", tmp_path)
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1
    process = in_shell(f"> {FULL}", ROOT / "prepare_text.py", "--help")
    assert process.returncode == 1
    assert len(process.stderr.splitlines()) == 1


def test_scripts_do_without_a_temporary_folder(prepared_data, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_TEMPORARY_FOLDER)
    folders = "--data", prepared_data, "--model", tmp_path / "model"
    paths = f"{tmp_path / 'site'}{os.pathsep}{ROOT}"
    process = in_shell("", ROOT / "train.py", *folders, "--epochs", 1, PYTHONPATH=paths)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "model" / "captioner.keras").exists()


def test_settings_of_keras_are_those_of_the_project(tmp_path):
    settings = {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    process = in_shell("", "-c", SAY_SETTINGS, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["float32", "float32", "channels_last", "1e-07"]


@pytest.mark.parametrize(
    ("settings", "engine", "word"),
    [
        ({}, "no_such_engine", "no_such_engine"),
        ({"backend": "no_such_engine"}, "", "no_such_engine"),
        ({}, "openvino", "openvino"),
        ({"floatx": "int8"}, "", "floatx"),
        (["no settings"], "", "list"),
    ],
)
def test_settings_that_keras_cannot_start_with_are_one_sentence(tmp_path, settings, engine, word):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    process = in_shell("", "-c", SAY_SETTINGS, KERAS_HOME=str(tmp_path), KERAS_BACKEND=engine)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    for part in (word, "KERAS_BACKEND", tmp_path / "keras.json"):
        assert str(part) in line


class ResourceExhaustedError(Exception):
    """Stands in for TensorFlow's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError(),
        RuntimeError("RESOURCE_EXHAUSTED: 8 GB"),
        ImportError("libx.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
)
def test_too_little_memory_is_one_sentence(capsys, error):
    def main(arguments):
        raise error

    assert run(main) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "too little memory" in line


def test_a_fault_of_the_program_is_neither_done_in_part_nor_nothing_done(capsys):
    assert run(lambda arguments: 1 // 0) == 70
    assert "Traceback" in capsys.readouterr().err
