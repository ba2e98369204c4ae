"""How the pages look and behave in a browser."""

import base64
import os
import shutil
import time

import pandas as pd
import pytest
from example_pages import ATTACK, SizeCaptioner, caption, card, hostile_page, image_bytes, serving

from captioning.pages.page import Caption, Section, write_page

# Selenium's codes of keys, so that this file can be read where Selenium is not installed.
TAB, ENTER, ESCAPE, LEFT, RIGHT = "\ue004", "\ue007", "\ue00c", "\ue012", "\ue014"

OVERFLOW = (
    "return [...document.querySelectorAll('html, #drop, .bar, .card, details, dialog, #tooltip')]"
    ".filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.outerHTML.slice(0, 99))"
)

# A phone and a large screen, each with one of the two sets of colors.
looks = pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1440, "dark")])


def look(browser, width, scheme="light"):
    size = {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def find(browser, selector):
    return browser.find_element("css selector", selector)


def press(browser, key):
    browser.switch_to.active_element.send_keys(key)


def choose(browser, label):
    options = browser.find_elements("css selector", "#order option")
    next(option for option in options if option.text == label).click()


def texts(browser, selector):
    script = "return Array.from(document.querySelectorAll(arguments[0]), e => e.textContent)"
    return browser.execute_script(script, selector)


def titles(browser):
    return texts(browser, "#cards .card:not([hidden]) h2")


def assert_accessible_and_within_the_window(browser):
    assert browser.execute_script(OVERFLOW) == []
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core-python is missing")
    found = axe.Axe().run(browser)["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def wait_for_captions(browser):
    deadline = time.monotonic() + 60
    while "waiting …" in texts(browser, "#cards .no-photo"):
        assert time.monotonic() < deadline, texts(browser, "#status")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Starts a headless Chromium once, or skips the tests where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("there is no Chromium to open pages with: install chromium and chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    flags = ["headless=new", "disable-gpu", "disable-dev-shm-usage", "disable-quic", "no-first-run"]
    flags += ["disable-background-networking", "disable-component-update", "disable-sync"]
    flags.append(f"user-data-dir={tmp_path_factory.mktemp('chromium')}")
    # Chromium refuses to run as root otherwise, as in most containers.
    flags += ["no-sandbox"] if os.geteuid() == 0 else []
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as browser:
        yield browser


@pytest.fixture
def browser(chromium):
    """Gives the browser, whose console must stay silent but for what the server refuses."""
    chromium.get_log("browser")
    look(chromium, 1200)
    yield chromium
    messages = [entry["message"] for entry in chromium.get_log("browser")]
    assert [text for text in messages if "responded with a status of 4" not in text] == []
    chromium.get("about:blank")


def open_page(browser, folder, *page):
    write_page(folder / "page.html", *page)
    browser.get((folder / "page.html").as_uri())


@pytest.fixture
def scored_page(browser, tmp_path, photo):
    """Opens a page of three scored cards, and one without score and words."""

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
    open_page(browser, tmp_path, "Title", cards)


@pytest.mark.usefixtures("scored_page")
def test_search_and_order(browser):
    search = find(browser, "#search")
    # The beginning of a word finds it, its middle does not: no woman among the men.
    for typed, expected in (
        *(("man ICE", ["b"]), ("man ball", []), ("man", ["b"]), ("woman", ["dog_7.jpg"])),
        *(("g_7", ["dog_7.jpg"]), ("uphill ski", ["b"]), ("狗", ["c"])),
        (" ", ["empty", "dog_7.jpg", "b", "c"]),
    ):
        search.clear()
        search.send_keys(typed)
        assert titles(browser) == expected, typed
        assert find(browser, "#status").text == f"{len(expected)} of 4 photos"
    for label, expected in (
        ("greedy: best first", ["b", "dog_7.jpg", "c", "empty"]),
        ("beam 3: worst first", ["dog_7.jpg", "b", "c", "empty"]),
        ("surest first", ["b", "dog_7.jpg", "c", "empty"]),
        ("least sure first", ["c", "dog_7.jpg", "b", "empty"]),
        ("as given", ["empty", "dog_7.jpg", "b", "c"]),
    ):
        choose(browser, label)
        assert titles(browser) == expected, label


def test_tooltip_by_pointer_and_by_keys(browser, tmp_path):
    from selenium.webdriver import ActionChains

    arabic = caption("كلب أسود endseq")
    open_page(browser, tmp_path, "Title", [card("a", caption("red dog endseq"), arabic)])
    rows = "it might have said\n25.0%\tcat\n6.2%\t(end)\n0.0%\tboat"
    tooltip = find(browser, "#tooltip")
    words = browser.find_elements("css selector", ".words .word")
    ActionChains(browser).move_to_element(words[1]).perform()
    assert texts(browser, "#tooltip") == [f"50.0%\tdog\n{rows}"]
    assert 0 < tooltip.rect["y"] - words[1].rect["y"] < 60
    ActionChains(browser).move_to_element(find(browser, "h1")).perform()
    assert not tooltip.is_displayed()
    # A caption is one tab stop; where it is read from the right, the arrows turn round.
    words[0].click()
    keys = (RIGHT, RIGHT, RIGHT, LEFT, TAB, LEFT, RIGHT)
    reached = ("dog", "(end)", "(end)", "dog", "كلب", "أسود", "كلب")
    for key, expected in zip(keys, reached, strict=True):
        press(browser, key)
        assert texts(browser, "#tooltip") == [f"50.0%\t{expected}\n{rows}"]
    press(browser, ESCAPE)
    assert not tooltip.is_displayed()


@pytest.mark.usefixtures("scored_page")
def test_a_photo_enlarges_and_returns_the_focus(browser):
    dialog, button = find(browser, "#enlarged"), find(browser, ".enlarge")
    widths = "return ['#cards', 'dialog'].map((n) => document.querySelector(`${n} img`).width)"
    for close in (ENTER, ESCAPE):
        browser.execute_script("arguments[0].focus()", button)
        press(browser, ENTER)
        assert "Woman with dog." in dialog.text
        small, large = browser.execute_script(widths)
        assert large > 5 * small
        find(browser, "dialog .word").click()
        assert dialog.is_displayed()
        browser.execute_script("document.querySelector('dialog .enlarge').focus()")
        press(browser, close)
        assert not dialog.is_displayed()
        assert browser.switch_to.active_element == button


@looks
def test_results_page_has_no_barriers_and_no_overflow(browser, tmp_path, photo, width, scheme):
    words = caption(f"{'w' * 90} dog endseq", 0.9, ("greedy", "beam " * 20), 1.0)
    table = pd.DataFrame([["1.0 ±0.1"] * 11] * 3, columns=[f"column {n}" for n in range(11)])
    plot = image_bytes((1800, 540), kind="PNG")
    section = Section("s" * 70, table, ["r" * 90], plot, "c" * 200)
    cards = [card("x" * 120, words, photo=photo, references=["y" * 150]), card("z")]
    look(browser, width, scheme)
    open_page(browser, tmp_path, "T" * 60, cards, [section, Section("two", table)])
    browser.execute_script(
        "for (const part of document.querySelectorAll('details')) part.open = true"
    )
    for action in (".words .end').focus()", ".enlarge').click()"):
        browser.execute_script(f"document.querySelector('{action}")
        assert_accessible_and_within_the_window(browser)
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(", "))) > 380) == (scheme == "light")


def test_hostile_text_runs_nothing(browser, tmp_path, photo):
    open_page(browser, tmp_path, *hostile_page(photo))
    find(browser, ".words .word").click()
    assert ATTACK in texts(browser, "#tooltip")[0]
    choose(browser, f"{ATTACK}: best first")
    # An open alert would have raised an exception above.
    assert browser.title == ATTACK
    assert browser.execute_script("return document.images.length") == 2


@looks
def test_drop_page(browser, tmp_path, width, scheme):
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", permissions)
    look(browser, width, scheme)
    captioner = SizeCaptioner("It knows painted scenes.", words=f"{'w' * 60} {{}}")
    large = bytes(31_000_000)
    files = {"a dog.jpg": image_bytes((900, 60)), "b.jpg": b"no", "c.jpg": b"", "large.jpg": large}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with serving(captioner) as url:
        browser.get(url)
        assert_accessible_and_within_the_window(browser)
        find(browser, "#files").send_keys("\n".join(str(tmp_path / name) for name in files))
        wait_for_captions(browser)
        assert titles(browser) == list(files)
        assert texts(browser, "#cards .no-photo") == [
            "This photo cannot be read: cannot identify image file.",
            "This file is empty.",
            "The data value transmitted exceeds the capacity limit.",
        ]
        assert find(browser, "#status").text == "1 of 4 captioned, 3 without caption."
        find(browser, ".words .word").click()
        assert_accessible_and_within_the_window(browser)
        find(browser, "#copy").click()
        copied = "navigator.clipboard.readText().then(arguments[0], e => arguments[0](e.message))"
        assert browser.execute_async_script(copied) == f"a dog.jpg\tW{'w' * 59} 900.\n"
        browser.get("about:blank")


GIVE_PHOTOS = """
    const data = new DataTransfer();
    const bytes = Uint8Array.from(atob(arguments[1]), (letter) => letter.charCodeAt(0));
    for (let index = 0; index < 3; index++) data.items.add(new File([bytes], `${index}.jpg`));
    const [Kind, key] = { drop: [DragEvent, "dataTransfer"],
                          paste: [ClipboardEvent, "clipboardData"] }[arguments[0]];
    document.dispatchEvent(new Kind(arguments[0], { cancelable: true, [key]: data }));
"""


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photos_are_dropped_and_pasted(browser, event):
    with serving(SizeCaptioner()) as url:
        browser.get(url)
        browser.execute_script(GIVE_PHOTOS, event, base64.b64encode(image_bytes()).decode())
        wait_for_captions(browser)
        assert texts(browser, ".words")[2] == "40 by 30.\xa0"
        assert find(browser, "#status").text == "3 of 3 captioned."
        browser.get("about:blank")
