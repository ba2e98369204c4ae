"""What is wrong with a captions file is said in a sentence with its place, or counted."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import assert_nothing_done, contents, prepare
from test_properties import attempt, searched

from captioning.cli import DONE
from captioning.old import DRAWN_SPLITS
from captioning.text.captions import read_captioned_photos, read_captions
from captioning.text.places import Places

PHOTOS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


def write_table(folder, *rows, name="captions.csv", header="image,caption"):
    """Writes a table of four captions, and of rows that come before them."""
    folder.mkdir(exist_ok=True)
    lines = [header, *rows, *(f"{photo},A good dog ." for photo in PHOTOS)]
    text = "\n".join(lines) + "\n"
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def write_json(folder, content, name):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def karpathy(*images):
    """Gives the content of Karpathy's file: four photos, and others that come before them."""
    good = [{"filename": name, "sentences": [{"raw": "A good dog ."}]} for name in PHOTOS]
    return {"images": [*images, *good]}


def coco(*annotations, images=()):
    """Gives the content of COCO's file: four photos, and others that come before them."""
    good = [{"id": number, "file_name": name} for number, name in enumerate(PHOTOS)]
    captions = [{"id": n, "image_id": n, "caption": "A good dog ."} for n in range(4)]
    return {"images": [*images, *good], "annotations": [*annotations, *captions]}


# ---- Tables ----


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x.jpg", ["line 2 has 1 column, where the first has 2"]),
        ("x.jpg,A dog, and a cat", ["line 2 has 3 columns, where", "comma must stand in quotes"]),
        (",A dog", ["line 2 is not a photo and its caption"]),
        ('x.jpg,"A dog', ["line 2 has a quote that is not closed, or"]),
        ('x.jpg,"A dog\nruns', ["line 2 has a quote that is not closed, or"]),
        ('x.jpg,"A dog\nb.jpg,runs"', ["line 2 opens a quote that is not closed before line 3"]),
        ('x.jpg,"A "good" dog"', ["line 2 has a quote that is not closed, or"]),
        (f"x.jpg,{'x' * 10_000_000}", ["line 2 has a cell of more than 131,072 characters"]),
        (f"x.jpg,{'word ' * 10_000}", ["line 2 has a caption of 10,000 words"]),
        ("a.png,Of another photo", ["line 3 names 'a.jpg'", "same photo id as 'a.png'"]),
        (".jpg,No name", ["line 2", "nothing but an extension"]),
        ("x.jpg,b.jpg#1\tA line end is missing .", ["line 2 holds two captions"]),
        ("x.jpg,caf\udce9", ["line 2 is not UTF-8"]),
    ],
)
@pytest.mark.parametrize("is_far_below", [False, True])
def test_a_damaged_row_is_named(tmp_path, capsys, row, words, is_far_below):
    # Below the rows by which the columns are told.
    above = [f"{number}.jpg,A cat ." for number in range(40 * is_far_below)]
    data = write_table(tmp_path)
    lines = "\n".join(["image,caption", *above, row, *(f"{photo},A dog ." for photo in PHOTOS)])
    (data / "captions.csv").write_text(lines, encoding="utf-8", errors="surrogateescape")
    if is_far_below:
        words = [word.replace("line 2", "line 42").replace("line 3", "line 43") for word in words]
    command = f"run python prepare_text.py --data {data}"
    is_text = "UTF-8" not in words[0]
    assert_nothing_done(data, capsys, data / "captions.csv", *words, command if is_text else "save")


def test_an_unclosed_quote_that_no_line_after_it_ends_is_named(tmp_path, capsys):
    data = write_table(tmp_path)
    with open(data / "captions.csv", "a") as file:
        file.write('x.jpg,"A dog\n' + "and more\n" * 20_000)
    assert_nothing_done(data, capsys, "captions.csv line 6 has a quote that is not closed")


def test_quotes_and_line_breaks_in_quotes_are_read(tmp_path):
    rows = ['x.jpg,"A dog, a ""good"" one\nand\r\na cat."', '"y.jpg",""', "z.jpg, padded "]
    captions = read_captions(write_table(tmp_path, *rows))
    assert captions["x"] == ['A dog, a "good" one and a cat.']
    assert captions["y"] == [""]
    assert captions["z"] == ["padded"]


@pytest.mark.parametrize("mark", ["\t", ";"])
def test_a_caption_may_hold_commas_where_something_else_parts_columns(tmp_path, mark):
    rows = [f"x.jpg{mark}A dog, a cat, a cow", *(f"{photo}{mark}A dog" for photo in PHOTOS)]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    assert read_captions(tmp_path)["x"] == ["A dog, a cat, a cow"]


def test_a_caption_may_hold_what_parts_columns_elsewhere(tmp_path):
    rows = ["x.jpg,A dog; a cat", *(f"{photo},A dog" for photo in PHOTOS)]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    assert read_captions(tmp_path)["x"] == ["A dog; a cat"]


def test_a_name_may_begin_as_json_does(tmp_path):
    (tmp_path / "captions.csv").write_text("[1].jpg,A dog runs\n{2}.jpg,A cat sits\n")
    assert read_captions(tmp_path) == {"[1]": ["A dog runs"], "{2}": ["A cat sits"]}


def test_repeated_rows_are_counted(tmp_path, capsys):
    data = write_table(tmp_path, "x.jpg,A dog", "x.jpg,A dog", "x.jpg,A dog")
    assert prepare(data) == DONE
    said = capsys.readouterr().err
    assert said == f"{data / 'captions.csv'}: 2 repeated captions ignored, the first line 3\n"


@pytest.mark.parametrize(
    ("header", "row", "flags", "words"),
    [
        ("image,caption,caption", "x.jpg,A dog runs,A cat sits", [], ["--caption-column"]),
        ("image,image,caption", "x.jpg,x.jpg,A dog", [], ["--photo-column"]),
        ("image,number", "x.jpg,1", ["--caption-column", "text"], ["'image', 'number'", "'text'"]),
        ("image,caption", "x.jpg,A dog", ["--photo-column", "Foto"], ["--photo-column 'Foto'"]),
        ("image,caption", "x.jpg,A dog", ["--photo-column", "3"], ["--photo-column '3'"]),
        ("a,b,c", "x.jpg,A dog runs,A cat sits", [], ["'a,b,c'", "'a', 'b', 'c'", "Karpathy"]),
        ("a,b,c", "A,B,C", ["--caption-column", "b"], ["--photo-column must name"]),
    ],
)
def test_columns_that_cannot_be_told_are_named(tmp_path, capsys, header, row, flags, words):
    (tmp_path / "mine.csv").write_text("\n".join([header, *[row] * 3]))
    assert_nothing_done(tmp_path, capsys, tmp_path / "mine.csv", *words, flags=flags)


def test_a_header_that_nobody_knows_is_no_caption_where_a_flag_names_it(tmp_path):
    (tmp_path / "mine.csv").write_text("Nr,Frage,Antwort\n1,Was ist das?,Ein Hund\n")
    columns = Places(photo_column="1", caption_column="antwort")
    assert read_captioned_photos(tmp_path, columns).captions == {"1": ["Ein Hund"]}


def test_the_header_of_an_index_may_be_empty(tmp_path):
    (tmp_path / "mine.csv").write_text(",0\na.jpg,A cat sits there\n")
    assert read_captions(tmp_path) == {"a": ["A cat sits there"]}


@pytest.mark.parametrize("rest", ["", 'c.jpg\tA "good" cow\n'])
def test_a_quote_that_is_not_closed_in_a_tsv_file_is_named(tmp_path, capsys, rest):
    text = 'a.jpg\tA "good" dog\nx.jpg\t"A dog\nb.jpg\tA cat\n'
    (tmp_path / "mine.tsv").write_text(text + rest)
    assert_nothing_done(tmp_path, capsys, "line 2 opens a quote that is not closed before line 3")


@pytest.mark.parametrize("name", ["eval", "", "7"])
def test_an_unknown_split_is_named(tmp_path, capsys, name):
    (tmp_path / "mine.csv").write_text(f"image,caption,split\na.jpg,A dog,train\nb.jpg,A,{name}\n")
    assert_nothing_done(tmp_path, capsys, f"line 3 is in the split '{name}'", "train", "test")


def test_a_photo_in_two_splits_is_named(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("image,caption,split\na.jpg,A dog,train\na.jpg,A,test\n")
    assert_nothing_done(tmp_path, capsys, "line 3 has 'a.jpg' in another split")


# ---- The official form, Kaggle's Flickr30k ----


def test_a_damaged_row_of_kaggles_flickr30k_is_named(tmp_path, capsys):
    header = "image_name| comment_number| comment\n"
    rows = [f"{photo}| 0| A dog .\n" for photo in PHOTOS]
    path = tmp_path / "results.csv"
    path.write_text(header + "".join(rows) + "x.jpg| 4   A dog , without a bar\n")
    assert read_captions(tmp_path)["x"] == ["A dog , without a bar"]
    path.write_text(header + "".join(rows) + "x.jpg A dog\n")
    assert_nothing_done(tmp_path, capsys, f"{path} line 6 is not name.jpg| 0| caption")


def test_no_line_of_the_official_form_is_taken_for_one_without_numbers(tmp_path, capsys):
    path = tmp_path / "Flickr8k.token.txt"
    path.write_text("a.jpg#0\tA dog .\nb.jpg\tA cat .\n")
    assert_nothing_done(tmp_path, capsys, f"{path} line 2 is not name.jpg#0<TAB>caption")


# ---- JSON ----


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps(karpathy())[:150], ["line 1 is not JSON"]),
        ('{"images":\n[}', ["line 2 is not JSON"]),
        ("[" * 100_000, ["nested too deep"]),
        ("9" * 5000, ["is not JSON of captions", "4300 digits"]),
        ("null", ["begins with 'null'", "none of the known kinds", "Karpathy"]),
        ('{"images": 7}', ["begins with", "none of the known kinds"]),
        ('{"annotations": []}', ["begins with", "none of the known kinds"]),
        (karpathy(7), ["image 1 has no filename"]),
        (karpathy({"filename": "x.jpg"}), ["image 1 has no sentences"]),
        (karpathy({"filename": 7}), ["image 1 has 7 as its filename, not a text"]),
        (
            karpathy({"filename": "x.jpg", "sentences": {}}),
            ["image 1 has {} as its sentences, not a list"],
        ),
        (
            karpathy({"filename": "x.jpg", "sentences": [{"raw": "A dog"}, {"raw": None}]}),
            ["image 1, sentence 2, has null as its raw, not a text"],
        ),
        (
            karpathy({"filename": "x.jpg", "split": "extra", "sentences": []}),
            ["image 1 is in the split 'extra'"],
        ),
        (
            karpathy({"filename": "x.jpg", "split": 7, "sentences": []}),
            ["image 1 is in the split 7"],
        ),
        (
            karpathy({"filename": "b.png", "sentences": [{"raw": "A dog"}]}),
            ["image 3 names 'b.jpg', which has the same photo id as 'b.png'"],
        ),
        (
            karpathy({"filename": "x.jpg", "sentences": [{"raw": "x" * 10_000_000}]}),
            ["image 1 has a caption of 10,000,000 characters"],
        ),
    ],
    ids=range(16),
)
def test_a_damaged_file_of_karpathys_is_named(tmp_path, capsys, content, words):
    data = write_json(tmp_path, content, "dataset_x.json")
    command = f"run python prepare_text.py --data {data}"
    assert_nothing_done(data, capsys, data / "dataset_x.json", *words, command)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (coco(None), ["annotation 1 has no caption"]),
        (coco({"image_id": 0, "caption": 7}), ["annotation 1 has 7 as its caption, not a text"]),
        (coco({"image_id": 9, "caption": "A"}), ["annotation 1 is of the image 9, which"]),
        (coco({"image_id": [1], "caption": "A"}), ["annotation 1 has [1] as its image_id"]),
        (coco({"image_id": 0, "segmentation": []}), ["annotation 1 has no caption"]),
        (coco(images=[{"id": 1, "file_name": "x.jpg"}]), ["image 3 has the id 1 of an earlier"]),
        (coco(images=[{"file_name": "x.jpg"}]), ["image 1 has no id"]),
        (coco(images=[{"id": 9, "file_name": None}]), ["image 1 has null as its file_name"]),
    ],
)
def test_a_damaged_file_of_cocos_is_named(tmp_path, capsys, content, words):
    data = write_json(tmp_path, content, "captions_train.json")
    command = f"run python prepare_text.py --data {data}"
    assert_nothing_done(data, capsys, data / "captions_train.json", *words, command)


def test_captions_that_stand_twice_in_json_are_counted(tmp_path, capsys):
    again = {"id": [3], "image_id": 3, "caption": "A\ndog"}
    by_another = {"id": 9, "image_id": 3, "caption": "A\ndog"}
    data = write_json(tmp_path, coco(again, again, by_another), "captions_train.json")
    assert prepare(data) == DONE
    assert "1 repeated caption ignored, the first annotation 2" in capsys.readouterr().err
    assert read_captions(data)["d"] == ["A dog", "A dog", "A good dog ."]


# ---- Texts beside photos ----


def write_texts(folder, texts):
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        content = text.encode() if isinstance(text, str) else text
        (folder / name).write_bytes(content)
        (folder / name).with_suffix(".jpg").touch()
    return folder


def test_texts_beside_photos_may_be_empty_or_missing(tmp_path, capsys):
    data = write_texts(tmp_path, {f"{name}.txt": f"A dog {name} .\n\n" for name in "abc"})
    (data / "empty.jpg").touch()
    (data / "empty.txt").touch()
    (data / "without.jpg").touch()
    (data / "notes.txt").write_text("Not of a photo.\n")
    (data / ".hidden").mkdir()
    (data / ".hidden" / "x.jpg").touch()
    (data / ".hidden" / "x.txt").write_text("A cat .\n")
    assert prepare(data) == DONE
    printed = " ".join(capsys.readouterr().out.split())
    assert "left out: 1 .txt without a photo" in printed
    assert "photos with captions 3 " in printed
    assert "without a file 0 files without captions 2 " in printed


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"x.txt": b"A dog\ncaf\xe9"}, ["x.txt line 2 is not UTF-8"]),
        ({"x.txt": "A dog".encode("utf-16-le")}, ["x.txt line 1 holds a NUL"]),
        ({"x.txt": "A dog\n" + "x" * 10_000_000}, ["x.txt line 2 has a caption of 10,000,000"]),
        ({"one/x.txt": "A dog", "two/x.txt": "A cat"}, ["two/x.txt line 1 names 'two/x.jpg'"]),
        ({".txt": "A dog"}, []),
    ],
)
def test_damaged_texts_beside_photos_are_named(tmp_path, capsys, texts, words):
    good = {f"{name}.txt": "A dog ." for name in "abc"} if words else {}
    data = write_texts(tmp_path, {**good, **texts})
    assert_nothing_done(data, capsys, data, *words)


# ---- All kinds ----


@pytest.mark.parametrize("name", ["captions.txt", "mine.tsv", "x.token", "captions_x.json"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["holds no captions"]),
        (b"\xef\xbb\xbf \n\n", ["holds no captions"]),
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


def test_a_byte_order_mark_is_no_part_of_a_header_or_of_json(tmp_path):
    write_table(tmp_path, header="\ufeffimage,caption")
    assert list(read_captions(tmp_path)) == list("abcd")
    (tmp_path / "captions.csv").unlink()
    write_json(tmp_path, "\ufeff" + json.dumps(karpathy()), "dataset_x.json")
    assert list(read_captions(tmp_path)) == list("abcd")


def test_a_hundred_thousand_rows_are_read(tmp_path):
    rows = [f'{number // 5}.jpg,"A dog, {number}"' for number in range(100_000)]
    write_table(tmp_path, *rows)
    captions = read_captions(tmp_path)
    assert len(captions) == 20_004
    assert captions["19999"][4] == "A dog, 99999"


def test_photos_without_captions_and_captions_without_photos_are_counted(tmp_path, capsys):
    data = write_table(tmp_path, "x.jpg,A dog", "y.jpg,A dog")
    (data / "Images").mkdir()
    for name in (*PHOTOS, "x.jpg", "e.jpg", "f.jpg", "g.jpg"):
        (data / "Images" / name).touch()
    assert prepare(data) == DONE
    printed = " ".join(capsys.readouterr().out.split())
    assert "without a file 1 files without captions 3 in" in printed


def test_several_files_that_may_hold_the_captions_are_named(tmp_path, capsys):
    for name in ("a.csv", "b.csv", "c.json"):
        (tmp_path / name).write_text(f"a.jpg,{name} is a dog\n")
    words = ["a.csv, b.csv, c.json", f"run python prepare_text.py --data {tmp_path} --captions"]
    assert_nothing_done(tmp_path, capsys, *words)
    # One of a usual name is taken before the others, and copies of one file are one.
    (tmp_path / "below").mkdir()
    for folder in (tmp_path, tmp_path / "below"):
        write_table(folder, name="captions.txt")
    assert list(read_captions(tmp_path)) == list("abcd")


def test_a_folder_with_nothing_in_it_is_refused(tmp_path, capsys):
    words = ["is missing", "name.jpg#0<TAB>caption", "--captions", f"--data {tmp_path}"]
    assert_nothing_done(tmp_path, capsys, *words)


# ---- At random ----

pieces = st.sampled_from(
    [
        *("a.jpg", "b.jpg", "b.png", "image", "caption", "split", "train", "A dog runs", "#0"),
        *(",", ";", "\t", "|", "| 0|", '"', '""', "\n", "\r\n", " ", "\ufeff", "0", "é"),
        "image_name| comment_number| comment\n",
    ]
)
tables = st.lists(pieces | st.text(max_size=3), max_size=40).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=3) | pieces,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def records(**fields):
    """Gives objects of these fields, of which some may be missing or of another type."""
    return st.fixed_dictionaries(
        {}, optional={name: kind | values for name, kind in fields.items()}
    )


names = st.sampled_from(PHOTOS)
sentences = st.lists(records(raw=pieces), max_size=3)
karpathys = st.lists(
    records(filename=names, split=st.sampled_from(["train", "val"]), sentences=sentences),
    max_size=4,
).map(lambda images: {"images": images})
cocos = st.fixed_dictionaries(
    {
        "images": st.lists(records(id=st.integers(0, 3), file_name=names), max_size=4),
        "annotations": st.lists(
            records(id=st.integers(0, 3), image_id=st.integers(0, 3), caption=pieces), max_size=4
        ),
    }
)
jsons = st.one_of(values, karpathys, cocos).map(json.dumps)


@searched
@given(
    name=st.sampled_from(["Flickr8k.token.txt", "captions.csv", "dataset_x.json", "photo.txt"]),
    content=st.binary(max_size=200) | st.one_of(tables, jsons).map(str.encode),
    columns=st.sampled_from([("", ""), ("1", "2"), ("image", "caption"), ("x", "")]),
)
@example(name="captions.csv", content=b'a.jpg,"', columns=("", ""))
@example(name="dataset_x.json", content=b'{"images": [], "annotations": []}', columns=("", ""))
def test_whatever_a_file_holds_is_read_or_refused_in_a_sentence(tmp_path, name, content, columns):
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / name).write_bytes(content)
    (tmp_path / "photo.jpg").touch()
    before = contents(tmp_path)
    places = Places(photo_column=columns[0], caption_column=columns[1])
    found, refusal = attempt(lambda: read_captioned_photos(tmp_path, places))
    assert contents(tmp_path) == before
    if refusal:
        assert str(tmp_path) in refusal
        assert len(refusal.splitlines()) == 1
        return
    assert found.captions
    assert found.captions.keys() == found.file_names.keys()
    assert all(isinstance(text, str) for texts in found.captions.values() for text in texts)
    assert not (tmp_path / DRAWN_SPLITS).exists()
