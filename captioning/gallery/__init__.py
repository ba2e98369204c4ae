"""Writes photos and their captions as one HTML page that needs no other file."""

import base64
import hashlib
import io
import json
import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain, pairwise, repeat
from pathlib import Path

from PIL import Image

from captioning.decoding import TokenProbability
from captioning.gallery.thumbnails import Thumbnail, make_thumbnails
from captioning.photos import PhotoError
from captioning.storage import write_text
from captioning.vocabulary import END_TOKEN

# Probabilities at which the shading of a word changes.
SHADES = (0.1, 0.25, 0.5, 0.75)

# What works only with the script; hidden until it runs.
_CONTROLS = """<div id="controls" role="search" data-scripted hidden>
<input type="search" id="search" autocomplete="off" spellcheck="false"
 aria-label="search captions and names" placeholder="search captions and names">
<label>order <select id="order" autocomplete="off"></select></label>
<label id="shading"><input type="checkbox" checked autocomplete="off"> shade words</label>
<output id="count" aria-live="polite"></output>
<p id="nothing" hidden>No photo here has all of these words.</p>
</div>
<div id="tooltip" role="tooltip" hidden></div>
<p class="note keys" data-scripted hidden>Keys: <kbd>/</kbd> search, <kbd>Esc</kbd> clear,
<kbd>j</kbd> and <kbd>k</kbd> next and previous photo, <kbd>Tab</kbd> next caption,
<kbd>←</kbd> <kbd>→</kbd> its words.</p>
"""

_STYLE = Path(__file__).with_name("gallery.css")
_SCRIPT = Path(__file__).with_name("gallery.js")


@dataclass(frozen=True)
class Caption:
    """One caption of a photo.

    Args:
        decodings: how it was decoded, such as `greedy`; several where they gave the same words.
        tokens: its words, the end token included where the caption has one.
        score: its CIDEr-D times 100, or None where there are no references.
    """

    decodings: tuple[str, ...]
    tokens: tuple[TokenProbability, ...]
    score: float | None


@dataclass(frozen=True)
class Card:
    """One photo with its captions.

    Args:
        title: its photo id or file name.
        photo: its file, or None where there is none.
        captions: in the order in which they are shown.
        references: captions that people wrote; may be empty.
    """

    title: str
    photo: Path | None
    captions: tuple[Caption, ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """What a page shows; what is empty is left out.

    Args:
        title: heading of the page and name of its window.
        cards: the photos, below all else.
        introduction: one paragraph.
        table: the first row is the header, the first cell of each row its title.
        notes: paragraphs below the table.
        pictures: what each picture shows, and the picture as PNG.
    """

    title: str
    cards: Sequence[Card]
    introduction: str = ""
    table: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[tuple[str, bytes], ...] = ()


def write_gallery(path: Path, page: Page) -> None:
    """Writes a page with the thumbnails of its photos; one that cannot be read says why."""
    write_text(path, _page_html(page, make_thumbnails([card.photo for card in page.cards])))


def _scored_decodings(cards: Sequence[Card]) -> list[str]:
    """Lists the decodings whose captions have scores, in order of first appearance."""
    captions = (caption for card in cards for caption in card.captions)
    scored = (caption.decodings for caption in captions if caption.score is not None)
    return list(dict.fromkeys(chain.from_iterable(scored)))


def _mean_probability(captions: tuple[Caption, ...]) -> float | None:
    """Computes the geometric mean of the first caption's probabilities, None without tokens."""
    tokens = captions[0].tokens if captions else ()
    if not tokens:
        return None
    return math.prod(token.probability for token in tokens) ** (1 / len(tokens))


def _card_html(card: Card, thumbnail: Thumbnail | PhotoError, decodings: list[str]) -> str:
    scores = {name: caption.score for caption in card.captions for name in caption.decodings}
    # As JSON lists, null where there is no number.
    values = [_mean_probability(card.captions), *map(scores.get, decodings)]
    return (
        f'<article class="card" data-values="{json.dumps(values)}">\n'
        f'<div class="photo">{_photo_html(thumbnail, card.title)}</div>\n'
        f'<div class="texts"><h2>{escape(card.title)}</h2>\n'
        f"{''.join(map(_caption_html, card.captions))}{_references_html(card.references)}"
        "</div></article>\n"
    )


def _photo_html(thumbnail: Thumbnail | PhotoError, title: str) -> str:
    if isinstance(thumbnail, PhotoError):
        return f'<p class="no-photo">{escape(str(thumbnail))}</p>'
    return _image_html("jpeg", thumbnail.jpeg, thumbnail.size, title)


def _image_html(kind: str, content: bytes, size: tuple[int, int], text: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<img src="data:image/{kind};base64,{data}" width="{size[0]}" height="{size[1]}"'
        f' loading="lazy" decoding="async" alt="{escape(text)}">'
    )


def _caption_html(caption: Caption) -> str:
    label = f"<span>{escape(' · '.join(caption.decodings))}</span>" if caption.decodings else ""
    score = "" if caption.score is None else f"<span>CIDEr-D {caption.score:.1f}</span>"
    is_empty = all(token.is_end for token in caption.tokens)
    words = f"{'<em>(no words)</em>' if is_empty else ''}{''.join(map(_word_html, caption.tokens))}"
    return f'<p class="label">{label}{score}</p><p class="words">{words}</p>\n'


def _word_html(token: TokenProbability) -> str:
    # One alternative a line, its probability after its last space, is what the script expects.
    others = "\n".join(
        f"{'(end)' if word == END_TOKEN else ' '.join(word.split())} {probability:.4f}"
        for word, probability in token.alternatives
    )
    data = f'data-probability="{token.probability:.4f}" data-others="{escape(others)}"'
    shade = f"shade{bisect(SHADES, token.probability)}"
    if token.is_end:
        # Never alone at the beginning of a line.
        return f'&nbsp;<span class="end {shade}" role="img" aria-label="end" {data}>■</span>'
    return f' <span class="{shade}" {data}>{escape(token.word)}</span>'


def _references_html(references: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(reference)}</li>" for reference in references)
    label = '<p class="label">what people wrote</p>'
    return f'{label}<ul class="references">{items}</ul>\n' if references else ""


def _page_html(page: Page, thumbnails: list[Thumbnail | PhotoError]) -> str:
    notes = "".join(f'<p class="remark">{escape(note)}</p>\n' for note in page.notes)
    has_words = any(caption.tokens for card in page.cards for caption in card.captions)
    decodings = _scored_decodings(page.cards)
    cards = map(_card_html, page.cards, thumbnails, repeat(decodings))
    script = _SCRIPT.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{_policy_html(script)}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n"
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(page.title)}</h1>\n<p>{escape(page.introduction)}</p>\n"
        f"{_table_html(page.table)}{notes}{_pictures_html(page.pictures)}</header>\n"
        f"{_CONTROLS}{_legend_html() if has_words else ''}"
        f'<main id="cards" data-decodings="{escape(json.dumps(decodings))}">\n'
        f"{''.join(cards)}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _policy_html(script: str) -> str:
    """Forbids, should the escaping ever fail, to fetch anything and to run any other script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        '<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="'
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n"
    )


def _table_html(table: tuple[tuple[str, ...], ...]) -> str:
    if not table:
        return ""
    header, *rows = table
    cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(title)}</th>'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>\n"
        for title, *cells in rows
    )
    # A box that scrolls must be a tab stop, or the keyboard cannot scroll it.
    return (
        '<div class="table" tabindex="0" role="region" aria-label="scores"><table>\n'
        f"<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _pictures_html(pictures: tuple[tuple[str, bytes], ...]) -> str:
    figures = "".join(_figure_html(text, png) for text, png in pictures)
    return f'<div class="pictures">\n{figures}</div>\n' if figures else ""


def _figure_html(text: str, png: bytes) -> str:
    image = _image_html("png", png, Image.open(io.BytesIO(png)).size, text)
    return f"<figure>{image}<figcaption>{escape(text)}</figcaption></figure>\n"


def _legend_html() -> str:
    limits = [f"{limit:.0%}" for limit in SHADES]
    between = map(" to ".join, pairwise(limits))
    names = [f"under {limits[0]}", *between, f"over {limits[-1]}"]
    samples = " ".join(f'<span class="shade{n}">{name}</span>' for n, name in enumerate(names))
    return (
        '<p class="note legend">How probable the model found each word, given the photo and the '
        f"words before it: {samples} At ■ it chose to end. <span data-scripted hidden>"
        "Point at a word to see what else it might have said.</span></p>\n"
    )
