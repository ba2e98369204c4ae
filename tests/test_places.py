"""Captions and photos at places that were named: found again, moved, gone; nothing is copied."""

import json
import os
import shutil

import pytest
from caption_files import coco_content
from support import PHOTO_RESULTS, StandIn, assert_nothing_done, draw_photos, prepare

import evaluate
import prepare_photos
from captioning.cli import DONE, UserError, run
from captioning.old import (
    CAPTIONS,
    DESCRIPTIONS,
    DRAWN_SPLITS,
    PLACES,
    SPLITS,
    VOCABULARY,
    write_json,
)
from captioning.photos.features import read_features
from captioning.text.captions import read_captions, read_descriptions
from captioning.text.places import photo_folders, read_places
from captioning.text.splits import read_split

NAMES = [f"photo {number:04d}.png" for number in range(6)]
TEXTS = {name: [f"A dog number {number} runs ."] for number, name in enumerate(NAMES)}

TEXT_RESULTS = {DESCRIPTIONS, DRAWN_SPLITS, PLACES, VOCABULARY}


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    monkeypatch.setattr("captioning.photos.encoders.Encoder", StandIn)


@pytest.fixture
def outside(tmp_path):
    """Gives a folder with photos and a captions file, both of no name that is looked for."""
    folder = tmp_path / "outside"
    draw_photos(folder / "pictures", len(NAMES))
    # One of them is no photo.
    shutil.copy(folder / "pictures" / NAMES[0], folder / "pictures" / NAMES[2])
    rows = [f"{name},{text}\n" for name, texts in TEXTS.items() for text in texts]
    (folder / "texts.dat").write_text("image,caption\n" + "".join(rows))
    return folder


def encode(data, *flags):
    """Runs prepare_photos.py in this process and returns its exit status."""
    arguments = ["--data", str(data), "--encoder", "MobileNetV2", *map(str, flags)]
    return run(prepare_photos.main, arguments)


def names_in(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_places_that_are_named_once_are_found_by_the_later_scripts(outside, tmp_path, capsys):
    data = tmp_path / "data"
    assert prepare(data, "--captions", f"{outside}/texts.dat") == DONE
    assert encode(data, "--photos", outside / "pictures") == DONE
    assert prepare(data) == DONE
    printed = " ".join(capsys.readouterr().out.split())
    assert f"files without captions 0 in {outside}/pictures" in printed
    assert read_captions(data) == {name[:-4]: texts for name, texts in TEXTS.items()}
    assert len(read_features(data)) == len(NAMES)
    assert photo_folders(data) == [outside / "pictures"]
    # Nothing is copied.
    assert names_in(data) == {*TEXT_RESULTS, *PHOTO_RESULTS, "features-cache"}
    assert encode(data) == DONE
    assert "6 unchanged" in capsys.readouterr().out


def test_places_may_be_relative_or_links(outside, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    flags = ["--captions", "../link/texts.dat", "--photos", "../link/pictures"]
    assert prepare("data", *flags) == DONE
    # From wherever the next script is run.
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "here" / "data"
    assert encode(data) == DONE
    assert len(read_descriptions(data)) == len(read_features(data)) == len(NAMES)
    recorded = json.loads((data / PLACES).read_text())
    # The link stays one: what it points to may move.
    assert recorded["captions"] == [str(tmp_path / "link" / "texts.dat")]
    assert recorded["photos"] == [str(tmp_path / "link" / "pictures")]


@pytest.mark.parametrize("is_relative", [True, False])
def test_several_captions_files_and_folders_of_photos(
    outside, tmp_path, monkeypatch, capsys, is_relative
):
    data, parts = tmp_path / "data", {"train": NAMES[:3], "val": NAMES[3:]}
    for split, names in parts.items():
        (outside / split).mkdir()
        for name in names:
            shutil.move(outside / "pictures" / name, outside / split / name)
        content = coco_content({name: TEXTS[name] for name in names})
        (outside / f"{split}.json").write_text(json.dumps(content))
    monkeypatch.chdir(outside)
    place = "." if is_relative else outside
    flags = ["--captions", *(f"{place}/{split}.json" for split in parts), "--photos"]
    flags += [f"{place}/{split}" for split in parts]
    assert prepare(data, *flags) == DONE
    printed = " ".join(capsys.readouterr().out.split())
    assert "without a file 0 files without captions 0" in printed
    assert encode(data) == DONE
    assert len(read_features(data)) == len(NAMES)
    # From elsewhere nothing is encoded again.
    monkeypatch.chdir(tmp_path)
    assert encode(data) == DONE
    assert "6 unchanged" in capsys.readouterr().out


def test_a_data_folder_can_be_moved_with_what_lies_in_it(outside, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(outside, data / "mine")
    places = ["--captions", f"{data}/mine/texts.dat", "--photos", f"{data}/mine/pictures"]
    assert prepare(data, *places) == DONE
    assert json.loads((data / PLACES).read_text())["photos"] == [os.path.join("mine", "pictures")]
    data.rename(tmp_path / "moved")
    assert read_descriptions(tmp_path / "moved")
    assert encode(tmp_path / "moved") == DONE


def test_columns_are_remembered_with_their_captions(tmp_path):
    data = tmp_path / "data"
    for name, header in (("one.dat", "x,Foto,y"), ("two.dat", "image,nothing,caption")):
        rows = [f"other {photo},{photo},{photo} a dog" for photo in NAMES]
        (tmp_path / name).write_text("\n".join([header, *rows]))
    columns = ["--photo-column", "foto", "--caption-column", "3"]
    assert prepare(data, "--captions", f"{tmp_path}/one.dat", *columns) == DONE
    assert read_captions(data)["photo 0001"] == ["photo 0001.png a dog"]
    assert prepare(data) == DONE
    # Those of another file are its own.
    assert prepare(data, "--captions", f"{tmp_path}/two.dat") == DONE
    assert read_captions(data)["other photo 0001"] == ["photo 0001.png a dog"]
    assert read_places(data).photo_column == ""


def test_captions_that_are_named_win_over_those_in_the_data_folder(outside, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / CAPTIONS).write_text("other.jpg#0\tA cat .\n")
    assert prepare(data, "--captions", f"{outside}/texts.dat") == DONE
    assert "other" not in read_captions(data)


def test_what_changes_at_a_place_is_noticed(outside, tmp_path):
    data = tmp_path / "data"
    assert prepare(data, "--captions", f"{outside}/texts.dat") == DONE
    with open(outside / "texts.dat", "a") as file:
        file.write(f"{NAMES[0]},One more .\n")
    with pytest.raises(UserError, match=r"texts\.dat has changed since .*prepare_text\.py"):
        read_descriptions(data)


def test_a_text_beside_a_photo_that_changes_is_noticed(outside, tmp_path):
    data = tmp_path / "data"
    for name in NAMES:
        (outside / "pictures" / name).with_suffix(".txt").write_text(f"{name} a dog\n")
    assert prepare(data, "--photos", f"{outside}/pictures") == DONE
    assert read_descriptions(data)
    (outside / "pictures" / NAMES[0]).with_suffix(".txt").write_text("another\n")
    with pytest.raises(UserError, match=r"pictures has changed since .*prepare_text\.py"):
        read_descriptions(data)


def test_a_place_that_is_gone_is_named(outside, tmp_path, capsys):
    data = tmp_path / "data"
    flags = ["--captions", f"{outside}/texts.dat", "--photos", f"{outside}/pictures"]
    assert prepare(data, *flags) == DONE
    outside.rename(tmp_path / "elsewhere")
    command = f"run python prepare_text.py --data {data} --captions FILE"
    assert_nothing_done(data, capsys, outside / "texts.dat", "is missing", command)
    before = (data / PLACES).read_bytes()
    assert encode(data) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{outside}/pictures is not a folder" in line
    assert f"run python prepare_photos.py --data {data} --photos FOLDER" in line
    assert (data / PLACES).read_bytes() == before
    elsewhere = tmp_path / "elsewhere"
    flags = ["--captions", f"{elsewhere}/texts.dat", "--photos", f"{elsewhere}/pictures"]
    assert prepare(data, *flags) == DONE


def test_a_place_that_is_none_is_not_remembered(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    for flags in (["--captions", "nowhere.csv"], ["--captions", str(data)]):
        assert_nothing_done(data, capsys, flags[1], flags=flags)
    assert encode(data, "--photos", data / "nowhere") == 2
    assert names_in(data) == set()


# Content of places.json and of splits.json whose digest is right, as a stranger can make it.
ODD_TEXTS = ["\0", "\ud800", "x" * 5000, "nowhere", "\x1b[2J\n", "nowhere://x", "/dev/zero"]
ODD_PLACES = [
    {"photos": ["."], "captions": "x", "photo_column": "", "caption_column": ""},
    {"photos": ["."], "captions": [3], "photo_column": "", "caption_column": ""},
    {"photos": {}, "captions": [], "photo_column": "", "caption_column": ""},
    {"photos": [], "captions": [], "photo_column": None, "caption_column": ""},
    {"photos": [], "captions": []},
    *(
        {"photos": [], "captions": [text], "photo_column": "", "caption_column": ""}
        for text in ODD_TEXTS
    ),
]
ODD_SPLITS = [
    {},
    {"train": ["a.png"], "dev": ["b.png"]},
    {"train": ["a.png"], "dev": ["b.png"], "test": []},
    {"train": ["a.png"], "dev": ["b.png"], "test": "c.png"},
    {"train": ["a.png"], "dev": ["b.png"], "test": [{"c": 1}]},
    {"train": ["a.png"], "dev": ["b.png"], "test": ["b.png"]},
    {"train": ["a.png"], "dev": ["b.png"], "test": ["c.png"]},
]


@pytest.mark.parametrize("number", range(len(ODD_PLACES)))
def test_odd_places_are_refused(outside, tmp_path, capsys, number):
    data = tmp_path / "data"
    data.mkdir()
    write_json(data / PLACES, ODD_PLACES[number], 1)
    assert_nothing_done(data, capsys)


@pytest.mark.parametrize("text", [text for text in ODD_TEXTS if "://" not in text])
def test_odd_places_of_photos_are_refused(outside, tmp_path, capsys, text):
    data = tmp_path / "data"
    (data / "photos").mkdir(parents=True)
    columns = {"photo_column": "", "caption_column": ""}
    write_json(data / PLACES, {"photos": [text], "captions": [], **columns}, 1)
    assert encode(data) == 2
    printed = capsys.readouterr()
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)


def test_captions_from_a_pipe_are_refused(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    flags = ["--captions", str(tmp_path / "pipe.csv")]
    words = [flags[1], "is a device or a pipe: save the captions as a file"]
    assert_nothing_done(tmp_path / "data", capsys, *words, flags=flags)


@pytest.mark.parametrize("name", ["captions.txt", SPLITS["train"], "pictures/photo 0001.txt"])
def test_pipes_in_the_data_folder_are_not_waited_for(outside, capsys, name):
    (outside / "texts.dat").rename(outside / "texts.csv")
    os.mkfifo(outside / name)
    if name.startswith("pictures"):
        (outside / "texts.csv").unlink()
        for number in (0, 2, 3, 4):
            (outside / "pictures" / f"photo {number:04d}.txt").write_text("A dog runs .")
    status = prepare(outside, "--photos", str(outside / "pictures"))
    assert status == (2 if name == SPLITS["train"] else DONE)
    if status == 2:
        assert f"{name} is missing: put the names" in capsys.readouterr().err


@pytest.mark.parametrize("name", [PLACES, DRAWN_SPLITS])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_refused_or_replaced(outside, tmp_path, capsys, name, kind):
    """A pipe would have whoever reads it wait for ever."""
    data = tmp_path / "data"
    flags = ["--captions", f"{outside}/texts.dat"]
    assert prepare(data, *flags) == DONE
    (data / name).unlink()
    os.mkfifo(data / name) if kind == "pipe" else (data / name).mkdir()
    with pytest.raises(UserError, match=f"{name} is missing: .*prepare_text"):
        read_split(data, "test") if name == DRAWN_SPLITS else read_places(data)
    status = prepare(data, *flags)
    assert status == (DONE if (name, kind) == (DRAWN_SPLITS, "pipe") else 2)


@pytest.mark.parametrize("number", range(len(ODD_SPLITS)))
def test_odd_drawn_splits_are_refused(tmp_path, number):
    write_json(tmp_path / DRAWN_SPLITS, ODD_SPLITS[number], 1)
    if number == len(ODD_SPLITS) - 1:
        assert read_split(tmp_path, "test") == ["c"]
        return
    with pytest.raises(UserError, match=r"splits\.json is damaged.*: run python prepare_text\.py"):
        read_split(tmp_path, "test")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("texts.dat", "other.dat"),
        lambda text: text[:-20],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": 9'),
    ],
)
def test_damaged_places_are_refused(outside, tmp_path, capsys, damage):
    data = tmp_path / "data"
    flags = ["--captions", f"{outside}/texts.dat"]
    assert prepare(data, *flags) == DONE
    (data / PLACES).write_text(damage((data / PLACES).read_text()))
    words = [data / PLACES, f"remove it, then run python prepare_text.py --data {data}"]
    assert_nothing_done(data, capsys, *words)
    assert encode(data) == 2
    assert str(data / PLACES) in capsys.readouterr().err
    assert run(evaluate.main, ["--data", str(data), "--model", str(data)]) == 2
    (data / PLACES).unlink()
    assert prepare(data, *flags) == DONE
