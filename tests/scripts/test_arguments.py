"""--help and wrong arguments of every script, run as a user does: an answer at once.

All of them run in one process, which loads nothing slow: whoever made a mistake reads one sentence
about it before anything is loaded, and nothing is written.
"""

import json
import subprocess
import sys

import pytest
from support import ROOT, make_prepared_data, run_script

from captioning.cli import one_line
from captioning.settings import SCRIPTS

PATHS = {name: ROOT / f"{name}.py" for name in SCRIPTS}
PATHS["download"] = ROOT / "data" / "flickr8k" / "download.py"

# The flags that each script explains besides others.
FLAGS = {
    "prepare_photos": ["--data", "--encoder", "--batch-size", "--recipe"],
    "prepare_text": ["--data", "--min-word-length", "--min-word-count", "--recipe"],
    "train": ["--data", "--model", "--epochs", "--seed", "--resume", "--recipe"],
    "evaluate": ["--data", "--model", "--split", "--beam", "--consensus", "--compare", "--models"],
    "generate": ["--model", "--beam", "--consensus", "--csv", "--json", "--html", "--serve"],
}
# The flags that take a whole number, with the greatest that is too small.
NUMBERS = {
    "prepare_photos": {"--batch-size": 0},
    "prepare_text": {"--min-word-length": 0, "--min-word-count": 0, "--split-seed": -1},
    "train": {"--epochs": 0, "--batch-size": 0, "--seed": -1, "--shown-photos": -1, "--devices": 0},
    "evaluate": {"--beam": 0, "--consensus": 0, "--no-repeat-ngram-size": -1, "--shown-photos": -1},
    "generate": {"--beam": 0, "--no-repeat-ngram-size": -1, "--batch-size": 0, "--port": -1},
}
# What each was told, and words of its sentence. They run in a folder where `data/flickr8k` is
# prepared and nothing is trained; `a file` is one there, `absent` is not.
MISTAKES = [
    *[
        (script, [f"{flag}={value}"], f"{flag}: expected a whole number")
        for script, flags in NUMBERS.items()
        for flag, value in flags.items()
    ],
    *[("train", [f"--seed={x}"], "--seed: expected a") for x in ("1.5", "", "9" * 5000, 2**31)],
    *[("train", [f"--word-dropout={x}"], "expected a") for x in ("1", "-0.1", "nan", "inf", "x")],
    *[(script, ["--da", "x"], "unrecognized arguments: --da") for script in PATHS],
    *[(script, ["--recipe", "absent.toml"], "absent.toml: No such file") for script in PATHS],
    ("prepare_photos", ["--data", "absent"], "absent"),
    ("prepare_photos", ["--data", "a file"], "a file"),
    ("prepare_photos", ["--batch-size", "257"], "256"),
    ("prepare_photos", ["--encoder", "VGG17"], "MobileNetV2"),
    ("prepare_photos", ["--weights", "absent.h5"], "absent.h5"),
    ("prepare_text", ["--data", "absent"], "absent"),
    ("prepare_text", ["--data", "a file"], "a file"),
    ("prepare_text", ["--data", "a\nb"], r"a\nb"),
    ("prepare_text", ["--captions", "absent.csv"], "absent.csv"),
    ("train", ["--data", "my absent"], "is missing: run python prepare_text.py --data 'my absent'"),
    ("train", ["--data", "a file"], "a file"),
    ("train", ["--model", "absent", "--resume"], "absent holds nothing to resume: run the same"),
    ("evaluate", ["--data", "absent"], "absent"),
    ("evaluate", ["--model", "absent"], "absent"),
    ("evaluate", ["--beam", "3", "-5"], "--beam"),
    ("generate", ["absent.jpg"], "absent.jpg does not exist"),
    ("generate", [], "name photos or folders"),
    ("generate", ["data", "--html", "photo.png"], "such as page.html, not photo.png"),
    ("generate", ["--serve", "data"], "or --serve without any"),
    ("generate", ["data", "--count", "4"], "--count 4 needs a --beam as wide, not 3"),
    # The flag takes the only photo for its value.
    ("generate", ["--weights", "a file"], "name photos or folders"),
    ("download", ["--base-url"], "--base-url: expected one argument; see"),
    ("download", ["--data", "a file"], "a file"),
    ("download", ["--archives", "absent"], "absent is not a folder"),
]

# What takes seconds to load.
SLOW = ["tensorflow", "torch", "jax", "keras", "pandas", "matplotlib", "nltk", "ray", "fsspec"]

# Runs scripts as a user does, and says of each what it printed, how it ended, what it has loaded
# and what it has written.
RUN_AND_WATCH = f"""
import contextlib, io, json, os, runpy, sys
from pathlib import Path
os.chdir(sys.argv[1])
def files():
    found = [path for path in Path().rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted([str(path), path.stat().st_mtime_ns] for path in found)
for path, *flags in json.loads(sys.argv[2]):
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    before, sys.argv = files(), [path, *flags]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            status = ended.code
    slow = [name for name in {SLOW} if name in sys.modules]
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    print(json.dumps([status, *texts, slow, files() != before]))
"""


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    """Gives a function that runs commands in one process, and returns what it saw of each."""
    folder = tmp_path_factory.mktemp("arguments")
    make_prepared_data(folder / "data" / "flickr8k")
    (folder / "a file").write_text("no folder")

    def run_all(commands):
        given = json.dumps([[str(PATHS[script]), *flags] for script, flags in commands])
        process = run_script("-c", RUN_AND_WATCH, folder, given)
        assert process.returncode == 0, process.stderr
        return [json.loads(line) for line in process.stdout.splitlines()]

    return run_all


def test_help_teaches_at_once(watch):
    seen = watch([(script, ["--help"]) for script in SCRIPTS])
    for script, (status, out, *others) in zip(SCRIPTS, seen, strict=True):
        assert (script, status, *others) == (script, 0, "", [], False)
        for part in ("Reads", "Writes", "Takes", "default", *FLAGS[script]):
            assert part in out
        assert max(map(len, out.splitlines())) <= 80


def test_a_mistake_is_one_sentence_at_once(watch):
    seen = watch([(script, flags) for script, flags, _ in MISTAKES])
    for (script, flags, words), (status, out, err, *others) in zip(MISTAKES, seen, strict=True):
        command = [script, *flags]
        assert (command, status, out, *others) == (command, 2, "", [], False)
        (line,) = err.splitlines()
        assert line.startswith(f"{script}.py: ")
        assert words in line


def test_without_its_packages_a_script_names_the_virtual_environment():
    # -S: as Python is where the environment is not active.
    command = [sys.executable, "-S", PATHS["train"], "--help"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert "make venv, then . .venv/bin/activate" in process.stderr


def test_what_would_not_print_in_one_line_is_escaped():
    for text in ("a\nb", "a\x1b[2Jb", "a\u202eb", "a\u2028b", "a\u2066b", "a\x9bb"):
        assert one_line(text) == text.encode("unicode_escape").decode("ascii")
    # Joiners and blanks that belong to the spelling of a language are not.
    for text in ("می\u200cخواهم", "क्\u200dष", "un chien\u00a0!", "犬\u3000猫", "é"):
        assert one_line(text) == text
