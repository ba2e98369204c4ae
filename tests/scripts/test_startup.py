"""What a person sees of a script before it works: --help and mistakes, at once."""

import os
import subprocess
import sys

import pytest
from support import ROOT

SCRIPTS = ["prepare_photos.py", "prepare_text.py", "train.py", "evaluate.py", "generate.py"]

# What takes seconds to load.
SLOW = {"tensorflow", "torch", "jax", "keras", "pandas", "matplotlib", "nltk", "ray", "fsspec"}

# Runs a script as a user does, and says at the end what it has loaded.
RUN_AND_SAY_WHAT_IS_LOADED = f"""
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    print(ended.code, *{SLOW}.intersection(sys.modules))
"""


def run_python(*words, folder=ROOT, **variables):
    """Runs Python as a user does, in a folder, and returns the process."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_loads_nothing_slow_and_needs_the_virtual_environment(script):
    process = run_python("-c", RUN_AND_SAY_WHAT_IS_LOADED, script, "--help")
    assert process.stdout.splitlines()[-1] == "0"
    assert process.stderr == ""
    # Without its packages, as Python is where the environment is not active.
    process = run_python("-S", script, "--help", PYTHONPATH="")
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "activate it by . .venv/bin/activate" in line


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("prepare_photos.py --encoder VGG17", "VGG17"),
        ("prepare_photos.py --weights absent.h5", "absent.h5"),
        ("prepare_photos.py --data absent", "absent"),
        ("prepare_text.py --data absent", "absent"),
        ("prepare_text.py --captions absent.csv", "absent.csv"),
        ("train.py --data absent", "absent/vocabulary.json is missing: run python prepare_text.py"),
        (
            "train.py --model absent --resume",
            "absent holds nothing to resume: run the same without",
        ),
        ("evaluate.py --model absent", "absent"),
        ("evaluate.py --models models --split dev", "--split"),
        ("generate.py absent.jpg", "absent.jpg"),
        ("generate.py absent.jpg --model absent", "absent"),
    ],
)
def test_a_mistake_is_one_sentence_and_loads_nothing_slow(prepared_data, tmp_path, mistake, words):
    script, *flags = mistake.split()
    # Where the scripts look by default.
    (tmp_path / "data").mkdir()
    prepared_data.rename(tmp_path / "data" / "flickr8k")
    command = ["-c", RUN_AND_SAY_WHAT_IS_LOADED, ROOT / script, *flags]
    process = run_python(*command, folder=tmp_path)
    assert process.stdout.splitlines()[-1] == "2"
    (line,) = process.stderr.splitlines()
    assert words in line
