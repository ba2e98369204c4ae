"""What generate.py tells its story with: the photos that a user names, and a caption's tokens."""

import shutil

import numpy as np
import pytest

import generate
from captioning.backend import keras
from captioning.cli import UserError
from captioning.decoding import CaptionDecoder, generate_desc, token_ids_of_caption
from captioning.model import build_captioner
from captioning.photos import expand_places
from captioning.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("ant", "startseq", "bee", "cow", "endseq", "dog", "elk"), 7, {})


@pytest.mark.parametrize("beam_width", [1, 3])
def test_the_token_ids_of_a_caption_are_those_that_were_decoded(beam_width):
    keras.utils.set_random_seed(3)
    captioner = build_captioner(VOCABULARY.size, 4)
    # Large weights, so that captions differ between photos.
    for variable in captioner.trainable_variables:
        variable.assign(2 * variable.value)
    features = np.random.default_rng(0).normal(0, 2, (200, 4)).astype(np.float32)
    decoded = CaptionDecoder(captioner, VOCABULARY).beam(features, beam_width)
    captions = generate_desc(captioner, VOCABULARY, features, beam_width)
    assert [token_ids_of_caption(caption, VOCABULARY) for caption in captions] == decoded
    # Captions that end, that end with the last token that there is room for, and that do not end.
    length, end = VOCABULARY.maximum_length, VOCABULARY.end_id
    kinds = {(len(ids) == length, ids[-1] == end) for ids in decoded}
    assert kinds == {(False, True), (True, True), (True, False)}


def test_each_photo_is_listed_once(tiny_data):
    photos = tiny_data / "photos"
    dog = tiny_data / "dog.unknown"
    shutil.copy(photos / "red_ball_snow.png", dog)
    (photos / "link.png").symlink_to(dog)
    (photos / "outside.png").symlink_to("/dev/null")
    skipped = []
    last = photos / "red_box_snow.png"
    found = expand_places([last, dog, photos, dog], lambda path, reason: skipped.append(path))
    assert found[:2] == [last, dog]
    assert len(found) == len(set(found)) == 13
    assert found[2:] == sorted(found[2:])
    assert skipped == [str(photos / "link.png"), str(photos / "outside.png")]


def test_places_without_photos_are_refused(tmp_path):
    with pytest.raises(UserError, match="missing does not exist: name a photo"):
        expand_places([tmp_path / "missing"])
    with pytest.raises(UserError, match="holds no photos: name a photo"):
        expand_places([tmp_path])


@pytest.mark.parametrize("flag", ["--csv", "--html"])
def test_a_photo_after_a_flag_is_not_overwritten(tiny_data, flag):
    photo = tiny_data / "photos" / "red_ball_snow.png"
    content = photo.read_bytes()
    with pytest.raises(UserError, match=f"red_ball_snow.png does not end in .{flag[2:]}: name"):
        generate.main([flag, str(photo), str(tiny_data / "photos")])
    assert photo.read_bytes() == content


def test_a_consensus_of_one_caption_is_refused(tmp_path):
    with pytest.raises(UserError, match="--consensus chooses among the captions of a beam"):
        generate.main([str(tmp_path), "--consensus", "--beam", "1"])
