"""Captioning from Python: `load_captioner` and what it returns."""

import io
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from msgspec import structs
from PIL import Image
from support import (
    ENCODER_RECORD,
    ROOT,
    TRAINED_RECORD,
    VOCABULARY,
    TrainedStandIn,
    change_bias,
    draw_photos,
    random_captioner,
    read_photo,
)

from captioning import captioner as captioner_module
from captioning import load_captioner
from captioning.captioner import PHOTOS_TOGETHER
from captioning.cli import UserError
from captioning.files import BEST, of_project
from captioning.network.decoding import CaptionDecoder
from captioning.network.model_folder import SavedModel, save_model
from captioning.photos.reading import PhotoError

UNREADABLE = 10  # of the photos that draw_photos draws


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Writes photos of which one is none, and two models that caption them differently."""
    folder = tmp_path_factory.mktemp("captioner")
    draw_photos(folder / "photos", 3 * UNREADABLE)
    for seed in (1, 2):
        model = random_captioner(seed, length=ENCODER_RECORD.length)
        # Or most captions would be empty.
        change_bias(model, VOCABULARY.end_id, -3)
        saved = SavedModel(model, VOCABULARY, TRAINED_RECORD)
        save_model(folder / str(seed), saved, {"made_with": {"painted_scenes": seed == 2}})
    return folder


@pytest.fixture(scope="module", autouse=True)
def _encoder():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captioner_module, "Encoder", TrainedStandIn)
        yield


@pytest.fixture(scope="module")
def captioner(place):
    return load_captioner(place / "1")


@pytest.fixture(scope="module")
def photos(place):
    return sorted((place / "photos").iterdir())


def expected_captions(captioner, paths, beam=3, *, consensus=False, **options):
    """Captions photos by the functions that have tests of their own."""
    encoder, model = TrainedStandIn(), captioner.model
    # The stand-in's features depend on the batch.
    alone = [encoder.encode([[read_photo(path, encoder.input_size)]]) for path in paths]
    features = np.concatenate(alone)
    decoder = CaptionDecoder(model.captioner, model.vocabulary)
    found = decoder.finished_captions(features, beam, **options)
    best = [(decoder.by_consensus(ids) if consensus else ids)[0] for ids in found]
    return [" ".join(model.vocabulary.detokenize(ids)) for ids in best]


def test_a_photo_is_given_in_any_form(photos, captioner):
    path = photos[0]
    (expected,) = expected_captions(captioner, [path])
    assert len(expected.split()) > 1
    assert captioner.caption(path) == captioner.caption(str(path)) == expected
    assert captioner.caption((path.read_bytes(), path)) == [expected] * 2
    assert captioner.caption(np.asarray(Image.open(path).convert("RGB"))) == expected
    with Image.open(path) as image:
        assert captioner.caption(image) == expected
        assert captioner.caption([image]) == [expected]
    assert captioner.caption([]) == []
    # As the page gives what was dropped on it.
    ((_, dropped),) = captioner.caption_all([io.BytesIO(path.read_bytes())])
    assert dropped == captioner.caption(path, confidence=True)


def test_threads_share_a_captioner_and_processes_do_not(photos, captioner, monkeypatch):
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(captioner.caption, photos[:4])) == captioner.caption(photos[:4])
    # In a forked process the network would wait for ever.
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(RuntimeError, match="call load_captioner in each process"):
        captioner.caption(photos[0])


@pytest.mark.filterwarnings("ignore:.* was trained on painted scenes")
def test_decoding_and_several_models_are_chosen(place, photos, captioner):
    paths = photos[:UNREADABLE]
    together = load_captioner([place / "1", str(place / "2")])
    of_both = [together.caption(path) for path in paths]
    assert of_both == expected_captions(together, paths)
    for options in (
        {},
        {"beam": 1},
        {"beam": 5, "consensus": True},
        {"beam": 2, "no_repeat_ngram_size": 1},
    ):
        found = [captioner.caption(path, **options) for path in paths]
        assert found == expected_captions(captioner, paths, **options) != of_both


def test_confidence_is_the_geometric_mean(photos, captioner):
    caption = captioner.caption(photos[1], confidence=True)
    assert caption.text == captioner.caption(photos[1])
    assert " ".join(token.word for token in caption.tokens if not token.is_end) == caption.text
    logarithms = [math.log(token.probability) for token in caption.tokens]
    assert caption.confidence == pytest.approx(math.exp(sum(logarithms) / len(logarithms)))
    assert 0 < caption.confidence < 1


def test_what_cannot_be_captioned_is_an_error(photos, captioner):
    for given, name in (
        ({"photo": photos[1]}, "dict"),
        (7, "int"),
        ([photos[1], None], "NoneType"),
    ):
        with pytest.raises(TypeError, match=rf"^expected a path, bytes, a PIL .*, got {name}$"):
            captioner.caption(given)
    for given in (np.zeros((4, 4, 3)), np.zeros((2, 4, 4, 3), np.uint8)):
        with pytest.raises(TypeError, match="Cannot handle this data type"):
            captioner.caption(given)
    with pytest.raises(ValueError, match="expected a count from 1 to the beam width, 0, got 1"):
        captioner.caption(photos[1], beam=0)
    with pytest.raises(PhotoError, match=r"photo 0010\.png cannot be read: cannot identify"):
        captioner.caption([photos[1], photos[UNREADABLE]])
    with pytest.raises(PhotoError, match=r"nowhere\.jpg cannot be read: No such file"):
        captioner.caption("nowhere.jpg")


def test_captions_come_in_the_order_of_the_photos_and_do_not_wait_for_the_last(
    photos, captioner, monkeypatch
):
    assert len(photos) > PHOTOS_TOGETHER > UNREADABLE
    encoded, encode = [], TrainedStandIn.encode
    monkeypatch.setattr(
        TrainedStandIn,
        "encode",
        lambda self, photos, _=0: encoded.append(len(photos)) or encode(self, photos),
    )
    results = captioner.caption_all([*photos, *photos], batch_size=4)
    found = [next(results)]
    assert sum(encoded) <= PHOTOS_TOGETHER
    found += results
    assert [path for path, _ in found] == [*photos, *photos]
    assert isinstance(found[UNREADABLE][1], PhotoError)
    # The stand-in's features depend a little on the batch, as a network's do.
    texts = [caption.text for _, caption in found[:UNREADABLE]]
    alone = [captioner.caption(path) for path in photos[:UNREADABLE]]
    assert sum(map(str.__eq__, texts, alone)) > UNREADABLE // 5


def test_models_are_named_in_several_ways(place, photos, captioner, tmp_path, monkeypatch):
    expected = captioner.caption(photos[1])
    assert of_project(BEST).resolve() == ROOT / "models" / "pretrained"
    monkeypatch.setattr(captioner_module, "choose_pretrained", lambda: place / "1")
    assert load_captioner().caption(photos[1]) == expected
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^1.captioner\.keras is missing: run python train\.py"):
        load_captioner("1")
    other = structs.replace(TRAINED_RECORD, weights_sha256="another")
    monkeypatch.setattr(TrainedStandIn, "record", lambda self: other)
    with pytest.raises(UserError, match="do not go together: weights_sha256"):
        load_captioner(place / "1", weights="other.h5")


def test_a_model_of_painted_scenes_says_so_and_one_of_photographs_raises_no_doubt(
    place, photos, captioner
):
    assert not captioner.doubts
    with pytest.warns(UserWarning, match="was trained on painted scenes"):
        load_captioner(place / "2").caption(photos[1])
