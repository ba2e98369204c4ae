"""What must hold for whatever stands in the files of captions, looked for at random."""

import json
import unicodedata

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import contents

from captioning.cli import UserError
from captioning.files import CAPTIONS
from captioning.photos.listing import PhotoNames
from captioning.text.captions import find_captions, read_captioned_photos

# The same examples in every run; a file written anew in each may be in the same folder.
searched = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

words = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)

# Pieces that are nearly right find more than bytes that are nearly all wrong.
pieces = st.sampled_from(
    [
        *("a.jpg", "b.jpg", "b.png", "image", "caption", "split", "train", "A dog runs", "#", "#0"),
        *(",", ";", "\t", "|", "| 0|", '"', '""', "\n", "\r\n", "\r", " ", "\ufeff", "0", "é", "%"),
        "image_name| comment_number| comment\n",
    ]
)
nearly_right = st.lists(pieces | st.text(max_size=3), max_size=40).map("".join)
names = st.text(st.characters(exclude_characters="\0\t\r\n", codec="utf-8"), min_size=1)
texts = st.text(max_size=20) | st.lists(words, max_size=6).map(" ".join)
official = st.lists(st.tuples(names, st.integers(0, 9), texts), min_size=3, max_size=12).map(
    lambda lines: "\n".join(f"{name}.jpg#{k}\t{text}" for name, k, text in lines)
)


def attempt(action):
    """Gives what an action returns and None, or None and the sentence that refuses it."""
    try:
        return action(), None
    except UserError as error:
        return None, str(error)


@searched
@given(
    name=st.sampled_from([CAPTIONS, "captions.csv", "photo.txt"]),
    content=st.binary(max_size=200) | st.one_of(nearly_right, official).map(str.encode),
    columns=st.sampled_from([("", ""), ("1", "2"), ("image", "caption"), ("x", "")]),
)
@example(name="captions.csv", content=b'a.jpg,"', columns=("", ""))
def test_whatever_a_file_holds_is_read_or_refused_in_a_sentence(tmp_path, name, content, columns):
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / name).write_bytes(content)
    if name == "photo.txt":
        (tmp_path / "photo.jpg").touch()
    before = contents(tmp_path)
    photos = PhotoNames([tmp_path])
    files, refusal = attempt(lambda: find_captions(tmp_path, [tmp_path], photos))
    if files:
        found, refusal = attempt(lambda: read_captioned_photos(tmp_path, files, columns, photos))
    assert contents(tmp_path) == before
    if refusal:
        assert str(tmp_path) in refusal
        return
    assert found.captions.keys() <= found.file_names.keys()
    composed = unicodedata.normalize("NFC", json.dumps(content.decode()) + content.decode())
    for photo, of_photo in found.captions.items():
        assert all("\n" not in text for text in of_photo)
        assert photo in composed or name == "photo.txt"
