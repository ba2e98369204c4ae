"""Captioning from Python: `load_captioner` and what it returns."""

import io
import math
import sys

import numpy as np
import pytest
from msgspec import structs
from PIL import Image
from support import ENCODER_RECORD, ROOT, StandIn, draw_photos, generate_desc

from captioning import captioner as captioner_module
from captioning import load_captioner
from captioning.captioner import PHOTOS_TOGETHER
from captioning.cli import UserError
from captioning.files import pretrained_model
from captioning.keras_setup import keras
from captioning.network.model import build_captioner, halves
from captioning.network.model_folder import SavedModel, load_models, save_model
from captioning.photos.reading import PhotoError, read_photo
from captioning.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("ant", "startseq", "bee", "cow", "endseq", "dog", "elk"), 7, {})
RECIPE = {"made_with": {"data": "photographs"}}
RECORD = structs.replace(ENCODER_RECORD, weights="imagenet")
UNREADABLE = 10  # of the photos that draw_photos draws


class Encoder(StandIn):
    """An encoder that agrees with RECORD, and tells photos of noise apart."""

    def encode(self, photos, batch_size=0):
        """Makes the means of pixels numbers around zero, of like size as a network's."""
        return (super().encode(photos) - 127) / 5

    def record(self):
        """Describes itself as the records of the models here do."""
        return RECORD


def random_captioner(seed):
    """Builds a captioner of weights so large that captions differ between photos."""
    keras.utils.set_random_seed(seed)
    model = build_captioner(VOCABULARY.size, RECORD.length, units=32)
    for variable in model.trainable_variables:
        variable.assign(2.5 * variable.value)
    output = halves(model)[1].get_layer("next_token")
    kernel, bias = output.get_weights()
    # Or most captions would be empty.
    bias[VOCABULARY.end_id] = -3
    output.set_weights([kernel, bias])
    return model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Writes photos of which one is none, and two models that caption them differently."""
    folder = tmp_path_factory.mktemp("captioner")
    draw_photos(folder / "photos", 3 * UNREADABLE)
    for seed in (1, 2):
        model = random_captioner(seed)
        save_model(folder / str(seed), SavedModel(model, VOCABULARY, RECORD), RECIPE)
    return folder


@pytest.fixture
def captioner(place, monkeypatch):
    monkeypatch.setattr(captioner_module, "Encoder", Encoder)
    return load_captioner(place / "1")


def expected_captions(place, folders, paths, beam=3, **options):
    """Captions photos by the functions that have tests of their own."""
    model = load_models([place / folder for folder in folders])
    encoder = Encoder()
    # The stand-in's features depend on the batch.
    alone = [encoder.encode([[read_photo(path, encoder.input_size)]]) for path in paths]
    features = np.concatenate(alone)
    return generate_desc(model.captioner, model.vocabulary, features, beam, **options)


def photo(place, number):
    return place / "photos" / f"photo {number:04d}.png"


def test_a_photo_is_given_in_any_form(place, captioner):
    path = photo(place, 0)
    (expected,) = expected_captions(place, "1", [path])
    assert len(expected.split()) > 1
    assert captioner.caption(path) == expected
    assert captioner.caption(str(path)) == expected
    with Image.open(path) as image:
        assert captioner.caption(image) == expected
        assert captioner.caption([image]) == [expected]
    assert captioner.caption([]) == []


def test_the_page_captions_what_was_dropped_as_the_file_is(captioner, place):
    path = next((place / "photos").glob("*0001.png"))
    ((_, dropped),) = captioner.caption_all([io.BytesIO(path.read_bytes())])
    assert dropped == captioner.caption(path, confidence=True)


def test_several_photos_and_several_models(place, captioner):
    paths = [photo(place, number) for number in range(UNREADABLE)]
    together = load_captioner([place / "1", str(place / "2")])
    for one, folders in ((captioner, "1"), (together, "12")):
        found = [one.caption(path) for path in paths]
        assert found == expected_captions(place, folders, paths)
    assert [captioner.caption(path) for path in paths] != found
    assert len(captioner.caption(paths)) == len(paths)


@pytest.mark.parametrize(
    "options",
    [{"beam": 1}, {"beam": 5, "consensus": True}, {"beam": 2, "no_repeat_ngram_size": 1}],
)
def test_decoding_is_chosen(place, captioner, options):
    paths = [photo(place, number) for number in range(UNREADABLE)]
    found = [captioner.caption(path, **options) for path in paths]
    assert found == expected_captions(place, "1", paths, **options)


def test_confidence_is_the_geometric_mean(place, captioner):
    caption = captioner.caption(photo(place, 1), confidence=True)
    assert caption.text == captioner.caption(photo(place, 1))
    words = [token.word for token in caption.tokens if not token.is_end]
    assert " ".join(words) == caption.text
    logarithms = [math.log(token.probability) for token in caption.tokens]
    assert caption.confidence == pytest.approx(math.exp(sum(logarithms) / len(logarithms)))
    assert 0 < caption.confidence < 1


def test_what_is_no_photo_is_a_type_error(place, captioner):
    for given in (np.zeros((4, 4, 3)), b"photo", [photo(place, 1), None]):
        with pytest.raises(TypeError, match="expected a path, a PIL image or a list of them"):
            captioner.caption(given)
    with pytest.raises(ValueError, match="expected a beam width of at least 1, got 0"):
        captioner.caption(photo(place, 1), beam=0)


def test_a_photo_that_cannot_be_read_is_named(place, captioner):
    with pytest.raises(PhotoError, match=r"photo 0010\.png cannot be read: cannot identify"):
        captioner.caption([photo(place, 1), photo(place, UNREADABLE)])
    with pytest.raises(PhotoError, match=r"nowhere\.jpg cannot be read: No such file"):
        captioner.caption("nowhere.jpg")


def test_captions_come_in_the_order_of_the_photos(place, captioner):
    paths = [photo(place, number) for number in range(3 * UNREADABLE)]
    assert len(paths) > PHOTOS_TOGETHER > UNREADABLE
    found = list(captioner.caption_all(paths, batch_size=4))
    assert [path for path, _ in found] == paths
    assert isinstance(found[UNREADABLE][1], PhotoError)
    # The stand-in's features depend a little on the batch, as a network's do.
    texts = [caption.text for _, caption in found[:UNREADABLE]]
    alone = [captioner.caption(path) for path in paths[:UNREADABLE]]
    assert sum(map(str.__eq__, texts, alone)) > UNREADABLE // 5


def test_the_first_captions_do_not_wait_for_the_last_photos(place, captioner, monkeypatch):
    encoded = []
    encode = Encoder.encode
    monkeypatch.setattr(
        Encoder,
        "encode",
        lambda self, photos, _: encoded.append(len(photos)) or encode(self, photos),
    )
    results = captioner.caption_all([photo(place, 1)] * 3 * PHOTOS_TOGETHER, batch_size=4)
    next(results)
    assert sum(encoded) == PHOTOS_TOGETHER


def test_models_are_named_in_several_ways(place, captioner, tmp_path, monkeypatch):
    path = photo(place, 1)
    assert load_captioner(place / "1" / "captioner.keras").caption(path) == captioner.caption(path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^1.captioner\.keras is missing: run python train\.py"):
        load_captioner("1")
    other = structs.replace(RECORD, weights_sha256="another")
    monkeypatch.setattr(sys.modules[__name__], "RECORD", other)
    with pytest.raises(UserError, match="do not go together: weights_sha256"):
        load_captioner(place / "1", weights="other.h5")


def test_the_default_is_the_model_that_comes_with_the_project(captioner, place, monkeypatch):
    assert pretrained_model().resolve() == ROOT / "models" / "pretrained"
    monkeypatch.setattr("captioning.captioner.pretrained_model", lambda: place / "1")
    path = photo(place, 1)
    assert load_captioner().caption(path) == captioner.caption(path)


@pytest.mark.parametrize(
    ("record", "recipe", "doubt"),
    [
        ({}, {"made_with": {"painted_scenes": True}}, "was trained on painted scenes"),
        ({"weights": "none"}, RECIPE, "an encoder that was not trained"),
        ({"weights": "imagenet+none"}, RECIPE, "an encoder that was not trained"),
    ],
)
def test_a_model_that_does_not_fit_photographs_says_so(
    place, tmp_path, monkeypatch, record, recipe, doubt
):
    class Same(StandIn):
        def record(self):
            return structs.replace(RECORD, **record)

    monkeypatch.setattr(captioner_module, "Encoder", Same)
    model = load_models([place / "1"])
    saved = SavedModel(model.captioner, VOCABULARY, Same().record())
    save_model(tmp_path, saved, recipe)
    loaded = load_captioner(tmp_path)
    (sentence,) = loaded.doubts
    assert doubt in sentence
    with pytest.warns(UserWarning, match=doubt):
        loaded.caption(photo(place, 1))


def test_a_model_of_photographs_raises_no_doubt(place, tmp_path, monkeypatch):
    monkeypatch.setattr(captioner_module, "Encoder", Encoder)
    save_model(tmp_path, load_models([place / "1"]), RECIPE)
    assert load_captioner(tmp_path).doubts == ()
    (tmp_path / "recipe.toml").unlink()
    assert load_captioner(tmp_path).doubts == ()
