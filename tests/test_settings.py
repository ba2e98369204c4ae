"""Settings: constants become flags, a recipe replaces constants, flags win over both."""

import runpy
import tomllib
from pathlib import Path

import pytest
from support import ROOT

import evaluate
import generate
import prepare_photos
import prepare_text
import train
from captioning.cli import LINE_WIDTH, UserError
from captioning.files import RECIPE
from captioning.network.model_folder import make_recipe, write_recipe
from captioning.settings import (
    SettingsParser,
    dropout_rate,
    real_number,
    seed_number,
    whole_number,
)

SCRIPT = '''\
"""Trains something.

    python train.py
"""

from pathlib import Path

# Where things are.
DATA = Path("data")  # the data folder

# Training.
EPOCHS = 15  # at most; 100% of them if nothing stops it
LEARNING_RATE = 1e-3
ENCODER = "VGG16"  # the photos' network
SHUFFLE = True  # in another order each epoch
BEAMS = (
    3,
    5,
)  # widths that are scored
WEIGHTS = Path("weights.h5")  # of the network
OPTIMIZER = "adam"  # the rule of each step
DROPOUT = 0.5  # share of hidden units
FIRST_A, FIRST_B = 1, 2  # no constant of its own

_PRIVATE = 3  # no setting
lower_case = 4
ANNOTATED: int = 5


def main():
    """Holds a constant that is not at the top level."""
    INNER = 6
'''
DEFAULTS = {
    "epochs": 15,
    "learning_rate": 0.001,
    "encoder": "VGG16",
    "shuffle": True,
    "beams": [3, 5],
    "weights": "weights.h5",
    "optimizer": "adam",
    "dropout": 0.5,
}
TYPES = {"OPTIMIZER": ("adam", "sgd"), "DROPOUT": dropout_rate}


@pytest.fixture
def parser(tmp_path):
    """Gives a function that makes the parser of the script above."""
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    namespace = runpy.run_path(str(path))
    return lambda: SettingsParser(namespace, TYPES)


@pytest.fixture
def parse(parser, tmp_path):
    """Gives a function that parses flags, and the text of a recipe if there is one."""

    def parse_with(*flags, recipe=None):
        if recipe is not None:
            (tmp_path / "recipe.toml").write_text(recipe)
            flags = (*flags, "--recipe", str(tmp_path / "recipe.toml"))
        made = parser()
        return made.settings_in_force(made.parse_settings(flags))

    return parse_with


def test_every_constant_is_a_flag_with_its_comment(parser, capsys):
    with pytest.raises(SystemExit):
        parser().parse_settings(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    for part in (
        "Trains something.",
        "--data DIR the data folder (default: data)",
        "--epochs N at most; 100% of them if nothing stops it (default: 15)",
        "--learning-rate X",
        "--encoder",
        "--shuffle, --no-shuffle in another order each epoch (default: True)",
        "--beams N [N ...] widths that are scored (default: 3 5)",
        "--optimizer {adam,sgd}",
        "--recipe FILE",
    ):
        assert part in words
    for name in ("private", "lower", "first", "annotated", "inner"):
        assert name not in words.lower().replace("annotated:", "")


def test_constants_are_the_defaults(parser, parse):
    assert parse() == DEFAULTS
    options = parser().parse_settings([])
    assert options.data == Path("data")
    assert options.weights == Path("weights.h5")
    assert options.beams == (3, 5)


@pytest.mark.parametrize(
    ("flags", "name", "value"),
    [
        (["--epochs", "3"], "epochs", 3),
        (["--learning-rate=1e-05"], "learning_rate", 1e-5),
        (["--no-shuffle"], "shuffle", False),
        (["--beams", "7"], "beams", [7]),
        (["--beams", "1", "2", "4"], "beams", [1, 2, 4]),
        (["--weights", "a b.h5"], "weights", "a b.h5"),
        (["--optimizer", "sgd"], "optimizer", "sgd"),
    ],
)
def test_a_flag_replaces_a_constant(parse, flags, name, value):
    assert parse(*flags) == {**DEFAULTS, name: value}


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("epochs = 3", "epochs", 3),
        ("learning_rate = 1e-05", "learning_rate", 1e-5),
        ("learning_rate = 2", "learning_rate", 2.0),
        ("shuffle = false", "shuffle", False),
        ("shuffle = true", "shuffle", True),
        ("beams = [7]", "beams", [7]),
        ("beams = [1, 2, 4]", "beams", [1, 2, 4]),
        ('weights = "--a=b c.h5"', "weights", "--a=b c.h5"),
        ('encoder = ""', "encoder", ""),
        ('optimizer = "sgd"', "optimizer", "sgd"),
    ],
)
def test_a_recipe_replaces_a_constant(parse, line, name, value):
    assert parse(recipe=f"[train]\n{line}\n") == {**DEFAULTS, name: value}


def test_flags_win_over_the_recipe_and_other_tables_do_not_count(parse):
    recipe = "[train]\nepochs = 3\nshuffle = false\nbeams = [1]\n[evaluate]\nepochs = 9\n"
    found = parse("--epochs", "4", "--beams", "8", "9", recipe=recipe)
    assert found == {**DEFAULTS, "epochs": 4, "shuffle": False, "beams": [8, 9]}


def test_typed_settings_are_those_of_the_command_line_alone(parser, tmp_path):
    (tmp_path / "recipe.toml").write_text("[train]\nepochs = 3\ndropout = 0.1\n")
    flags = ["--recipe", str(tmp_path / "recipe.toml"), "--no-shuffle", "--beams", "3", "5"]
    options = parser().parse_settings([*flags, "--encoder="])
    assert options.typed == {"shuffle", "beams", "encoder"}
    assert options.replaced == {"shuffle", "beams", "encoder", "epochs", "dropout"}
    assert parser().parse_settings([]).typed == set()


def test_a_recipe_may_name_the_folders_and_hold_no_table_of_the_script(parser, parse, tmp_path):
    path = tmp_path / "folders.toml"
    path.write_text('[train]\ndata = "elsewhere"\n')
    assert parser().parse_settings([f"--recipe={path}"]).data == Path("elsewhere")
    assert parse(recipe="[generate]\nbeam = 3\n") == DEFAULTS
    assert parse(recipe="") == DEFAULTS


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("[trian]\nepochs = 3\n", ["trian", "prepare_photos", "train"]),
        ("epochs = 3\n", ["epochs", "table"]),
        ("train = 3\n", ["table"]),
        ("[train]\nepoch = 3\n", ["epoch", "[train]", "epochs"]),
        ("[train]\nEPOCHS = 3\n", ["EPOCHS", "[train]", "epochs"]),
        ("[train]\nepochs = 0\n", ["epochs", "at least 1", "'0'"]),
        ('[train]\nepochs = "3"\n', ["epochs", "'3'", "a whole number"]),
        ("[train]\nepochs = 3.0\n", ["epochs", "3.0", "a whole number"]),
        ("[train]\nepochs = true\n", ["epochs", "True", "a whole number"]),
        ("[train]\nepochs = [3]\n", ["epochs", "[3]", "a whole number"]),
        ("[train]\nepochs = 2026-01-01\n", ["epochs", "a whole number"]),
        ("[train.epochs]\nmost = 3\n", ["epochs", "a whole number"]),
        ("[train]\nlearning_rate = nan\n", ["learning_rate", "'nan'"]),
        ("[train]\nlearning_rate = -1\n", ["learning_rate", "'-1'"]),
        ('[train]\nlearning_rate = "1"\n', ["learning_rate", "a number"]),
        ("[train]\ndropout = 1.0\n", ["dropout", "less than 1"]),
        ('[train]\nshuffle = "no"\n', ["shuffle", "true or false"]),
        ("[train]\nshuffle = 0\n", ["shuffle", "true or false"]),
        ("[train]\nbeams = 3\n", ["beams", "a list"]),
        ("[train]\nbeams = []\n", ["beams", "one or more"]),
        ("[train]\nbeams = [3, 0]\n", ["beams", "'0'"]),
        ('[train]\noptimizer = "lion"\n', ["optimizer", "lion", "sgd"]),
        ("[train]\nencoder = 5\n", ["encoder", "a text"]),
        ("[train]\ndata = 5\n", ["data", "a path"]),
        ("[train\n", ["TOML", "line 1"]),
        ("[train]\nepochs = 1\nepochs = 2\n", ["TOML"]),
        ("[train]\nepochs = " + "[" * 5000, ["TOML"]),
        ("[train]\nepochs = " + "9" * 5000, ["TOML"]),
    ],
)
def test_a_wrong_recipe_is_one_sentence_that_names_the_file(parse, tmp_path, recipe, words):
    with pytest.raises(UserError) as error:
        parse(recipe=recipe)
    sentence = str(error.value)
    assert sentence.count("\n") == 0
    for word in (tmp_path / "recipe.toml", *words):
        assert str(word) in sentence


def test_a_recipe_that_cannot_be_read_is_named(parse, tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.toml", tmp_path, binary, binary / "below"):
        with pytest.raises(UserError) as error:
            parse("--recipe", str(path))
        assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--epochs", "0"], ["--epochs", "at least 1"]),
        (["--epochs"], ["--epochs"]),
        (["--beams"], ["--beams"]),
        (["--beams", "3", "x"], ["--beams", "'x'"]),
        (["--shuffle=yes"], ["--shuffle"]),
        (["--optimizer", "lion"], ["--optimizer", "sgd"]),
        (["--recipe"], ["--recipe"]),
        (["--epoch", "3"], ["--epoch"]),
        (["--private", "3"], ["--private"]),
    ],
)
def test_a_wrong_flag_is_refused(parse, flags, words):
    with pytest.raises(UserError, match="--help") as error:
        parse(*flags)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("convert", "good", "bad"),
    [
        (whole_number(1), ["1", "99"], ["0", "-1", "1.5", "one", "", "nan", "1e3", "9" * 5000]),
        (whole_number(2, 4), ["2", "4"], ["1", "5"]),
        (seed_number, ["0", str(2**31 - 1)], ["-1", str(2**31)]),
        (real_number(), ["0", "1e-5", "3"], ["-1", "nan", "inf", "x", ""]),
        (real_number(0.5, below=2), ["0.5", "1.99"], ["0.4", "2"]),
        (dropout_rate, ["0", "0.999"], ["1", "-0.1"]),
    ],
)
def test_limits_of_numbers(convert, good, bad):
    for text in good:
        assert convert(text) == float(text)
    for text in bad:
        with pytest.raises(Exception, match="expected a") as error:
            convert(text)
        assert repr(text) in str(error.value)


@pytest.mark.parametrize("data", ["data/my photos", 'a"b\\c\td', "na\udcffme"])
def test_a_written_recipe_gives_the_same_settings(parser, parse, tmp_path, data):
    changed = ["--epochs", "3", "--learning-rate", "1e-05", "--no-shuffle", "--beams", "7"]
    made = parser()
    in_force = made.settings_in_force(made.parse_settings([*changed, "--data", data]))
    assert "data" not in in_force
    path = tmp_path / RECIPE
    write_recipe(path, make_recipe({"train": in_force}, Path(data)))
    assert parse("--recipe", str(path)) == in_force != DEFAULTS
    made_with = tomllib.loads(path.read_text())["made_with"]
    assert made_with["backend"] == "tensorflow"
    assert made_with["data"] == data.replace("\udcff", "?")
    assert {"python", "keras", "numpy"} <= made_with.keys()


def test_the_description_names_what_was_changed_and_fits_the_line(parser):
    made = parser()
    assert made.describe(made.parse_settings([])).startswith("settings: epochs 15, learning_rate")
    beams = [str(number) for number in range(1, 60)]
    flags = ["--epochs", "3", "--no-shuffle", "--encoder", "VGG16", "--beams", *beams]
    text = made.describe(made.parse_settings(flags))
    assert max(map(len, text.splitlines())) <= LINE_WIDTH
    changed, _, others = " ".join(text.split()).partition(" settings: ")
    assert changed == (
        f"settings changed by recipe or flag: epochs 3, shuffle False, beams {' '.join(beams)}"
    )
    assert others == (
        "learning_rate 0.001, encoder VGG16, weights weights.h5, optimizer adam, dropout 0.5"
    )


def test_a_description_of_nothing_but_changes_has_no_empty_line(tmp_path):
    path = tmp_path / "script.py"
    path.write_text("EPOCHS = 15  # at most\n")
    made = SettingsParser({"__file__": str(path), "__doc__": "Runs.", "EPOCHS": 15})
    assert made.describe(made.parse_settings(["--epochs", "2"])) == (
        "settings changed by recipe or flag: epochs 2"
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem
)
@pytest.mark.parametrize("script", [prepare_photos, prepare_text, train, evaluate, generate])
def test_every_script_takes_every_recipe_of_the_project(script, path, monkeypatch):
    class ReadError(Exception):
        pass

    def stop(parser, arguments):
        raise ReadError(vars(parse_settings(parser, arguments)))

    parse_settings = SettingsParser.parse_settings
    monkeypatch.setattr(SettingsParser, "parse_settings", stop)
    with pytest.raises(ReadError) as read:
        script.main(["--recipe", str(path)])
    for name, value in tomllib.loads(path.read_text()).get(script.__name__, {}).items():
        assert read.value.args[0][name] == (tuple(value) if isinstance(value, list) else value)
