"""Captions of every kind that people have become the same descriptions, in the splits they name."""

import csv
import io
import json
from pathlib import Path

import pytest
from support import assert_nothing_done, prepare

from captioning.files import CAPTIONS, SPLITS
from captioning.text.vocabulary import read_prepared_text

# Twenty photos, of which some have a caption that tables must quote.
NAMES = [f"photo {number}.jpg" for number in range(20)]
TEXTS = {
    name: [f'A dog, "number {number}", runs .' if number % 3 else "A dog .", f"Cat {'y' * number}."]
    for number, name in enumerate(NAMES)
}
# Two people may write the same.
TEXTS[NAMES[0]] = ["A dog ."] * 2
ROWS = [(name, text) for name, texts in TEXTS.items() for text in texts]
SPLIT_OF = dict(zip(NAMES, ("train",) * 14 + ("dev",) * 3 + ("test",) * 3, strict=True))
OFFICIAL = "".join(f"{name}#{number % 2}\t{text}\n" for number, (name, text) in enumerate(ROWS))


def table(*rows, mark=","):
    text = io.StringIO()
    csv.writer(text, delimiter=mark).writerows(rows)
    return text.getvalue()


def karpathy():
    names = {"train": "train", "dev": "val", "test": "test"}
    images = [
        {"filename": name, "split": names[SPLIT_OF[name]], "sentences": [{"raw": t} for t in texts]}
        for name, texts in TEXTS.items()
    ]
    images[0]["split"] = "restval"
    return json.dumps({"images": images, "dataset": "flickr8k"})


def coco(names):
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    annotations = [
        {"image_id": number, "id": 10 * number + k, "caption": text}
        for number, name in enumerate(names)
        for k, text in enumerate(TEXTS[name])
    ]
    return json.dumps({"images": images, "annotations": annotations})


# Kaggle's file of Flickr30k, with its one broken row.
BARS = OFFICIAL.replace("#", "| ").replace("\t", "| ").replace("9.jpg| 1|", "9.jpg| 1  ", 1)
BARS = f"image_name| comment_number| comment\n{BARS}"
# COCO's archive has others, which hold no captions.
COCO = {"train": NAMES[:14], "val": NAMES[14:]}
COCO_FILES = {f"annotations/captions_{k}2017.json": coco(names) for k, names in COCO.items()}
COCO_FILES |= {f"annotations/instances_{split}2017.json": "{}" for split in COCO}
BESIDE = {f"{Path(name).stem}.txt": "\n".join(texts) + "\n\n" for name, texts in TEXTS.items()}
BESIDE |= {**dict.fromkeys(NAMES, ""), "README.txt": "Mine.\n"}
BESIDE |= {".hidden/x.txt": "A cat .\n", ".hidden/x.jpg": ""}
SPLIT_FILES = {
    name: "".join(f"{photo}\n" for photo in NAMES if SPLIT_OF[photo] == split)
    for split, name in SPLITS.items()
}

FROM_FILE, AT_RANDOM = "from the captions file", "dev and test at random, with seed 1"
FORM = "the official form, name.jpg#0<TAB>caption"

LEMMAS = {"Flickr8k.lemma.token.txt": OFFICIAL}
BARE = "".join(f"{name}\t{text}\n" for name, text in ROWS)
TSV = table(*((text, name) for name, text in ROWS), mark="\t")
SEMICOLONS = "\ufeff" + table(("Datei", "caption"), *ROWS, mark=";")
WITH_SPLITS = [(7, f"photos/{name}", text, SPLIT_OF[name]) for name, text in ROWS]
WITH_SPLITS = table(("Reviewer", "File_Name", "Description", "Split"), *WITH_SPLITS)
ANSWERS = [(Path(name).stem, "This is no caption .", text) for name, text in ROWS]
ANSWERS = table(("Bild", "Frage", "Antwort"), *ANSWERS)
BARS_FILES = dict.fromkeys(("flickr30k/results.csv", "flickr30k/flickr30k/results.csv"), BARS)
CSV = {"captions.txt": table(("image", "caption"), *ROWS)}

# Files, what they are said to be taken for, and where the splits come from.
KINDS = {
    "official": ({CAPTIONS: OFFICIAL, **LEMMAS, **SPLIT_FILES}, FORM, f"from {SPLITS['train']}"),
    "without numbers": ({CAPTIONS: BARE}, "TSV, columns 1 and 2", AT_RANDOM),
    "Flickr30k": ({"results_20130124.token": OFFICIAL}, FORM, AT_RANDOM),
    "Kaggle's Flickr8k": (CSV, "CSV, columns 1 and 2", AT_RANDOM),
    "Kaggle's Flickr30k": (BARS_FILES, "Kaggle's Flickr30k, name.jpg| 0| caption", AT_RANDOM),
    "Karpathy": ({"dataset_flickr8k.json": karpathy()}, "Karpathy's JSON", FROM_FILE),
    "COCO": (COCO_FILES, "COCO's captions", f"{FROM_FILE}; test at random"),
    "CSV with splits": ({"mine.csv": WITH_SPLITS}, "CSV, columns 2 and 3", FROM_FILE),
    "TSV without a header": ({"mine.tsv": TSV}, "TSV, columns 2 and 1", AT_RANDOM),
    "semicolons": ({"x.csv": SEMICOLONS}, "CSV with semicolons, columns 1 and 2", AT_RANDOM),
    "columns by flag": ({"x.csv": ANSWERS}, "CSV, columns 1 and 3", AT_RANDOM),
    "texts beside photos": (BESIDE, "photos with a .txt beside each", AT_RANDOM),
}
FLAGS = {"columns by flag": ["--photo-column", "1", "--caption-column", "antwort"]}


def write(data, files):
    for name, content in files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(content, encoding="utf-8", newline="")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_told_and_read(kind, tmp_path, capsys):
    files, name, origin = KINDS[kind]
    write(tmp_path, files)
    assert prepare(tmp_path, *FLAGS.get(kind, [])) == 0
    captured = capsys.readouterr()
    printed = " ".join(captured.out.split())
    assert captured.err == ""
    assert f"taken for {name}" in printed
    assert f"splits: {origin}" in printed
    text = read_prepared_text(tmp_path)
    assert text.captions == {Path(name).stem: texts for name, texts in TEXTS.items()}
    told = {photo: split for split, photos in text.splits.items() for photo in photos}
    assert len(told) == len(NAMES)
    for file_name, split in SPLIT_OF.items() if origin is not AT_RANDOM else ():
        # COCO's validation photos are halved, into dev and test.
        expected = {"dev", "test"} if kind == "COCO" and split != "train" else {split}
        assert told[Path(file_name).stem] in expected


def captions_of(data, *flags):
    assert prepare(data, *flags) == 0
    return read_prepared_text(data).captions


def test_quotes_line_breaks_and_commas_in_cells_are_read(tmp_path):
    first = 'x.jpg,"A dog, a ""good"" one\nand\r\na cat."\n"y.jpg",""\nz.jpg, padded \n'
    rows = "".join(f"{n}.jpg,A cow\n" for n in range(3))
    write(tmp_path, {"mine.csv": f"\ufeffimage,caption\n{first}{rows}"})
    captions = captions_of(tmp_path)
    assert captions["x"] == ['A dog, a "good" one and a cat.']
    assert (captions["y"], captions["z"]) == ([""], ["padded"])


@pytest.mark.parametrize("marks", ["\t,", ";,", ",;"])
def test_a_caption_may_hold_what_separates_columns_elsewhere(tmp_path, marks):
    mark, other = marks
    rows = "".join(f"{name}.jpg{mark}A dog{other} a cat\n" for name in "abc")
    write(tmp_path, {"mine.csv": rows})
    assert captions_of(tmp_path)["a"] == [f"A dog{other} a cat"]


BY_NUMBER = ["--photo-column", "1", "--caption-column", "3"]


@pytest.mark.parametrize(
    ("header", "flags", "photos"),
    [
        (("Nr", "Frage", "Antwort"), BY_NUMBER, "123"),
        (("image_id", "x", "text"), [], "123"),
        # Without a header: the first row is one like the others.
        (("7", "Was ist das?", "Ein Hund"), BY_NUMBER, "7123"),
    ],
)
def test_photos_may_be_named_by_numbers(tmp_path, header, flags, photos):
    rows = [(number, "Was ist das?", "Ein Hund") for number in "123"]
    write(tmp_path, {"mine.csv": table(header, *rows)})
    assert captions_of(tmp_path, *flags) == {number: ["Ein Hund"] for number in photos}


@pytest.mark.parametrize(
    ("header", "flags", "words"),
    [
        (("image", "caption", "caption"), [], ["'image', 'caption', 'caption'", "--caption-col"]),
        (("image", "caption"), ["--photo-column", "Foto"], ["'image', 'caption'"]),
        (("image", "caption"), ["--photo-column", "caption"], ["by header or number"]),
        (("a", "b", "c"), [], ["'a,b,c'", "'a', 'b', 'c'", "Karpathy"]),
    ],
)
def test_columns_that_cannot_be_told_are_named(tmp_path, capsys, header, flags, words):
    write(tmp_path, {"mine.csv": table(header, *[["A dog runs"] * len(header)] * 3)})
    assert_nothing_done(tmp_path, capsys, tmp_path / "mine.csv", *words, flags=flags)


def test_a_name_of_the_official_form_may_differ_in_case_or_be_numbered(tmp_path, capsys):
    rest = "".join(f"{name}.jpg#0\tA dog .\n" for name in "abcd")
    more = "a.JPG#1\tB .\na.jpg.1 #2 \tC .\na.jpg#3\tD\twith a tab .\n"
    write(tmp_path, {CAPTIONS: rest + more})
    assert captions_of(tmp_path)["a"] == ["A dog .", "B .", "C .", "D\twith a tab ."]
    # The same name in another folder may be another photo.
    write(tmp_path, {CAPTIONS: f"{rest}below/a.jpg#1\tE .\n"})
    fault = "line 5 names 'below/a.jpg', which has the photo id of 'a.jpg'"
    assert_nothing_done(tmp_path, capsys, fault)


def test_captions_that_are_named_win_and_are_not_remembered(tmp_path, capsys):
    data, named = tmp_path / "data", tmp_path / "texts.dat"
    write(data, {CAPTIONS: OFFICIAL})
    write(tmp_path, {"texts.dat": "[1].jpg,A dog\n{2}.jpg,A cat\n3.jpg,A cow\n"})
    flags = ["--captions", str(named)]
    assert captions_of(data, *flags).keys() == {"[1]", "{2}", "3"}
    assert len(captions_of(data)) == len(NAMES)
    named.unlink()
    words = [named, "is missing", f"run python prepare_text.py --data {data}"]
    assert_nothing_done(data, capsys, *words, flags=flags)


def test_several_files_that_may_hold_the_captions_are_named(tmp_path, capsys):
    write(tmp_path, {name: "a.jpg,A dog\n" + name for name in ("a.csv", "b.csv", "c.tsv")})
    words = "3 files that may be the captions, such as a.csv and b.csv", "--captions FILE"
    assert_nothing_done(tmp_path, capsys, *words)
    # One of a usual name is taken before the others, and of several the nearest.
    write(tmp_path, dict.fromkeys(("captions.txt", "below/captions.txt"), table(*ROWS)))
    assert len(captions_of(tmp_path)) == len(NAMES)
