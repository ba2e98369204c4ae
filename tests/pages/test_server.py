"""The server of the page on which photos are dropped."""

import _thread
import html
import http.client
import re
import socket
import threading
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from example_pages import ATTACK, SizeCaptioner, image_bytes, serving

from captioning.cli import UserError
from captioning.pages import server
from captioning.pages.server import PHOTO_MEGABYTES, DropPage, serve


@pytest.fixture
def captioner():
    return SizeCaptioner("It knows painted scenes.", ATTACK)


@pytest.fixture
def client(captioner):
    """Gives Flask's client, whose host is localhost."""
    return DropPage(captioner, "printer.lan", {"beam": 3}).make_app().test_client()


def post(client, body, host="localhost", origin="http://localhost", name="a dog.jpg"):
    headers = {"Host": host, "Origin": origin}
    given = {key: value for key, value in headers.items() if value is not None}
    return client.post("/caption", query_string={"name": name}, data=body, headers=given)


def test_a_photo_is_answered_with_its_card(client, captioner):
    answer = post(client, image_bytes())
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert answer.text.strip().startswith('<article class="card"')
    assert "<h2>a dog.jpg</h2>" in answer.text
    shown = re.search('<p class="words" lang="en" dir="auto">(.*?)</p>', answer.text, re.DOTALL)[1]
    assert html.unescape(re.sub("<[^>]+>", "", shown)) == "40 by 30.\xa0"
    assert "confidence 50%" in answer.text
    assert 'src="data:image/jpeg;base64,' in answer.text
    assert (captioner.options, captioner.captioned) == ({"beam": 3}, 1)
    hostile = post(client, image_bytes(), name=ATTACK).text
    assert ATTACK not in hostile
    assert ATTACK in html.unescape(hostile)


def test_the_page_needs_no_other_file(client):
    page = client.get("/").text
    assert set(re.findall(r'(?:href|src)="([^"]+)"', page)) == {"data:,"}
    assert "At most 100 photos at once, 30 MB each." in page
    assert "<b>It knows painted scenes.</b>" in page
    assert ATTACK not in page
    assert ATTACK in html.unescape(page)


@pytest.mark.parametrize(
    "path", ["/server.py", "/../server.py", "/style.css", "/etc/passwd", "/caption"]
)
def test_nothing_else_is_served(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 405)
    assert answer.mimetype == "text/plain"


def test_every_answer_forbids_what_the_page_does_not_need(client):
    for answer in (client.get("/"), client.get("/x"), post(client, b""), client.delete("/")):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; connect-src 'self'; img-src data:;")
        assert "script-src 'sha256-" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers


OWN = [
    "localhost:8000",
    "LocalHost",
    "Printer.lan:80",
    "127.0.0.1:8000",
    "[::1]:8000",
    "192.168.1.7:8000",
]
FOREIGN = [
    *("attacker.example:8000", "127.0.0.1.attacker.example", "localhost.attacker.example"),
    *("attacker.example@127.0.0.1", "127.0.0.1:x", "[::1", ":80", ""),
]


@pytest.mark.parametrize("host", [*OWN, *FOREIGN])
def test_names_that_another_dns_server_may_give_are_refused(client, captioner, host):
    expected = 200 if host in OWN else 403
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == expected
    if expected == 403:
        assert answer.text == "This page is served under localhost or an IP address only."
    assert post(client, image_bytes(), host, f"http://{host}").status_code == expected
    assert captioner.captioned == (expected == 200)


@pytest.mark.parametrize(
    "origin",
    ["http://attacker.example", "null", "", "https://localhost", "http://localhost:1", None],
)
def test_pages_of_other_sites_get_no_captions(client, captioner, origin):
    answer = post(client, image_bytes(), origin=origin)
    assert (answer.status_code, answer.text) == (403, "Photos are taken from this page only.")
    assert captioner.captioned == 0


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 400, "This file is empty."),
        (b"no photo at all", 422, "This photo cannot be read: cannot identify image file."),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            422,
            "This photo cannot be read: cannot identify image file.",
        ),
        (image_bytes((900, 900))[:3000], 422, "This photo cannot be read: image file is truncated"),
        (bytes(PHOTO_MEGABYTES * 10**6 + 1), 413, "The data value transmitted exceeds"),
    ],
)
def test_what_is_no_photo_gets_a_sentence(client, content, status, sentence):
    answer = post(client, content)
    assert (answer.status_code, answer.mimetype) == (status, "text/plain")
    assert answer.text.startswith(sentence)


def test_a_failure_of_the_captioner_is_answered_and_printed(client, captioner, caplog):
    captioner.fault = RuntimeError("out of memory")
    answer = post(client, image_bytes())
    assert (answer.status_code, answer.mimetype) == (500, "text/plain")
    # Where nobody handles logs, Flask prints them.
    assert "RuntimeError: out of memory" in caplog.text
    captioner.fault = None
    assert post(client, image_bytes()).status_code == 200


def request(url, body, headers=()):
    """Sends a photo as the page does and returns the status and the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    own = {"Origin": url.rstrip("/"), **dict(headers)}
    connection.request("POST", "/caption?name=a", body, own)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def test_many_clients_are_captioned_one_at_a_time(captioner):
    inside, most = [], []
    own = captioner.caption_all

    def caption_all(photos, **options):
        inside.append(1)
        most.append(len(inside))
        yield from own(photos, **options)
        inside.pop()

    captioner.caption_all = caption_all
    sizes = [(10 + number, 20) for number in range(12)]
    with serving(captioner) as url, ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda size: request(url, image_bytes(size)), sizes))
    # Everybody gets the caption of their own photo.
    for (width, _), (status, text) in zip(sizes, answers, strict=True):
        assert status == 200
        assert f">{width}</span>" in text
    assert set(most) == {1}


def serve_and_stop(captioner, monkeypatch, *arguments, **options):
    """Runs `serve`, interrupts it once the browser has had a photo captioned; returns the URL."""
    urls, answers = [], []

    def use(url):
        port = urlsplit(url).port
        answers.append(request(f"http://127.0.0.1:{port}/", image_bytes()))
        _thread.interrupt_main()

    def open_browser(url):
        urls.append(url)
        threading.Thread(target=use, args=(url,)).start()

    monkeypatch.setattr(webbrowser, "open", open_browser)
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(KeyboardInterrupt):
        serve(captioner, *arguments, **options)
    assert answers[0][0] == 200
    return urls[0]


def test_serve_opens_the_browser_and_ends_by_ctrl_c(captioner, monkeypatch, capsys):
    url = serve_and_stop(captioner, monkeypatch, beam=5, consensus=True)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", url)
    # The first photo only warms it up.
    assert (captioner.options, captioner.captioned) == ({"beam": 5, "consensus": True}, 2)
    assert capsys.readouterr() == (f"caption photos at {url} (Ctrl-C stops)\n", "")


def test_serve_says_when_others_can_reach_it(captioner, monkeypatch, capsys):
    assert serve_and_stop(captioner, monkeypatch, "0.0.0.0").startswith("http://localhost:")
    assert "everyone on the network can use it" in capsys.readouterr().out


def test_no_browser_is_opened_in_a_terminal(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(server.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    server._announce("127.0.0.1", 80, True)
    assert opened == []
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    server._announce("::1", 80, True)
    assert opened == ["http://[::1]:80/"]


def test_addresses_that_cannot_be_served_at_are_the_users_mistake(captioner):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"cannot serve at 127\.0\.0\.1:{port}: .*in use"):
            serve(captioner, port=port, open_browser=False)
    for host in ("203.0.113.7", "no.such.host.invalid"):
        with pytest.raises(UserError, match=f"cannot serve at {host}:0: .*another port"):
            serve(captioner, host, open_browser=False)
    assert captioner.captioned == 0
