"""The page of photos that a model has captioned, without scores."""

from collections.abc import Mapping
from pathlib import Path

from captioning.captioner import PhotoCaption
from captioning.cli import counted
from captioning.pages.gallery import Caption, Card, Page
from captioning.scores.scoring import BEAM, CONSENSUS, GREEDY


def decoding_name(beam_width: int, consensus: bool) -> str:
    """Names a way of decoding as the table of scores does."""
    if beam_width == 1:
        return GREEDY
    return f"{CONSENSUS if consensus else BEAM} {beam_width}"


def make_page(
    captions: Mapping[Path, PhotoCaption], decoding: str, skipped: Mapping[Path | str, object]
) -> Page:
    """Puts the page together; `skipped` says of each photo that could not be read why."""
    cards = [
        Card(photo.name, photo, (Caption((decoding,), caption.tokens, None),), ())
        for photo, caption in captions.items()
    ]
    title = f"Captions of {counted(len(cards), 'photo')}"
    # They are all by one model.
    (language,) = {caption.language for caption in captions.values()}
    return Page(title, cards, skipped=skipped, language=language)
