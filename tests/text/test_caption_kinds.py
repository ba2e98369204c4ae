"""Captions of every kind that people have become the same descriptions, in the splits they name."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from support import assert_nothing_done, prepare

from captioning.files import CAPTIONS, SPLITS
from captioning.text.prepared import read_prepared_text

# Twenty photos, of which every third has a caption that tables must quote.
NAMES = [f"photo {number}.jpg" for number in range(20)]
TEXTS = {
    name: [
        f'A dog, "number {number}", runs .' if number % 3 else "A dog .",
        f"Cat {'y' * (number + 1)}",
    ]
    for number, name in enumerate(NAMES)
}
ROWS = [(name, text) for name, texts in TEXTS.items() for text in texts]
SPLIT_OF = dict(zip(NAMES, ("train",) * 14 + ("dev",) * 3 + ("test",) * 3, strict=True))
OFFICIAL = [
    f"{name}#{number}\t{text}\n"
    for name, texts in TEXTS.items()
    for number, text in enumerate(texts)
]


def touch(folder, names=NAMES):
    """Makes files with the names of photos, which is all that prepare_text.py looks at."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def write_rows(path, rows, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def official(data):
    """Flickr8k as its authors gave it, with the files of its splits and captions in base forms."""
    touch(data / "photos")
    (data / CAPTIONS).write_text("".join(OFFICIAL))
    (data / "Flickr8k.lemma.token.txt").write_text("".join(OFFICIAL))
    for split, name in SPLITS.items():
        (data / name).write_text("".join(f"{n}\n" for n in NAMES if SPLIT_OF[n] == split))


def without_numbers(data):
    touch(data / "photos")
    (data / CAPTIONS).write_text("".join(f"{name}\t{text}\n" for name, text in ROWS))


def flickr30k(data):
    touch(data / "flickr30k-images")
    (data / "results_20130124.token").write_text("".join(OFFICIAL))


def kaggle_flickr8k(data):
    touch(data / "Images")
    write_rows(data / "captions.txt", [("image", "caption"), *ROWS])


def kaggle_flickr30k(data):
    """Its folders, one in the other, with its copies and its one broken row."""
    inner = data / "flickr30k_images" / "flickr30k_images"
    touch(inner)
    touch(inner / "flickr30k_images")
    lines = [f"{line.replace('#', '| ').replace(chr(9), '| ')}" for line in OFFICIAL]
    lines[9] = lines[9].replace("| 1|", "| 1  ")
    content = "".join(["image_name| comment_number| comment\n", *lines])
    for folder in (inner, inner.parent):
        (folder / "results.csv").write_text(content)


def karpathy(data):
    touch(data / "Flicker8k_Dataset")
    names = {"train": "train", "dev": "val", "test": "test"}
    images = [
        {
            "filename": name,
            "split": names[SPLIT_OF[name]],
            "sentences": [{"raw": text, "tokens": text.split()} for text in texts],
        }
        for name, texts in TEXTS.items()
    ]
    images[0]["split"] = "restval"
    content = {"images": images, "dataset": "flickr8k"}
    (data / "dataset_flickr8k.json").write_text(json.dumps(content))


def coco_content(names):
    return {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [
            {"image_id": number, "id": 10 * number + k, "caption": text}
            for number, name in enumerate(names)
            for k, text in enumerate(TEXTS[name])
        ],
    }


def coco(data):
    """A train and a val file with a folder of photos each, and a file that holds no captions."""
    (data / "annotations").mkdir()
    for split, names in (("train", NAMES[:14]), ("val", NAMES[14:])):
        touch(data / f"{split}2017", names)
        path = data / "annotations" / f"captions_{split}2017.json"
        path.write_text(json.dumps(coco_content(names)))
        (data / "annotations" / f"instances_{split}2017.json").write_text("{}")


def csv_with_splits(data):
    touch(data / "photos")
    rows = [(7, f"photos/{name}", text, SPLIT_OF[name]) for name, text in ROWS]
    write_rows(data / "mine.csv", [("Reviewer", "File_Name", "Description", "Split"), *rows])


def tsv_without_header(data):
    touch(data / "photos")
    write_rows(data / "mine.tsv", [(text, name) for name, text in ROWS], "\t")


def semicolons(data):
    touch(data / "photos")
    write_rows(data / "x.csv", [("Datei", "caption"), *ROWS], ";")


def columns_by_flag(data):
    """Two columns of texts, and photos without an extension."""
    touch(data / "photos")
    rows = [(Path(name).stem, "This is no caption .", text) for name, text in ROWS]
    write_rows(data / "x.csv", [("Bild", "Frage", "Antwort"), *rows])


def texts_beside(data):
    """The photos and texts in the data folder itself, and one text too many."""
    touch(data)
    for name, texts in TEXTS.items():
        (data / name).with_suffix(".txt").write_text("\n".join(texts) + "\n\n")
    (data / "README.txt").write_text("Mine.\n")
    touch(data / ".hidden", ["x.jpg"])
    (data / ".hidden" / "x.txt").write_text("A cat .\n")


FROM_FILE, AT_RANDOM = "from the captions file", "at random, with seed 1"
OFFICIAL_FORM = "the official form, name.jpg#0<TAB>caption"

# Kind -> what it is said to be taken for, where the splits come from.
KINDS = {
    official: (OFFICIAL_FORM, "from Flickr_8k.trainImages.txt"),
    without_numbers: ("TSV, columns 1 and 2", AT_RANDOM),
    flickr30k: (OFFICIAL_FORM, AT_RANDOM),
    kaggle_flickr8k: ("CSV, columns image and caption", AT_RANDOM),
    kaggle_flickr30k: ("Kaggle's Flickr30k, results.csv", AT_RANDOM),
    karpathy: ("Karpathy's JSON", FROM_FILE),
    coco: ("COCO's captions", f"{FROM_FILE}, whose validation photos are halved"),
    csv_with_splits: ("CSV, columns file_name and description", FROM_FILE),
    tsv_without_header: ("TSV, columns 2 and 1", AT_RANDOM),
    semicolons: ("CSV with semicolons, columns datei and caption", AT_RANDOM),
    columns_by_flag: ("CSV, columns bild and antwort", AT_RANDOM),
    texts_beside: ("photos with a .txt beside each; left out: 1 .txt without a photo", AT_RANDOM),
}
FLAGS = {columns_by_flag: ["--photo-column", "1", "--caption-column", "antwort"]}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_is_told_and_read(kind, tmp_path, capsys):
    kind(tmp_path)
    assert prepare(tmp_path, *FLAGS.get(kind, [])) == 0
    captured = capsys.readouterr()
    printed = " ".join(captured.out.split())
    assert captured.err == ""
    name, origin = KINDS[kind]
    assert f"taken for {name}" in printed
    assert f"splits: {origin}" in printed
    assert "without a file 0 files without captions 0" in printed
    text = read_prepared_text(tmp_path)
    assert text.captions == {Path(name).stem: texts for name, texts in TEXTS.items()}
    assert sum(map(len, text.splits.values())) == len(NAMES)
    if origin is not AT_RANDOM:
        # COCO's validation photos are halved, into dev and test.
        told = {photo: split for split, photos in text.splits.items() for photo in photos}
        for file_name, split in SPLIT_OF.items():
            expected = {"dev", "test"} if kind is coco and split != "train" else {split}
            assert told[Path(file_name).stem] in expected
        assert all(text.splits.values())


def write_mine(folder, *rows, header=("image", "caption")):
    folder.mkdir(exist_ok=True)
    write_rows(folder / "mine.csv", [header, *rows, *ROWS])
    return folder


def captions_of(data, *flags):
    assert prepare(data, *flags) == 0
    return read_prepared_text(data).captions


def test_quotes_line_breaks_and_commas_in_cells_are_read(tmp_path):
    first = 'x.jpg,"A dog, a ""good"" one\nand\r\na cat."\n"y.jpg",""\nz.jpg, padded \n'
    content = "image,caption\n" + first + "".join(f"{n}.jpg,A cow\n" for n in range(3))
    (tmp_path / "mine.csv").write_text("\ufeff" + content, newline="")
    captions = captions_of(tmp_path)
    assert captions["x"] == ['A dog, a "good" one and a cat.']
    assert (captions["y"], captions["z"]) == ([""], ["padded"])


@pytest.mark.parametrize("marks", ["\t,", ";,", ",;"])
def test_a_caption_may_hold_what_separates_columns_elsewhere(tmp_path, marks):
    mark, other = marks
    rows = "".join(f"{name}.jpg{mark}A dog{other} a cat\n" for name in "abc")
    (tmp_path / "mine.csv").write_text(rows)
    assert captions_of(tmp_path)["a"] == [f"A dog{other} a cat"]


@pytest.mark.parametrize(
    ("header", "flags", "photos"),
    [
        (("Nr", "Frage", "Antwort"), ["--photo-column", "1", "--caption-column", "antwort"], "123"),
        (("image_id", "x", "text"), [], "123"),
        # Without a header: the first row is one like the others.
        (
            ("7", "Was ist das?", "Ein Hund"),
            ["--photo-column", "1", "--caption-column", "3"],
            "7123",
        ),
    ],
)
def test_photos_may_be_named_by_numbers(tmp_path, header, flags, photos):
    rows = [(number, "Was ist das?", "Ein Hund") for number in "123"]
    write_rows(tmp_path / "mine.csv", [header, *rows])
    assert captions_of(tmp_path, *flags) == {number: ["Ein Hund"] for number in photos}


@pytest.mark.parametrize(
    ("header", "flags", "words"),
    [
        (
            ("image", "caption", "caption"),
            [],
            ["'image', 'caption', 'caption'", "--caption-column"],
        ),
        (("image", "image", "caption"), [], ["--photo-column"]),
        (("image", "number"), ["--caption-column", "text"], ["'image', 'number'"]),
        (("image", "caption"), ["--photo-column", "Foto"], ["'image', 'caption'"]),
        (("image", "caption"), ["--photo-column", "3"], ["by header or number"]),
        (("image", "caption"), ["--photo-column", "caption"], ["by header or number"]),
        (("a", "b", "c"), [], ["'a,b,c'", "'a', 'b', 'c'", "Karpathy"]),
    ],
)
def test_columns_that_cannot_be_told_are_named(tmp_path, capsys, header, flags, words):
    write_rows(tmp_path / "mine.csv", [header, *[["A dog runs"] * len(header)] * 3])
    assert_nothing_done(tmp_path, capsys, tmp_path / "mine.csv", *words, flags=flags)


def test_a_name_of_the_official_form_may_differ_in_case_or_be_numbered(tmp_path):
    more = "a.JPG#1\tB .\na.jpg.1 #2 \tC .\nfolder/a.jpg#3\tD\twith a tab .\n"
    rest = "".join(f"{name}.jpg#0\tA dog .\n" for name in "bcd")
    (tmp_path / CAPTIONS).write_text("a.jpg#0\tA good dog .\n" + more + rest)
    with pytest.raises(AssertionError):
        captions_of(tmp_path)
    (tmp_path / CAPTIONS).write_text("a.jpg#0\tA good dog .\n" + more.replace("folder/", "") + rest)
    assert captions_of(tmp_path)["a"] == ["A good dog .", "B .", "C .", "D\twith a tab ."]


def test_no_photos_of_tables_are_numbers_by_accident(tmp_path):
    # A name may begin as JSON does.
    rows = "[1].jpg,A dog runs\n{2}.jpg,A cat sits\n3.jpg,A cow\n"
    (tmp_path / "captions.csv").write_text(rows)
    assert captions_of(tmp_path).keys() == {"[1]", "{2}", "3"}


# ---- Where they are ----


def test_captions_that_are_named_win_and_are_not_remembered(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    (data / CAPTIONS).write_text("".join(OFFICIAL))
    write_rows(
        tmp_path / "texts.dat", [("image", "caption"), *((f"{n}.jpg", "A cow") for n in "abc")]
    )
    flags = ["--captions", str(tmp_path / "texts.dat")]
    assert captions_of(data, *flags).keys() == {"a", "b", "c"}
    assert len(captions_of(data)) == len(NAMES)
    (tmp_path / "texts.dat").unlink()
    words = [tmp_path / "texts.dat", "is missing", f"run python prepare_text.py --data {data}"]
    assert_nothing_done(data, capsys, *words, flags=flags)


def test_several_files_that_may_hold_the_captions_are_named(tmp_path, capsys):
    for name in ("a.csv", "b.csv", "c.json"):
        (tmp_path / name).write_text(f"a.jpg,{name} is a dog\n")
    words = ["a.csv, b.csv, c.json", f"run python prepare_text.py --data {tmp_path} --captions"]
    assert_nothing_done(tmp_path, capsys, *words)
    # One of a usual name is taken before the others, and copies of one file are one.
    below = tmp_path / "below"
    below.mkdir()
    kaggle_flickr8k(tmp_path)
    shutil.copy(tmp_path / "captions.txt", below)
    assert len(captions_of(tmp_path)) == len(NAMES)


def test_a_folder_with_nothing_in_it_is_refused(tmp_path, capsys):
    words = ["is missing", "name.jpg#0<TAB>caption", "--captions", f"--data {tmp_path}"]
    assert_nothing_done(tmp_path, capsys, *words)


def test_files_of_earlier_versions_are_ignored_and_that_is_said(tmp_path, capsys):
    official(tmp_path)
    for name in ("places.json", "splits.json"):
        (tmp_path / name).write_text('{"captions": ["nowhere"]}')
    assert prepare(tmp_path) == 0
    printed = capsys.readouterr().out
    assert printed.count("places.json and splits.json") == 1
    assert "captions: " + str(tmp_path / CAPTIONS) in " ".join(printed.split())


@pytest.mark.parametrize("name", ["captions.txt", CAPTIONS, SPLITS["dev"], "photo 1.txt"])
def test_a_pipe_is_not_waited_for(tmp_path, capsys, name):
    (texts_beside if name == "photo 1.txt" else kaggle_flickr8k)(tmp_path)
    if name == "captions.txt":
        (tmp_path / name).rename(tmp_path / "mine.csv")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    status = prepare(tmp_path)
    if name == SPLITS["dev"]:
        assert status == 2
        assert "trainImages.txt is missing" in capsys.readouterr().err
    else:
        assert status == 0
    flags = ["--captions", str(tmp_path / name)]
    assert_nothing_done(tmp_path, capsys, name, "is no file: save", flags=flags)
