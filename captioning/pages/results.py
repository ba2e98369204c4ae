"""What stands on a page of results: an evaluated split with its scores, or captioned photos."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from captioning.captioner import PhotoCaption
from captioning.cli import counted
from captioning.files import CURVES, RECIPE, RESULTS_PAGE
from captioning.network.decoding import TokenProbability
from captioning.pages.page import Caption, Card, Section, write_page
from captioning.photos.listing import PhotoNames
from captioning.scores import report, scoring


def make_cards(
    folders: Iterable[Path],
    references: scoring.SplitReferences,
    tokens: Mapping[str, Sequence[tuple[TokenProbability, ...]]],
    rows: Mapping[str, scoring.Row],
) -> list[Card]:
    """Collects what the page shows of each photo.

    The folders may lack some of the photos. `tokens` is title of a decoding -> what it wrote about
    each photo, and `rows` what `scoring.score_rows` made of it.
    """
    # Where two folders have a photo of the same name, the first folder's counts. Photos at an
    # address are not fetched.
    paths = PhotoNames(folder for folder in folders if isinstance(folder, Path)).files
    cards = []
    for index, photo in enumerate(references.photo_ids):
        # Decodings that wrote the same caption share one.
        captions = {}
        for title, written in tokens.items():
            words = tuple(token.word for token in written[index])
            score = float(rows[title].photo_scores["CIDEr-D"][index])
            first = captions.get(words, Caption((), written[index], score))
            captions[words] = replace(first, decodings=(*first.decodings, title))
        texts = tuple(references.texts[index])
        cards.append(Card(photo, paths.get(photo), tuple(captions.values()), texts))
    return cards


def write_results_page(
    folder: Path, cards: list[Card], scores: scoring.Scores, references: scoring.SplitReferences
) -> None:
    """Writes the page of an evaluation, with recipe and curves if the folder has them."""
    sections = [Section("Scores", report.results_table(scores.results), scores.notes)]
    if scores.comparison:
        notes = [f"A: {folder}. B: {scores.compared_with}.", report.COMPARISON_EXPLAINED]
        title = f"Compared with {Path(scores.compared_with).name}"
        sections.append(Section(title, report.comparison_table(scores.comparison), notes))
    left_out = dict.fromkeys(references.left_out, "it has no features")
    title = f"{folder.name}: the {scores.split} split, {counted(scores.photos, 'photo')}"
    sections += [*_recipe(folder), *_left_out(left_out)]
    write_page(folder / RESULTS_PAGE, title, cards, sections, references.language)


def _recipe(folder: Path) -> list[Section]:
    curves, recipe = folder / CURVES, folder / RECIPE
    plot = curves.read_bytes() if curves.is_file() else b""
    # Shown as it is, damaged or not.
    code = recipe.read_text(encoding="utf-8", errors="replace") if recipe.is_file() else ""
    return [Section("Recipe and training", plot=plot, code=code)] if plot or code else []


def _left_out(reasons: Mapping[Path | str, object]) -> list[Section]:
    notes = [f"{photo}: {reason}" for photo, reason in reasons.items()]
    return [Section(f"{counted(len(notes), 'photo')} left out", notes=notes)] if notes else []


def write_captions_page(
    captions: Mapping[Path, PhotoCaption],
    skipped: Mapping[Path | str, object],
    options: argparse.Namespace,
) -> None:
    """Writes the page of captioned photos, and says so; `skipped` says why one has no caption."""
    cards, decoding = [], scoring.title_of(options.beam, consensus=options.consensus)
    names = Counter(photo.name for photo in captions)
    for photo, caption in captions.items():
        # Folders are shown where names repeat: whoever gets the page need not know the others.
        title = photo.name if names[photo.name] == 1 else str(photo)
        shown = Caption((decoding,), caption.tokens, is_unsure=caption.is_unsure)
        cards.append(Card(title, photo, (shown,)))
    # They are all by one model.
    (language,) = {caption.language for caption in captions.values()}
    title = f"Captions of {counted(len(cards), 'photo')}"
    write_page(options.html, title, cards, _left_out(skipped), language)
    print(f"wrote {options.html}", file=sys.stderr)
