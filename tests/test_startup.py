"""What a person sees of a script before it works: --help, mistakes, and what is being loaded."""

import io
import subprocess
import sys

import pytest
from support import ROOT

from captioning.cli import announce_loading, run

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


def assert_quick(script, *arguments, status):
    """Checks how a script ends, and that it has loaded nothing slow; returns its process."""
    process = subprocess.run(
        [sys.executable, "-c", RUN_AND_SAY_WHAT_IS_LOADED, script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert process.stdout.splitlines()[-1] == str(status)
    assert "loading" not in process.stderr
    return process


@pytest.mark.parametrize(
    "script",
    SCRIPTS,
)
def test_help_loads_nothing_slow(script):
    process = assert_quick(script, "--help", status=0)
    assert process.stderr == ""


@pytest.mark.parametrize(
    ("script", "arguments", "word"),
    [
        ("prepare_photos.py", ["--encoder", "VGG17"], "VGG17"),
        ("prepare_photos.py", ["--weights", "absent.h5"], "absent.h5"),
        ("train.py", ["--data", "absent"], "absent/features.pkl"),
        ("train.py", ["--model", "absent", "--resume"], "absent/checkpoint.npz"),
        ("evaluate.py", ["--model", "absent"], "absent/captioner.keras"),
        ("evaluate.py", ["--compare", "absent"], "absent/recipe.toml"),
        ("evaluate.py", ["--models", "models", "--split", "dev"], "--split"),
    ],
)
def test_mistakes_load_nothing_slow(prepared_data, script, arguments, word):
    model = prepared_data / "model"
    model.mkdir()
    (model / "captioner.keras").write_text("not looked into")
    # The flags that follow win.
    folders = ["--data", prepared_data]
    folders += [] if script.startswith("prepare") else ["--model", model]
    if "--models" in arguments:
        folders = []
    (sentence,) = assert_quick(script, *folders, *arguments, status=2).stderr.splitlines()
    assert word in sentence


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_the_virtual_environment_there_is_one_sentence(script):
    """Python without its site-packages, as it is where the virtual environment is not active."""
    process = subprocess.run(
        [sys.executable, "-S", ROOT / script, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "activate the virtual environment by . .venv/bin/activate" in line


def test_each_package_that_modules_import_first_is_looked_for():
    """Python that has NumPy, say, but not the rest."""
    code = (
        "import importlib.util as util, runpy, sys; find = util.find_spec; "
        "util.find_spec = lambda name, *rest: None if name == 'tomli_w' else find(name, *rest); "
        "sys.argv = ['generate.py', '--help']; runpy.run_path('generate.py', run_name='__main__')"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("tomli_w cannot be imported: activate the virtual environment by")


def test_a_single_missing_package_is_named(capsys, monkeypatch):
    def main(arguments):
        import no_such_package  # noqa: F401

    assert run(main) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the package no_such_package is missing: run python -m pip install -r" in line


class Terminal(io.StringIO):
    """Stands in for a stream that a person reads."""

    def isatty(self):
        """Says that it is one."""
        return True


@pytest.mark.parametrize(
    ("stream", "is_loaded", "said"),
    [
        (Terminal, False, "loading VGG16 …\n"),
        (Terminal, True, ""),
        (io.StringIO, False, ""),
    ],
)
def test_what_is_being_loaded_is_said_in_a_terminal(monkeypatch, stream, is_loaded, said):
    monkeypatch.setattr(sys, "stderr", stream())
    if not is_loaded:
        monkeypatch.delitem(sys.modules, "keras")
    announce_loading("VGG16")
    assert sys.stderr.getvalue() == said
