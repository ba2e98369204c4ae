"""The server of the page on which photos are dropped."""

import _thread
import contextlib
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
from captioning.pages.server import PHOTO_MEGABYTES, DropPage, serve


@pytest.fixture
def captioner():
    return SizeCaptioner("It knows painted scenes.", ATTACK)


@pytest.fixture
def client(captioner):
    """Gives Flask's client, whose host is localhost."""
    return DropPage(captioner, "printer.lan", {"beam": 3}).make_app().test_client()


def post(client, body, host="localhost", origin="http://localhost", name="a dog.jpg"):
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    return client.post("/caption", query_string={"name": name}, data=body, headers=headers)


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
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert "default-src 'none'; connect-src 'self'; img-src data:;" in html.unescape(policy)
    assert "script-src 'sha256-" in html.unescape(policy)
    assert "unsafe" not in policy
    assert "Of at most 30 MB each." in page
    assert "<b>It knows painted scenes.</b>" in page
    assert ATTACK not in page
    assert ATTACK in html.unescape(page)


def test_every_answer_forbids_what_the_page_does_not_need(client):
    others = [client.get(path) for path in ("/server.py", "/../server.py", "/etc/passwd")]
    for answer in (client.get("/"), post(client, b""), client.get("/caption"), *others):
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers
    # No file is served.
    assert {answer.status_code for answer in others} == {404}


OWN = ["LocalHost", "Printer.lan:80", "[::1]:8000", "192.168.1.7:8000"]
FOREIGN = ["attacker.example:8000", "127.0.0.1.attacker.example", "127.0.0.1:x", "[::1", ":80", ""]
OTHER_SITES = ["null", "https://localhost", "http://localhost:1", None]
SERVED_UNDER = "This page is served under localhost or an IP address only."


@pytest.mark.parametrize(
    ("host", "origin", "refusal"),
    [
        *((host, f"http://{host}", None) for host in OWN),
        *((host, f"http://{host}", SERVED_UNDER) for host in FOREIGN),
        *(("localhost", origin, "Photos are taken from this page only.") for origin in OTHER_SITES),
    ],
)
def test_other_names_and_pages_of_other_sites_are_refused(client, captioner, host, origin, refusal):
    if refusal != "Photos are taken from this page only.":
        assert client.get("/", headers={"Host": host}).status_code == (403 if refusal else 200)
    answer = post(client, image_bytes(), host, origin)
    assert answer.status_code == (403 if refusal else 200)
    assert (answer.text == refusal) == bool(refusal)
    assert captioner.captioned == (not refusal)


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 400, "This file is empty."),
        (b"no photo at all", 422, "This photo cannot be read: cannot identify image file."),
        # Ghostscript would draw it.
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", 422, "This photo cannot be read: cannot identify"),
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


def request(url, body):
    """Sends a photo as the page does and returns the status and the answer."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)) as server:
        server.request("POST", "/caption?name=a", body, {"Origin": url.rstrip("/")})
        response = server.getresponse()
        return response.status, response.read().decode()


def test_many_clients_are_captioned_one_at_a_time(captioner):
    widths = range(10, 22)
    with serving(captioner) as url, ThreadPoolExecutor(12) as threads:
        photos = [image_bytes((width, 20)) for width in widths]
        answers = list(threads.map(lambda photo: request(url, photo), photos))
    # Everybody gets the caption of their own photo.
    for width, (status, text) in zip(widths, answers, strict=True):
        assert status == 200
        assert f">{width}</span>" in text
    assert captioner.most_at_once == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_serve_opens_the_browser_and_ends_by_ctrl_c(captioner, monkeypatch, capsys, host):
    urls, answers = [], []

    def use_and_interrupt(url):
        answers.append(request(f"http://127.0.0.1:{urlsplit(url).port}/", image_bytes()))
        _thread.interrupt_main()

    def open_browser(url):
        urls.append(url)
        threading.Thread(target=use_and_interrupt, args=(url,)).start()

    monkeypatch.setattr(webbrowser, "open", open_browser)
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(KeyboardInterrupt):
        serve(captioner, host, 0, beam=5, consensus=True)
    assert answers[0][0] == 200
    # The first photo only warms it up.
    assert (captioner.options, captioner.captioned) == ({"beam": 5, "consensus": True}, 2)
    name = "localhost" if host == "0.0.0.0" else "127.0.0.1"
    assert re.fullmatch(rf"http://{re.escape(name)}:[0-9]+/", urls[0])
    printed, *more = capsys.readouterr().out.splitlines()
    assert printed == f"caption photos at {urls[0]} (Ctrl-C stops)"
    # Who else can reach it is said.
    assert [line[:31] for line in more] == ["everyone on the network can use"] * (host == "0.0.0.0")


def test_addresses_that_cannot_be_served_at_are_the_users_mistake(captioner):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"cannot serve at 127\.0\.0\.1:{port}: .*in use"):
            serve(captioner, "127.0.0.1", port)
    with pytest.raises(UserError, match=r"cannot serve at 203\.0\.113\.7:0: .*another port"):
        serve(captioner, "203.0.113.7", 0)
    assert captioner.captioned == 0
