"""Damaged files between the stages: each is refused or read right, never read wrong."""

import os
import random
import signal

import numpy as np
import pytest
from support import ENCODER_RECORD as RECORD

import prepare_text
import train
from captioning.cli import UserError, run
from captioning.old import (
    CAPTIONS,
    DESCRIPTIONS,
    ENCODER_RECORD,
    FEATURES,
    SPLITS,
    VOCABULARY,
)
from captioning.photos.features import read_encoder_record, read_features, write_features
from captioning.text.prepared import read_prepared_text
from captioning.text.vocabulary import read_vocabulary

SEED = 1
REPLACEMENTS = 200
INSERTIONS = 150


def damaged_copies(content):
    """Yields a flipped bit of every byte, many beginnings, and random changes of a few bytes."""
    for place in range(len(content)):
        flipped = content[place] ^ 1 << place % 8
        yield content[:place] + bytes([flipped]) + content[place + 1 :]
    for place in range(0, len(content), 5):
        yield content[:place]
    generator = random.Random(SEED)
    for _ in range(REPLACEMENTS):
        changed = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            changed[generator.randrange(len(content))] = generator.randrange(256)
        yield bytes(changed)
    for _ in range(INSERTIONS):
        place = generator.randrange(len(content) + 1)
        inserted = generator.randbytes(generator.randint(1, 4))
        yield content[:place] + inserted + content[place:]
        start, end = sorted(generator.choices(range(len(content)), k=2))
        yield content[:start] + content[end:]
        yield content[:place] + content[start:end] + content[place:]


def count_readings(path, read):
    """Damages a file in every way and reads it; counts the refusals and the right readings."""
    content = path.read_bytes()
    expected = read()
    refused = right = 0
    for copy in damaged_copies(content):
        path.write_bytes(copy)
        try:
            found, refusal = read(), None
        except UserError as error:
            refusal = str(error)
        if refusal:
            assert str(path) in refusal
            assert len(refusal.splitlines()) == 1
            refused += 1
        else:
            assert found == expected, copy
            right += 1
    path.write_bytes(content)
    assert read() == expected
    return refused, right


@pytest.fixture
def data(tmp_path, capsys):
    """Gives a data folder with the text and the features of three photos prepared."""
    captions = "a.jpg#0\tÄ dog .\nb b.jpg#0\tA cat .\nc.jpg#0\tA cow .\nc.jpg#1\t.\n"
    (tmp_path / CAPTIONS).write_text(captions, encoding="utf-8")
    for split, name in (("train", "a.jpg"), ("dev", "b b.jpg"), ("test", "c.jpg")):
        (tmp_path / SPLITS[split]).write_text(f"{name}\n")
    assert prepare_text.main(["--data", str(tmp_path)]) == 0
    features = {name: np.full(6, 0.3, dtype=np.float32) for name in ("a", "b b", "c")}
    skipped = [{"photo": os.fsdecode(b"caf\xe9\n.jpg"), "reason": "no photo"}]
    write_features(tmp_path, features, RECORD, skipped)
    capsys.readouterr()
    return tmp_path


def read_all_of_features(data):
    features = {name: row.tolist() for name, row in read_features(data).items()}
    return features, read_encoder_record(data, "again")


# Of JSON, copies are read right of which only the white space between the pieces has changed; of
# other files, those where a byte was replaced by the same, or nothing was cut out.
@pytest.mark.parametrize(
    ("name", "read", "least_refused", "share_right"),
    [
        (VOCABULARY, lambda data: read_vocabulary(data), 1_000, 0.05),
        (VOCABULARY, read_prepared_text, 1_000, 0.05),
        (DESCRIPTIONS, read_prepared_text, 500, 0.05),
        (ENCODER_RECORD, read_all_of_features, 1_000, 0.05),
        (FEATURES, read_all_of_features, 700, 0.01),
    ],
)
def test_damage_is_noticed(data, name, read, least_refused, share_right):
    refused, right = count_readings(data / name, lambda: read(data))
    assert refused > least_refused
    assert right < refused * share_right


@pytest.mark.parametrize("name", [CAPTIONS, "captions.txt", DESCRIPTIONS, SPLITS["train"]])
def test_a_pipe_in_place_of_a_text_is_not_waited_for(prepared_data, capsys, name):

    (prepared_data / name).unlink(missing_ok=True)
    if name == "captions.txt":
        (prepared_data / CAPTIONS).unlink()
    os.mkfifo(prepared_data / name)

    def wake(number, frame):
        raise TimeoutError(f"{name} is waited for")

    earlier = signal.signal(signal.SIGALRM, wake)
    signal.alarm(60)
    try:
        status = run(prepare_text.main, ["--data", str(prepared_data)])
        if name == DESCRIPTIONS:
            assert status == 0
            return
        assert status == 2
        with pytest.raises(UserError, match="is missing"):
            train.main(["--data", str(prepared_data), "--model", str(prepared_data / "model")])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "prepare_text.py" in sentence
