"""What stands on a page of results: an evaluated split with its scores, or captioned photos."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from captioning.cli import counted
from captioning.files import CURVES, RECIPE, photo_id
from captioning.network.confidence import TokenProbability
from captioning.pages.page import Caption, Card, Page, Section
from captioning.photos.features import read_encoder_record
from captioning.scores import report
from captioning.scores.scoring import (
    BEAM,
    CONSENSUS,
    GREEDY,
    HUMAN,
    SHUFFLED,
    Row,
    Scores,
    SplitReferences,
)

if TYPE_CHECKING:
    import pandas as pd

    from captioning.captioner import PhotoCaption


def make_cards(
    paths: Mapping[str, Path],
    references: SplitReferences,
    tokens: Mapping[str, Sequence[tuple[TokenProbability, ...]]],
    rows: Mapping[str, Row],
) -> list[Card]:
    """Collects what the page shows of each photo.

    `paths` is photo id -> file and may lack some of the photos. `tokens` is title of a decoding ->
    what it wrote about each photo, and `rows` what `scoring.score_rows` made of it.
    """
    cards = []
    for index, photo in enumerate(references.photo_ids):
        # Decodings that wrote the same caption share one.
        decodings = {}
        for title, captions in tokens.items():
            words = tuple(token.word for token in captions[index])
            decodings.setdefault(words, []).append(title)
        captions = []
        for first, *others in decodings.values():
            cider = float(rows[first].statistics.photo_scores["CIDEr-D"][index])
            captions.append(Caption((first, *others), tokens[first][index], cider))
        texts = tuple(references.texts[index])
        cards.append(Card(photo, paths.get(photo), tuple(captions), texts))
    return cards


def make_results_page(
    model_folder: Path,
    cards: list[Card],
    rows: Mapping[str, Row],
    scores: Scores,
    references: SplitReferences,
) -> Page:
    """Puts the page of an evaluation together, with recipe and curves if the folder has them."""
    sections = [_scores_section(rows, scores)]
    if scores.comparison:
        sections.append(_comparison_section(model_folder, scores))
    sections += _recipe_sections(model_folder)
    return Page(
        f"{model_folder.name}: the {scores.split} split, {counted(scores.photos, 'photo')}",
        cards,
        "The captions that the model writes, and the references that people wrote.",
        tuple(sections),
        _reasons_of(references.left_out, Path(scores.data)),
        references.language,
    )


def make_captions_page(
    captions: Mapping[Path, "PhotoCaption"],
    skipped: Mapping[Path | str, object],
    *,
    beam: int,
    consensus: bool,
) -> Page:
    """Puts the page of captioned photos together; `skipped` says why a photo has no caption."""
    decoding = GREEDY if beam == 1 else f"{CONSENSUS if consensus else BEAM} {beam}"
    names = Counter(photo.name for photo in captions)
    cards = [
        # Folders are shown where names repeat.
        Card(
            photo.name if names[photo.name] == 1 else str(photo),
            photo,
            (Caption((decoding,), caption.tokens),),
        )
        for photo, caption in captions.items()
    ]
    # They are all by one model.
    (language,) = {caption.language for caption in captions.values()}
    title = f"Captions of {counted(len(cards), 'photo')}"
    return Page(title, cards, skipped=skipped, language=language)


def _scores_section(rows: Mapping[str, Row], scores: Scores) -> Section:
    titles = [title for title in (GREEDY, HUMAN, SHUFFLED) if title in rows]
    distribution = {title: rows[title].statistics.photo_scores["CIDEr-D"] for title in titles}
    plot = ("Scores of single photos", report.draw_distribution(distribution))
    table = _cells(report.results_table(scores.results))
    return Section("Scores", table, tuple(scores.notes), (plot,))


def _comparison_section(model_folder: Path, scores: Scores) -> Section:
    table = _cells(report.comparison_table(scores.comparison))
    notes = (f"A: {model_folder}. B: {scores.compared_with}.", report.COMPARISON_EXPLAINED)
    return Section(f"Compared with {Path(scores.compared_with).name}", table, notes)


def _cells(table: "pd.DataFrame") -> tuple[tuple[str, ...], ...]:
    """Returns the header and the rows, each with its title first."""
    return (("", *table), *table.itertuples(name=None))


def _recipe_sections(model_folder: Path) -> list[Section]:
    """Returns the recipe and the training curves of a folder as one section, or none."""
    curves, recipe = model_folder / CURVES, model_folder / RECIPE
    plots = (("Training", curves.read_bytes()),) if curves.is_file() else ()
    # Shown as it is, damaged or not.
    code = recipe.read_text(encoding="utf-8", errors="replace") if recipe.is_file() else ""
    return [Section("Recipe and training", plots=plots, code=code)] if plots or code else []


def _reasons_of(left_out: Collection[str], data: Path) -> dict[str, str]:
    """Returns why each photo that is not captioned was left out."""
    skipped = read_encoder_record(data).skipped
    unreadable = {photo_id(Path(item.photo).name): item.reason for item in skipped}
    return {photo: unreadable.get(photo, "it has no features or no captions") for photo in left_out}
