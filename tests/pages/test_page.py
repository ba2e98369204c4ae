"""What a page of photos and captions holds, and the thumbnails on it."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
from example_pages import ATTACK, caption, card, hostile_page, image_bytes
from PIL import Image

from captioning.pages.page import (
    Page,
    Section,
    make_thumbnail,
    make_thumbnails,
    write_page,
)


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes, and the text of each."""

    VOID = ("meta", "img", "input", "link")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Records an element."""
        self.found.append((tag, dict(attrs), []))
        if tag not in self.VOID:
            self.open.append(self.found[-1])

    def handle_endtag(self, tag):
        """Checks that elements are nested."""
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        """Adds text to every element that contains it."""
        for _, _, texts in self.open:
            texts.append(data)

    def named(self, tag, **wanted):
        """Lists attributes and text of the elements of a tag that have all these attributes."""
        return [
            (attributes, "".join(texts))
            for name, attributes, texts in self.found
            if name == tag and wanted.items() <= attributes.items()
        ]

    def texts(self, tag, **wanted):
        """Lists the texts of the elements of a tag that have all these attributes."""
        return [text for _, text in self.named(tag, **wanted)]


def written(folder, page):
    """Writes a page and parses it."""
    write_page(folder / "page.html", page)
    return Elements((folder / "page.html").read_text(encoding="utf-8"))


def assert_fetches_nothing(elements):
    names = ("src", "href", "srcset", "action", "data", "poster")
    sources = [found[name] for _, found, _ in elements.found for name in names if name in found]
    assert all(re.fullmatch(r"data:(image/(jpeg|png);base64)?,[\w+/=]*", url) for url in sources)
    assert not {"iframe", "object", "base", "form"} & {tag for tag, _, _ in elements.found}
    assert not re.search(r"url\(|@import|https?:", elements.texts("style")[0])
    assert not re.search(r"https?:|fetch\(|import\(|innerHTML|eval\(", elements.texts("script")[0])
    ((policy, _),) = elements.named("meta", **{"http-equiv": "Content-Security-Policy"})
    for part in ("default-src 'none'", "connect-src 'none'", "script-src 'sha256-"):
        assert part in policy["content"]
    assert "unsafe" not in policy["content"]


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
    elements = written(tmp_path, Page("Title", cards, sections))
    assert elements.texts("h1") == elements.texts("title") == ["Title"]
    assert elements.texts("h2") == ["first", "second", "third"]
    assert elements.texts("li") == ["A red dog .", "One dog ."]
    assert elements.texts("summary") == ["Scores", "Empty", "Legend"]
    assert elements.texts("pre") == ["seed = 1\n  two"]
    assert elements.texts("th") == ["BLEU-1", "greedy"]
    assert elements.texts("td") == ["", "49.8"]
    assert elements.texts("p", **{"class": "note"})[0] == "Note."
    labels = [" ".join(text.split()) for text in elements.texts("p", **{"class": "label"})]
    assert labels == ["greedy · beam 3 CIDEr-D 94.1", "what people wrote", "greedy confidence 50%"]
    assert elements.texts("p", **{"class": "words"}) == ["Red <dog>.\xa0", "Blue.\xa0"]
    missing, unreadable = elements.texts("p", **{"class": "no-photo"})
    assert missing == "no photo file"
    assert unreadable.startswith("this photo cannot be read: cannot identify image file")
    assert len(elements.named("img")) == 2
    assert elements.texts("output") == ["3 photos"]
    assert_fetches_nothing(elements)


def test_captions_are_sentences_of_their_language(tmp_path):
    shown = caption("l' école à l' endseq"), caption("endseq")
    cards = [card("a", *shown, references=("L’école.",))]
    elements = written(tmp_path, Page("Title", cards, language="fr"))
    own = {"class": "words", "lang": "fr", "dir": "auto"}
    assert elements.named("p", **{"class": "words"}) == [(own, "L'école à l'.\xa0"), (own, "\xa0")]
    words = [text for attributes, text in elements.named("span") if "data-tooltip" in attributes]
    assert words == ["L'", "école", "à", "l'", "", ""]
    (list_of_references,) = elements.named("ul")
    assert list_of_references == ({"class": "references", "lang": "fr"}, "L’école.")
    elements = written(tmp_path, Page("Title", [card("a", caption("一 只"))], language="zh"))
    assert elements.texts("p", **{"class": "words"}) == ["一只。"]


def test_hostile_text_stays_text(tmp_path, photo):
    elements = written(tmp_path, hostile_page(photo))
    assert len(elements.named("script")) == 1
    # Two pictures are ours: the plot and the thumbnail.
    assert len(elements.named("img")) == 2
    for tag, attributes, _ in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
    for tag in ("title", "h1", "h2", "summary", "pre", "li"):
        assert elements.texts(tag)[0] == ATTACK, tag
    assert elements.texts("h2")[1] == "\\udcff.jpg"
    assert f"{ATTACK}: best first" in elements.texts("option")
    assert any(ATTACK in found.get("data-tooltip", "") for found, _ in elements.named("span"))
    assert elements.texts("p", **{"class": "no-photo"})[0].endswith("cannot identify image file")


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
    jpeg = make_thumbnail(tmp_path / "turned.jpg")
    upright = opened(jpeg)
    assert upright.size == (40, 80)
    np.testing.assert_allclose(upright.getpixel((20, 10)), red, atol=20)
    np.testing.assert_allclose(upright.getpixel((20, 70)), blue, atol=20)
    assert b"secret" not in jpeg
