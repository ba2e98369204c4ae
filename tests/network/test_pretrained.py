"""The model that comes with the project: what its folder says of it, and what it says of photos."""

import tomllib

import numpy as np
import pytest
from support import ROOT, generate_desc

from captioning import load_captioner
from captioning.files import pretrained_model
from captioning.scores.scoring import Scores
from captioning.storage import read_json

PHOTOS = 24


@pytest.fixture(scope="module")
def captioner():
    return load_captioner()


def test_it_is_small_and_of_the_best_recipe():
    folder = pretrained_model()
    assert sum(path.stat().st_size for path in folder.iterdir() if path.suffix == ".keras") < 10e6
    recipe = tomllib.loads((folder / "recipe.toml").read_text())
    best = tomllib.loads((ROOT / "recipes" / "best.toml").read_text())
    for table in ("prepare_photos", "prepare_text", "train"):
        assert best[table].items() <= recipe[table].items()


def test_its_card_has_the_scores_of_its_folder():
    card = (pretrained_model() / "README.md").read_text(encoding="utf-8")
    scores = read_json(pretrained_model() / "scores.json", Scores)
    assert (scores.split, scores.photos) == ("test", 1000)
    for row in ("greedy", "beam 3", "consensus 10", "human"):
        names = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")
        figures = [f"{scores.results[row][name]:.1f}" for name in names]
        assert f"| {' | '.join(figures)} |" in card


def test_it_captions_photos_from_jpeg_files(captioner, flickr8k):
    """Its captions tell of their own photos more than of others'."""
    names = (flickr8k / "Flickr_8k.testImages.txt").read_text().split()
    paths = [flickr8k / "photos" / name for name in names]
    paths = [path for path in paths if path.is_file()][:PHOTOS]
    captions = captioner.caption(paths)
    references = read_references(flickr8k, paths)

    def confirmed(rows):
        shares = []
        for caption, row in zip(captions, rows, strict=True):
            words = [word for word in caption.split() if len(word) > 3]
            shares += [word in references[row] for word in words]
        return np.mean(shares)

    own = confirmed(range(PHOTOS))
    others = np.mean([confirmed(np.roll(range(PHOTOS), by)) for by in range(1, PHOTOS)])
    assert own > others + 0.2
    assert len(set(captions)) > PHOTOS / 2

    # The features of the original networks, in PyTorch, of all photos.
    features = [shared_features(flickr8k, variant, paths) for variant in (2, 0)]
    model = captioner.model
    others = generate_desc(model.captioner, model.vocabulary, np.hstack(features), 3)
    assert sum(map(str.__eq__, captions, others)) >= 0.8 * PHOTOS


def read_references(folder, paths):
    """Returns the set of the words of the references of each photo."""
    found = {path.name: set() for path in paths}
    for line in (folder / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t")
        if name.split("#")[0] in found:
            found[name.split("#")[0]].update(text.lower().split())
    return list(found.values())


def shared_features(folder, variant, paths):
    with np.load(folder / f"features_efficientnet_lite{variant}.npz") as file:
        rows = {str(name): row for row, name in enumerate(file["ids"])}
        rows = [rows.get(path.name, rows.get(path.stem)) for path in paths]
        return (file["quantized"][rows] * file["scale"]).astype(np.float32)
