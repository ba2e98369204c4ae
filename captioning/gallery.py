"""Writes photos and their captions as one HTML page that needs nothing else."""

import base64
import hashlib
import io
import json
import math
from bisect import bisect
from dataclasses import dataclass
from html import escape
from itertools import chain, pairwise, repeat
from pathlib import Path

from PIL import Image, ImageOps
from tqdm import tqdm

from captioning.photos import PhotoError, decoding_threads, opened, to_rgb
from captioning.storage import write_text
from captioning.vocabulary import END_TOKEN

# Thumbnails: pixels of the longer side, JPEG quality, and bytes that none of them exceeds.
LONGEST_SIDE = 256
QUALITY = 70
THUMBNAIL_LIMIT = 20_000
THUMBNAIL_THREADS = 4

# Probabilities at which the shading of a word changes.
SHADES = (0.1, 0.25, 0.5, 0.75)

# What only the script brings to life; hidden until it runs.
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
        decodings: tuple of str, how it was written, such as `greedy`; several where they wrote
            the same words.
        words: tuple of captioning.confidence.WordChoice, the end mark included where written.
        score: float, its CIDEr-D times 100, or None where there are no references.
    """

    decodings: tuple
    words: tuple
    score: float | None


@dataclass(frozen=True)
class Card:
    """One photo with its captions.

    Args:
        title: str, its identifier or file name.
        photo: pathlib.Path, or None where there is no file.
        captions: tuple of Caption.
        references: tuple of str, captions as people wrote them; may be empty.
    """

    title: str
    photo: Path | None
    captions: tuple
    references: tuple


@dataclass(frozen=True)
class Page:
    """What a page shows, from top to bottom; what is left empty is left out.

    Args:
        title: str.
        cards: sequence of Card, shown last.
        introduction: str, one paragraph.
        table: tuple of tuple of str; the first row is the header, the first cell its title.
        remarks: tuple of str, paragraphs below the table.
        pictures: tuple of (str, bytes): what a picture shows, and the picture as PNG.
    """

    title: str
    cards: tuple
    introduction: str = ""
    table: tuple = ()
    remarks: tuple = ()
    pictures: tuple = ()


def write_gallery(path, page):
    """Writes a page whole, thumbnails of its photos inside it.

    Args:
        path: pathlib.Path of the HTML file.
        page: Page; a photo that cannot be read is replaced by the reason.
    """
    write_text(path, _page_html(page, _make_thumbnails([card.photo for card in page.cards])))


def make_thumbnail(path):
    """Makes a thumbnail of a photo: upright, RGB, its proportions kept, its metadata left out.

    Args:
        path: pathlib.Path of the photo.

    Returns:
        tuple of bytes, a JPEG of no more than `THUMBNAIL_LIMIT`, and tuple of int, its width and
        height in pixels.

    Raises:
        PhotoError: if the photo cannot be read.
    """
    with opened(path) as image:
        # Lets a JPEG of many megapixels be decoded at a fraction of its size.
        image.draft("RGB", (2 * LONGEST_SIDE, 2 * LONGEST_SIDE))
        return _compress(to_rgb(ImageOps.exif_transpose(image)))


def _compress(image):
    # Pillow would copy a comment of any length, and with it what nobody meant to publish.
    image.info = {}
    side, quality = LONGEST_SIDE, QUALITY
    while True:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= THUMBNAIL_LIMIT:
            return buffer.getvalue(), image.size
        side, quality = side * 9 // 10, max(quality - 10, 40)


def _make_thumbnails(paths):
    """Makes a thumbnail of each photo, or the PhotoError that says why there is none."""

    def make(path):
        try:
            return make_thumbnail(path) if path else PhotoError("no photo file")
        except PhotoError as error:
            return PhotoError(f"this photo cannot be read: {error}")

    with decoding_threads(THUMBNAIL_THREADS) as threads:
        made = threads.map(make, paths)
        return list(tqdm(made, total=len(paths), unit=" photos", delay=1, disable=None))


def _scored_decodings(cards):
    """Lists the decodings whose captions have scores, in order of first appearance."""
    captions = (caption for card in cards for caption in card.captions)
    scored = (caption.decodings for caption in captions if caption.score is not None)
    return list(dict.fromkeys(chain.from_iterable(scored)))


def _sureness(captions):
    """Computes the geometric mean of the probabilities of the first caption, None without words."""
    words = captions[0].words if captions else ()
    return math.prod(choice.probability for choice in words) ** (1 / len(words)) if words else None


def _card_html(card, thumbnail, decodings):
    scores = {name: caption.score for caption in card.captions for name in caption.decodings}
    # As JSON lists, null where there is no number.
    values = [_sureness(card.captions), *map(scores.get, decodings)]
    return (
        f'<article class="card" data-values="{json.dumps(values)}">\n'
        f'<div class="photo">{_photo_html(thumbnail, card.title)}</div>\n'
        f'<div class="texts"><h2>{escape(card.title)}</h2>\n'
        f"{''.join(map(_caption_html, card.captions))}{_references_html(card.references)}"
        "</div></article>\n"
    )


def _photo_html(thumbnail, title):
    if isinstance(thumbnail, PhotoError):
        return f'<p class="no-photo">{escape(str(thumbnail))}</p>'
    return _image_html("jpeg", *thumbnail, title)


def _image_html(kind, content, size, text):
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<img src="data:image/{kind};base64,{data}" width="{size[0]}" height="{size[1]}"'
        f' loading="lazy" decoding="async" alt="{escape(text)}">'
    )


def _caption_html(caption):
    label = f"<span>{escape(' · '.join(caption.decodings))}</span>" if caption.decodings else ""
    score = "" if caption.score is None else f"<span>CIDEr-D {caption.score:.1f}</span>"
    is_empty = all(choice.is_end for choice in caption.words)
    words = f"{'<em>(no words)</em>' if is_empty else ''}{''.join(map(_word_html, caption.words))}"
    return f'<p class="label">{label}{score}</p><p class="words">{words}</p>\n'


def _word_html(choice):
    # One alternative a line, its probability after its last space, is what the script expects.
    others = "\n".join(
        f"{'(end)' if word == END_TOKEN else ' '.join(word.split())} {probability:.4f}"
        for word, probability in choice.alternatives
    )
    data = f'data-probability="{choice.probability:.4f}" data-others="{escape(others)}"'
    shade = f"shade{bisect(SHADES, choice.probability)}"
    if choice.is_end:
        # Never alone at the beginning of a line.
        return f'&nbsp;<span class="end {shade}" role="img" aria-label="end" {data}>■</span>'
    return f' <span class="{shade}" {data}>{escape(choice.word)}</span>'


def _references_html(references):
    items = "".join(f"<li>{escape(reference)}</li>" for reference in references)
    label = '<p class="label">what people wrote</p>'
    return f'{label}<ul class="references">{items}</ul>\n' if references else ""


def _page_html(page, thumbnails):
    remarks = "".join(f'<p class="remark">{escape(remark)}</p>\n' for remark in page.remarks)
    has_words = any(caption.words for card in page.cards for caption in card.captions)
    decodings = _scored_decodings(page.cards)
    cards = map(_card_html, page.cards, thumbnails, repeat(decodings))
    script = _SCRIPT.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{_policy_html(script)}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n"
        f"<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(page.title)}</h1>\n<p>{escape(page.introduction)}</p>\n"
        f"{_table_html(page.table)}{remarks}{_pictures_html(page.pictures)}</header>\n"
        f"{_CONTROLS}{_legend_html() if has_words else ''}"
        f'<main id="cards" data-decodings="{escape(json.dumps(decodings))}">\n'
        f"{''.join(cards)}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _policy_html(script):
    """Builds a second wall behind the escaping: nothing is fetched, no script runs but ours."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        '<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="'
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n"
    )


def _table_html(table):
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


def _pictures_html(pictures):
    figures = "".join(_figure_html(text, png) for text, png in pictures)
    return f'<div class="pictures">\n{figures}</div>\n' if figures else ""


def _figure_html(text, png):
    image = _image_html("png", png, Image.open(io.BytesIO(png)).size, text)
    return f"<figure>{image}<figcaption>{escape(text)}</figcaption></figure>\n"


def _legend_html():
    limits = [f"{limit:.0%}" for limit in SHADES]
    between = map(" to ".join, pairwise(limits))
    names = [f"under {limits[0]}", *between, f"over {limits[-1]}"]
    samples = " ".join(f'<span class="shade{n}">{name}</span>' for n, name in enumerate(names))
    return (
        '<p class="note legend">How probable the model found each word, given the photo and the '
        f"words before it: {samples} At ■ it chose to end. <span data-scripted hidden>"
        "Point at a word to see what else it might have said.</span></p>\n"
    )
