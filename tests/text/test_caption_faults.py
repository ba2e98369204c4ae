"""What is wrong with a captions file is said in a sentence with its place, or counted."""

import json
import sys

import pytest
from support import assert_nothing_done, prepare

from captioning.files import CAPTIONS, SPLITS
from captioning.text.vocabulary import read_prepared_text

PHOTOS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


GOOD_IMAGES = [{"filename": name, "sentences": [{"raw": "A good dog ."}]} for name in PHOTOS]


def karpathy(image):
    """Gives the content of Karpathy's file: an image, and four good ones."""
    return {"images": [image, *GOOD_IMAGES]}


def coco(*annotations, images=()):
    """Gives the content of COCO's file: four photos, and others that come before them."""
    good = [{"id": number, "file_name": name} for number, name in enumerate(PHOTOS)]
    return {"images": [*images, *good], "annotations": [*annotations]}


# Line 3 of a file of the official form -> words of the sentence.
LINES = [
    ("b.jpg#1 no tab", "is not of the official form"),
    (".jpg#0\tno name", "no name of a file"),
    ("b.jpg#1\tcaf\udce9", "or save the file as UTF-8"),
    ("b.jpg#1\tA d\0g .", "is not UTF-8 text"),
    ("b.jpg" + " " * 1_000_000, "is not of the official form"),
]
BESIDE_LINES = "\na.jpg#0\tA good dog .\n{}\nb.jpg#0\tA cat .\nc.jpg#0\tA cow .\n"

# Line 6 of a table -> words of the sentence.
ROWS = [
    ("x.jpg,A dog, and a cat", ["line 6 has 3 columns, the first row 2", "must stand in quotes"]),
    (",A dog", ["line 6 names the photo ''"]),
    ('x.jpg,"A dog', ["line 6", "quote"]),
    ('x.jpg,"A dog\nb.jpg,runs"', ["line 6 opens a quote that is not closed"]),
    ('x.jpg,"A "good" dog"', ["line 6 is no row of a table", "stand twice within quotes"]),
    (f"x.jpg,{'x' * 140_000}", ["line 6", "field larger than field limit"]),
    ("a.png,Of another photo", ["line 6 names 'a.png'", "the photo id of 'a.jpg'"]),
]
TABLE = "image,caption\n" + "".join(f"{photo},A dog .\n" for photo in PHOTOS)
WITH_BARS = "image_name| n| comment\n" + "".join(f"{photo}| 0| A dog .\n" for photo in PHOTOS)
WITH_SPLIT = "image,caption,split\na.jpg,A dog,train\n"
TSV = 'a.jpg\tA "good" dog\nx.jpg\t"A dog\nb.jpg\tA cat\n'

# A file, what it holds, and words of the sentence besides its path. A lone surrogate stands for a
# byte that is not UTF-8.
DAMAGED = [
    *((CAPTIONS, BESIDE_LINES.format(line), ["line 3 ", fault]) for line, fault in LINES),
    *(("captions.csv", f"{TABLE}{row}\n", words) for row, words in ROWS),
    ("mine.tsv", TSV, ["line 2 opens a quote that is not closed"]),
    ("results.csv", f"{WITH_BARS}x.jpg A dog\n", ["line 6 has 1 columns, the first row 3"]),
    ("x.csv", f"{WITH_SPLIT}b.jpg,A,eval\n", ["line 3 has 'b.jpg' in the split 'eval', which"]),
    ("x.csv", f"{WITH_SPLIT}a.jpg,A,test\n", ["line 3 has 'a.jpg' in the split 'test', which"]),
    (CAPTIONS, "", ["begins with ''"]),
    (CAPTIONS, "Dear reader", ["begins with 'Dear reader'", "name.jpg#0<TAB>caption", "JSON"]),
    (CAPTIONS, "x" * 900_000, [f"begins with '{'x' * 60}'", "prepare_text.py --data"]),
    (CAPTIONS, "image,caption\n", ["has captions of 0 photos, too few to split"]),
    (CAPTIONS, "a.jpg,Ein M\udce4dchen", ["line 1 is not UTF-8", "save the file as UTF-8"]),
    (CAPTIONS, "".join(f"\0{letter}" for letter in "a.jpg,A dog\n"), ["line 1 is not UTF-8"]),
]


@pytest.mark.parametrize(("name", "content", "words"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_named_with_its_line(tmp_path, capsys, name, content, words):
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert_nothing_done(tmp_path, capsys, tmp_path / name, *words)


GOOD = {"file_name": "x.jpg", "text": "A good dog ."}
NO_NAME = {"filename": "x\ny.jpg", "sentences": [{"raw": "A"}]}
JSONS = [
    (json.dumps(karpathy(1))[:150], ["cannot be read as JSON", "truncated"]),
    ("[" * 100_000, ["cannot be read as JSON", "recursion"]),
    ("null", ["no list of records, and no names of photos with captions: None"]),
    (karpathy(7), ["record 0 has captions that cannot be right (7)"]),
    (karpathy(NO_NAME), ["no name of a file"]),
    (karpathy({"filename": 1.5, "sentences": []}), ["record 0 names the photo '', which is no"]),
    (karpathy(GOOD_IMAGES[0] | {"sentences": 7}), ["record 0 has captions that cannot be", "7"]),
    (coco({"image_id": 9, "caption": "A"}), ["an annotation of none of the images (9)"]),
    (coco({"image_id": [1], "caption": "A"}), ["an annotation of none of the images (unhash"]),
    (coco({"caption": "A"}), ["an annotation of none of the images ('image_id')"]),
    (coco(images=[7]), ["an image without id or file_name"]),
    (coco({"image_id": 1, "title": "A"}), ["no column or key of captions", "'title', 'file_name'"]),
    ([{"file_name": "x.jpg", "label": 1}], ["such as caption", "'file_name', 'label'"]),
    ([GOOD | {"is_rejected": True}, GOOD, {"label": 1}], ["record 2 names the photo ''"]),
    ({"name": "mine", "version": 1}, ["no names of photos with captions: 'name', 'version'"]),
    ('{"file_name": "x.jpg", "text": "A"}\n{"file_name": ', ["cannot be read as JSON"]),
]


@pytest.mark.parametrize(("content", "words"), JSONS, ids=range(len(JSONS)))
def test_damaged_json_is_named(tmp_path, capsys, content, words):
    path = tmp_path / "dataset_x.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    command = f"correct it, then run python prepare_text.py --data {tmp_path}"
    assert_nothing_done(tmp_path, capsys, path, *words, command)


def listed(mark):
    """Gives a table whose captions are joined, of each photo in one cell."""
    rows = "".join(f'{photo},"A dog runs.{mark}A cat sits."\n' for photo in PHOTOS)
    return {"x.csv": f"image,caption\n{rows}"}


TWO_TEXTS = {**dict.fromkeys(PHOTOS, ""), "a.txt": "A dog .", "a.caption": "dog, grass"}
IN_TWO_FOLDERS = {"x.csv": "image,caption\na.jpg,A dog\n", "one/a.jpg": "1", "two/a.jpg": "2"}
TRAIN_AND_TEST = {"x.csv": "a.jpg,A dog\n", "train.txt": "a.jpg\n", "test.txt": "b.jpg\n"}

# Files -> words of the sentence.
REFUSED = [
    *((listed(mark), ["captions that are several, joined by |"]) for mark in (" | ", "||", "|")),
    *((listed(mark), ["or they a list"]) for mark in (";;", " ;; ", "\n", "\r\n", "\\n")),
    *((listed(mark), ["captions that are several"]) for mark in ("<br>", "[SEP]", " <sep> ")),
    ({"x.csv": "image,caption\na.jpg,[A dog. A cat.]\n"}, ["x.csv has captions that are several"]),
    (TWO_TEXTS, ["two texts of some photos", "--captions"]),
    (IN_TWO_FOLDERS, ["'a.jpg', and a file is 'one/a.jpg'"]),
    (TRAIN_AND_TEST, ["has train.txt and test.txt, but not the third"]),
    ({"flickr8k.zip": ""}, ["no other captions that people wrote are there: put them"]),
    ({"train/metadata.jsonl": '{"file_name": "x.jpg", "label": 1}'}, ["metadata.jsonl", "'label'"]),
    ({"x.jsonl": '{"image": "x.jpg", "text": "A"}\n{"image": \n'}, ["cannot be read as JSON"]),
    ({"metadata.csv": "file_name,label\nx.jpg,1\n"}, ["metadata.csv", "'file_name', 'label'"]),
    ({"llava.json": '[{"image": "x.jpg", "conversations": []}]'}, ["'image', 'conversations'"]),
]


@pytest.mark.parametrize(("files", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_may_be_meant_otherwise_is_refused(tmp_path, capsys, files, words):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert_nothing_done(tmp_path, capsys, tmp_path, *words)


def test_parquet_needs_its_package(tmp_path, capsys, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert_nothing_done(tmp_path, capsys, "x.parquet is a Parquet file, which needs python -m pip")


def test_captions_of_other_photos_are_refused_with_a_name_of_each_side(tmp_path, capsys):
    rows = "".join(f'"https://x.example/p{number}.jpg?w=300&h=2",A dog\n' for number in range(1, 7))
    (tmp_path / "x.csv").write_text(f"image,caption\n{rows}")
    (tmp_path / "P1.JPG").touch()
    words = "name 'https://x.example/p1.jpg?w=300&h=2', and a file is 'P1.JPG'; name them alike"
    found = f"none of 6 photos in {tmp_path} with captions has a file: the captions"
    assert_nothing_done(tmp_path, capsys, f"{found} {words}", "--photos")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path, line_end):
    files = {
        CAPTIONS: ("\ufeffa.jpg#0\tAn a .", "\ufeffb.jpg#0\tA b .", "c.jpg#0\tA\x85\u2028c ."),
        SPLITS["train"]: ("\ufeffa.jpg ",),
        SPLITS["dev"]: ("\ufeffb.jpg ",),
        SPLITS["test"]: ("c.jpg",),
    }
    for name, lines in files.items():
        (tmp_path / name).write_bytes(line_end.join([*lines, ""]).encode())
    assert prepare(tmp_path) == 0
    text = read_prepared_text(tmp_path)
    assert text.captions == {"a": ["An a ."], "b": ["A b ."], "c": ["A\x85\u2028c ."]}
    assert text.splits == {"train": ["a"], "dev": ["b"], "test": ["c"]}
