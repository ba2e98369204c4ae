"""How the pages look and behave in a browser."""

import base64
import itertools
import os
import shutil
import time

import pytest
from example_pages import ATTACK, SizeCaptioner, caption, card, hostile_page, image_bytes, serving

from captioning.pages.page import Caption, Page, Section, write_page

# Selenium's codes of keys, so that this file can be read where Selenium is not installed.
TAB, ENTER, ESCAPE, LEFT, RIGHT = "\ue004", "\ue007", "\ue00c", "\ue012", "\ue014"

WAYS = list(itertools.product((360, 1440), ("light", "dark")))

OVERFLOW = (
    "return [...document.querySelectorAll('html, #drop, .bar, .card, details, dialog, #tooltip')]"
    ".filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.outerHTML.slice(0, 99))"
)


class Window:
    """A page in the browser, as a person uses it."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, script, *arguments):
        """Runs a script in the page and returns what it returns."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys):
        """Presses keys where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def look(self, width, scheme):
        """Makes the window as wide as that, and the system's colors light or dark."""
        size = {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def find(self, selector):
        """Returns the first element."""
        return self.driver.find_element("css selector", selector)

    def texts(self, selector):
        """Lists the texts of elements, in their order."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), e => e.textContent)"
        return self.run(script, selector)

    def choose(self, label):
        """Chooses an order by its text."""
        options = self.driver.find_elements("css selector", "#order option")
        next(option for option in options if option.text == label).click()

    def titles(self):
        """Lists the titles of the cards that are shown."""
        return self.texts("#cards .card:not([hidden]) h2")

    def barriers(self):
        """Lists what axe-core finds."""
        axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core-python is missing")
        found = axe.Axe().run(self.driver)["violations"]
        return [(one["id"], one["nodes"][0]["html"]) for one in found]

    def drop(self, *paths):
        """Gives files to the page, and waits until all are captioned or have a reason."""
        if paths:
            self.find("#files").send_keys("\n".join(map(str, paths)))
        deadline = time.monotonic() + 60
        while "waiting …" in self.texts("#cards .no-photo"):
            assert time.monotonic() < deadline, self.texts("#status")
            time.sleep(0.05)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Starts a headless Chromium once, or skips the tests where there is none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("there is no Chromium to open pages with: install chromium and chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    flags = ["headless=new", "disable-gpu", "disable-dev-shm-usage", "disable-quic", "no-first-run"]
    flags += ["disable-background-networking", "disable-component-update", "disable-sync"]
    flags.append(f"user-data-dir={tmp_path_factory.mktemp('chromium')}")
    # Chromium refuses to run as root otherwise, as in most containers.
    flags += ["no-sandbox"] if os.geteuid() == 0 else []
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as window:
        yield window


@pytest.fixture
def window(chromium):
    """Gives the browser, whose console must stay silent but for what the server refuses."""
    chromium.get_log("browser")
    yield Window(chromium)
    messages = [entry["message"] for entry in chromium.get_log("browser")]
    assert [text for text in messages if "responded with a status of 4" not in text] == []
    chromium.get("about:blank")


@pytest.fixture
def open_page(window, tmp_path):
    """A function that writes and opens a page of results."""

    def open_page(page):
        write_page(tmp_path / "page.html", page)
        window.look(1200, "light")
        window.driver.get((tmp_path / "page.html").as_uri())
        return window

    return open_page


@pytest.fixture
def captioner():
    return SizeCaptioner("It knows painted scenes.")


@pytest.fixture
def drop_page(window, captioner):
    """Opens the page to drop photos on."""
    with serving(captioner) as url:
        window.look(1200, "light")
        window.driver.get(url)
        yield window
        window.driver.get("about:blank")


def scored_page(photo):
    """Makes a page of three scored cards, and one without score and words."""

    def both(first, second, greedy, beam):
        return (
            caption(f"{first} endseq", greedy / 100, score=greedy),
            caption(f"{second} endseq", decodings=("beam 3",), score=beam),
        )

    cards = (
        card("empty", Caption(("greedy",), ())),
        card("dog_7.jpg", *both("woman with dog", "woman", 50.0, 9.5), photo=photo),
        card("b", *both("man", "man on ice", 90.0, 80.0), references=["Skiing , UPHILL !"]),
        card("c", *both("黑 狗", "ball", 8.0, 100.0), photo=photo),
    )
    return Page("Title", cards)


def test_search_and_order(open_page, photo):
    window = open_page(scored_page(photo))
    search = window.find("#search")
    # The beginning of a word finds it, its middle does not: no woman among the men.
    for typed, expected in (
        *(("man", ["b"]), ("man ICE", ["b"]), ("man ball", []), ("woman", ["dog_7.jpg"])),
        *(("g_7", ["dog_7.jpg"]), ("uphill ski", ["b"]), ("狗", ["c"])),
        (", !", ["empty", "dog_7.jpg", "b", "c"]),
    ):
        search.clear()
        search.send_keys(typed)
        assert window.titles() == expected, typed
        assert window.find("#status").text == f"{len(expected)} of 4 photos"
    for label, expected in (
        ("greedy: best first", ["b", "dog_7.jpg", "c", "empty"]),
        ("greedy: worst first", ["c", "dog_7.jpg", "b", "empty"]),
        ("beam 3: best first", ["c", "b", "dog_7.jpg", "empty"]),
        ("surest first", ["b", "dog_7.jpg", "c", "empty"]),
        ("least sure first", ["c", "dog_7.jpg", "b", "empty"]),
        ("as given", ["empty", "dog_7.jpg", "b", "c"]),
    ):
        window.choose(label)
        assert window.titles() == expected, label


def test_tooltip_by_pointer_and_by_keys(open_page):
    from selenium.webdriver import ActionChains

    arabic = caption("كلب أسود endseq")
    window = open_page(Page("Title", [card("a", caption("red dog endseq"), arabic)]))
    rows = "it might have said\n25.0%\tcat\n6.2%\t(end)\n0.0%\tboat"
    tooltip = window.find("#tooltip")
    words = window.driver.find_elements("css selector", ".words .word")
    ActionChains(window.driver).move_to_element(words[1]).perform()
    assert window.texts("#tooltip") == [f"50.0%\tdog\n{rows}"]
    assert 0 < tooltip.rect["y"] - words[1].rect["y"] < 60
    ActionChains(window.driver).move_to_element(window.find("h1")).perform()
    assert not tooltip.is_displayed()
    # A caption is one tab stop; where it is read from the right, the arrows turn round.
    words[0].click()
    for key, expected in zip(
        (RIGHT, RIGHT, RIGHT, LEFT, TAB, LEFT, RIGHT),
        ("dog", "(end)", "(end)", "dog", "كلب", "أسود", "كلب"),
        strict=True,
    ):
        window.press(key)
        assert window.texts("#tooltip") == [f"50.0%\t{expected}\n{rows}"]
    window.press(ESCAPE)
    assert not tooltip.is_displayed()


def test_a_photo_enlarges_and_returns_the_focus(open_page, photo):
    window = open_page(scored_page(photo))
    dialog, button = window.find("#enlarged"), window.find(".enlarge")
    widths = "return ['#cards', 'dialog'].map((n) => document.querySelector(`${n} img`).width)"
    for close in (ENTER, ESCAPE):
        window.run("arguments[0].focus()", button)
        window.press(ENTER)
        assert "Woman with dog." in dialog.text
        small, large = window.run(widths)
        assert large > 5 * small
        window.find("dialog .word").click()
        assert dialog.is_displayed()
        window.run("document.querySelector('dialog .enlarge').focus()")
        window.press(close)
        assert not dialog.is_displayed()
        assert window.driver.switch_to.active_element == button


@pytest.mark.parametrize(("width", "scheme"), WAYS)
def test_results_page_has_no_barriers_and_no_overflow(open_page, photo, width, scheme):
    import pandas as pd

    words = caption(f"{'w' * 90} dog endseq", 0.9, ("greedy", "beam " * 20), 1.0)
    table = pd.DataFrame([["1.0 ±0.1"] * 11] * 3, columns=[f"column {n}" for n in range(11)])
    plots = [("A plot", image_bytes((1800, 540), kind="PNG"))]
    section = Section("s" * 70, table, ["r" * 90], plots, "c" * 200)
    cards = [card("x" * 120, words, photo=photo, references=["y" * 150]), card("z")]
    window = open_page(Page("T" * 60, cards, [section, Section("two", table)]))
    window.look(width, scheme)
    window.run("for (const part of document.querySelectorAll('details')) part.open = true")
    for action in (".words .end').focus()", ".enlarge').click()"):
        window.run(f"document.querySelector('{action}")
        assert window.run(OVERFLOW) == []
        assert window.barriers() == []
    ground = window.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(", "))) > 380) == (scheme == "light")


def test_hostile_text_runs_nothing(open_page, photo):
    window = open_page(hostile_page(photo))
    window.find(".words .word").click()
    assert ATTACK in window.texts("#tooltip")[0]
    window.choose(f"{ATTACK}: best first")
    # An open alert would have raised an exception above.
    assert window.driver.title == ATTACK
    assert window.run("return document.images.length") == 2


@pytest.mark.parametrize(("width", "scheme"), WAYS)
def test_drop_page(drop_page, captioner, tmp_path, width, scheme):
    drop_page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    drop_page.look(width, scheme)
    assert drop_page.barriers() == []
    captioner.words = f"{'w' * 60} {{}}"
    for name, content in (("a dog.jpg", image_bytes((900, 60))), ("b.jpg", b"no"), ("c.jpg", b"")):
        (tmp_path / name).write_bytes(content)
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(31_000_000)
    drop_page.drop(*(tmp_path / name for name in ("a dog.jpg", "b.jpg", "c.jpg", "large.jpg")))
    assert drop_page.titles() == ["a dog.jpg", "b.jpg", "c.jpg", "large.jpg"]
    assert drop_page.texts("#cards .no-photo") == [
        "This photo cannot be read: cannot identify image file.",
        "This file is empty.",
        "This file is larger than 30 MB.",
    ]
    assert drop_page.find("#status").text == "1 of 4 captioned, 3 without caption."
    drop_page.find(".words .word").click()
    assert drop_page.run(OVERFLOW) == []
    assert drop_page.barriers() == []
    drop_page.find("#copy").click()
    copied = "navigator.clipboard.readText().then(arguments[0], e => arguments[0](e.message))"
    assert drop_page.driver.execute_async_script(copied) == f"a dog.jpg\tW{'w' * 59} 900.\n"
    drop_page.find("#remove").click()
    assert (drop_page.titles(), drop_page.find("#status").text) == ([], "")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photos_are_dropped_and_pasted_up_to_the_limit(drop_page, event):
    drop_page.run(
        """
        const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(arguments[1]), (letter) => letter.charCodeAt(0));
        for (let index = 0; index < 103; index++) data.items.add(new File([bytes], `${index}.jpg`));
        const [Kind, key] = { drop: [DragEvent, "dataTransfer"],
                              paste: [ClipboardEvent, "clipboardData"] }[arguments[0]];
        document.dispatchEvent(new Kind(arguments[0], { cancelable: true, [key]: data }));
        """,
        event,
        base64.b64encode(image_bytes()).decode(),
    )
    drop_page.drop()
    assert drop_page.texts(".words")[99] == "40 by 30.\xa0"
    assert drop_page.find("#status").text == (
        "100 of 100 captioned. 3 left out: the page holds 100. Remove all to add others."
    )
