"""What the page of photos with their captions holds."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from gallery_pages import ATTACK, caption, card, hostile_page, png
from support import ENCODER_RECORD

from captioning.network.decoding import TokenProbability
from captioning.pages.gallery import Caption, Page, Section, write_gallery
from captioning.pages.gallery.evaluation import make_page
from captioning.photos.features import read_features, write_features
from captioning.scores.metrics import PhotoStatistics, bleu_counts
from captioning.scores.scoring import Row, summarize
from captioning.text.splits import read_split
from captioning.text.vocabulary import read_vocabulary


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


def written(folder, page):
    """Writes a page and parses it."""
    write_gallery(folder / "page.html", page)
    return Elements((folder / "page.html").read_text(encoding="utf-8"))


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
    for text in ("Introduction.", "Note.", "greedy · beam 3CIDEr-D 94.1", "Red <dog>.\xa0■"):
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


def test_captions_are_sentences_of_their_language(tmp_path):
    shown = caption("l' école à l' endseq"), caption("endseq")
    page = Page("Title", [card("a", *shown, references=("L’école.",))], language="fr")
    elements = written(tmp_path, page)
    first, none = elements.named("p", **{"class": "words"}), elements.named("em")
    assert first[0] == ({"class": "words", "lang": "fr", "dir": "auto"}, "L'école à l'.\xa0■")
    # What the page says itself is English.
    assert first[1] == ({"class": "words"}, "(no words)\xa0■")
    assert len(none) == 1
    spans = [text for attributes, text in elements.named("span") if "data-others" in attributes]
    assert spans == ["L'", "école", "à", "l'", "■", "■"]
    assert elements.named("ul", **{"class": "references"}) == [
        ({"class": "references", "lang": "fr"}, "L’école.")
    ]
    assert elements.named("li") == [({"dir": "auto"}, "L’école.")]


def test_a_caption_without_end_has_its_full_stop(tmp_path):
    elements = written(tmp_path, Page("Title", [card("a", caption("一 只"))], language="zh"))
    assert elements.named("p", **{"class": "words"})[0][1] == "一只。"


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
            *("data-others", "dir"),
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
    page = make_page(model, [card(photos[0])], rows, scores, photos[1:])
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
    page = make_page(model, [card(photos[0])], rows, scores, photos[1:])
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
