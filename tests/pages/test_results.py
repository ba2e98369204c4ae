"""What the pages of evaluated and of captioned photos show."""

from types import SimpleNamespace

import numpy as np
from example_pages import card, image_bytes, tokens

from captioning.pages.results import make_cards, make_results_page
from captioning.scores import scoring


def row(*cider):
    return SimpleNamespace(photo_scores={"CIDEr-D": np.array(cider)})


def test_cards_of_an_evaluation(tmp_path):
    for name in ("one/a.jpg", "two/a.jpg", "two/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(image_bytes())
    references = SimpleNamespace(photo_ids=["a", "b", "c"], texts=[["A dog."], ["x", "y"], ["z"]])
    written = {
        "greedy": [tokens("dog endseq"), tokens("cat endseq"), ()],
        "beam 3": [tokens("dog endseq"), tokens("bird endseq"), tokens("cow")],
    }
    rows = {"greedy": row(1.0, 2.0, 3.0), "beam 3": row(1.0, 5.0, 6.0), "human": row(9.0, 9.0, 9.0)}
    cards = make_cards([tmp_path / "one", tmp_path / "two"], references, written, rows)
    assert [one.photo for one in cards] == [tmp_path / "one/a.jpg", tmp_path / "two/b.jpg", None]
    assert [one.references for one in cards] == [("A dog.",), ("x", "y"), ("z",)]
    shown = [[(made.decodings, made.score) for made in one.captions] for one in cards]
    assert shown == [
        [(("greedy", "beam 3"), 1.0)],
        [(("greedy",), 2.0), (("beam 3",), 5.0)],
        [(("greedy",), 3.0), (("beam 3",), 6.0)],
    ]
    assert cards[1].captions[1].tokens == tokens("bird endseq")


def test_page_of_an_evaluation(tmp_path):
    result = {"CIDEr-D": 12.0, "intervals": {"CIDEr-D": [11.5, 12.5]}, "mean_length": 6.0}
    result |= {"distinct_captions": 1, "vocabulary_coverage": 4.0, "copied_from_training": 0.0}
    scores = {"data": "data", "split": "dev", "photos": 1, "notes": ["A note."]}
    scores |= {"photo_ids": ("a",), "captions": {}}
    comparison = {"CIDEr-D": {"this": 12.04, "other": 9.0, "p_value": 0.0304}}
    scores |= {"compared_with": "models/old", "comparison": {"greedy": comparison}}
    scores = scoring.Scores(**scores, results={"greedy": result})
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "recipe.toml").write_bytes(b'name = "\xff"\n')
    (tmp_path / "new" / "curves.png").write_bytes(image_bytes(kind="PNG"))
    references = SimpleNamespace(left_out=["lost"], language="de")
    page = make_results_page(tmp_path / "new", [card("a")], scores, references)
    assert (page.title, page.language) == ("new: the dev split, 1 photo", "de")
    of_scores, compared, recipe, left_out = page.sections
    assert (of_scores.title, list(of_scores.notes)) == ("Scores", ["A note."])
    assert of_scores.table.loc["greedy", "CIDEr-D"] == "12.0 ±0.5"
    assert compared.title == "Compared with old"
    assert list(compared.table["CIDEr-D"]) == ["12.0", "9.0", "0.030"]
    assert list(compared.table.index) == ["greedy: A", "greedy: B", "greedy: p"]
    assert f"A: {tmp_path / 'new'}. B: models/old." in compared.notes
    assert (recipe.title, recipe.code) == ("Recipe and training", 'name = "\ufffd"\n')
    assert recipe.plot == image_bytes(kind="PNG")
    assert left_out.title == "1 photo left out"
    assert left_out.notes == ["lost: it has no features or no captions"]
