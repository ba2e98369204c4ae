"""Cards, pages and a captioner for the tests of the pages and of how they behave in a browser."""

import contextlib
import io
import threading

import waitress
from PIL import Image
from waitress import wasyncore

from captioning.captioner import PhotoCaption
from captioning.network.decoding import TokenProbability
from captioning.pages.page import Caption, Card, Section
from captioning.pages.server import DropPage
from captioning.photos.reading import PhotoError, read_rgb

ATTACK = "\"'><script>document.title='broken in';alert(1)</script><img src=x onerror=alert(2)>&amp;"

OTHERS = (("cat", 0.25), ("endseq", 0.0625), ("boat", 0.0001))


def tokens(words, probability=0.5):
    return tuple(TokenProbability(word, probability, OTHERS) for word in words.split())


def card(title, *captions, photo=None, references=()):
    return Card(title, photo, tuple(captions), tuple(references))


def caption(words, probability=0.5, decodings=("greedy",), score=None):
    return Caption(decodings, tokens(words, probability), score)


def image_bytes(size=(40, 30), color=(200, 0, 0), kind="JPEG", **options):
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind, **options)
    return buffer.getvalue()


def hostile_page(photo):
    """Returns what `write_page` takes for a page whose every text attacks whoever opens it."""
    token = TokenProbability(ATTACK, 0.5, ((ATTACK, 0.25), ("\udc80", 0.1)))
    # The reason why a photo cannot be read contains its name.
    unreadable = photo.with_name("<img src=x onerror=alert(3)>.jpg")
    unreadable.write_bytes(b"no photo at all")
    cards = [
        card(ATTACK, Caption((ATTACK,), (token,), 12.0), photo=photo, references=[ATTACK]),
        card("\udcff.jpg", photo=unreadable),
    ]
    plot = image_bytes(kind="PNG")
    return ATTACK, cards, [Section(ATTACK, None, [ATTACK], plot, ATTACK)]


class SizeCaptioner:
    """Captions a photo with its size, as `Captioner.caption_all` does, and keeps the options."""

    def __init__(self, *doubts, words="{} by {}"):
        self.doubts = doubts
        self.words = words
        self.options = self.fault = None
        self.captioned = self.at_once = self.most_at_once = 0

    def caption_all(self, photos, **options):
        """Yields the one photo with its caption, or with the error that says why it has none."""
        self.options = options
        self.captioned += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.fault:
            raise self.fault
        (photo,) = photos
        try:
            words = self.words.format(*read_rgb(photo).size)
            yield photo, PhotoCaption(tokens(f"{words} endseq"))
        except PhotoError as error:
            yield photo, error
        self.at_once -= 1


@contextlib.contextmanager
def serving(captioner):
    """Serves the page to drop photos on in a thread, and gives its address."""
    app = DropPage(captioner, "127.0.0.1", {"beam": 3}).make_app()
    server = waitress.create_server(app, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}/"
    finally:
        # Closed in the thread that serves, connections and all, its loop ends.
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
        thread.join()
