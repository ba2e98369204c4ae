"""Writes photos and their captions as one HTML page that needs no other file.

templates/card.html shows a photo with its captions, here and on the page that server.py serves.
"""

import base64
import hashlib
import io
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from tqdm import tqdm

from captioning.cli import counted
from captioning.network.decoding import TokenProbability, mean_probability
from captioning.photos.reading import Photo, PhotoError, read_rgb
from captioning.storage import write_text
from captioning.text.vocabulary import END_TOKEN
from captioning.text.words import ENGLISH, sentence_parts

# The probability at which each shade of a word begins.
SHADES = (0, 0.1, 0.25, 0.5, 0.75)
SHADE_NAMES = ("under 10%", "10% to 25%", "25% to 50%", "50% to 75%", "over 75%")

# Pixels of the longer side of a thumbnail, and of one of at most 100, to be looked at singly.
THUMBNAIL_SIDE = 256
LARGE_SIDE = 768

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Caption:
    """One caption of a photo."""

    decodings: tuple[str, ...]  # such as `greedy`; several where they gave the same words
    tokens: tuple[TokenProbability, ...]  # with the end token where the caption has one
    score: float | None = None  # its CIDEr-D times 100, None where there are no references
    is_unsure: bool = False


@dataclass(frozen=True)
class Card:
    """One photo with its captions."""

    title: str  # its photo id or file name
    photo: Photo | None  # None where its file is not found
    captions: tuple[Caption, ...] = ()
    references: tuple[str, ...] = ()  # captions that people wrote


@dataclass(frozen=True)
class Section:
    """A part of the page that opens at a click; what is empty is left out."""

    title: str
    table: pd.DataFrame | None = None  # of texts
    notes: Sequence[str] = ()  # paragraphs
    plot: bytes = b""  # as PNG
    code: str = ""  # shown as it is, lines and spaces kept


def write_page(
    path: Path,
    title: str,
    cards: Sequence[Card],
    sections: Sequence[Section] = (),
    language: str = ENGLISH,
) -> None:
    """Writes a page with thumbnails of its photos; one that cannot be read says why.

    `language` is the code of the language of captions and references.
    """
    scored = [caption for card in cards for caption in card.captions if caption.score is not None]
    decodings = list(dict.fromkeys(name for caption in scored for name in caption.decodings))
    thumbnails = make_thumbnails([card.photo for card in cards])
    values = [[index, *_values(card, decodings)] for index, card in enumerate(cards)]
    content = {"title": title, "sections": sections, "language": language, "decodings": decodings}
    content["status"] = counted(len(cards), "photo")
    content["shown"] = list(zip(cards, thumbnails, values, strict=True))
    write_text(path, fill("results.html", ["page.js"], content))


def _values(card: Card, decodings: list[str]) -> list[float | None]:
    """Lists what cards are sorted by: probability of the first caption, score of each decoding."""
    scores = {name: caption.score for caption in card.captions for name in caption.decodings}
    tokens = card.captions[0].tokens if card.captions else ()
    return [mean_probability(tokens) if tokens else None, *map(scores.get, decodings)]


def render_card(card: Card, language: str) -> str:
    """Returns a card as a fragment of HTML."""
    (thumbnail,) = make_thumbnails([card.photo])
    return _TEMPLATES.get_template("card.html").module.card(card, thumbnail, language)


def fill(
    template: str, scripts: Sequence[str], content: dict[str, Any], connect: str = "'none'"
) -> str:
    """Fills in a template.

    Should the escaping ever fail, no other script runs, and nothing is fetched but from `connect`.
    """
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    script = "".join((_FOLDER / name).read_text(encoding="utf-8") for name in scripts)
    digests = [_base64(hashlib.sha256(text.encode()).digest()) for text in (style, script)]
    policy = (
        f"default-src 'none'; connect-src {connect}; img-src data:; base-uri 'none'; "
        f"form-action 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'"
    )
    own = {"style": style, "script": script, "policy": policy, "shades": SHADE_NAMES}
    return _TEMPLATES.get_template(template).render(own | content)


def make_thumbnails(photos: Sequence[Photo | None]) -> list[bytes | str]:
    """Makes a thumbnail of each photo, a JPEG, or the sentence that says why there is none."""
    side = LARGE_SIDE if len(photos) <= 100 else THUMBNAIL_SIDE
    with ThreadPoolExecutor(2) as threads:
        made = threads.map(make_thumbnail, photos, repeat(side))
        return list(tqdm(made, total=len(photos), unit=" photos", delay=1, disable=None))


def make_thumbnail(photo: Photo | None, side: int) -> bytes | str:
    """Makes a thumbnail: upright, RGB, proportions kept, without metadata; or says why not."""
    if photo is None:
        return "no photo file"
    try:
        small = read_rgb(photo, least_side=2 * side)
    except PhotoError as error:
        return f"this photo cannot be read: {error}"
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    # Pillow would copy a comment of any length, and with it what nobody meant to publish.
    small.info = {}
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=70, optimize=True)
    return jpeg.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _tooltip(token: TokenProbability, text: str) -> str:
    words = [(text, token.probability), *token.alternatives]
    named = [("(end)" if word in ("", END_TOKEN) else word, share) for word, share in words]
    first, *others = [f"{share:.1%}\t{word}" for word, share in named]
    return "\n".join([first, "it might have said", *others])


def _sentence(
    tokens: Sequence[TokenProbability], language: str
) -> list[tuple[str, str, TokenProbability | None]]:
    """Writes a caption as a sentence: each token with what stands before it and its text.

    The end has no text. The full stop belongs to no token, and comes last where there is no end.
    """
    words = [token for token in tokens if not token.is_end]
    *parts, (stop, _) = sentence_parts([token.word for token in words], language)
    # The end never stands alone at the beginning of a line.
    ends = [(f"{stop}\u00a0", "", token) for token in tokens if token.is_end]
    sentence = [(blank, text, token) for (blank, text), token in zip(parts, words, strict=True)]
    return sentence + (ends or [(stop, "", None)])


_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=StrictUndefined
)
_TEMPLATES.filters.update(base64=_base64, mean=mean_probability, sentence=_sentence)
_TEMPLATES.filters.update(shade=lambda share: bisect_right(SHADES, share) - 1, tooltip=_tooltip)
