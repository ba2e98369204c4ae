"""Writes photos and their captions as one HTML page that needs no other file.

templates/card.html shows a photo with its captions, here and on the page that server.py serves.
"""

import base64
import hashlib
import io
import math
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageOps
from tqdm import tqdm

from captioning.cli import counted
from captioning.network.confidence import TokenProbability, mean_probability
from captioning.photos.reading import Photo, PhotoError, decoding_threads, opened, to_rgb
from captioning.storage import write_text
from captioning.text.languages import ENGLISH
from captioning.text.vocabulary import END_TOKEN
from captioning.text.words import full_stop, sentence_parts

# Probabilities at which the shading of a word changes.
SHADES = (0.1, 0.25, 0.5, 0.75)

# Pixels of the longer side, JPEG quality, and bytes that no thumbnail of a large page exceeds.
LONGEST_SIDE = 256
QUALITY = 70
THUMBNAIL_LIMIT = 20_000
THUMBNAIL_THREADS = 4

# The fewer photos share these bytes, the larger each may be, for the look at a single photo.
PAGE_LIMIT = 20_000_000
LARGEST_THUMBNAIL_LIMIT = 200_000

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Caption:
    """One caption of a photo."""

    decodings: tuple[str, ...]  # such as `greedy`; several where they gave the same words
    tokens: tuple[TokenProbability, ...]  # with the end token where the caption has one
    score: float | None = None  # its CIDEr-D times 100, None where there are no references


@dataclass(frozen=True)
class Card:
    """One photo with its captions."""

    title: str  # its photo id or file name
    photo: Photo | None  # None where its file is not found
    captions: tuple[Caption, ...]
    references: tuple[str, ...] = ()  # captions that people wrote


@dataclass(frozen=True)
class Section:
    """A part of the page that opens at a click; what is empty is left out."""

    title: str
    table: tuple[tuple[str, ...], ...] = ()  # first the header; each row begins with its title
    notes: tuple[str, ...] = ()  # paragraphs
    plots: tuple[tuple[str, bytes], ...] = ()  # what each shows, and the plot as PNG, on white
    code: str = ""  # shown as it is, lines and spaces kept


@dataclass(frozen=True)
class Page:
    """What a page shows; what is empty is left out."""

    title: str  # heading of the page and name of its window
    cards: Sequence[Card]
    introduction: str = ""
    sections: tuple[Section, ...] = ()
    # The photos that have no card, and why.
    skipped: Mapping[str | Path, object] = field(default_factory=dict)
    language: str = ENGLISH  # code of the language of captions and references


class Thumbnail(NamedTuple):
    """A JPEG, and its width and height in pixels."""

    jpeg: bytes
    size: tuple[int, int]


def write_page(path: Path, page: Page) -> None:
    """Writes a page with thumbnails of its photos; one that cannot be read says why."""
    scored = [c.decodings for card in page.cards for c in card.captions if c.score is not None]
    decodings = list(dict.fromkeys(name for names in scored for name in names))
    thumbnails = make_thumbnails([card.photo for card in page.cards])
    values = [[place, *_values(card, decodings)] for place, card in enumerate(page.cards)]
    content = {
        "title": page.title,
        "page": page,
        "shown": zip(page.cards, thumbnails, values, strict=True),
        "decodings": decodings,
        "has_words": any(caption.tokens for card in page.cards for caption in card.captions),
    }
    html, _ = fill("results.html", ["page.js"], content)
    write_text(path, html)


def render_card(card: Card, language: str) -> str:
    """Returns a card as a fragment of HTML."""
    (thumbnail,) = make_thumbnails([card.photo])
    return _TEMPLATES.get_template("card.html").module.card(card, thumbnail, language)


def fill(
    template: str, scripts: Sequence[str], content: Mapping[str, object], connect: str = "'none'"
) -> tuple[str, str]:
    """Fills in a template and returns the page and its Content-Security-Policy.

    Should the escaping ever fail, nothing is fetched and no other script runs.
    """
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    script = "".join((_FOLDER / name).read_text(encoding="utf-8") for name in scripts)
    hashes = [_base64(hashlib.sha256(text.encode()).digest()) for text in (style, script)]
    policy = (
        f"default-src 'none'; connect-src {connect}; img-src data:; "
        f"style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )
    own = {"style": style, "script": script, "policy": policy, "shades": _shade_names()}
    return _TEMPLATES.get_template(template).render({**own, **content}), policy


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def percent(probability: float) -> str:
    """Returns a probability as a person reads it; no word is certain or impossible."""
    if probability < 0.001:
        return "<0.1%"
    if probability > 0.995:
        return ">99%"
    return f"{probability:.{1 if probability < 0.1 else 0}%}"


def _tooltip(token: TokenProbability, text: str) -> str:
    """Returns what is shown of a word: how probable it was, and what it might have been."""
    lines = [(token.probability, text or "(end)")]
    lines += [
        (probability, "(end)" if word == END_TOKEN else word)
        for word, probability in token.alternatives
    ]
    first, *others = [f"{percent(probability)}\t{word}" for probability, word in lines]
    return "\n".join([first, "it might have said", *others] if others else [first])


def sentence_of(
    tokens: Sequence[TokenProbability], language: str
) -> list[tuple[str, str, TokenProbability | None]]:
    """Writes tokens as a sentence of a language.

    Returns each token with what stands before it and its text, which the end token has not. The
    full stop belongs to no token, and comes last where there is no end.
    """
    of_words = [token for token in tokens if not token.is_end]
    words = [token.word for token in of_words]
    parts = zip(sentence_parts(words, language), of_words, strict=True)
    stop = full_stop(" ".join(words), language)
    # The end never stands alone at the beginning of a line.
    ends = [(f"{stop}\u00a0", "", token) for token in tokens if token.is_end]
    return [(blank, text, token) for (blank, text), token in parts] + (ends or [(stop, "", None)])


def _shade_names() -> list[str]:
    limits = [f"{limit:.0%}" for limit in SHADES]
    return [f"under {limits[0]}", *map(" to ".join, pairwise(limits)), f"over {limits[-1]}"]


def _values(card: Card, decodings: list[str]) -> list[float | None]:
    """Lists what cards are sorted by: probability of the first caption, score of each decoding."""
    scores = {name: caption.score for caption in card.captions for name in caption.decodings}
    tokens = card.captions[0].tokens if card.captions else ()
    return [mean_probability(tokens) if tokens else None, *map(scores.get, decodings)]


def make_thumbnail(photo: Photo, limit: int = THUMBNAIL_LIMIT) -> Thumbnail:
    """Makes a thumbnail of a photo: upright, RGB, proportions kept, metadata left out.

    It has at most `limit` bytes, and as many more pixels than `LONGEST_SIDE` allows as `limit` is
    above `THUMBNAIL_LIMIT`.

    Raises:
        PhotoError: if the photo cannot be read.
    """
    side = round(LONGEST_SIDE * math.sqrt(limit / THUMBNAIL_LIMIT))
    with opened(photo) as image:
        # Lets a JPEG of many megapixels be decoded at a fraction of its size.
        image.draft("RGB", (2 * side, 2 * side))
        return _compress(to_rgb(ImageOps.exif_transpose(image)), side, limit)


def _compress(image: Image.Image, side: int, limit: int) -> Thumbnail:
    # Pillow would copy a comment of any length, and with it what nobody meant to publish.
    image.info = {}
    quality = QUALITY
    while True:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= limit:
            return Thumbnail(buffer.getvalue(), image.size)
        side, quality = side * 9 // 10, max(quality - 10, 40)


def make_thumbnails(photos: Sequence[Photo | None]) -> list[Thumbnail | str]:
    """Makes a thumbnail of each photo, or the sentence that says why there is none."""
    share = PAGE_LIMIT // max(1, len(photos))
    limit = min(max(share, THUMBNAIL_LIMIT), LARGEST_THUMBNAIL_LIMIT)

    def make(photo: Photo | None) -> Thumbnail | str:
        try:
            return make_thumbnail(photo, limit) if photo else "no photo file"
        except PhotoError as error:
            return f"this photo cannot be read: {error}"

    with decoding_threads(THUMBNAIL_THREADS) as threads:
        made = threads.map(make, photos)
        return list(tqdm(made, total=len(photos), unit=" photos", delay=1, disable=None))


_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_TEMPLATES.filters |= {
    "base64": _base64,
    "counted": counted,
    "mean": mean_probability,
    "percent": percent,
    "sentence": sentence_of,
    "shade": lambda token: bisect(SHADES, token.probability),
    "tooltip": _tooltip,
}
