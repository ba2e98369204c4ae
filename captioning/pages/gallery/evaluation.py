"""The page of an evaluated split: its scores, and every photo with captions and references."""

from collections.abc import Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from captioning.cli import counted
from captioning.network.decoding import token_probabilities
from captioning.network.saved_model import SavedModel
from captioning.old import CURVES, RECIPE, photo_id
from captioning.pages.gallery import Caption, Card, Page, Section
from captioning.photos.features import FeatureRows, read_encoder_record
from captioning.photos.listing import find_photos
from captioning.scores import report
from captioning.scores.scoring import GREEDY, HUMAN, SHUFFLED, Row, SplitReferences
from captioning.text.languages import ENGLISH


def make_cards(
    folders: Sequence[Path],
    model: SavedModel,
    references: SplitReferences,
    features: FeatureRows,
    decoded: dict[str, list[list[int]]],
    rows: dict[str, Row],
) -> list[Card]:
    """Collects what the page shows of each photo.

    The folders may lack some of the photos. The features are (photos, length); `decoded` is title
    of a decoding -> token ids of each caption, and `rows` what `scoring.score_rows` made of it.
    """
    found = chain.from_iterable(map(find_photos, folders))
    paths = {photo_id(path.name): path for path in reversed(list(found))}
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
    model_folder: Path,
    cards: list[Card],
    rows: dict[str, Row],
    scores: dict[str, Any],
    left_out: Collection[str] = (),
    language: str = ENGLISH,
) -> Page:
    """Puts the page together: cards, scores, comparison, recipe and training curves.

    `scores` are as `scores.json` has them, `left_out` are the photos of the split that have no
    card, and `language` is that of the captions. Recipe and curves are shown if the folder has
    them.
    """
    sections = [_scores_section(rows, scores)]
    if "comparison" in scores:
        sections.append(_comparison_section(model_folder, scores))
    sections += _recipe_sections(model_folder)
    return Page(
        f"{model_folder.name}: the {scores['split']} split, {counted(scores['photos'], 'photo')}",
        cards,
        "The captions that the model writes, and the references that people wrote.",
        tuple(sections),
        _reasons_of(left_out, Path(scores["data"])),
        language,
    )


def _scores_section(rows: dict[str, Row], scores: dict[str, Any]) -> Section:
    titles = [title for title in (GREEDY, HUMAN, SHUFFLED) if title in rows]
    distribution = {title: rows[title].statistics.photo_scores["CIDEr-D"] for title in titles}
    plot = ("Scores of single photos", report.draw_distribution(distribution))
    table = report.page_table(scores["results"])
    return Section("Scores", table, tuple(scores["notes"]), (plot,))


def _comparison_section(model_folder: Path, scores: dict[str, Any]) -> Section:
    other = scores["compared_with"]
    comparison = scores["comparison"]
    names = list(next(iter(comparison.values())))
    table = [("", *names)]
    for title, of_title in comparison.items():
        for label, key, digits in (("A", "this", 1), ("B", "other", 1), ("p", "p_value", 3)):
            cells = [f"{of_title[name][key]:.{digits}f}" for name in names]
            table.append((f"{title}: {label}", *cells))
    notes = (f"A: {model_folder}. B: {other}.", report.COMPARISON_EXPLAINED)
    return Section(f"Compared with {Path(other).name}", tuple(table), notes)


def _recipe_sections(model_folder: Path) -> list[Section]:
    """Returns the recipe and the training curves of a folder as one section, or none."""
    curves, recipe = model_folder / CURVES, model_folder / RECIPE
    plots = (("Training", curves.read_bytes()),) if curves.is_file() else ()
    # Shown as it is, damaged or not.
    code = recipe.read_text(encoding="utf-8", errors="replace") if recipe.is_file() else ""
    title = " and ".join([*(["Recipe"] if code else []), *(["training"] if plots else [])])
    return [Section(title.capitalize(), plots=plots, code=code)] if title else []


def _reasons_of(left_out: Collection[str], data: Path) -> dict[str, str]:
    """Returns why each photo that is not captioned was left out."""
    record = read_encoder_record(data)
    unreadable = {
        photo_id(Path(item["photo"]).name): item["reason"] for item in record.get("skipped", [])
    }
    return {photo: unreadable.get(photo, "it has no features or no captions") for photo in left_out}
