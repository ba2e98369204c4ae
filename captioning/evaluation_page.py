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

    Args:
        photos: the folder of the photos; the page does without those that are missing.
        model: what decoded.
        references: of the photos of the split.
        features: (photos, length), in the order of the references.
        decoded: title of a decoding -> token ids of each caption.
        rows: from `scoring.score_rows`.
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
        captions = tuple(
            Caption(
                tuple(titles),
                probabilities[titles[0]][row],
                float(rows[titles[0]].statistics.photo_scores["CIDEr-D"][row]),
            )
            for titles in decodings.values()
        )
        cards.append(Card(photo, paths.get(photo), captions, tuple(references.texts[row])))
    return cards


def make_page(
    model_folder: Path, cards: list[Card], rows: dict[str, Row], scores: dict[str, Any]
) -> Page:
    """Puts the page together: the table and its notes, plots, and the cards.

    Args:
        model_folder: its name is in the title, and its loss curves are shown if they are there.
        cards: from `make_cards`.
        rows: from `scoring.score_rows`.
        scores: as `scores.json` has them.
    """
    titles = [title for title in (GREEDY, HUMAN, SHUFFLED) if title in rows]
    distribution = {title: rows[title].statistics.photo_scores["CIDEr-D"] for title in titles}
    plots = [("Scores of single photos", report.draw_distribution(distribution))]
    curves = model_folder / CURVES
    if curves.is_file():
        plots.append(("Loss and accuracy during training", curves.read_bytes()))
    return Page(
        f"{model_folder.name}: the {scores['split']} split, {scores['photos']:,d} photos",
        cards,
        "The captions that the model writes, and the references that people wrote.",
        report.page_table(scores["results"]),
        tuple(scores["notes"]),
        tuple(plots),
    )
