"""The page of an evaluated split: its scores, and every photo with captions and references."""

from pathlib import Path
from typing import Any

import numpy as np

from captioning import report
from captioning.decoding import token_probabilities
from captioning.files import CURVES, photo_id
from captioning.gallery import Caption, Card, Page
from captioning.photos import find_photos
from captioning.saved_model import SavedModel
from captioning.scoring import GREEDY, HUMAN, SHUFFLED, Row, SplitReferences


def make_cards(
    photos: Path,
    model: SavedModel,
    references: SplitReferences,
    features: np.ndarray,
    decoded: dict[str, list[list[int]]],
    rows: dict[str, Row],
) -> list[Card]:
    """Collects what the page shows of each photo.

    The folder `photos` may lack some of them. The features are (photos, length); `decoded` is title
    of a decoding -> token ids of each caption, and `rows` what `scoring.score_rows` made of it.
    """
    paths = {photo_id(path.name): path for path in reversed(find_photos(photos))}
    probabilities = {
        title: token_probabilities(model.captioner, model.vocabulary, features, captions)
        for title, captions in decoded.items()
    }
    cards = []
    for row, photo in enumerate(references.photo_ids):
        # Decodings that wrote the same caption share one.
        decodings = {}
        for title, captions in decoded.items():
            decodings.setdefault(tuple(captions[row]), []).append(title)
        captions = []
        for first, *others in decodings.values():
            cider = float(rows[first].statistics.photo_scores["CIDEr-D"][row])
            captions.append(Caption((first, *others), probabilities[first][row], cider))
        cards.append(Card(photo, paths.get(photo), tuple(captions), tuple(references.texts[row])))
    return cards


def make_page(
    model_folder: Path, cards: list[Card], rows: dict[str, Row], scores: dict[str, Any]
) -> Page:
    """Puts the page together: the table and its notes, plots, and the cards.

    `scores` are as `scores.json` has them. The loss curves are shown if the folder has them.
    """
    titles = [title for title in (GREEDY, HUMAN, SHUFFLED) if title in rows]
    distribution = {title: rows[title].statistics.photo_scores["CIDEr-D"] for title in titles}
    plots = [("Scores of single photos", report.draw_distribution(distribution))]
    curves = model_folder / CURVES
    if curves.is_file():
        plots.append(("Training", curves.read_bytes()))
    return Page(
        f"{model_folder.name}: the {scores['split']} split, {scores['photos']:,d} photos",
        cards,
        "The captions that the model writes, and the references that people wrote.",
        report.page_table(scores["results"]),
        tuple(scores["notes"]),
        tuple(plots),
    )
