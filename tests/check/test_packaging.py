"""The project as `pip install .` installs it: the package, the five commands, recipes, a model."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from support import ROOT

from captioning.files import BEST, LITE
from captioning.settings import SCRIPTS

COMMANDS = {f"captioning-{script.replace('_', '-')}" for script in SCRIPTS}


def run(*command, **options):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        **{"capture_output": True, "text": True, "timeout": 300, "check": False, **options},
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Builds a wheel of a copy of the project, with a made-up model, and installs it apart."""
    pytest.importorskip("setuptools", "70.1", reason="setuptools is missing or old: it builds")
    copy = tmp_path_factory.mktemp("project")
    for name in ("captioning", "recipes"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*.txt"), *ROOT.glob("*.toml"), ROOT / "README.md"):
        shutil.copy(path, copy)
    for name in (BEST, LITE):
        (copy / name).mkdir(parents=True)
        (copy / name / "captioner.keras").write_text(name)
    flags = ["--no-deps", "--no-index"]
    built = run(
        *("-m", "pip", "wheel", copy, "--no-build-isolation", "--wheel-dir", copy / "dist", *flags)
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = (copy / "dist").iterdir()
    installed = run("-m", "pip", "install", wheel, "--target", copy / "installed", *flags)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return copy


@pytest.fixture
def run_installed(project, tmp_path):
    """Gives a function that runs what is installed in an empty folder."""
    environment = os.environ | {"PYTHONPATH": str(project / "installed")}
    return lambda *command: run(*command, env=environment, cwd=tmp_path)


def test_the_wheel_holds_all_of_the_package_and_nothing_else(project):
    (wheel,) = (project / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = [path for path in (ROOT / "captioning").rglob("*") if path.is_file()]
    expected = {str(path.relative_to(ROOT)) for path in package if "__pycache__" not in path.parts}
    expected |= {f"captioning_scripts/{script}.py" for script in SCRIPTS}
    expected |= {f"captioning/recipes/{p.name}" for p in (ROOT / "recipes").glob("*.toml")}
    models = {f"captioning/{name}/captioner.keras" for name in (BEST, LITE)}
    assert names == expected | models


def test_every_script_is_a_command_that_runs_in_any_folder(project, run_installed):
    commands = project / "installed" / "bin"
    assert {path.stem for path in commands.iterdir()} == COMMANDS
    process = run_installed(commands / "captioning-generate", "--beem", "3")
    assert process.returncode == 2
    assert process.stderr == "captioning-generate: unrecognized arguments: --beem; see --help\n"


def test_the_installed_package_finds_its_own_recipes_and_model(project, run_installed):
    command = project / "installed" / "bin" / "captioning-prepare-text"
    # The recipe is found before the data, which is missing.
    process = run_installed(command, "--recipe", "recipes/best.toml", "--data", "nowhere")
    assert process.returncode == 2
    assert "nowhere" in process.stderr
    program = (
        "import captioning.pages.results, captioning.photos.reading\n"
        "from captioning.files import BEST, LITE, of_project\n"
        "print(*[(of_project(x) / 'captioner.keras').read_text() for x in (BEST, LITE)])"
    )
    process = run_installed("-c", program)
    assert process.stdout == f"{BEST} {LITE}\n", process.stderr
