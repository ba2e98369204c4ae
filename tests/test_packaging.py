"""The project as `pip install .` installs it: the package, the five commands, recipes, a model."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from support import ROOT

from captioning.recipes import SCRIPTS

COMMANDS = {f"captioning-{script.replace('_', '-')}" for script in SCRIPTS}


def run_pip(*arguments):
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--no-deps", "--no-index"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Builds a wheel of a copy of the project, whose model that comes with it is made up."""
    pytest.importorskip("setuptools", "70.1", reason="setuptools is missing or old: it builds")
    copy = tmp_path_factory.mktemp("project")
    for name in ("captioning", "recipes"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*.txt"), *ROOT.glob("*.toml"), ROOT / "README.md"):
        shutil.copy(path, copy)
    (copy / "models" / "pretrained").mkdir(parents=True)
    (copy / "models" / "pretrained" / "captioner.keras").write_text("a model")
    run_pip("wheel", copy, "--no-build-isolation", "--wheel-dir", copy / "dist")
    (path,) = (copy / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel):
    """Installs the wheel into a folder of its own, with nothing of the project's folder near it."""
    folder = wheel.parent.parent / "installed"
    run_pip("install", wheel, "--target", folder)
    return folder


def run_installed(installed, tmp_path, *command):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_wheel_holds_all_of_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = [path for path in (ROOT / "captioning").rglob("*") if path.is_file()]
    expected = {str(path.relative_to(ROOT)) for path in package if "__pycache__" not in path.parts}
    expected |= {f"captioning_scripts/{script}.py" for script in SCRIPTS}
    expected |= {f"captioning/recipe_files/{p.name}" for p in (ROOT / "recipes").glob("*.toml")}
    expected.add("captioning/pretrained/captioner.keras")
    assert names == expected


def test_the_wheel_needs_what_the_requirements_name(wheel):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = {line.partition("#")[0].strip() for line in lines} - {""}
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode().splitlines()
    needed = {line.partition(": ")[2] for line in metadata if line.startswith("Requires-Dist: ")}
    assert needed == pins


def test_every_script_is_a_command(installed):
    assert {path.stem for path in (installed / "bin").iterdir()} == COMMANDS
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["scripts"]) == COMMANDS


def test_a_command_runs_in_any_folder_and_knows_the_recipes(installed, tmp_path):
    command = installed / "bin" / "captioning-prepare-text"
    help_text = run_installed(installed, tmp_path, command, "--recipe", "recipes/best.toml", "-h")
    assert help_text.returncode == 0, help_text.stderr
    assert help_text.stdout.startswith("usage: captioning-prepare-text ")
    lines = help_text.stdout.split("--min-word-count N")[-1]
    assert "(default: 4)" in lines.split("--validation-share")[0]


def test_a_command_turns_a_mistake_into_a_sentence(installed, tmp_path):
    command = installed / "bin" / "captioning-generate"
    process = run_installed(installed, tmp_path, command, "--beem", "3")
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr == (
        "captioning-generate: unrecognized arguments: --beem; see captioning-generate --help\n"
    )


def test_the_installed_package_finds_its_own_files(installed, tmp_path):
    program = (
        "import captioning.pages.page, captioning.photos.reading\n"
        "from captioning.network.model_folders import pretrained_model\n"
        "print(captioning.__file__, (pretrained_model() / 'captioner.keras').read_text(), sep=':')"
    )
    process = run_installed(installed, tmp_path, "-c", program)
    assert process.stdout == f"{installed / 'captioning' / '__init__.py'}:a model\n", process.stderr
