"""Pages for the tests of what a page of photos holds and of how it behaves."""

import io

from PIL import Image

from captioning.network.decoding import TokenProbability
from captioning.pages.gallery import Caption, Card, Page, Section

RED, BLUE = (200, 0, 0), (0, 0, 200)

ATTACK = "\"'><script>document.title='broken in';alert(1)</script><img src=x onerror=alert(2)>&amp;"


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
