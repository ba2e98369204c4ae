"""The page that shows photos with their captions: its content, and its behavior in a browser."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ENCODER_RECORD

from captioning.decoding import TokenProbability
from captioning.features import read_features, write_features
from captioning.gallery import Caption, Card, Page, Section, thumbnails, write_gallery
from captioning.gallery.evaluation import make_page
from captioning.gallery.thumbnails import make_thumbnail, make_thumbnails
from captioning.metrics import PhotoStatistics, bleu_counts
from captioning.photos import PhotoError
from captioning.scoring import Row, summarize
from captioning.splits import read_split
from captioning.vocabulary import read_vocabulary

RED, BLUE = (200, 0, 0), (0, 0, 200)

# Selenium's codes of keys, so that this file can be read where Selenium is not installed.
TAB, SHIFT, ESCAPE, LEFT, RIGHT = "\ue004", "\ue008", "\ue00c", "\ue012", "\ue014"

ATTACK = "\"'><script>document.title='broken in';alert(1)</script><img src=x onerror=alert(2)>&amp;"


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes, and the text of each."""

    VOID = ("meta", "img", "input")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        """Records an element, none of whose attributes may come twice."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
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


def caption(words, probability=0.5, decodings=("greedy",), score=None):
    others = (("cat", 0.25), ("endseq", 0.0625), ("boat", 0.0001))
    tokens = [TokenProbability(word, probability, others) for word in words.split()]
    return Caption(decodings, tuple(tokens), score)


def card(title, *captions, photo=None, references=()):
    return Card(title, photo, captions, references)


def png(size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "white").save(buffer, "PNG")
    return buffer.getvalue()


def hostile_page(photo):
    tokens = (TokenProbability(ATTACK, 0.5, ((ATTACK, 0.25), ("\udc80", 0.1), ("cat", 0.05))),)
    cards = [Card(ATTACK, photo, (Caption((ATTACK,), tokens, 12.0),), (ATTACK,))]
    # The reason why a photo cannot be read contains its name.
    unreadable = photo.with_name("<img src=x onerror=alert(3)>.jpg")
    unreadable.write_bytes(b"no photo at all")
    cards.append(Card("\udcff.jpg", unreadable, (), ()))
    section = Section(ATTACK, ((ATTACK, ATTACK),) * 2, (ATTACK,), ((ATTACK, png()),), ATTACK)
    return Page(ATTACK, cards, ATTACK, (section,), {ATTACK: ATTACK})


def written(folder, page):
    """Writes a page and parses it."""
    write_gallery(folder / "page.html", page)
    return Elements((folder / "page.html").read_text(encoding="utf-8"))


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (60, 40), RED).save(path)
    return path


# ---- Thumbnails ----


def opened(thumbnail):
    jpeg, size = thumbnail
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
    return image


@pytest.mark.parametrize("size", [(900, 600), (256, 256), (3000, 40)])
def test_thumbnail_of_noise_keeps_to_the_limit(tmp_path, size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    thumbnail = make_thumbnail(tmp_path / "noise.png")
    width, height = opened(thumbnail).size
    assert len(thumbnail[0]) <= 20_000
    assert 100 <= max(width, height) <= 256
    assert height == pytest.approx(width * size[1] / size[0], abs=1)


def test_the_fewer_photos_the_larger_their_thumbnails(tmp_path):
    gradient = np.linspace(0, 255, 1200 * 900 * 3).reshape(900, 1200, 3).astype(np.uint8)
    Image.fromarray(gradient).save(tmp_path / "a.jpg")
    sizes = [make_thumbnails([tmp_path / "a.jpg", *[None] * others])[0].size for others in (0, 399)]
    assert sizes[0] == pytest.approx((810, 607), abs=1)
    # 400 share 20 MB: each may have 2.5 times the bytes of one of very many.
    assert sizes[1] == pytest.approx((405, 304), abs=1)
    assert make_thumbnail(tmp_path / "a.jpg").size == (256, 192)


def test_thumbnail_has_no_metadata(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    options = {
        "comment": b"secret" * 9000,
        "exif": exif,
        "xmp": b"secret",
        "icc_profile": b"secret",
    }
    Image.new("RGB", (400, 300), RED).save(tmp_path / "a.jpg", **options)
    jpeg, size = make_thumbnail(tmp_path / "a.jpg")
    assert size == (256, 192)
    assert len(jpeg) < 5000
    assert b"secret" not in jpeg
    assert b"where I live" not in jpeg


def test_thumbnail_is_upright_and_never_larger_than_the_photo(tmp_path):
    image = Image.new("RGB", (80, 40), BLUE)
    image.paste(RED, (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned 90 degrees clockwise: the left side comes on top.
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright = opened(make_thumbnail(tmp_path / "turned.jpg"))
    assert upright.size == (40, 80)
    np.testing.assert_allclose(upright.getpixel((20, 10)), RED, atol=20)
    np.testing.assert_allclose(upright.getpixel((20, 70)), BLUE, atol=20)


def test_large_jpegs_are_decoded_at_a_fraction_of_their_size(tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        thumbnails, "to_rgb", lambda image: decoded.append(image.size) or image.convert("RGB")
    )
    Image.new("RGB", (4096, 4096), RED).save(tmp_path / "large.jpg")
    assert opened(make_thumbnail(tmp_path / "large.jpg")).size == (256, 256)
    assert decoded == [(512, 512)]


def test_an_unreadable_photo_says_why(tmp_path, monkeypatch):
    (tmp_path / "bad.jpg").write_bytes(b"no photo at all")
    with pytest.raises(PhotoError, match="cannot identify image file") as caught:
        make_thumbnail(tmp_path / "bad.jpg")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(PhotoError, match="No such file"):
        make_thumbnail(tmp_path / "missing.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("RGB", (40, 40)).save(tmp_path / "bomb.png")
    with pytest.raises(PhotoError, match="exceeds limit"):
        make_thumbnail(tmp_path / "bomb.png")


# ---- Content ----


def test_page_shows_everything_without_its_script(tmp_path, photo):
    (tmp_path / "bad.jpg").write_bytes(b"no photo at all")
    shown = caption("red <dog> endseq", decodings=("greedy", "beam 3"), score=94.06)
    page = Page(
        "Title",
        (
            card("first", shown, photo=photo, references=("A red dog .", "One dog .")),
            card("second", caption("endseq")),
            card("third", photo=tmp_path / "bad.jpg"),
        ),
        "Introduction.",
        (
            Section(
                "Scores",
                (("", "BLEU-1"), ("greedy", "49.8")),
                ("Note.",),
                (("A plot", png()),),
                "seed = 1\n  two",
            ),
        ),
        {Path("album/clip.jpg"): "it is no <photo>", "b.jpg": "broken"},
    )
    elements = written(tmp_path, page)
    assert [text for _, text in elements.named("h1")] == ["Title"]
    assert [text for _, text in elements.named("h2")] == ["first", "second", "third"]
    assert [text for _, text in elements.named("li")] == [
        *("album/clip.jpg: it is no <photo>", "b.jpg: broken", "A red dog .", "One dog .")
    ]
    assert [text for _, text in elements.named("summary")] == [
        *("Scores", "2 photos left out", "Legend")
    ]
    assert [text for _, text in elements.named("pre")] == ["seed = 1\n  two"]
    assert [text for _, text in elements.named("th")] == ["BLEU-1", "greedy"]
    assert [text for _, text in elements.named("td")] == ["", "49.8"]
    assert [text for _, text in elements.named("figcaption")] == ["A plot"]
    texts = [text for _, text in elements.named("p")]
    for text in ("Introduction.", "Note.", "greedy · beam 3CIDEr-D 94.1", " red <dog>\xa0■"):
        assert text in texts
    placeholders = [text for _, text in elements.named("p", **{"class": "no-photo"})]
    assert placeholders[0] == "no photo file"
    assert placeholders[1].startswith("this photo cannot be read: cannot identify image file")
    assert "(no words)\xa0■" in texts
    plot, thumbnail = elements.named("img")
    assert (plot[0]["width"], plot[0]["height"]) == ("40", "30")
    assert (thumbnail[0]["width"], thumbnail[0]["height"]) == ("60", "40")
    assert (thumbnail[0]["loading"], thumbnail[0]["decoding"]) == ("lazy", "async")
    scripted = [attributes for _, attributes, _ in elements.found if "data-scripted" in attributes]
    assert len(scripted) == 3
    assert all("hidden" in attributes for attributes in scripted)


def test_shades_follow_the_probability(tmp_path):
    probabilities = (0.0, 0.09, 0.1, 0.3, 0.6, 0.75, 1.0)
    tokens = tuple(TokenProbability(f"word{p}", p, ()) for p in probabilities)
    elements = written(tmp_path, Page("Title", [card("a", Caption(("greedy",), tokens, None))]))
    shades = [
        attributes["class"]
        for attributes, _ in elements.named("span")
        if "data-probability" in attributes
    ]
    assert shades == [f"shade{number}" for number in (0, 0, 1, 2, 3, 4, 4)]


def test_hostile_text_stays_text(tmp_path, photo):
    elements = written(tmp_path, hostile_page(photo))
    assert len(elements.named("script")) == 1
    # Two pictures are ours: the plot and the thumbnail.
    assert len(elements.named("img")) == 2
    for tag, attributes, _ in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert set(attributes) <= {
            *("lang", "charset", "http-equiv", "content", "name", "id", "class", "hidden"),
            *("type", "autocomplete", "spellcheck", "placeholder", "checked", "role", "tabindex"),
            *("aria-label", "aria-live", "src", "width", "height", "loading", "decoding", "alt"),
            *("scope", "data-scripted", "data-decodings", "data-values", "data-probability"),
            "data-others",
        }, tag
    for tag in ("title", "h1", "h2", "td", "figcaption", "summary", "pre", "b"):
        assert elements.named(tag)[0][1] == ATTACK, tag
    assert [text for _, text in elements.named("li")] == [f"{ATTACK}: {ATTACK}", ATTACK]
    assert elements.named("h2")[1][1] == "\\udcff.jpg"
    assert ATTACK in [text for _, text in elements.named("span")]
    assert "<img src=x" in elements.named("p", **{"class": "no-photo"})[0][1]


def test_page_fetches_nothing(tmp_path, photo):
    cards = [card("a", caption("red dog endseq"), photo=photo)]
    sections = (Section("Plots", plots=(("A plot", png()),)),)
    elements = written(tmp_path, Page("Title", cards, sections=sections))
    sources = [
        attributes[name]
        for _, attributes, _ in elements.found
        for name in ("src", "href", "srcset", "action", "data", "poster")
        if name in attributes
    ]
    assert len(sources) == 2
    assert all(re.fullmatch(r"data:image/(jpeg|png);base64,[\w+/=]+", url) for url in sources)
    assert not {"link", "iframe", "object", "base", "form"} & {tag for tag, _, _ in elements.found}
    style = elements.named("style")[0][1]
    assert not re.search(r"url\(|@import|https?:", style)
    script = elements.named("script")[0][1]
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|innerHTML|eval\(", script)
    policy = elements.named("meta", **{"http-equiv": "Content-Security-Policy"})[0][0]["content"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy


def test_folders_are_shown_where_names_repeat(tmp_path):
    paths = ("old/dog.jpg", "new/dog.jpg", "dog.jpg", "new/cat.jpg", "old/<b>/dog.jpg")
    cards = [card(Path(path).name, photo=tmp_path / "home" / path) for path in paths]
    elements = written(tmp_path, Page("Title", [*cards, card("dog.jpg"), card("e")]))
    assert [text for _, text in elements.named("h2")] == [
        *("old/dog.jpg", "new/dog.jpg", "dog.jpg", "cat.jpg", "old/<b>/dog.jpg", "dog.jpg", "e")
    ]


def scored_row(cider):
    statistics = PhotoStatistics(bleu_counts([["a"]], [[["a"]]]), {"CIDEr-D": np.array([cider])})
    return Row([["a"]], statistics, [["a"]])


def test_page_of_an_evaluation(prepared_data, tmp_path):
    model = tmp_path / "new"
    model.mkdir()
    rows = {"greedy": scored_row(12.0)}
    scores = {
        "data": str(prepared_data),
        "split": "dev",
        "photos": 1,
        "results": summarize(rows, read_vocabulary(prepared_data, ""), set()),
        "notes": ["A note."],
    }
    photos = read_split(prepared_data, "dev")
    page = make_page(model, [card(photos[0])], rows, scores)
    assert page.title == "new: the dev split, 1 photo"
    assert page.skipped == {photos[1]: "it has no features or no captions"}
    assert [section.title for section in page.sections] == ["Scores"]
    assert page.sections[0].notes == ("A note.",)
    # The reason is known of a photo that could not be read.
    skipped = [{"photo": f"photos/{photos[1]}.png", "reason": "truncated"}]
    write_features(prepared_data, read_features(prepared_data), ENCODER_RECORD, skipped)
    comparison = {"CIDEr-D": {"this": 12.04, "other": 9.0, "p_value": 0.0304}}
    scores |= {"compared_with": "models/old", "comparison": {"greedy": comparison}}
    (model / "recipe.toml").write_bytes(b'name = "\xff"\n')
    (model / "curves.png").write_bytes(png())
    page = make_page(model, [card(photos[0])], rows, scores)
    assert page.skipped == {photos[1]: "truncated"}
    _, compared, recipe = page.sections
    assert compared.title == "Compared with old"
    assert compared.table == (
        *(("", "CIDEr-D"), ("greedy: A", "12.0"), ("greedy: B", "9.0"), ("greedy: p", "0.030")),
    )
    assert f"A: {model}. B: models/old." in compared.notes
    assert recipe == Section(
        "Recipe and training", plots=(("Training", png()),), code='name = "\ufffd"\n'
    )


def test_page_without_cards_is_written(tmp_path):
    assert written(tmp_path, Page("Title", ())).named("main")[0][1].strip() == ""


# ---- Behavior ----


class Window:
    """A page in the browser, as a person uses it."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, script):
        """Runs a script in the page and returns what it returns."""
        return self.driver.execute_script(script)

    def press(self, *keys):
        """Presses keys where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def choose(self, label):
        """Selects an order by its text, as a person does."""
        options = self.driver.find_elements("css selector", "#order option")
        next(option for option in options if option.text == label).click()

    def look(self, width, scheme="light"):
        """Makes the window as wide as that, and the system's colors light or dark."""
        size = {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def settle(self):
        """Waits until the page has been drawn."""
        self.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def click(self, selector):
        """Clicks an element."""
        self.driver.find_element("css selector", selector).click()

    def titles(self):
        """Lists the titles of the cards that are shown, in their order."""
        return self.run(
            "return [...document.querySelectorAll('.card:not([hidden]) h2')]"
            ".map(title => title.textContent)"
        )

    def text(self, selector):
        """Returns the visible text of an element."""
        return self.driver.find_element("css selector", selector).text

    def focused(self):
        """Returns the text of the element that has the focus."""
        return self.run("return document.activeElement.textContent")


@pytest.fixture
def open_page(chromium, tmp_path):
    """A function that writes and opens a page; afterwards the console must have stayed silent."""

    def open_page(page):
        write_gallery(tmp_path / "page.html", page)
        chromium.set_window_size(1200, 900)
        chromium.get((tmp_path / "page.html").as_uri())
        return Window(chromium)

    chromium.get_log("browser")
    yield open_page
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert chromium.get_log("browser") == []


def scored_page(photo):
    """Makes a page of three scored cards, and one without score and words."""

    def both(first, second, greedy, beam):
        return (
            caption(f"{first} endseq", probability=greedy / 100, score=greedy),
            caption(f"{second} endseq", decodings=("beam 3",), score=beam),
        )

    cards = (
        card("empty", Caption(("greedy",), (), None)),
        card("dog_7.jpg", *both("woman with dog", "woman", 50.0, 9.5), photo=photo),
        card("b", *both("man", "man on ice", 90.0, 80.0), references=("Skiing , UPHILL !",)),
        card("c", *both("ball", "ball", 8.0, 100.0), photo=photo),
    )
    return Page("Title", cards)


def test_search_keeps_the_cards_that_have_all_words(open_page, photo):
    window = open_page(scored_page(photo))
    assert window.text("#count") == "4 photos"
    window.run("document.getElementById('search').focus()")
    # The beginning of a word finds it, its middle does not: no woman among the men.
    for typed, expected in (
        ("man", ["b"]),
        ("man ICE", ["b"]),
        ("man ball", []),
        ("woman", ["dog_7.jpg"]),
        ("g_7", ["dog_7.jpg"]),
        ("uphill ski", ["b"]),
        (", !", ["empty", "dog_7.jpg", "b", "c"]),
    ):
        window.press(typed)
        assert window.titles() == expected, typed
        assert ("all of these words" in window.text("#controls")) == (not expected)
        if typed != ", !":
            assert window.text("#count") == f"{len(expected)} of 4 photos"
        window.press(ESCAPE)
    assert window.text("#count") == "4 photos"
    assert window.run("return document.getElementById('search').value") == ""


def test_orders_sort_the_cards(open_page, photo):
    window = open_page(scored_page(photo))
    for label, expected in (
        ("greedy: best first", ["b", "dog_7.jpg", "c", "empty"]),
        ("greedy: worst first", ["c", "dog_7.jpg", "b", "empty"]),
        ("beam 3: best first", ["c", "b", "dog_7.jpg", "empty"]),
        ("beam 3: worst first", ["dog_7.jpg", "b", "c", "empty"]),
        ("surest first", ["b", "dog_7.jpg", "c", "empty"]),
        ("least sure first", ["c", "dog_7.jpg", "b", "empty"]),
        ("as given", ["empty", "dog_7.jpg", "b", "c"]),
    ):
        window.choose(label)
        assert window.titles() == expected, label


def test_only_orders_that_apply_are_offered(open_page):
    window = open_page(Page("Title", [card("a", caption("red dog"))]))
    assert window.text("#order").split("\n") == ["as given", "surest first", "least sure first"]
    window = open_page(Page("Title", [card("a")]))
    assert not window.driver.find_element("id", "order").is_displayed()
    assert not window.driver.find_element("id", "shading").is_displayed()
    assert window.text("#count") == "1 photo"


def test_keys_move_between_cards(open_page, photo):
    window = open_page(scored_page(photo))

    def focused_card():
        return window.run("return document.activeElement.querySelector('h2').textContent")

    window.press("/")
    assert window.run("return document.activeElement.id") == "search"
    window.press("jk")
    assert window.run("return document.getElementById('search').value") == "jk"
    window.press(ESCAPE)
    window.run("document.activeElement.blur()")
    for key, expected in zip(
        "jjnkp", ("empty", "dog_7.jpg", "b", "dog_7.jpg", "empty"), strict=True
    ):
        window.press(key)
        assert focused_card() == expected
    window.press("p")
    assert focused_card() == "empty"


def test_tooltip_shows_what_else_might_have_been_said(open_page, photo):
    page = Page("Title", [card("a", caption("red dog endseq"), caption("blue ball"), photo=photo)])
    window = open_page(page)
    rows = "it might have said\ncat\n25%\n(end)\n6.3%\nboat\nunder 0.1%"
    # The photo is a tab stop too.
    window.press("j", TAB, TAB)
    assert window.focused() == "red"
    assert window.text("#tooltip") == f"red\n50%\n{rows}"
    window.press(RIGHT)
    assert window.text("#tooltip") == f"dog\n50%\n{rows}"
    assert window.run("return document.activeElement.getAttribute('aria-describedby')") == "tooltip"
    window.press(RIGHT, RIGHT)
    assert window.text("#tooltip") == f"(end)\n50%\n{rows}"
    window.press(LEFT)
    assert window.focused() == "dog"
    window.press(ESCAPE)
    assert not window.driver.find_element("id", "tooltip").is_displayed()
    # A caption is one tab stop.
    window.press(TAB)
    assert window.focused() == "blue"
    assert window.text("#tooltip").startswith("blue")
    window.press(SHIFT + TAB)
    assert window.focused() == "dog"


def test_tooltip_follows_the_pointer(open_page):
    from selenium.webdriver import ActionChains

    window = open_page(Page("Title", [card("a", caption("red dog endseq"))]))
    words = window.driver.find_elements("css selector", ".words span")
    ActionChains(window.driver).move_to_element(words[1]).perform()
    assert window.text("#tooltip").startswith("dog\n50%\nit might have said\ncat\n25%")
    title = window.driver.find_element("tag name", "h1")
    ActionChains(window.driver).move_to_element(title).perform()
    assert not window.driver.find_element("id", "tooltip").is_displayed()


def test_shading_can_be_switched_off(open_page):
    window = open_page(Page("Title", [card("a", caption("red dog", probability=0.9))]))
    shade = "return getComputedStyle(document.querySelector('.words span')).backgroundColor"
    assert window.run(shade) != "rgba(0, 0, 0, 0)"
    window.driver.find_element("css selector", "#shading input").click()
    assert window.run(shade) == "rgba(0, 0, 0, 0)"


def relative_luminance(color):
    """Computes it from 8-bit sRGB, as the Web Content Accessibility Guidelines 2.2 define it."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in np.array(color) / 255
    ]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_have_contrast_to_their_shade(open_page, scheme):
    window = open_page(Page("Title", [card("a", caption("red dog", probability=0.9))]))
    window.look(1200, scheme)
    ink, shade, ground = (
        [float(part) for part in re.findall(r"[\d.]+", color)]
        for color in window.run(
            "const style = name => getComputedStyle(document.querySelector(name));"
            "return [style('.words span').color, style('.words span').backgroundColor,"
            " style('.card').backgroundColor]"
        )
    )
    assert (sum(ground) > 380) == (scheme == "light")
    behind = np.array(shade[:3]) * shade[3] + np.array(ground) * (1 - shade[3])
    dark, light = sorted((relative_luminance(ink), relative_luminance(behind)))
    assert (light + 0.05) / (dark + 0.05) > 6


WIDE_TABLE = (tuple(f"column {n}" for n in range(12)), *[("a", *["1.0 ±0.1"] * 11)] * 3)


def crowded_page(photo):
    """Makes a page with everything on it, and long words everywhere."""
    long_words = caption(f"{'w' * 90} dog endseq", decodings=("greedy", "beam " * 20), score=1.0)
    cards = [card("x" * 120, long_words, photo=photo, references=("y" * 150,)), card("z")]
    plots = (("A plot", png((1800, 540))), ("Another", png((1200, 540))))
    wide = Section("s" * 70, WIDE_TABLE, ("r" * 90,), plots, "c" * 200)
    sections = (wide, Section("two", WIDE_TABLE))
    return Page("T" * 60, cards, "i" * 80, sections, {"p" * 120: "q" * 90})


def test_photos_come_first(open_page, photo):
    titles = ("Scores", "Compared with another", "Recipe and training")
    sections = tuple(Section(title, WIDE_TABLE) for title in titles)
    introduction = "The captions that the model writes, and the references that people wrote."
    cards = [card("a", caption("red dog"), photo=photo)]
    page = Page("flickr8k: the test split, 1 photo", cards, introduction, sections, {"b": "why"})
    window = open_page(page)
    for width, limit in ((360, 480), (768, 350), (1440, 300)):
        window.look(width)
        top = window.run("return document.querySelector('.photo').getBoundingClientRect().top")
        assert 0 < top < limit, width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_overflows(open_page, photo, width, scheme):
    window = open_page(crowded_page(photo))
    window.look(width, scheme)
    overflow = (
        "return [document.documentElement, ...document.querySelectorAll('#tooltip, .card, "
        "details, dialog')].map((box) => box.scrollWidth - box.clientWidth).filter((n) => n > 0)"
    )
    for word in (":first-child", ".end"):
        window.run(f"document.querySelector('.words {word}').click()")
        assert window.driver.find_element("id", "tooltip").is_displayed()
        assert window.run(overflow) == []
    window.run("for (const part of document.querySelectorAll('details')) part.open = true")
    assert window.run(overflow) == []
    window.run("document.querySelector('.enlarge').click()")
    assert window.run(overflow) == []


def test_a_wide_table_scrolls_beside_the_titles_of_its_rows_and_says_so(open_page, photo):
    window = open_page(crowded_page(photo))
    window.look(360)
    note = window.driver.find_element("css selector", "details .note")
    assert not note.is_displayed()
    window.click("summary")
    window.settle()
    assert note.text == "Wider than the window: scroll it sideways."
    places = (
        "const left = (name) => document.querySelector(name).getBoundingClientRect().left;"
        "return [left('tbody th'), left('thead th'), left('tbody td:nth-of-type(2)')]"
    )
    before = window.run(places)
    window.run("document.querySelector('.wide').scrollLeft = 100")
    after = window.run(places)
    assert after[:2] == before[:2]
    assert after[2] == pytest.approx(before[2] - 100)
    # The title covers what scrolls below it.
    assert (
        window.run(
            "const {left, top} = document.querySelector('tbody th').getBoundingClientRect();"
            "return document.elementFromPoint(left + 5, top + 5).tagName"
        )
        == "TH"
    )
    window.look(1440)
    window.settle()
    assert not note.is_displayed()


def test_plots_take_on_the_colors_of_the_scheme(open_page):
    plot = Image.new("RGB", (200, 200), "white")
    plot.paste("black", (0, 0, 100, 200))
    buffer = io.BytesIO()
    plot.save(buffer, "PNG")
    sections = (Section("Plots", plots=(("A plot", buffer.getvalue()),)),)
    window = open_page(Page("Title", [card("a")], sections=sections))
    window.click("summary")
    for scheme in ("light", "dark"):
        window.look(768, scheme)
        figure = window.driver.find_element("css selector", "figure")
        shown = Image.open(io.BytesIO(figure.screenshot_as_png)).convert("RGB")
        ink, paper = (shown.getpixel((x, shown.height - 50)) for x in (25, 75))
        ground = window.run("return getComputedStyle(document.querySelector('details')).background")
        expected = [int(part) for part in re.findall(r"\d+", ground)[:3]]
        assert (sum(expected) > 380) == (scheme == "light")
        np.testing.assert_allclose(paper, expected, atol=3)
        np.testing.assert_allclose(ink, 0 if scheme == "light" else 255, atol=3)


def test_a_photo_enlarges_and_returns_the_focus(open_page, photo):
    window = open_page(scored_page(photo))
    dialog = window.driver.find_element("id", "enlarged")

    def is_focused():
        return window.run("return document.activeElement.getAttribute('aria-label')")

    # By keys, and back by each way.
    window.press("j", "j", TAB)
    assert is_focused() == "enlarge dog_7.jpg"
    for close in ("\ue007", ESCAPE):
        window.press("\ue007")
        assert dialog.is_displayed()
        assert window.focused() == "Close"
        assert "woman with dog" in dialog.text
        assert dialog.text.startswith("Close\ndog_7.jpg")
        # Keys of the page below do nothing meanwhile.
        window.press("j")
        assert window.focused() == "Close"
        window.press(close)
        assert not dialog.is_displayed()
        assert is_focused() == "enlarge dog_7.jpg"
    # By the pointer: larger than in its card; a click on the captions leaves it open.
    window.click(".enlarge")
    widths = window.run(
        "return ['.card .photo img', 'dialog img'].map("
        "(name) => document.querySelector(name).getBoundingClientRect().width)"
    )
    assert widths[1] > 5 * widths[0]
    window.click("dialog .words")
    assert dialog.is_displayed()
    window.click("dialog img")
    assert not dialog.is_displayed()


def test_a_view_has_an_address(open_page, photo):
    window = open_page(scored_page(photo))
    address = window.driver.current_url
    assert "#" not in address
    window.press("/")
    for letter in "man":
        window.press(letter)
    assert window.driver.current_url == f"{address}#search=man"
    window.choose("beam 3: best first")
    window.run("document.getElementById('search').focus()")
    window.press(" ice & more?")
    view = window.driver.current_url
    window.driver.back()
    assert window.driver.current_url == f"{address}#search=man&order=beam+3%3A+best+first"
    assert window.titles() == ["b"]
    # Three letters are one step.
    window.driver.back()
    window.driver.back()
    assert window.driver.current_url == address
    assert window.titles() == ["empty", "dog_7.jpg", "b", "c"]
    assert window.text("#count") == "4 photos"
    window.driver.forward()
    assert window.titles() == ["b"]
    # The same view is there for whoever is given its address.
    window.driver.get("about:blank")
    window.driver.get(view)
    assert window.run("return document.getElementById('search').value") == "man ice & more?"
    assert window.titles() == []
    window.driver.get(f"{address}#order=beam+3%3A+worst+first")
    assert window.titles() == ["dog_7.jpg", "b", "c", "empty"]
    assert window.run("return document.getElementById('order').value") == "beam 3: worst first"
    # What is no order of this page, or no address at all, shows everything.
    window.driver.get(f"{address}#order=%ff&search&&&=%")
    assert window.titles() == ["empty", "dog_7.jpg", "b", "c"]
    assert window.run("return document.getElementById('order').value") == "as given"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers_are_found_by_axe(open_page, photo, scheme):
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core-python is missing")
    window = open_page(crowded_page(photo))
    window.look(360, scheme)
    found = []
    window.run("for (const part of document.querySelectorAll('details')) part.open = true")
    for action in (".words span').focus()", ".enlarge').click()"):
        window.run(f"document.querySelector('{action}")
        found += axe.Axe().run(window.driver)["violations"]
    assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_hostile_text_runs_nothing(open_page, photo):
    window = open_page(hostile_page(photo))
    window.press("j", TAB, TAB)
    assert window.run("return document.querySelector('#tooltip b').parentElement.textContent") == (
        f"{ATTACK}50%"
    )
    assert ATTACK in window.text("#tooltip")
    assert (
        window.run("return document.querySelectorAll('#tooltip img, #tooltip script').length") == 0
    )
    window.choose(f"{ATTACK}: best first")
    # An open alert would have raised UnexpectedAlertPresentException above.
    assert window.driver.title == ATTACK
    assert window.run("return document.images.length") == 2


def test_photos_are_shown(open_page, photo):
    sections = (Section("Plots", plots=(("A plot", png()),)),)
    window = open_page(Page("Title", [card("a", photo=photo)], sections=sections))
    window.driver.find_element("css selector", "summary").click()
    assert window.run(
        "return Promise.all([...document.images].map(image => image.decode()"
        ".then(() => image.naturalWidth)))"
    ) == [40, 60]
