"""What the page of evaluated photos shows of each."""

from types import SimpleNamespace

import numpy as np
from example_pages import image_bytes, tokens

from captioning.pages.results import make_cards


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
