"""Settings: constants become flags, a recipe replaces constants, flags win over both."""

import importlib
import runpy
import tomllib
from pathlib import Path

import pytest
from support import ROOT

from captioning.cli import UserError
from captioning.files import RECIPE
from captioning.network.model_folder import make_recipe, write_recipe
from captioning.settings import SCRIPTS, SettingsParser

SCRIPT = """
DATA = Path("data")  # the data folder
EPOCHS = 15  # at most; 100% of them if nothing stops it
LEARNING_RATE = 1e-3
SHUFFLE = True  # in another order each epoch
BEAMS = (3, 5)  # widths that are scored
WEIGHTS = "weights.h5"
OPTIMIZER = "adam"
ENCODER = "VGG16"
FIRST_A, FIRST_B = 1, 2  # no constant of its own
_PRIVATE = 3
ANNOTATED: int = 5
"""
DEFAULTS = {"epochs": 15, "learning_rate": 0.001, "shuffle": True, "beams": (3, 5)}
DEFAULTS |= {"weights": "weights.h5", "optimizer": "adam", "encoder": "VGG16"}


@pytest.fixture
def parser(tmp_path):
    """Gives the parser of the script above."""
    path = tmp_path / "train.py"
    path.write_text(f'"""Trains something."""\nfrom pathlib import Path\n{SCRIPT}')
    return SettingsParser(runpy.run_path(str(path)), {"OPTIMIZER": ("adam", "sgd")})


@pytest.fixture
def parse(parser, tmp_path):
    """Gives a function that parses a command line, and a recipe if there is one."""

    def parse_with(line="", recipe=None):
        flags = line.split()
        if recipe is not None:
            (tmp_path / "recipe.toml").write_text(recipe)
            flags += ["--recipe", str(tmp_path / "recipe.toml")]
        return parser.parse_settings(flags)

    return parse_with


def test_every_constant_is_a_flag_with_its_comment(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_settings(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    for part in (
        "Trains something.",
        "--data DIR the data folder (default: data)",
        "--epochs N at most; 100% of them if nothing stops it (default: 15)",
        "--shuffle, --no-shuffle in another order each epoch (default: True)",
        "--beams N [N ...] widths that are scored (default: 3 5)",
        "--optimizer {adam,sgd}",
        "--recipe FILE",
    ):
        assert part in words
    assert not any(name in words for name in ("--private", "--first", "--annotated"))


@pytest.mark.parametrize(
    ("line", "recipe", "changed"),
    [
        ("", "[generate]\nbeam = 3", {}),
        ("--epochs 3 --learning-rate=1e-05", None, {"epochs": 3, "learning_rate": 1e-5}),
        ("--no-shuffle --optimizer sgd", None, {"shuffle": False, "optimizer": "sgd"}),
        ("--beams 1 --weights a.h5", None, {"beams": (1,), "weights": "a.h5"}),
        ("", "[train]\nepochs = 3\nlearning_rate = 2", {"epochs": 3, "learning_rate": 2.0}),
        ("", "[train]\nshuffle = false\nbeams = [7]", {"shuffle": False, "beams": (7,)}),
        ("", '[train]\nweights = "--a=b"\nencoder = ""', {"weights": "--a=b", "encoder": ""}),
        # A flag wins, and the tables of other scripts do not count.
        ("--epochs 4", "[train]\nepochs = 3\n[evaluate]\nepochs = 9", {"epochs": 4}),
        ("--shuffle --beams 8 9", "[train]\nshuffle = false\nbeams = [1]", {"beams": (8, 9)}),
    ],
)
def test_a_recipe_replaces_constants_and_flags_win(parser, parse, line, recipe, changed):
    assert parser.settings_in_force(parse(line, recipe)) == DEFAULTS | changed


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("[trian]\nepochs = 3", ["trian", "prepare_photos", "train"]),
        ("train = 3", ["train stands in no table"]),
        ("[train]\nEPOCHS = 3", ["EPOCHS", "[train]", "epochs"]),
        ("[train]\nepochs = true", ["--epochs", "expected one argument"]),
        ("[train]\nshuffle = 0", ["--shuffle", "'0'"]),
        ("[train]\nbeams = []", ["--beams", "at least one argument"]),
        ("[train]\nbeams = [3, 0]", ["beams", "at least 1", "'0'"]),
        ('[train]\noptimizer = "lion"', ["optimizer", "lion", "sgd"]),
        ("[train", ["is no recipe"]),
    ],
)
def test_a_wrong_recipe_is_one_sentence_that_names_the_file(parse, tmp_path, recipe, words):
    with pytest.raises(UserError) as error:
        parse(recipe=recipe)
    assert str(error.value).count("\n") == 0
    for word in (tmp_path / "recipe.toml", *words):
        assert str(word) in str(error.value)


@pytest.mark.parametrize("data", ["data/my photos", 'a"b\\c\td', "na\udcffme"])
def test_a_written_recipe_gives_the_same_settings(parser, parse, tmp_path, data):
    in_force = parser.settings_in_force(parse("--learning-rate 1e-05 --no-shuffle --beams 7"))
    assert "data" not in in_force
    path = tmp_path / RECIPE
    write_recipe(path, make_recipe({"train": in_force}, Path(data)))
    assert parser.settings_in_force(parse(f"--recipe {path}")) == in_force != DEFAULTS
    assert tomllib.loads(path.read_text())["made_with"]["data"] == data.replace("\udcff", "?")


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_takes_every_recipe_of_the_project(script, monkeypatch):
    read = []

    def stop(parser, arguments):
        read.append(vars(parse_settings(parser, arguments)))
        raise KeyboardInterrupt

    parse_settings = SettingsParser.parse_settings
    monkeypatch.setattr(SettingsParser, "parse_settings", stop)
    for path in (ROOT / "recipes").glob("*.toml"):
        with pytest.raises(KeyboardInterrupt):
            importlib.import_module(script).main(["--recipe", str(path)])
        for name, value in tomllib.loads(path.read_text()).get(script, {}).items():
            assert read[-1][name] == (tuple(value) if isinstance(value, list) else value)
