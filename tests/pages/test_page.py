"""What a page of photos and captions holds, and the thumbnails on it."""

import html
import io
import re

import numpy as np
import pandas as pd
from example_pages import ATTACK, caption, card, hostile_page, image_bytes
from PIL import Image

from captioning.pages.page import Section, make_thumbnail, make_thumbnails, write_page


def written(folder, *page, **more):
    """Writes a page and reads it."""
    write_page(folder / "page.html", *page, **more)
    return (folder / "page.html").read_text(encoding="utf-8")


def texts(page, tag, attributes=""):
    """Lists the texts of the elements of a tag with some first attributes."""
    found = re.findall(rf"<{tag}\b ?{attributes}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
    return [html.unescape(re.sub("<[^>]+>", "", text)) for text in found]


def test_page_shows_everything_and_fetches_nothing(tmp_path, photo):
    (tmp_path / "bad.jpg").write_bytes(b"no photo at all")
    shown = caption("red <dog> endseq", decodings=("greedy", "beam 3"), score=94.06)
    cards = (
        card("first", shown, photo=photo, references=("A red dog .", "One dog .")),
        card("second", caption("blue endseq")),
        card("third", photo=tmp_path / "bad.jpg"),
    )
    table = pd.DataFrame({"BLEU-1": ["49.8"]}, ["greedy"])
    plot = image_bytes(kind="PNG")
    sections = [Section("Scores", table, ["Note."], plot, "seed = 1\n  two"), Section("Empty")]
    page = written(tmp_path, "Title", cards, sections)
    for tag, expected in (
        ("h1", ["Title"]),
        ("title", ["Title"]),
        ("h2", ["first", "second", "third"]),
        ("li", ["A red dog .", "One dog ."]),
        ("summary", ["Scores", "Empty", "Legend"]),
        ("pre", ["seed = 1\n  two"]),
        ("th", ["BLEU-1", "greedy"]),
        ("td", ["", "49.8"]),
        ("output", ["3 photos"]),
    ):
        assert texts(page, tag) == expected, tag
    assert texts(page, "p", 'class="note"')[0] == "Note."
    labels = [" ".join(text.split()) for text in texts(page, "p", 'class="label"')]
    assert labels == ["greedy · beam 3 CIDEr-D 94.1", "what people wrote", "greedy confidence 50%"]
    assert texts(page, "p", 'class="words"') == ["Red <dog>.\xa0", "Blue.\xa0"]
    missing, unreadable = texts(page, "p", 'class="no-photo"')
    assert missing == "no photo file"
    assert unreadable.startswith("this photo cannot be read: cannot identify image file")
    sources = re.findall(r'\b(?:src|href|srcset|action|data|poster)="([^"]*)"', page)
    assert sum(url.startswith("data:image/") for url in sources) == 2
    assert all(re.fullmatch(r"data:(image/(jpeg|png);base64)?,[\w+/=]*", url) for url in sources)
    assert not re.search(r"<(iframe|object|base|form)\b", page)
    (style,), (script,) = texts(page, "style"), texts(page, "script")
    assert not re.search(r"url\(|@import|https?:", style)
    assert not re.search(r"https?:|fetch\(|import\(|innerHTML|eval\(", script)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page)
    for part in ("default-src 'none'", "connect-src 'none'", "script-src 'sha256-"):
        assert part in html.unescape(policy)
    assert "unsafe" not in policy


def test_captions_are_sentences_of_their_language(tmp_path):
    shown = caption("l' école à l' endseq"), caption("endseq")
    cards = [card("a", *shown, references=("L’école.",))]
    page = written(tmp_path, "Title", cards, language="fr")
    own = 'class="words" lang="fr" dir="auto"'
    assert texts(page, "p", own) == ["L'école à l'.\xa0", "\xa0"]
    assert texts(page, "span", "[^>]*data-tooltip=") == ["L'", "école", "à", "l'", "", ""]
    assert texts(page, "ul", 'class="references" lang="fr"') == ["L’école."]
    page = written(tmp_path, "Title", [card("a", caption("一 只"))], language="zh")
    assert texts(page, "p", 'class="words"') == ["一只。"]


def test_hostile_text_stays_text(tmp_path, photo):
    page = written(tmp_path, *hostile_page(photo))
    assert page.count("<script") == 1
    # Two pictures are ours: the plot and the thumbnail.
    assert page.count("<img") == 2
    assert ATTACK not in page
    for tag in ("title", "h1", "h2", "summary", "pre", "li"):
        assert texts(page, tag)[0] == ATTACK, tag
    assert texts(page, "h2")[1] == "\\udcff.jpg"
    assert f"{ATTACK}: best first" in texts(page, "option")
    (tooltip,) = re.findall(r'data-tooltip="([^"]*)"', page)
    assert ATTACK in html.unescape(tooltip)
    assert texts(page, "p", 'class="no-photo"')[0].endswith("cannot identify image file")


def opened(jpeg):
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


def test_few_photos_have_large_thumbnails():
    few, many = ([io.BytesIO(image_bytes((1200, 900))), *[None] * more] for more in (99, 100))
    assert opened(make_thumbnails(few)[0]).size == (768, 576)
    assert opened(make_thumbnails(many)[0]).size == (256, 192)


def test_a_thumbnail_is_upright_no_larger_than_the_photo_and_without_metadata(tmp_path):
    red, blue = (200, 0, 0), (0, 0, 200)
    image = Image.new("RGB", (80, 40), blue)
    image.paste(red, (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    exif[0x0112] = 6  # To be turned 90 degrees clockwise: the left side comes on top.
    secrets = {"comment": b"secret" * 9000, "xmp": b"secret", "icc_profile": b"secret"}
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95, **secrets)
    jpeg = make_thumbnail(tmp_path / "turned.jpg", 256)
    upright = opened(jpeg)
    assert upright.size == (40, 80)
    np.testing.assert_allclose(upright.getpixel((20, 10)), red, atol=20)
    np.testing.assert_allclose(upright.getpixel((20, 70)), blue, atol=20)
    assert b"secret" not in jpeg
