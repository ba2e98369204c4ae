"""Captions of every kind that people have become the same descriptions, in the splits they name."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from support import assert_nothing_done, prepare

from captioning.files import CAPTIONS, SPLITS
from captioning.photos.listing import list_photos
from captioning.text.vocabulary import read_prepared_text

# Twenty photos, of which some have a caption that tables must quote.
NAMES = [f"photo {number}.jpg" for number in range(20)]
TEXTS = {
    name: [f'A dog, "{"y" * number}", runs .' if number % 3 else "A dog .", f"Cat {'y' * number}."]
    for number, name in enumerate(NAMES)
}
# Two people may write the same.
TEXTS[NAMES[0]] = ["A dog ."] * 2
ROWS = [(name, text) for name, texts in TEXTS.items() for text in texts]
NAMES_OF = {"train": NAMES[:14], "dev": NAMES[14:17], "test": NAMES[17:]}
SPLIT_OF = {name: split for split, names in NAMES_OF.items() for name in names}
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
SPLIT_FILES = {SPLITS[split]: "\n".join(names) for split, names in NAMES_OF.items()}

FROM_FILE, AT_RANDOM = "from the captions file", "dev and test at random, with seed 1"
FORM = "the official form, name.jpg#0<TAB>caption"
WORDS = {"train": "training", "dev": "validation", "test": "testing"}

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


def cells(header, write_list):
    """Gives a table with a list of captions in a cell."""
    rows = [(write_list(texts), WORDS[SPLIT_OF[name]], name) for name, texts in TEXTS.items()]
    return table(header, *rows)


def numpy_list(texts):
    return str(np.array([*texts, np.nan], dtype=object))


RAW = ("raw", "split", "filename")
COLUMNS = table(("Image", "caption 1", "caption 2"), *((k, *texts) for k, texts in TEXTS.items()))

# Records as other programs have them: a photo's file under one key, its captions under another.
ONE_EACH = [{"image": name, "image_id": 7, "caption": text} for name, text in ROWS]
ALL_OF_A_PHOTO = [{"file_path": f"x/{name}", "captions": texts} for name, texts in TEXTS.items()]
RAWS = [
    {"imgid": 7, "filename": k, "split": SPLIT_OF[k], "sentences": [{"raw": t} for t in texts]}
    for k, texts in TEXTS.items()
]
IN_PARTS = {
    split: [{"id": "7", "report": TEXTS[name], "image_path": [name]} for name in names]
    for split, names in NAMES_OF.items()
}
UNDER_A_KEY = {"dataset": "mine", "data": ONE_EACH, "classes": []}
BY_NAME = {name: {"sentences": texts, "split": SPLIT_OF[name]} for name, texts in TEXTS.items()}


def lines(records):
    return "".join(f"{json.dumps(record)}\n" for record in records)


IMAGE_FOLDERS = {
    f"{folder}/metadata.jsonl": lines({"file_name": f"a/{k}", "text": TEXTS[k]} for k in names)
    for folder, names in zip(("train", "validation", "test"), NAMES_OF.values(), strict=True)
}
TABLES = {
    f"mine_{split}.csv": table(("image", "caption"), *(r for r in ROWS if r[0] in names))
    for split, names in NAMES_OF.items()
}
# Where a photo lies, and where its text.
IN_FOLDERS = {name: f"{WORDS[split]}/{name}" for name, split in SPLIT_OF.items()}
FOLDERS = {path: "" for path in IN_FOLDERS.values()}
FOLDERS |= {path.replace("jpg", "caption"): "\n".join(TEXTS[n]) for n, path in IN_FOLDERS.items()}
PARALLEL = {f"images/{name}": "" for name in NAMES}
PARALLEL |= {f"texts/{Path(name).stem}.txt": "\n".join(texts) for name, texts in TEXTS.items()}
IMG2DATASET = {name: content for name, content in BESIDE.items() if name[0] == "p"}
IMG2DATASET |= {f"{Path(name).stem}.json": '{"url": "x", "caption": "y"}' for name in NAMES}
IMG2DATASET = {f"00000/{name}": content for name, content in IMG2DATASET.items()}
IMG2DATASET |= {"00000_stats.json": '{"count": 20}', "00000.parquet": ""}
VIZWIZ = json.loads(coco(NAMES))
VIZWIZ["annotations"].append({"image_id": 0, "caption": "Too dark", "is_rejected": True})
VIZWIZ_TEST = {"images": [{"id": 77, "file_name": "x.jpg", "vizwiz_url": "…/x.jpg"}]}
VIZWIZ = {"captions_train.json": json.dumps(VIZWIZ), "captions_test.json": json.dumps(VIZWIZ_TEST)}
PLAIN_SPLITS = {
    f"text/{split}.txt": "\n".join(Path(name).stem for name in names)
    for split, names in zip(("train", "val", "test"), NAMES_OF.values(), strict=True)
}

BELOW = {f"text/{name}": text for name, text in {CAPTIONS: OFFICIAL, **SPLIT_FILES}.items()}

# Files, what they are said to be taken for, and where the splits come from.
KINDS = {
    "official": ({CAPTIONS: OFFICIAL, **LEMMAS, **SPLIT_FILES}, FORM, f"from {SPLITS['train']}"),
    "splits beside": (BELOW, FORM, "from Flickr_8k.tr"),
    "train.txt": ({f"text/{CAPTIONS}": OFFICIAL, **PLAIN_SPLITS}, FORM, "from train.txt, val.txt,"),
    "without numbers": ({CAPTIONS: BARE}, "TSV, photos in column 1", AT_RANDOM),
    "Flickr30k": ({"results_20130124.token": OFFICIAL}, FORM, AT_RANDOM),
    "Kaggle's Flickr8k": (CSV, "CSV, photos in image, captions in caption", AT_RANDOM),
    "Kaggle's Flickr30k": (BARS_FILES, "CSV with bars, photos in image_name", AT_RANDOM),
    "Karpathy": ({"dataset_flickr8k.json": karpathy()}, "JSON, photos in filename", FROM_FILE),
    "COCO": (COCO_FILES, "JSON, photos in file_name", f"{FROM_FILE}; test at random"),
    "VizWiz": (VIZWIZ, "JSON without 1 rejected caption, photos", AT_RANDOM),
    "CSV with splits": ({"mine.csv": WITH_SPLITS}, "CSV, photos in File_Name", FROM_FILE),
    "a table a split": (TABLES, "CSV, photos in image", FROM_FILE),
    "TSV without a header": ({"mine.tsv": TSV}, "TSV, photos in column 2", AT_RANDOM),
    "semicolons": ({"x.csv": SEMICOLONS}, "CSV with semicolons, photos in Datei", AT_RANDOM),
    "columns by flag": ({"x.csv": ANSWERS}, "CSV, photos in Bild, captions in Antwort", AT_RANDOM),
    "several columns": ({"x.csv": COLUMNS}, "captions in caption 1, caption 2", AT_RANDOM),
    "JSON lists in cells": ({"x.csv": cells(RAW, json.dumps)}, "captions in raw", FROM_FILE),
    "Python lists in cells": ({"x.csv": cells(RAW, str)}, "captions in raw", FROM_FILE),
    "tuples": ({"x.csv": cells(RAW, lambda x: str(tuple(x)))}, "captions in raw", FROM_FILE),
    "NumPy's lists": ({"x.csv": cells(RAW, numpy_list)}, "captions in raw", FROM_FILE),
    "records": ({"blip.json": json.dumps(ONE_EACH)}, "JSON, photos in image", AT_RANDOM),
    "records with lists": ({"x.json": json.dumps(ALL_OF_A_PHOTO)}, "in file_path", AT_RANDOM),
    "records with raw": ({"x.json": json.dumps(RAWS)}, "captions in sentences", FROM_FILE),
    "records a split": ({"x.json": json.dumps(IN_PARTS)}, "captions in report", FROM_FILE),
    "records under a key": ({"x.json": json.dumps(UNDER_A_KEY)}, "photos in image", AT_RANDOM),
    "captions by name": ({"x.json": json.dumps(TEXTS)}, "JSON, photos in image", AT_RANDOM),
    "records by name": ({"x.json": json.dumps(BY_NAME)}, "captions in sentences", FROM_FILE),
    "JSON Lines": ({"x.jsonl": lines(ONE_EACH)}, "JSON, photos in image", AT_RANDOM),
    "JSON Lines as JSON": ({"x.json": lines(ALL_OF_A_PHOTO)}, "photos in file_path", AT_RANDOM),
    "image folders": (IMAGE_FOLDERS, "JSON, photos in file_name", FROM_FILE),
    "texts beside photos": (BESIDE, "photos with a text each", AT_RANDOM),
    "texts in folders of splits": (FOLDERS, "photos with a text each", FROM_FILE),
    "texts in a folder": (PARALLEL, "photos with a text each", AT_RANDOM),
    "img2dataset": (IMG2DATASET, "photos with a text each", AT_RANDOM),
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
    warning = "warning: the splits are random: no file, column, key or folder tells others"
    errors = " ".join(captured.err.split())
    assert errors.startswith(warning if origin == AT_RANDOM else "")
    assert errors.count("warning") == (origin == AT_RANDOM)
    assert name in printed.partition(", taken for ")[2]
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


# A caption as it is written, and as it is read.
WRITTEN = [
    ("<start> A dog runs . <end>", "A dog runs ."),
    ("<s>A dog</s> <pad> <pad>", "A dog"),
    ("[START] A <unk> dog [END]", "A dog"),
    ("startseq A dog endseq", "A dog"),
    ("<|startoftext|>A dog<|endoftext|>", "A dog"),
    ("<p>A <b>big</b> dog</p>", "A big dog"),
    ("A dog &amp; a cat&#39;s &quot;ball&quot;", 'A dog & a cat\'s "ball"'),
    ("&lt;start&gt; A dog", "A dog"),
    ("R&B; 3 < 4, <PERSON> [sic]  (a dog)", "R&B; 3 < 4, <PERSON> [sic]  (a dog)"),
    ("[1, 2]", "[1, 2]"),
]


def test_marks_of_other_programs_are_dropped_and_counted(tmp_path, capsys):
    rows = [(f"{number}.jpg", written) for number, (written, _) in enumerate(WRITTEN)]
    write(tmp_path, {"mine.csv": table(("image", "caption"), *rows)})
    read = captions_of(tmp_path)
    assert read == {str(number): [caption] for number, (_, caption) in enumerate(WRITTEN)}
    assert "captions with marks such as <start>, which were dropped: 7\n" in capsys.readouterr().out


FOLDER_NAMES = ("train", "val", "test")


@pytest.mark.parametrize("kind", ["with folders", "a table a folder", "texts"])
def test_photos_of_equal_names_have_ids_with_their_folders(tmp_path, kind):
    photos = [f"{folder}/{number}.v1.jpg" for folder in FOLDER_NAMES for number in "12"]
    write(tmp_path, {photo: photo for photo in photos})
    if kind == "texts":
        write(tmp_path, {f"{p[:-4]}.txt": f"At {p[:3]}" for p in photos})
    elif kind == "with folders":
        rows = [(photo, f"At {photo[:3]}") for photo in photos]
        write(tmp_path, {"x.csv": table(("path", "text"), *rows)})
    else:
        for folder in FOLDER_NAMES:
            rows = [(f"{number}.v1", f"At {folder[:3]}") for number in "12"]
            write(tmp_path / folder, {"metadata.csv": table(("file_name", "text"), *rows)})
    expected = {photo.removesuffix(".jpg"): [f"At {photo[:3]}"] for photo in photos}
    assert captions_of(tmp_path) == expected
    splits = read_prepared_text(tmp_path).splits
    assert [photo for part in splits.values() for photo in part] == [*expected]
    # As prepare_photos.py calls them.
    assert list_photos([tmp_path], {}).keys() == expected.keys()


@pytest.mark.parametrize("marks", ["\t,", ";,", ",;"])
def test_a_caption_may_hold_what_separates_columns_elsewhere(tmp_path, marks):
    mark, other = marks
    rows = "".join(f"{name}.jpg{mark}A dog{other} a cat\n" for name in "abc")
    write(tmp_path, {"mine.csv": rows})
    assert captions_of(tmp_path)["a"] == [f"A dog{other} a cat"]


BY_NUMBER = ["--photo-column", "1", "--caption-column", "3"]


@pytest.mark.parametrize(
    ("header", "flags"),
    [(("Nr", "Frage", "Antwort"), BY_NUMBER), (("image_id", "x", "text"), [])],
)
def test_photos_may_be_named_by_numbers(tmp_path, header, flags):
    rows = [(number, "Was ist das?", "Ein Hund") for number in "123"]
    write(tmp_path, {"mine.csv": table(header, *rows)})
    assert captions_of(tmp_path, *flags) == {number: ["Ein Hund"] for number in "123"}


@pytest.mark.parametrize(
    ("header", "flags", "words"),
    [
        (("image", "file", "label"), [], ["'image', 'file', 'label'", "--caption-column"]),
        (("image", "caption"), ["--photo-column", "Foto"], ["'image', 'caption'"]),
        (("image", "caption"), ["--photo-column", "caption"], ["no column or key of captions"]),
        (("a", "b", "c"), [], ["no column or key of photos, such as file_name", "'a', 'b', 'c'"]),
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
    assert_nothing_done(data, capsys, f"{named}: No such file", flags=flags)


def test_several_files_that_may_hold_the_captions_are_named(tmp_path, capsys):
    write(tmp_path, {name: "a.jpg,A dog\n" + name for name in ("a.csv", "b.csv", "c.tsv")})
    words = "3 files that may be the captions, such as a.csv and b.csv", "--captions FILE"
    assert_nothing_done(tmp_path, capsys, *words)
    # One of a usual name is taken before the others, and of several the nearest.
    write(tmp_path, dict.fromkeys(("captions.txt", "below/captions.txt"), table(*ROWS)))
    assert len(captions_of(tmp_path)) == len(NAMES)
