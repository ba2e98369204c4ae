"""Writes photos and their captions as one HTML page that needs no other file."""

import base64
import hashlib
import io
from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise, takewhile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from captioning.cli import counted
from captioning.network.confidence import TokenProbability, mean_probability
from captioning.old import write_text
from captioning.pages.gallery.thumbnails import make_thumbnails
from captioning.text.languages import ENGLISH
from captioning.text.sentences import full_stop, sentence_parts
from captioning.text.vocabulary import END_TOKEN

# Probabilities at which the shading of a word changes.
SHADES = (0.1, 0.25, 0.5, 0.75)

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Caption:
    """One caption of a photo."""

    decodings: tuple[str, ...]  # such as `greedy`; several where they gave the same words
    tokens: tuple[TokenProbability, ...]  # with the end token where the caption has one
    score: float | None  # its CIDEr-D times 100, None where there are no references


@dataclass(frozen=True)
class Card:
    """One photo with its captions."""

    title: str  # its photo id or file name; the page adds folders where titles repeat
    photo: Path | None  # its file, None where there is none
    captions: tuple[Caption, ...]
    references: tuple[str, ...]  # captions that people wrote


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


def write_gallery(path: Path, page: Page) -> None:
    """Writes a page with the thumbnails of its photos; one that cannot be read says why."""
    thumbnails = make_thumbnails([card.photo for card in page.cards])
    decodings = _scored_decodings(page.cards)
    values = [_values(card, decodings) for card in page.cards]
    scripts = ("words.js", "gallery.js")
    script = "".join((_FOLDER / name).read_text(encoding="utf-8") for name in scripts)
    template = environment().get_template("gallery.html")
    html = template.render(
        page=page,
        cards=zip(page.cards, _titles(page.cards), thumbnails, values, strict=True),
        decodings=decodings,
        has_words=any(caption.tokens for card in page.cards for caption in card.captions),
        shades=shade_names(),
        style=(_FOLDER / "gallery.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=_base64(hashlib.sha256(script.encode()).digest()),
    )
    write_text(path, html)


def environment(*folders: Path) -> Environment:
    """Returns what fills in the templates in the folders, and in that of this module."""
    templates = Environment(
        loader=FileSystemLoader([*folders, _FOLDER]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    templates.filters |= {
        "alternatives": _alternatives,
        "base64": _base64,
        "counted": counted,
        "png_size": lambda png: Image.open(io.BytesIO(png)).size,
        "sentence": sentence_of,
        "shade": shade,
    }
    return templates


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def shade(token: TokenProbability) -> int:
    """Returns the number of a word's shade, the place of its name in `shade_names`."""
    return bisect(SHADES, token.probability)


@dataclass(frozen=True)
class Sentence:
    """A caption as a sentence: each word with the blank before it and its token."""

    words: list[tuple[str, str, TokenProbability]]
    full_stop: str
    end: TokenProbability | None  # the end token, None where the caption has none


def sentence_of(tokens: Sequence[TokenProbability], language: str) -> Sentence:
    """Writes tokens as a sentence; its full stop belongs to no token."""
    of_words = [token for token in tokens if not token.is_end]
    words = [token.word for token in of_words]
    parts = zip(sentence_parts(words, language), of_words, strict=True)
    return Sentence(
        [(blank, text, token) for (blank, text), token in parts],
        full_stop(" ".join(words), language),
        next((token for token in tokens if token.is_end), None),
    )


def alternative_name(word: str) -> str:
    """Returns how a page names a word that might have been written, or the end."""
    return "(end)" if word == END_TOKEN else word


def _alternatives(token: TokenProbability) -> str:
    # One alternative a line, its probability after its last space, is what the script expects.
    return "\n".join(
        f"{' '.join(alternative_name(word).split())} {probability:.4f}"
        for word, probability in token.alternatives
    )


def shade_names() -> list[str]:
    """Returns the probabilities that each shade stands for."""
    limits = [f"{limit:.0%}" for limit in SHADES]
    return [f"under {limits[0]}", *map(" to ".join, pairwise(limits)), f"over {limits[-1]}"]


def _titles(cards: Sequence[Card]) -> list[str]:
    """Returns the title of each card; where titles repeat, the path of its photo in their place.

    A folder that holds all photos of the page is left out of the paths.
    """
    counts = Counter(card.title for card in cards)
    folders = [card.photo.parent.parts for card in cards if card.photo]
    shared = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    depth = len(list(shared))
    return [
        str(Path(*card.photo.parts[depth:]))
        if card.photo and counts[card.title] > 1
        else card.title
        for card in cards
    ]


def _scored_decodings(cards: Sequence[Card]) -> list[str]:
    """Lists the decodings whose captions have scores, in order of first appearance."""
    captions = (caption for card in cards for caption in card.captions)
    scored = (caption.decodings for caption in captions if caption.score is not None)
    return list(dict.fromkeys(chain.from_iterable(scored)))


def _values(card: Card, decodings: list[str]) -> list[float | None]:
    """Lists what cards are sorted by: probability of the first caption, score of each decoding."""
    scores = {name: caption.score for caption in card.captions for name in caption.decodings}
    tokens = card.captions[0].tokens if card.captions else ()
    return [mean_probability(tokens) if tokens else None, *map(scores.get, decodings)]
