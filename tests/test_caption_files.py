"""The table that grows and the texts beside photos: what a stop leaves, and how a run goes on."""

import csv
import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from support import Ended, draw_photo, prepare, stop_at

from captioning import caption_files, captioner
from captioning.captioner import load_captioner
from captioning.cli import one_line
from captioning.network.decoding import CaptionDecoder
from captioning.storage import locked

TABLE = Path("captions.csv")


@pytest.fixture
def photos(tiny_data):
    """Gives a folder of photos, one of which has a name that a table must quote and escape."""
    folder = tiny_data / "photos"
    (folder / "blue_ball_snow.png").rename(folder / 'a "blue"\n, ball.png')
    return folder


@pytest.fixture
def caption(models, photos, run_generate, monkeypatch):
    """Gives a function that captions them, four at a time, each in a batch of its own."""
    for module in (captioner, caption_files):
        monkeypatch.setattr(module, "PHOTOS_TOGETHER", 4)
    flags = [photos, "--model", models / "english", "--csv", TABLE, "--batch-size", 1]
    return lambda *more: Ended(*run_generate(*flags, *more))


def assert_refused(ended, words):
    """Checks a refusal, whose sentence comes once the settings in force are printed."""
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr.splitlines()[-1]


def read_rows():
    """Reads the table: photo -> its row."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        return {row["photo"]: row for row in csv.DictReader(file)}


def test_a_table_that_is_cut_anywhere_is_gone_on_with(caption):
    whole = caption("--count", 2)
    content = TABLE.read_bytes()
    # Within a quoted name, and anywhere.
    for end in (0, content.index(b'""blue') + 1, *range(150, len(content), 271)):
        TABLE.write_bytes(content[:end])
        ended = caption("--count", 2)
        assert (ended.returncode, TABLE.read_bytes()) == (0, content)
        assert whole.stdout.endswith(ended.stdout)
        there = int((re.findall(r"had the captions of (\d+) of 12", ended.stderr) or [0])[0])
        assert len({line.split("\t")[0] for line in ended.stdout.splitlines()}) == 12 - there
    assert caption("--count", 2).stdout == ""


def test_a_stopped_run_leaves_whole_batches(caption):
    caption()
    content = TABLE.read_bytes()
    TABLE.unlink()
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, CaptionDecoder, "finished_captions", 3)
        assert caption().returncode == 130
    assert (len(read_rows()), content.startswith(TABLE.read_bytes())) == (8, True)
    assert caption("--html", "page.html").stdout.count("\n") == 12
    assert TABLE.read_bytes() == content
    assert Path("page.html").read_text(encoding="utf-8").count("data:image/jpeg") == 12


def test_another_run_or_another_file_is_refused(caption, models):
    caption()
    content = TABLE.read_bytes()
    run = read_rows().popitem()[1]["made_by"]
    begun = "captions.csv is not all by this command and "
    assert_refused(caption("--beam", 4), f"{begun}{run.replace('beam 3', 'beam 4')}: remove it")
    for flags in (["--sentences"], ["--count", 2], ["--model", *[models / "english"] * 2]):
        assert_refused(caption(*flags), begun)
    assert TABLE.read_bytes() == content
    others = [b"photo,caption\n", b"mine", content.replace(b",0.", b";0.", 1), b"\xff" * 300]
    # A quote that is not closed, before more than Python's reader takes as one cell.
    others.append(content.replace(b"\n", b'\n"', 1) + b"a,b\n" * 40_000)
    for other in others:
        TABLE.write_bytes(other)
        assert_refused(caption(), f"{begun}{run}: remove it, or name another with --csv")
        assert TABLE.read_bytes() == other
    with locked(Path(), "generate.py", ".lock-captions.csv"):
        assert_refused(caption(), "another run of generate.py is at work")


def test_photos_that_changed_or_failed_are_tried_again(caption, photos):
    bad, changed = photos / "red_ball_snow.png", photos / "blue_box_snow.png"
    good = bad.read_bytes()
    bad.write_text("no photo")
    assert caption().returncode == 1
    before = read_rows()
    assert before.keys() == {one_line(str(path)) for path in photos.iterdir()} - {str(bad)}
    draw_photo(changed, "red", "ball", "grass")
    assert caption().stdout.splitlines()[0].startswith(f"{changed}\t")
    bad.write_bytes(good)
    (photos / "green_box_snow.png").unlink()
    assert caption().stdout.startswith(f"{bad}\t")
    after = read_rows()
    assert after.keys() == before.keys() | {str(bad)}
    assert [photo for photo in before if before[photo] != after[photo]] == [str(changed)]


def check_texts(photos, of_people):
    """Checks that the texts are the captions of the table, but for those of people."""
    rows = read_rows()
    texts = {path: path.read_text() for path in photos.glob("*.txt") if path.is_file()}
    named = {path: one_line(str(path.with_suffix(".png"))) for path in texts}
    captions = {path: f"{rows[name]['caption']}\n" for path, name in named.items()}
    assert texts == captions | of_people
    assert len(texts) == 11
    return captions


def test_texts_are_written_beside_photos_and_never_over_those_of_people(caption, photos, models):
    mine, edited = photos / "red_ball_snow.txt", photos / "red_box_snow.txt"
    mine.write_text("my ball\n")
    os.symlink("nowhere", photos / "blue_ball_grass.txt")
    caption()
    # From the table, which has all; the page alone needs them captioned again.
    ended = caption("--txt", "--html", "page.html")
    assert (ended.returncode, "wrote captions.csv" in ended.stderr) == (0, False)
    assert "not generate.py's, left as they are: 2\n" in ended.stderr
    texts = check_texts(photos, {mine: "my ball\n"})
    edited.write_text("my box\n")
    TABLE.unlink()
    assert "are: 3\n" in caption("--txt", "--sentences").stderr
    assert check_texts(photos, {mine: "my ball\n", edited: "my box\n"}) != texts


def test_text_is_prepared_without_what_generate_wrote(caption, tiny_data, photos, capsys):
    caption("--txt")
    for path in tiny_data.glob("Flickr*"):
        path.unlink()
    # As a copy in another place, with what is in the folder.
    photos.rename(tiny_data / "copied")
    texts = sorted((tiny_data / "copied").glob("*.txt"))
    capsys.readouterr()
    refused = Ended(prepare(tiny_data), *capsys.readouterr())
    assert_refused(refused, "no other captions that people wrote are there")
    for path in texts[4:]:
        path.write_text("a person wrote this\n")
    assert prepare(tiny_data) == 0
    found = (tiny_data / "descriptions.txt").read_text()
    assert found.count(" person wrote this\n") == found.count("\n") == 8


def test_the_best_captions_of_the_beam_are_given(caption, models, photos):
    ended = caption("--count", 3, "--json")
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    loaded = load_captioner(models / "english")
    paths = sorted(photos.iterdir())
    with_confidence = [loaded.caption(path, count=3, confidence=True) for path in paths]
    for row, best, in_table in zip(found, with_confidence, read_rows().values(), strict=True):
        assert [each["caption"] for each in row["captions"]] == [x.text for x in best]
        assert row["caption"] == row["captions"][0]["caption"] == loaded.caption(row["photo"])
        cells = [in_table[name] for name in ("caption", "caption_2", "caption_3")]
        assert cells == [*(x.text for x in best), "", ""][:3]
    assert Counter(map(len, with_confidence))[3] > 5
    assert loaded.caption(paths[0], count=1) == [loaded.caption(paths[0])]
    consensus = loaded.caption(paths[0], beam=5, count=5, consensus=True)
    assert consensus[0] == loaded.caption(paths[0], beam=5, consensus=True)
    assert {*loaded.caption(paths[0], beam=5, count=5)} == {*consensus}
    with pytest.raises(ValueError, match="expected a count from 1 to the beam width, 3, got 4"):
        loaded.caption(paths[0], count=4)
