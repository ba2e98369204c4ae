"""Photos that look alike: hashes, their comparison, and what the scripts say of them."""

import io
import json
import shutil

import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image, ImageEnhance, ImageOps
from support import StandIn

import evaluate
import prepare_photos
import prepare_text
import train
from captioning.cli import run
from captioning.old import SPLITS
from captioning.photos import hashes
from captioning.photos.feature_cache import read_hashes
from captioning.photos.hashes import MOST_DIFFERING_BITS, find_most_alike, hash_photo
from captioning.photos.lookalikes import (
    PAIRS_IN_NOTE,
    find_lookalikes,
    notes_on_lookalikes,
    warn_of_lookalikes,
)
from captioning.text.prepared import read_prepared_text

COPIED = "red_ball_snow"

# Photos a and b look alike, the others do not.
TWO_ALIKE = {
    "a": "0" * 64,
    "b": "0" * 63 + "1",
    "only_train": "0f" * 32,
    "only_dev": "00ff" * 16,
    "only_test": "33" * 32,
}
ENCODER = ["--encoder", "MobileNetV2", "--weights", "none"]
GREEDY_ALONE = ["--beam", 1, "--consensus", 1]


def resized(image):
    return np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR))


def as_jpeg(image, quality):
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content)


CHANGES = {
    "jpeg": lambda image: as_jpeg(image, 20),
    "a quarter of the size": lambda image: image.reduce(4),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "mirrored and saved": lambda image: as_jpeg(ImageOps.mirror(image), 50),
    "without 1% at each side": lambda image: ImageOps.crop(image, image.width // 100),
}


def notes_on(data, split, photos):
    return notes_on_lookalikes(data, split, photos, read_prepared_text(data).splits)


# ---- Hashes ----


def bits_of(text):
    return np.array([digit == "1" for digit in f"{int(text, 16):0256b}"]).reshape(16, 16)


def slow_distance(one, other):
    """Counts, a bit at a time, in how many two photos differ, the one as it is or mirrored."""
    one, other = bits_of(one), bits_of(other)
    mirrored = [[bit != (place % 2 == 1) for place, bit in enumerate(row)] for row in one]
    return min(int((one != other).sum()), int((np.array(mirrored) != other).sum()))


@pytest.mark.parametrize("pairs_at_once", [1, 100, 1 << 16])
def test_the_most_alike_are_those_of_a_slow_comparison(monkeypatch, pairs_at_once):
    monkeypatch.setattr(hashes, "_PAIRS_AT_ONCE", pairs_at_once)
    generator = np.random.default_rng(1)
    photos = [generator.bytes(32).hex() for _ in range(7)]
    others = [generator.bytes(32).hex() for _ in range(30)]
    # The opposite of a photo differs in all bits, one more than a byte counts.
    others += [bytes(255 - byte for byte in bytes.fromhex(photos[0])).hex(), photos[1]]
    others.append(bytes(byte ^ 0b01010101 for byte in bytes.fromhex(photos[2])).hex())
    places, distances = find_most_alike(photos, others)
    expected = [[slow_distance(photo, other) for other in others] for photo in photos]
    assert distances.tolist() == [min(row) for row in expected]
    assert places.tolist() == [row.index(min(row)) for row in expected]
    assert places[1:3].tolist() == [31, 32]


def test_the_threshold_is_where_the_constant_has_it():
    photo = bytes(32)
    near, far = (
        (((1 << count) - 1) << 100).to_bytes(32)
        for count in (MOST_DIFFERING_BITS, MOST_DIFFERING_BITS + 1)
    )
    table = {"photo": photo.hex(), "near": near.hex(), "far": far.hex(), "none": None}
    assert find_lookalikes(table, ["photo"], ["far", "none", "absent"]) == {}
    assert find_lookalikes(table, ["photo", "none"], ["far", "near"]) == {"photo": "near"}
    assert find_lookalikes(table, ["photo"], []) == find_lookalikes(table, [], ["near"]) == {}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_photo_looks_like_itself(change):
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        photo = hash_photo(resized(image))
        changed = hash_photo(resized(CHANGES[change](image)))
    assert find_lookalikes({"a": photo, "b": changed}, ["b"], ["a"]) == {"b": "a"}


def test_real_photos_look_like_their_changed_selves_and_no_others(flickr8k):
    paths = sorted((flickr8k / "photos").iterdir())[:60]
    images = [Image.open(path).convert("RGB") for path in paths]
    photos = [hash_photo(resized(image)) for image in images]
    for number, photo in enumerate(photos):
        _, (distance,) = find_most_alike([photo], photos[:number] + photos[number + 1 :])
        assert distance > MOST_DIFFERING_BITS
    for change in CHANGES.values():
        changed = [hash_photo(resized(change(image))) for image in images]
        places, distances = find_most_alike(changed, photos)
        assert places.tolist() == list(range(len(photos)))
        assert distances.max() <= MOST_DIFFERING_BITS


# ---- Through the scripts ----


class Encoder(StandIn):
    """One that takes photos large enough to be told apart."""

    input_sizes = ((48, 48),)

    def __init__(self, name, weights, dtype):
        super().__init__(name, weights, dtype)


@pytest.fixture
def run_on(monkeypatch, capsys):
    """A function that runs a script on a data folder and gives its output and errors."""
    monkeypatch.setattr("captioning.photos.encoders.Encoder", Encoder)

    def run_script(script, data, *arguments):
        capsys.readouterr()
        assert run(script.main, ["--data", str(data), *map(str, arguments)]) == 0
        captured = capsys.readouterr()
        # Each line may have been broken to fit.
        return " ".join(captured.out.split()), " ".join(captured.err.split())

    return run_script


def prepare(run_on, data):
    run_on(prepare_photos, data, *ENCODER)
    run_on(prepare_text, data)


def train_and_evaluate(run_on, data, model):
    """Gives what train.py says on stderr, what evaluate.py prints, and the notes it writes."""
    folders = ["--model", model]
    short = ["--epochs", 1, "--min-steps", 1, "--units", 4, "--shown-photos", 0]
    _, errors = run_on(train, data, *folders, *short)
    printed, silence = run_on(evaluate, data, *folders, *GREEDY_ALONE)
    assert silence == ""
    return errors, printed, json.loads((model / "scores.json").read_text())["notes"]


def add_copy(data):
    """Adds a training photo, mirrored and saved with losses, to the test split."""
    with Image.open(data / "photos" / f"{COPIED}.png") as image:
        ImageOps.mirror(image).save(data / "photos" / "copy.jpg", quality=60)
    with open(data / "Flickr8k.token.txt", "a") as file:
        file.write("copy.jpg#0\tA red ball lies in the snow .\n")
    with open(data / SPLITS["test"], "a") as file:
        file.write("copy.jpg\n")


def test_a_copy_in_the_test_split_is_pointed_out(run_on, tiny_data, tmp_path, capsys):
    add_copy(tiny_data)
    prepare(run_on, tiny_data)
    errors, printed, notes = train_and_evaluate(run_on, tiny_data, tmp_path / "model")
    assert errors == (
        "warning: 1 photo of the test split looks like a photo of the train split: "
        f"copy like {COPIED} A model scores too high on what it has seen. Remove one photo of "
        "each pair from its split file, or move it to the file of the other, then run python "
        f"prepare_text.py --data {tiny_data}."
    )
    note = notes[0]
    assert note.startswith("warning: of the 3 scored photos 1 looks like a photo of the train ")
    assert f"(copy like {COPIED})" in note
    assert note in printed
    assert f"(copy like {COPIED})" in (tmp_path / "model" / "captions.html").read_text()

    names = (tiny_data / SPLITS["test"]).read_text()
    (tiny_data / SPLITS["test"]).write_text(names.replace("copy.jpg\n", ""))
    run_on(prepare_text, tiny_data)
    printed, errors = run_on(evaluate, tiny_data, "--model", tmp_path / "model", *GREEDY_ALONE)
    assert errors == ""
    assert COPIED not in printed
    scores = json.loads((tmp_path / "model" / "scores.json").read_text())
    assert not any("look" in text for text in scores["notes"])
    warn_of_lookalikes(tiny_data)
    assert capsys.readouterr().err == ""
    assert notes_on(tiny_data, "test", ["copy"]) == [
        note.replace("3 scored photos", "1 scored photo")
    ]


@pytest.mark.parametrize("splits", [("train", "train"), ("test", "train"), ("train", "test")])
def test_only_photos_of_different_splits_are_pointed_out(tiny_data, monkeypatch, capsys, splits):
    monkeypatch.setattr("captioning.photos.lookalikes.read_hashes", lambda data: dict(TWO_ALIKE))
    for split in SPLITS:
        photos = [f"only_{split}", *(p for p, of in zip("ab", splits, strict=True) if of == split)]
        (tiny_data / SPLITS[split]).write_text("".join(f"{photo}.png\n" for photo in photos))
    warn_of_lookalikes(tiny_data)
    apart = splits[0] != splits[1]
    assert bool(capsys.readouterr().err) == apart
    scored = ["only_test", *(p for p, of in zip("ab", splits, strict=True) if of == "test")]
    assert bool(notes_on(tiny_data, "test", scored)) == apart
    # Whoever scores training photos knows that they were trained on.
    assert notes_on(tiny_data, "train", ["only_train"]) == []
    # Drawn scenes are meant to look alike.
    (tiny_data / "scenes.csv").write_text("")
    warn_of_lookalikes(tiny_data)
    assert capsys.readouterr().err == ""
    assert notes_on(tiny_data, "test", scored) == []


def test_many_pairs_are_counted(tiny_data, monkeypatch, capsys):
    photos = [f"photo{number}" for number in range(30)]
    table = dict.fromkeys(photos, "0" * 64)
    monkeypatch.setattr("captioning.photos.lookalikes.read_hashes", lambda data: table)
    for split, part in zip(SPLITS, (photos[:1], photos[1:3], photos[3:]), strict=True):
        (tiny_data / SPLITS[split]).write_text("".join(f"{photo}.png\n" for photo in part))
    (note,) = notes_on(tiny_data, "test", photos[3:])
    assert "photo5 like photo0, and 24 more)" in note
    assert f"photo{3 + PAIRS_IN_NOTE} " not in note
    warn_of_lookalikes(tiny_data)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "warning: 2 photos of the dev split look like photos of the train split:"
    assert lines[1:3] == ["  photo1 like photo0", "  photo2 like photo0"]
    assert lines[3] == "warning: 27 photos of the test split look like photos of the train split:"
    assert lines[13:15] == ["  photo12 like photo0", "  and 17 more"]
    assert lines[15] == "warning: 27 photos of the test split look like photos of the dev split:"
    assert " ".join(lines).count("Remove one photo") == 1


# ---- The cache ----


def forget_hashes(data):
    """Makes the cache what versions wrote that made no hashes."""
    (path,) = (data / "features-cache").glob("*.npz")
    with np.load(path) as file:
        cached, rows = json.loads(str(file["run"])), file["features"]
    del cached["hashes"]
    np.savez(path, run=np.array(json.dumps(cached)), features=rows)


def test_photos_of_a_cache_without_hashes_are_counted(run_on, tiny_data, tmp_path, capsys):
    prepare(run_on, tiny_data)
    forget_hashes(tiny_data)
    add_copy(tiny_data)
    features = (tiny_data / "features.pkl").read_bytes()
    prepare(run_on, tiny_data)
    assert len((tiny_data / "features.pkl").read_bytes()) > len(features)
    assert [photo for photo, known in read_hashes(tiny_data).items() if known] == ["copy"]
    errors, printed, notes = train_and_evaluate(run_on, tiny_data, tmp_path / "model")
    remedy = (
        "could not be compared for photos that look alike: remove "
        f"{tiny_data / 'features-cache'} and run python prepare_photos.py --data {tiny_data} "
        "to have them compared"
    )
    assert errors == f"12 photos of the splits {remedy}"
    assert notes[0] == f"10 photos of the splits {remedy}."
    assert notes[0] in printed

    shutil.rmtree(tiny_data / "features-cache")
    capsys.readouterr()
    warn_of_lookalikes(tiny_data)
    assert capsys.readouterr().err.startswith("13 photos of the splits could not be compared")
    (note,) = notes_on(tiny_data, "test", ["copy"])
    assert note.startswith("9 photos of the splits could not be compared")
    prepare(run_on, tiny_data)
    assert None not in read_hashes(tiny_data).values()
    capsys.readouterr()
    warn_of_lookalikes(tiny_data)
    errors = capsys.readouterr().err
    assert f"copy like {COPIED}" in errors
    assert "compared" not in errors


def test_hashes_follow_the_photos_and_survive_a_stop(run_on, tiny_data, monkeypatch):
    monkeypatch.setattr("captioning.photos.feature_cache.PHOTOS_AT_RISK", 4)
    ordinary, calls = Encoder.encode, []

    def stop(encoder, photos, batch_size=0):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return ordinary(encoder, photos, batch_size)

    monkeypatch.setattr(Encoder, "encode", stop)
    arguments = ["--data", str(tiny_data), *ENCODER, "--batch-size", "4"]
    assert run(prepare_photos.main, arguments) == 130
    run_on(prepare_photos, tiny_data, *ENCODER, "--batch-size", 4)
    expected = {}
    for path in sorted((tiny_data / "photos").iterdir()):
        with Image.open(path) as image:
            expected[path.stem] = hash_photo(np.asarray(image))
    assert read_hashes(tiny_data) == expected

    Image.new("RGB", (48, 48)).save(tiny_data / "photos" / f"{COPIED}.png")
    run_on(prepare_photos, tiny_data, *ENCODER)
    assert read_hashes(tiny_data) == {**expected, COPIED: "0" * 64}


def test_a_damaged_cache_has_no_hashes(run_on, tiny_data):
    prepare(run_on, tiny_data)
    (path,) = (tiny_data / "features-cache").glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert read_hashes(tiny_data) == {}
