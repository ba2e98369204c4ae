"""Damaged files between the stages: each is refused or read right, never read wrong."""

import random

import pytest

import prepare_text
from captioning.captions import read_descriptions
from captioning.cli import UserError
from captioning.files import CAPTIONS, DESCRIPTIONS, SPLITS, VOCABULARY
from captioning.vocabulary import read_vocabulary

SEED = 1
REPLACEMENTS = 300
INSERTIONS = 300


def damaged_copies(content):
    """Yields every flip of one bit, every beginning, and random changes of a few bytes."""
    for place in range(len(content)):
        for bit in range(8):
            flipped = content[place] ^ 1 << bit
            yield content[:place] + bytes([flipped]) + content[place + 1 :]
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
    """Damages a file in every way and reads it.

    Args:
        path: pathlib.Path of a whole file; it is left as it was.
        read: callable without arguments that gives what the file says.

    Returns:
        tuple of int: copies that were refused, and copies that were read as the whole file is.
    """
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
    """Gives a data folder with the text of three photos prepared."""
    captions = "a.jpg#0\tÄ dog .\nb b.jpg#0\tA cat .\nc.jpg#0\tA cow .\nc.jpg#1\t.\n"
    (tmp_path / CAPTIONS).write_text(captions, encoding="utf-8")
    for split, name in (("train", "a.jpg"), ("dev", "b b.jpg"), ("test", "c.jpg")):
        (tmp_path / SPLITS[split]).write_text(f"{name}\n")
    assert prepare_text.main(["--data", str(tmp_path)]) == 0
    capsys.readouterr()
    return tmp_path


def test_damage_of_the_vocabulary_is_noticed(data):
    refused, right = count_readings(data / VOCABULARY, lambda: read_vocabulary(data, "again"))
    # Right are those of which only the white space between the pieces has changed.
    assert refused > 5_000
    assert right < refused / 20


def test_damage_of_the_vocabulary_is_noticed_with_the_descriptions(data):
    count_readings(data / VOCABULARY, lambda: read_descriptions(data))


def test_damage_of_the_descriptions_is_noticed(data):
    refused, right = count_readings(data / DESCRIPTIONS, lambda: read_descriptions(data))
    assert refused > 1_000
    # Nothing was changed: a byte was replaced by the same, or nothing was cut out.
    assert right < 20
