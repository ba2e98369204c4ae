"""How the page of photos with their captions looks and behaves in a browser."""

import io
import re

import numpy as np
import pytest
from gallery_pages import ATTACK, caption, card, hostile_page, png
from PIL import Image

from captioning.pages.gallery import Caption, Page, Section, write_gallery

# Selenium's codes of keys, so that this file can be read where Selenium is not installed.
TAB, ENTER, SHIFT, ESCAPE = "\ue004", "\ue007", "\ue008", "\ue00c"
LEFT, RIGHT = "\ue012", "\ue014"


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
    assert window.focused() == "Red"
    assert window.text("#tooltip") == f"Red\n50%\n{rows}"
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
    assert window.focused() == "Blue"
    assert window.text("#tooltip").startswith("Blue")
    window.press(SHIFT + TAB)
    assert window.focused() == "dog"


ARABIC = "كلب أسود يركض في الثلج endseq"


def test_arabic_is_read_from_the_right(open_page, photo):
    references = ("كلب في الثلج.", "A dog in the snow.")
    page = Page("Title", [card("a", caption(ARABIC), references=references)], language="ar")
    window = open_page(page)
    place = "return arguments[0].getBoundingClientRect()"
    first, second, *_, end = window.driver.find_elements(
        "css selector", ".words [data-probability]"
    )
    rectangles = [window.driver.execute_script(place, word) for word in (first, second, end)]
    lefts = [rectangle["left"] for rectangle in rectangles]
    assert lefts == sorted(lefts, reverse=True)
    direction = "return getComputedStyle(document.querySelector('{}')).direction"
    for selector, expected in (
        (".words", "rtl"),
        (".references li:first-child", "rtl"),
        (".references li:last-child", "ltr"),
        ("h2", "ltr"),
    ):
        assert window.run(direction.format(selector)) == expected, selector
    assert window.text(".words") == "كلب أسود يركض في الثلج. ■"
    # The arrow to the left leads to the next word.
    window.press("j", TAB)
    assert window.focused() == "كلب"
    window.press(LEFT)
    assert window.focused() == "أسود"
    window.press(RIGHT)
    assert window.focused() == "كلب"


def test_search_finds_words_of_every_script(open_page):
    texts = {
        "arabic": ("كلب أسود", ("في الثلج.",)),
        "chinese": ("一 只 黑 狗", ("雪地上。",)),
        "french": ("l' école à vélo", ()),
        "hindi": ("काला कुत्ता", ("बर्फ़ में।",)),
        "persian": ("سگ می\u200cدود", ()),
        "thai": ("เ ด็ ก", ()),
    }
    cards = [
        card(title, caption(words), references=references)
        for title, (words, references) in texts.items()
    ]
    window = open_page(Page("Title", cards))
    for typed, expected in (
        ("أسو", ["arabic"]),
        ("الثلج كلب", ["arabic"]),
        ("سود", []),
        ("黑狗", ["chinese"]),
        ("地", ["chinese"]),
        ("école", ["french"]),
        ("à vé", ["french"]),
        ("बर्फ़ कु", ["hindi"]),
        ("می\u200cدود", ["persian"]),
        ("ด็ก", ["thai"]),
    ):
        window.run(
            "const search = document.getElementById('search');"
            f"search.value = '{typed}'; search.dispatchEvent(new Event('input'))"
        )
        assert window.titles() == expected, typed
    assert window.run("return document.querySelector('.words').textContent") == "كلب أسود."


def test_tooltip_follows_the_pointer(open_page):
    from selenium.webdriver import ActionChains

    window = open_page(Page("Title", [card("a", caption("red dog endseq"))]))
    words = window.driver.find_elements("css selector", ".words [data-probability]")
    ActionChains(window.driver).move_to_element(words[1]).perform()
    assert window.text("#tooltip").startswith("dog\n50%\nit might have said\ncat\n25%")
    title = window.driver.find_element("tag name", "h1")
    ActionChains(window.driver).move_to_element(title).perform()
    assert not window.driver.find_element("id", "tooltip").is_displayed()


def test_shading_can_be_switched_off(open_page):
    window = open_page(Page("Title", [card("a", caption("red dog", probability=0.9))]))
    word = "document.querySelector('.words [data-probability]')"
    shade = f"return getComputedStyle({word}).backgroundColor"
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
            "const word = style('.words [data-probability]');"
            "return [word.color, word.backgroundColor,"
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
    for close in (ENTER, ESCAPE):
        window.press(ENTER)
        assert dialog.is_displayed()
        assert window.focused() == "Close"
        assert "Woman with dog." in dialog.text
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
    for action in (".words [data-probability]').focus()", ".enlarge').click()"):
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
