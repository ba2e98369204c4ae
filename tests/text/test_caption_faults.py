"""What is wrong with a captions file is said in a sentence with its place, or counted."""

import json

import pytest
from support import assert_nothing_done, prepare

from captioning.files import CAPTIONS
from captioning.text.prepared import read_prepared_text

PHOTOS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
GOOD = "".join(f"{photo}#0\tA good dog .\n" for photo in PHOTOS)


def write(data, name, *lines, end="\n"):
    """Writes a file, in which a lone surrogate stands for a byte that is not UTF-8."""
    data.mkdir(exist_ok=True)
    content = end.join([*lines, ""]).encode("utf-8", "surrogateescape")
    (data / name).write_bytes(content)
    return data / name


def karpathy(*images):
    """Gives the content of Karpathy's file: four photos, and others that come before them."""
    good = [{"filename": name, "sentences": [{"raw": "A good dog ."}]} for name in PHOTOS]
    return {"images": [*images, *good]}


def coco(*annotations, images=()):
    """Gives the content of COCO's file: four photos, and others that come before them."""
    good = [{"id": number, "file_name": name} for number, name in enumerate(PHOTOS)]
    captions = [{"id": n, "image_id": n, "caption": "A good dog ."} for n in range(4)]
    return {"images": [*images, *good], "annotations": [*annotations, *captions]}


# Line after a good one of the official form -> words of the sentence.
LINES = [
    ("b.jpg#1 no tab", "is not name.jpg#0<TAB>caption"),
    ("b.jpg\tno mark", "is not name.jpg#0<TAB>caption"),
    ("#1\tno name", "is not name.jpg#0<TAB>caption"),
    ("no#1number.jpg\ta caption", "is not name.jpg#0<TAB>caption"),
    (".jpg#0\tno name", "no name of a file"),
    ("b.jpg#1\tA dog .c.jpg#1\tA line end is missing .", "holds two captions"),
    ("a.png#1\tOf another photo .", "same photo id as 'a.jpg'"),
    ("b.jpg#1\tcaf\udce9", "is not UTF-8 text: save the file"),
    ("b.jpg#1\tA d\0g .", "holds a NUL"),
    ("b.jpg#1\t" + "word " * 300, "has a caption of 300 words"),
    ("b.jpg" + " " * 1_000_000, "is not name.jpg#0<TAB>caption"),
    ("b.jpg#1\t" + "x" * 10_000_000, "10,000,000 characters, more than 200 or 4,000"),
]


@pytest.mark.parametrize(("line", "fault"), LINES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_bad_line_is_named(tmp_path, capsys, line, fault, line_end):
    lines = ["", "a.jpg#0\tA good dog .", line, "b.jpg#0\tA cat .", "c.jpg#0\tA cow ."]
    path = write(tmp_path, CAPTIONS, *lines, end=line_end)
    assert_nothing_done(tmp_path, capsys, f"{path} line 3 ", fault)


ROWS = [
    ("x.jpg", ["line 2 has 1 columns, the first 2"]),
    ("x.jpg,A dog, and a cat", ["line 2 has 3 columns", "must stand in quotes"]),
    (",A dog", ["line 2 names the photo ''"]),
    ('x.jpg,"A dog', ["line 2", "quote"]),
    ('x.jpg,"A dog\nruns', ["line 2", "quote"]),
    ('x.jpg,"A dog\nb.jpg,runs"', ["line 2 opens a quote that is not closed"]),
    ('x.jpg,"A "good" dog"', ["line 2 is no row of a table", "stand twice within quotes"]),
    (f"x.jpg,{'x' * 10_000_000}", ["line 2", "field larger than field limit"]),
    ("a.png,Of another photo", ["line 3 names 'a.jpg'", "same photo id as 'a.png'"]),
    ('"x\nz.jpg",A dog', ["line 2", "quote"]),
    ("x.jpg,caf\udce9", ["line 2 is not UTF-8"]),
]


@pytest.mark.parametrize(("row", "words"), ROWS)
def test_a_damaged_row_of_a_table_is_named(tmp_path, capsys, row, words):
    good = [f"{photo},A good dog ." for photo in PHOTOS]
    path = write(tmp_path, "captions.csv", "image,caption", row, *good)
    assert_nothing_done(tmp_path, capsys, path, *words)


SPLIT_HEADER = ("image,caption,split", "a.jpg,A dog,train")
RESULTS = ("image_name| comment_number| comment", *(f"{photo}| 0| A dog ." for photo in PHOTOS))
TSV = ('a.jpg\tA "good" dog', 'x.jpg\t"A dog', "b.jpg\tA cat")


@pytest.mark.parametrize(
    ("name", "lines", "fault"),
    [
        ("mine.tsv", TSV, "line 2 opens a quote that is not closed"),
        ("mine.tsv", (*TSV, 'c.jpg\tA "good" cow'), "line 2 opens a quote that is not closed"),
        ("results.csv", (*RESULTS, "x.jpg A dog"), "line 6 is not name.jpg| 0| caption"),
        ("x.csv", (*SPLIT_HEADER, "b.jpg,A,eval"), "line 3 is in the split 'eval', which is none"),
        ("x.csv", (*SPLIT_HEADER, "b.jpg,A,"), "line 3 is in the split ''"),
        ("x.csv", (*SPLIT_HEADER, "a.jpg,A,test"), "line 3 has 'a.jpg' in another split"),
    ],
)
def test_damaged_rows_of_other_tables_are_named(tmp_path, capsys, name, lines, fault):
    path = write(tmp_path, name, *lines)
    assert_nothing_done(tmp_path, capsys, f"{path} {fault}")


JSONS = [
    (json.dumps(karpathy())[:150], ["is not JSON", "line 1 "]),
    ('{"images":\n[}', ["is not JSON", "line 2 "]),
    ("[" * 100_000, ["is not JSON", "recursion"]),
    ("null", ["begins with 'null'", "none of the known kinds", "Karpathy"]),
    ('{"images": 7}', ["begins with", "none of the known kinds"]),
    (karpathy(7), ["image 1 has no filename"]),
    (karpathy({"filename": "x.jpg"}), ["image 1 has no sentences"]),
    (
        karpathy({"filename": "x.jpg", "sentences": [{"raw": "A"}, {"raw": None}]}),
        ["a sentence of image 1 has null as its raw"],
    ),
    (karpathy({"filename": "x.jpg", "split": 7, "sentences": []}), ["image 1 has 7 as its split"]),
    (
        karpathy({"filename": "x.jpg", "split": "extra", "sentences": [{"raw": "A"}]}),
        ["image 1 is in the split 'extra'"],
    ),
    (
        karpathy({"filename": "x\ny.jpg", "sentences": [{"raw": "A"}]}),
        ["image 1 names the photo", "no name of a file"],
    ),
    (karpathy({"filename": "x.jpg", "sentences": [{"raw": "A \0"}]}), ["image 1: raw holds a NUL"]),
    (
        karpathy({"filename": "x.jpg", "sentences": [{"raw": "A \ud800"}]}),
        ["image 1: raw is not UTF-8"],
    ),
    (coco(None), ["annotation 1 has no caption"]),
    (coco({"image_id": 9, "caption": "A"}), ["annotation 1 is of the image 9, which"]),
    (coco({"image_id": [1], "caption": "A"}), ["annotation 1 has [1] as its image_id"]),
    (coco(images=[{"id": 1, "file_name": "x.jpg"}]), ["image 3 has the id 1 of an earlier"]),
    (coco(images=[{"id": 9, "file_name": None}]), ["image 1 has null as its file_name"]),
]


@pytest.mark.parametrize(("content", "words"), JSONS, ids=range(len(JSONS)))
def test_damaged_json_is_named(tmp_path, capsys, content, words):
    path = tmp_path / "dataset_x.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    command = f"correct it, then run python prepare_text.py --data {tmp_path}"
    assert_nothing_done(tmp_path, capsys, path, *words, command)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"x.txt": b"A dog\ncaf\xe9"}, ["x.txt line 2 is not UTF-8"]),
        ({"x.txt": b"A dog\n" + b"x" * 9_000}, ["x.txt line 2 has a caption of 1 words, 9,000"]),
        ({"one/x.txt": b"A dog", "two/x.txt": b"A cat"}, ["two/x.txt line 1 names 'two/x.jpg'"]),
    ],
)
def test_damaged_texts_beside_photos_are_named(tmp_path, capsys, texts, words):
    for name, text in {**{f"{name}.txt": b"A dog ." for name in "abc"}, **texts}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
        (tmp_path / name).with_suffix(".jpg").touch()
    assert_nothing_done(tmp_path, capsys, tmp_path, *words)


@pytest.mark.parametrize("name", [CAPTIONS, "captions.txt", "mine.tsv", "captions_x.json"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["holds no captions"]),
        (b"\xef\xbb\xbf \n\n\t\n", ["holds no captions"]),
        ("a.jpg,Ein Mädchen".encode("latin-1"), ["line 1 is not UTF-8", "save the file as UTF-8"]),
        ("a.jpg,A dog\n".encode("utf-16"), ["line 1 is not UTF-8"]),
        ("a.jpg,A dog\n".encode("utf-16-be"), ["line 1 holds a NUL"]),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, capsys, name, content, words):
    (tmp_path / name).write_bytes(content)
    assert_nothing_done(tmp_path, capsys, tmp_path / name, *words)


@pytest.mark.parametrize("text", ["Dear reader", "Hello, world\nagain, and again", "x" * 9_000])
def test_an_unknown_text_is_quoted_and_the_kinds_are_listed(tmp_path, capsys, text):
    (tmp_path / "captions.txt").write_text(text)
    words = [f"begins with '{text.splitlines()[0][:60]}", "name.jpg#0<TAB>caption", "CSV", "COCO"]
    assert_nothing_done(tmp_path, capsys, *words, f"prepare_text.py --data {tmp_path}")


# File -> what stands twice in it, where, and which captions are left.
REPEATED = {
    CAPTIONS: (f"a.jpg#1\tA good dog .\n{GOOD}{GOOD}", "4 repeated captions", "line 6"),
    "captions.csv": ("image,caption\n" + "a.jpg,A good dog .\n" * 3, "2 repeated", "line 3"),
    "captions_x.json": (
        json.dumps(coco(*[{"id": n, "image_id": 0, "caption": "A\ndog"} for n in (8, 8, 9)])),
        "1 repeated caption ignored",
        "annotation 2",
    ),
}


@pytest.mark.parametrize("name", REPEATED)
def test_captions_that_stand_twice_count_once_and_are_counted(tmp_path, capsys, name):
    content, count, first = REPEATED[name]
    if name.endswith(".csv"):
        content += "".join(f"{photo},A good dog .\n" for photo in PHOTOS[1:])
    (tmp_path / name).write_text(content)
    assert prepare(tmp_path) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path / name}: {count}")
    assert said.endswith(f" ignored, the first {first}\n")
    captions = read_prepared_text(tmp_path).captions
    # Two people may write the same.
    twice = {CAPTIONS: ["A good dog ."] * 2, "captions_x.json": ["A dog", "A dog", "A good dog ."]}
    assert captions["a"] == twice.get(name, ["A good dog ."])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path, line_end):
    lines = ["\ufeffa.jpg#0\tAn a .", "\ufeffb.jpg#0\tA b .", "c.jpg#0\tA\x85\u2028c ."]
    write(tmp_path, CAPTIONS, *lines, end=line_end)
    write(tmp_path, "Flickr_8k.trainImages.txt", "\ufeffa.jpg ", end=line_end)
    write(tmp_path, "Flickr_8k.devImages.txt", "\ufeffb.jpg ", end=line_end)
    write(tmp_path, "Flickr_8k.testImages.txt", "c.jpg", end=line_end)
    assert prepare(tmp_path) == 0
    text = read_prepared_text(tmp_path)
    assert text.captions == {"a": ["An a ."], "b": ["A b ."], "c": ["A\x85\u2028c ."]}
    assert text.splits == {"train": ["a"], "dev": ["b"], "test": ["c"]}
