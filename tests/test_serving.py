"""The local page on which photos are dropped: its server, and its behavior in a browser."""

import _thread
import contextlib
import html
import http.client
import io
import json
import os
import re
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from types import SimpleNamespace

import pillow_heif
import pytest
from PIL import Image
from support import ENCODER_RECORD, draw_photos
from test_captioner import Encoder
from test_decoding import VOCABULARY, random_captioner

from captioning.captioner import Captioner, PhotoCaption
from captioning.cli import UserError
from captioning.network.decoding import TokenProbability
from captioning.network.saved_model import SavedModel
from captioning.pages import serving
from captioning.pages.serving import server as server_module
from captioning.pages.serving import worker as worker_module
from captioning.pages.serving.page import PHOTO_MEGABYTES
from captioning.pages.serving.server import PageServer
from captioning.pages.serving.worker import CaptionWorker
from captioning.photos.reading import PhotoError, opened

ATTACK = "\"'><script>document.title='broken in';alert(1)</script><img src=x onerror=alert(2)>&amp;"

ESCAPE, RIGHT, TAB = "\ue00c", "\ue014", "\ue004"


def make_caption(words):
    alternatives = (("cat", 0.25), ("endseq", 0.0625))
    probabilities = (0.05, 0.3, 0.9, 0.6, 0.8)
    tokens = tuple(
        TokenProbability(word, probability, alternatives)
        for word, probability in zip([*words.split(), "endseq"], probabilities, strict=False)
    )
    return PhotoCaption(words, tokens)


class StandIn:
    """Captions a photo with its size, as `Captioner.caption_all` does, and keeps the batches."""

    def __init__(self, *doubts):
        self.doubts = doubts
        self.batches = []
        self.decoding = None
        self.words = "{} by {}"
        self.error = None
        self.gate = threading.Event()
        self.gate.set()
        self.running = 0

    def caption_all(self, photos, **decoding):
        """Yields each photo with its caption, or with the error that says why it has none."""
        self.running += 1
        assert self.running == 1, "two threads caption at once"
        self.batches.append(list(photos))
        self.decoding = decoding
        assert self.gate.wait(20)
        if self.error:
            self.running -= 1
            raise self.error
        for photo in photos:
            try:
                with opened(photo) as image:
                    image.load()
                    yield photo, make_caption(self.words.format(*image.size))
            except PhotoError as error:
                yield photo, error
        self.running -= 1


@contextlib.contextmanager
def running(captioner, folder, host="127.0.0.1", **decoding):
    """Runs a server in a thread."""
    folder.mkdir(exist_ok=True)
    with (
        CaptionWorker(captioner, decoding) as worker,
        PageServer(host, 0, worker, folder) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def captioner():
    return StandIn()


@pytest.fixture
def server(captioner, tmp_path):
    """Runs a server, which must have deleted every photo in the end."""
    with running(captioner, tmp_path / "received", beam=3) as server:
        yield server
    assert list(server.folder.iterdir()) == []


def jpeg(size=(40, 30), color=(200, 0, 0)):
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "JPEG")
    return buffer.getvalue()


def ask(server, method, path, body=None, headers=()):
    """Sends a request as the page does and returns status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    with contextlib.closing(connection):
        own = {"Origin": f"http://127.0.0.1:{server.server_port}"} if method == "POST" else {}
        connection.request(method, path, body, {**own, **dict(headers)})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def post(server, body, headers=()):
    """Posts a photo and returns the status and what the page is answered."""
    status, received, content = ask(server, "POST", "/caption", body, headers)
    assert received["Content-Type"] == "application/json"
    return status, json.loads(content)


def exchange(server, request, then=b"", close=False):
    """Sends bytes and returns the status and the answer's sentence."""
    address = "127.0.0.1", server.server_port
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(request.replace(b"HOST", b"127.0.0.1:%d" % server.server_port))
        if close:
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            connection.sendall(then)
        with connection.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    status = int(head.split()[1])
    return status, json.loads(body)["error"]


HEAD = b"POST /caption HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\n"


# ---- Server ----


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Makes a captioner with a network, of random weights."""
    model = random_captioner(4, length=ENCODER_RECORD["length"])
    return Captioner(SavedModel(model, VOCABULARY, ENCODER_RECORD), Encoder())


def test_the_answer_is_what_python_gives(network, tmp_path):
    draw_photos(tmp_path / "photos", 9)
    paths = sorted((tmp_path / "photos").iterdir())
    options = {"beam": 4, "no_repeat_ngram_size": 3}
    with running(network, tmp_path / "received", **options) as server:
        server.worker.warm_up()
        with ThreadPoolExecutor(len(paths)) as threads:
            bodies = [path.read_bytes() for path in paths]
            answers = list(threads.map(post, repeat(server), bodies))
    for (status, answer), (_, caption) in zip(
        answers, network.caption_all(paths, **options), strict=True
    ):
        if isinstance(caption, PhotoError):
            assert status == 422
            continue
        assert answer["caption"] == caption.sentence
        assert answer["confidence"] == pytest.approx(caption.confidence, rel=0.01)
        for token, expected in zip(answer["tokens"], caption.tokens, strict=True):
            assert expected.is_end or token["word"].lower() == expected.word
            assert token["probability"] == pytest.approx(expected.probability, rel=0.01)
            assert len(token["alternatives"]) == len(expected.alternatives)
    assert [status for status, _ in answers].count(422) == 1


def test_photo_is_captioned(server, captioner):
    status, answer = post(server, jpeg())
    assert status == 200
    assert answer["caption"] == "40 by 30."
    assert answer["confidence"] == pytest.approx((0.05 * 0.3 * 0.9 * 0.6) ** (1 / 4))
    assert [token["word"] for token in answer["tokens"]] == ["40", "by", "30", ""]
    assert [token["is_end"] for token in answer["tokens"]] == [False, False, False, True]
    assert [token["shade"] for token in answer["tokens"]] == [0, 2, 4, 3]
    assert answer["tokens"][0]["probability"] == 0.05
    assert answer["tokens"][0]["alternatives"] == [["cat", 0.25], ["(end)", 0.0625]]
    assert answer["thumbnail"].startswith("data:image/jpeg;base64,")
    assert captioner.decoding == {"beam": 3}
    # All that the captioner is given lies in the folder of the server.
    assert {path.parent for batch in captioner.batches for path in batch} == {server.folder}


def test_page_and_its_files_are_served(server):
    status, headers, page = ask(server, "GET", "/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert not re.search(rb"\{[{%]", page)
    names = re.findall(r'(?:href|src)="([^"]+)"', page.decode())
    assert set(names) == {"data:,", "gallery.css", "page.css", "words.js", "page.js"}
    for name in ("gallery.css", "page.css", "words.js", "page.js?x=1"):
        status, headers, content = ask(server, "GET", f"/{name}")
        assert (status, len(content)) == (200, int(headers["Content-Length"]))
        kind = "css" if "css" in name else "javascript"
        assert headers["Content-Type"] == f"text/{kind}; charset=utf-8"
        assert not re.search(rb"https?:|innerHTML|eval\(|insertAdjacent|url\(|@import", content)


def test_doubts_about_the_model_are_shown(tmp_path):
    with running(StandIn("It knows drawings.", ATTACK), tmp_path) as server:
        page = ask(server, "GET", "/")[2].decode()
    assert '<p class="doubt">It knows drawings.</p>' in page
    assert ATTACK not in page
    assert ATTACK in html.unescape(page)


@pytest.mark.parametrize(
    "path",
    ["/server.py", "/../server.py", "/%2e%2e/cli.py", "//etc/passwd", "/etc/passwd", "/page.css/"],
)
def test_nothing_else_is_served(server, path):
    status, _, content = ask(server, "GET", path)
    assert (status, content) == (404, b"There is no such page.")
    assert ask(server, "POST", path, b"x")[0] == 404


def test_every_answer_forbids_what_the_page_does_not_need(server):
    answers = [ask(server, "GET", "/"), ask(server, "GET", "/x"), ask(server, "POST", "/caption")]
    # Of what the standard library answers itself.
    answers.append(ask(server, "DELETE", "/"))
    for _, headers, _ in answers:
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:PORT", 200),
        ("LocalHost", 200),
        ("127.0.0.1:PORT", 200),
        ("[::1]:PORT", 200),
        ("192.168.1.7:PORT", 200),
        ("attacker.example:PORT", 403),
        ("127.0.0.1.attacker.example", 403),
        ("localhost.attacker.example", 403),
        ("attacker.example@127.0.0.1:x", 403),
        ("[::1", 403),
        (":80", 403),
        ("", 403),
    ],
)
def test_names_that_another_dns_server_may_give_are_refused(server, captioner, host, expected):
    host = host.replace("PORT", str(server.server_port))
    status, _, content = ask(server, "GET", "/", headers={"Host": host})
    assert status == expected
    if expected != 200:
        assert content == b"This page is served under localhost or an IP address only."
    headers = {"Host": host, "Origin": f"http://{host}"}
    status, answer = post(server, jpeg(), headers)
    assert status == expected
    assert len(captioner.batches) == (expected == 200)
    assert ("error" in answer) == (expected != 200)


def test_a_request_without_host_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().split()[1] == b"403"


@pytest.mark.parametrize(
    "origin",
    ["http://attacker.example", "null", "", "http://127.0.0.1", "https://127.0.0.1:PORT", None],
)
def test_pages_of_other_sites_get_no_captions(server, captioner, origin):
    line = f"Origin: {origin}\r\n".replace("PORT", str(server.server_port)).encode()
    request = HEAD.replace(b"Origin: http://HOST\r\n", b"" if origin is None else line)
    status, sentence = exchange(server, request + b"Content-Length: 1\r\n\r\nx")
    assert (status, sentence) == (403, "Photos are taken from this page only.")
    assert captioner.batches == []


@pytest.mark.parametrize(
    ("lines", "status", "sentence"),
    [
        (b"", 411, "The length of the photo is missing: send Content-Length."),
        (b"Transfer-Encoding: chunked\r\n", 411, "The length of the photo is missing"),
        (b"Content-Length: 0\r\n", 400, "This file is empty."),
        (b"Content-Length: -5\r\n", 400, "The Content-Length is no number of bytes."),
        (b"Content-Length: +5\r\n", 400, "The Content-Length is no number"),
        (b"Content-Length: 1_0\r\n", 400, "The Content-Length is no number"),
        (b"Content-Length: \xb2\r\n", 400, "The Content-Length is no number"),
        (b"Content-Length: 5, 5\r\n", 400, "The Content-Length is no number"),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400, "The Content-Length is no number"),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", 400, "The Content-Length is no number"),
        (b"Content-Length: 30000001\r\n", 413, "This file is 31 MB; the limit is 30 MB."),
        (b"Content-Length: 99999999999\r\n", 413, "This file is 100,000 MB; the limit is 30 MB."),
    ],
)
def test_bad_lengths_are_refused(server, captioner, lines, status, sentence):
    answer = exchange(server, HEAD + lines + b"\r\n", close=True)
    assert answer[0] == status
    assert answer[1].startswith(sentence)
    assert captioner.batches == []


def test_a_photo_of_the_largest_size_is_taken(server):
    # What follows the end of a JPEG does not count.
    padded = jpeg().ljust(PHOTO_MEGABYTES * server_module.MEGABYTE, b"\0")
    assert post(server, padded)[0] == 200
    assert post(server, padded + b"\0")[0] == 413


def test_a_photo_that_is_too_large_is_never_in_memory(server, captioner):
    tracemalloc.start()
    try:
        chunks = (bytes(100_000) for _ in range(500))
        status, answer = post(server, chunks, {"Content-Length": "50000000"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (status, answer) == (413, {"error": "This file is 50 MB; the limit is 30 MB."})
    assert peak < 2_000_000
    assert captioner.batches == []


def test_a_photo_that_arrives_in_part_is_refused(server, captioner):
    photo = jpeg()
    request = HEAD + b"Content-Length: %d\r\n\r\n" % (len(photo) + 1) + photo
    assert exchange(server, request, close=True) == (400, "The photo has arrived in part only.")
    assert captioner.batches == []


def test_slow_clients_are_given_up(server, captioner, monkeypatch):
    late = (408, "The photo took too long to arrive: try again.")
    request = HEAD + b"Content-Length: 9\r\n\r\n"
    monkeypatch.setattr(server_module.PageHandler, "timeout", 0.2)
    assert exchange(server, request + b"x") == late
    # One that sends a byte now and then.
    monkeypatch.setattr(server_module, "UPLOAD_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        connection.sendall(request.replace(b"HOST", b"127.0.0.1:%d" % server.server_port))
        for _ in range(8):
            time.sleep(0.1)
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"x")
        assert b" 408 " in connection.recv(100)
    # One that sends no request at all.
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        assert connection.recv(100) == b""
    assert captioner.batches == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no photo at all", "cannot identify image file."),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify image file."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot identify image file."),
        (jpeg((900, 900))[:3000], "image file is truncated"),
    ],
)
def test_what_is_no_photo_gets_a_sentence(server, content, reason):
    status, answer = post(server, content)
    assert status == 422
    assert list(answer) == ["error"]
    assert answer["error"].startswith(f"This photo cannot be read: {reason}")
    assert "tmp" not in answer["error"]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_get_a_sentence(server, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    status, answer = post(server, jpeg())
    assert status == 422
    assert "40 x 30 pixels" in answer["error"]


def test_photos_of_many_clients_are_captioned_together_in_one_thread(server, captioner):
    captioner.gate.clear()
    sizes = [(10 + number, 20) for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(post, server, jpeg(size)) for size in sizes]
        while len(list(server.folder.iterdir())) < len(sizes):
            time.sleep(0.01)
        time.sleep(0.1)
        captioner.gate.set()
        captions = [answer.result()[1]["caption"] for answer in answers]
    # Everybody gets the caption of their own photo.
    assert captions == [f"{width} by 20." for width, _ in sizes]
    assert max(map(len, captioner.batches)) == worker_module.PHOTOS_TOGETHER
    assert len(captioner.batches) < 10


def test_a_bad_photo_does_not_spoil_those_beside_it(server, captioner):
    captioner.gate.clear()
    bodies = [jpeg(), b"no photo", jpeg(), b"none", jpeg()]
    with ThreadPoolExecutor(5) as threads:
        answers = [threads.submit(post, server, body) for body in bodies]
        while len(list(server.folder.iterdir())) < len(bodies):
            time.sleep(0.01)
        captioner.gate.set()
        assert [answer.result()[0] for answer in answers] == [200, 422, 200, 422, 200]


def test_more_photos_than_may_wait_are_refused(captioner, tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "PHOTOS_AT_ONCE", 2)
    captioner.gate.clear()
    with running(captioner, tmp_path) as server, ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(post, server, jpeg()) for _ in range(2)]
        while len(list(server.folder.iterdir())) < 2:
            time.sleep(0.01)
        busy = post(server, jpeg())
        captioner.gate.set()
        assert [answer.result()[0] for answer in answers] == [200, 200]
        assert busy == (503, {"error": "Too many photos are waiting: try again in a moment."})
        assert post(server, jpeg())[0] == 200


def test_a_failure_of_the_captioner_is_answered_and_printed(server, captioner, capsys):
    captioner.error = RuntimeError("out of\nmemory")
    status, answer = post(server, jpeg())
    assert (status, answer) == (500, {"error": "The captioner failed: out of\\nmemory"})
    captioner.error = None
    assert post(server, jpeg())[0] == 200
    printed = ""
    while "RuntimeError: out of\nmemory" not in printed:
        time.sleep(0.01)
        printed += capsys.readouterr().err


def test_nothing_is_printed_about_clients_that_leave(server, capsys):
    address = "127.0.0.1", server.server_port
    request = HEAD.replace(b"HOST", b"127.0.0.1:%d" % server.server_port)
    for sent in (b"", b"GET", b"\x16\x03\x01\r\n\r\n", request + b"Content-Length: 999\r\n\r\nx"):
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(sent)
            # A reset instead of an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert post(server, jpeg())[0] == 200
    assert capsys.readouterr() == ("", "")


# ---- serve ----


def serve_until_interrupted(captioner, monkeypatch, *arguments, **options):
    """Runs `serve`, interrupts it while a photo is being captioned, and returns the address."""
    urls = []

    def open_browser(url):
        urls.append(url)
        threading.Thread(target=drop_and_interrupt, args=(url,)).start()

    def drop_and_interrupt(url):
        port = int(url.rstrip("/").rpartition(":")[2])
        # The first two batches only warm it up.
        while len(captioner.batches) < 2 or captioner.running:
            time.sleep(0.01)
        captioner.gate.clear()
        threading.Thread(target=leave, args=(port,), daemon=True).start()
        while len(captioner.batches) < 3:
            time.sleep(0.01)
        _thread.interrupt_main()
        time.sleep(0.1)
        captioner.gate.set()

    def leave(port):
        with contextlib.suppress(OSError, http.client.HTTPException):
            post(SimpleNamespace(server_port=port), jpeg())

    monkeypatch.setattr(serving.webbrowser, "open", open_browser)
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(KeyboardInterrupt):
        serving.serve(captioner, *arguments, **options)
    return urls


def test_serve_opens_the_browser_and_leaves_nothing(captioner, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(serving.tempfile, "tempdir", str(tmp_path))
    (url,) = serve_until_interrupted(captioner, monkeypatch, beam=5, consensus=True)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", url)
    assert captioner.decoding == {"beam": 5, "consensus": True}
    assert [len(batch) for batch in captioner.batches] == [1, 2, 1]
    assert captioner.batches[-1][0].is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == (f"caption photos at {url} (Ctrl-C stops)\n", "")


def test_serve_says_when_others_can_reach_it(captioner, monkeypatch, capsys):
    (url,) = serve_until_interrupted(captioner, monkeypatch, "0.0.0.0")
    assert url.startswith("http://localhost:")
    assert "everyone on the network can use it" in capsys.readouterr().out


def test_no_browser_is_opened_in_a_terminal(monkeypatch):
    monkeypatch.setattr(serving.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not serving.has_desktop()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert serving.has_desktop()


def test_hosts_that_others_can_reach_are_known():
    own = ("127.0.0.1", "127.9.9.9", "::1", "localhost")
    assert all(serving.is_loopback(host) for host in own)
    others = ("0.0.0.0", "::", "192.168.1.7", "example.org", "")
    assert not any(serving.is_loopback(host) for host in others)


def test_a_server_listens_on_ipv6_and_answers_to_its_own_name(captioner, tmp_path):
    with running(captioner, tmp_path, "localhost") as server:
        assert server.url == f"http://localhost:{server.server_port}/"
    try:
        server = PageServer("::1", 0, CaptionWorker(captioner, {}), tmp_path)
    except OSError:
        pytest.skip("there is no IPv6 here")
    assert server.url == f"http://[::1]:{server.server_port}/"
    server.server_close()


def test_addresses_that_cannot_be_served_at_are_the_users_mistake(captioner):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"cannot serve at 127\.0\.0\.1:{port}: .*in use"):
            serving.serve(captioner, port=port, open_browser=False)
    for host, port in (("203.0.113.7", 0), ("no.such.host.invalid", 0), ("127.0.0.1", 70000)):
        with pytest.raises(UserError, match=f"cannot serve at {host}:{port}: .*another port"):
            serving.serve(captioner, host, port, open_browser=False)


def test_two_servers_never_share_a_port(captioner, tmp_path, server):
    with pytest.raises(UserError, match="in use"):
        serving.serve(captioner, port=server.server_port, open_browser=False)


# ---- Page ----


class Page:
    """The page in the browser, as a person uses it."""

    def __init__(self, driver):
        self.driver = driver

    def run(self, script, *arguments):
        """Runs a script in the page and returns what it returns."""
        return self.driver.execute_script(script, *arguments)

    def choose(self, *paths):
        """Chooses files."""
        self.driver.find_element("id", "files").send_keys("\n".join(map(str, paths)))

    def look(self, width, scheme):
        """Has the window this width, and the system the light or dark scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def wait_for(self, status):
        """Waits until the status begins so."""
        deadline = time.monotonic() + 60
        while not self.status().startswith(status):
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.05)

    def status(self):
        """Returns what is announced."""
        return self.run("return document.getElementById('status').textContent")

    def texts(self, selector):
        """Lists the texts of elements, in their order."""
        return self.run(
            "return Array.from(document.querySelectorAll(arguments[0]), e => e.textContent)",
            selector,
        )

    def find(self, selector):
        """Returns the first element."""
        return self.driver.find_element("css selector", selector)

    def give(self, event, *names):
        """Drops or pastes small photos that are drawn in the page, with these names."""
        self.driver.execute_async_script(
            """
            const [event, names, done] = arguments;
            const canvas = document.createElement("canvas");
            canvas.width = 60;
            canvas.height = 40;
            canvas.toBlob((blob) => {
              const data = new DataTransfer();
              for (const name of names) data.items.add(new File([blob], name));
              const Kind = event === "paste" ? ClipboardEvent : DragEvent;
              const key = event === "paste" ? "clipboardData" : "dataTransfer";
              document.body.dispatchEvent(
                new Kind(event, { bubbles: true, cancelable: true, [key]: data }),
              );
              done();
            });
            """,
            event,
            names,
        )


@pytest.fixture
def page(chromium, server):
    """Opens the page; afterwards the console must hold nothing but what was refused."""
    chromium.get_log("browser")
    chromium.set_window_size(1200, 900)
    chromium.get(server.url)
    yield Page(chromium)
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    messages = [entry["message"] for entry in chromium.get_log("browser")]
    assert [text for text in messages if "the server responded with a status of" not in text] == []
    # Leaves the server before it is closed.
    chromium.get("about:blank")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a dog.jpg"
    path.write_bytes(jpeg())
    return path


def test_a_chosen_photo_appears_at_once_and_then_its_caption(page, captioner, photo):
    captioner.gate.clear()
    page.choose(photo)
    page.wait_for("0 of 1 photo captioned.")
    assert page.texts("h2") == ["a dog.jpg"]
    assert page.texts(".texts p") == ["waiting …"]
    width = "return document.querySelector('.photo img').decode().then(() => {}, e => e.message)"
    assert page.run(width) is None
    captioner.gate.set()
    page.wait_for("1 of 1 photo captioned.")
    assert page.texts(".label") == ["confidence 30%"]
    assert page.texts(".words") == ["40 by 30.\u00a0■"]
    words = "document.querySelectorAll('.words [data-probability]')"
    shades = f"return Array.from({words}, word => word.className)"
    assert page.run(shades) == ["shade0", "shade2", "shade4", "shade3 end"]
    assert "Point at a word" in page.find("#legend").text
    assert page.run("return document.querySelector('.photo img').naturalWidth") == 40


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photos_are_dropped_and_pasted(page, event):
    page.give(event, "one.png", ATTACK)
    page.wait_for("2 of 2 photos captioned.")
    assert page.texts("h2") == ["one.png", ATTACK]
    assert page.texts(".words") == ["60 by 40.\u00a0■"] * 2
    assert page.driver.title == "Caption photos"


def test_what_is_dropped_without_a_file_gets_a_sentence(page):
    page.give("drop")
    assert page.status() == "That is not a file: save the picture first, then drop its file."
    page.give("paste")
    assert page.texts(".card") == []


def test_hostile_words_stay_text(page, captioner, photo):
    captioner.words = ATTACK.replace(" ", "_")
    page.choose(photo)
    page.wait_for("1 of 1 photo captioned.")
    assert page.texts(".words [data-probability]") == [captioner.words, "■"]
    page.find(".words [data-probability]").click()
    assert captioner.words in page.find("#tooltip").text
    assert page.run("return document.images.length") == 1


def test_words_show_their_alternatives(page, photo):
    from selenium.webdriver import ActionChains

    page.choose(photo)
    page.wait_for("1 of 1 photo captioned.")
    first, second, *_ = page.driver.find_elements("css selector", ".words [data-probability]")
    tooltip = page.find("#tooltip")
    ActionChains(page.driver).move_to_element(second).perform()
    others = "it might have said\ncat\n25%\n(end)\n6.3%"
    assert tooltip.text == f"by\n30%\n{others}"
    ActionChains(page.driver).move_to_element(page.find("h1")).perform()
    assert not tooltip.is_displayed()
    # A tap.
    first.click()
    assert tooltip.text == f"40\n5.0%\n{others}"
    # Keys.
    page.driver.switch_to.active_element.send_keys(RIGHT)
    assert tooltip.text.startswith("by\n")
    page.driver.switch_to.active_element.send_keys(ESCAPE)
    assert not tooltip.is_displayed()
    page.driver.switch_to.active_element.send_keys(TAB)
    active = page.driver.switch_to.active_element
    assert active.accessible_name == "Copy the caption of a dog.jpg"


def test_captions_are_copied(page, captioner, tmp_path, photo):
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    (tmp_path / "b.jpg").write_bytes(jpeg((50, 20)))
    (tmp_path / "notes.jpg").write_text("no photo")
    page.choose(photo, tmp_path / "notes.jpg", tmp_path / "b.jpg")
    page.wait_for("2 of 3 photos captioned, 1 without caption.")

    def copied():
        return page.driver.execute_async_script(
            "navigator.clipboard.readText().then(arguments[0], e => arguments[0](e.message))"
        )

    page.find(".card:nth-child(3) button").click()
    page.wait_for("Copied: 50 by 20.")
    assert copied() == "50 by 20."
    page.find("#copy").click()
    page.wait_for("All captions are copied.")
    assert copied() == "a dog.jpg\t40 by 30.\nb.jpg\t50 by 20.\n"


def test_twenty_real_photos_at_once(page, captioner, flickr8k):
    photos = sorted((flickr8k / "photos").glob("*.jpg"))[:20]
    assert len(photos) == 20
    page.choose(*photos)
    page.wait_for("20 of 20 photos captioned.")
    assert page.texts("h2") == [path.name for path in photos]
    sizes = [Image.open(path).size for path in photos]
    assert page.texts(".words") == [f"{width} by {height}.\u00a0■" for width, height in sizes]
    shown = "return Array.from(document.images, image => image.naturalWidth)"
    assert set(page.run(shown)) <= {256, *range(100, 256)}


def test_a_photo_that_the_browser_cannot_show_gets_the_servers_thumbnail(page, captioner, tmp_path):
    pillow_heif.from_pillow(Image.new("RGB", (80, 40))).save(tmp_path / "phone.heic")
    captioner.gate.clear()
    page.choose(tmp_path / "phone.heic")
    page.wait_for("0 of 1")
    while page.texts(".photo") != ["no preview"]:
        time.sleep(0.05)
    captioner.gate.set()
    page.wait_for("1 of 1 photo captioned.")
    assert page.texts(".photo") == [""]
    width = (
        "return document.querySelector('.photo img').decode().then(() => document.images[0].width)"
    )
    assert page.run(width) == 80


def test_bad_files_get_a_sentence(page, captioner, tmp_path):
    (tmp_path / "notes.jpg").write_text("no photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(50_000_000)
    page.choose(*(tmp_path / name for name in ("large.jpg", "empty.jpg", "notes.jpg")))
    page.wait_for("0 of 3 photos captioned, 3 without caption.")
    assert page.texts(".error") == [
        "This file is 50 MB; the limit is 30 MB.",
        "This file is empty.",
        "This photo cannot be read: cannot identify image file.",
    ]
    # The large one was not even sent.
    assert sum(map(len, captioner.batches)) == 1


def test_a_browser_that_sends_50_megabytes_reads_why_they_are_refused(page):
    answer = page.driver.execute_async_script(
        "fetch('caption', { method: 'POST', body: new Blob([new Uint8Array(50e6)]) })"
        ".then(async response => [response.status, await response.json()])"
        ".then(arguments[0], error => arguments[0](error.message))"
    )
    assert answer == [413, {"error": "This file is 50 MB; the limit is 30 MB."}]


def test_photos_beyond_the_limit_are_left_out(page, captioner):
    page.give("drop", *(f"{number}.png" for number in range(104)))
    page.wait_for("100 of 100 photos captioned.")
    sentence = "4 left out: the page holds 100 photos. Remove all to add others."
    assert page.status() == f"100 of 100 photos captioned. {sentence}"
    page.find("#clear").click()
    assert (page.texts(".card"), page.status()) == ([], "")
    assert not page.find("#copy").is_displayed()
    page.give("drop", "again.png")
    page.wait_for("1 of 1 photo captioned.")


def test_a_server_that_is_gone_gets_a_sentence(page, captioner, monkeypatch):
    # The page cannot tell a server that is gone from one that hangs up.
    monkeypatch.setattr(server_module.PageHandler, "do_POST", lambda self: None)
    page.give("drop", "one.png")
    page.wait_for("0 of 1 photo captioned, 1 without caption.")
    sentence = "The program that serves this page does not answer: start it again."
    assert page.texts(".error") == [sentence]
    # What the browser itself writes about it.
    page.driver.get_log("browser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_overflows(page, captioner, tmp_path, width, scheme):
    long_name = tmp_path / f"{'x' * 120}.jpg"
    long_name.write_bytes(jpeg((900, 60)))
    (tmp_path / "tall.jpg").write_bytes(jpeg((60, 900)))
    (tmp_path / "notes.jpg").write_text("no photo")
    captioner.words = f"{'w' * 90} {{}} {{}}"
    page.look(width, scheme)
    page.choose(long_name, tmp_path / "tall.jpg", tmp_path / "notes.jpg")
    page.wait_for("2 of 3 photos captioned, 1 without caption.")
    overflow = (
        "const spare = (box) => box.scrollWidth - box.clientWidth;"
        "return Array.from(document.querySelectorAll('html, #drop, #bar, #tooltip, .card'), spare)"
    )
    for word in page.driver.find_elements(
        "css selector", ".card:first-child .words [data-probability]"
    ):
        word.click()
        assert page.find("#tooltip").is_displayed()
        assert set(page.run(overflow)) == {0}
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 380) == (scheme == "light")
    if "SCREENSHOTS" in os.environ:
        page.driver.save_screenshot(f"{os.environ['SCREENSHOTS']}/{width}-{scheme}.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers_are_found_by_axe(page, photo, tmp_path, scheme):
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core-python is missing")
    page.look(360, scheme)
    found = axe.Axe().run(page.driver)["violations"]
    (tmp_path / "notes.jpg").write_text("no photo")
    page.choose(photo, tmp_path / "notes.jpg")
    page.wait_for("1 of 2 photos captioned")
    page.find(".words [data-probability]").click()
    found += axe.Axe().run(page.driver)["violations"]
    assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_the_page_can_be_used_without_seeing_it(page, photo):
    field = page.find("#files")
    assert (
        field.accessible_name == "Choose photos or drop them anywhere on this page, or paste them."
    )
    page.driver.switch_to.active_element.send_keys(TAB)
    assert page.driver.switch_to.active_element == field
    assert page.find("#status").get_attribute("aria-live") == "polite"
    page.choose(photo)
    page.wait_for("1 of 1 photo captioned.")
    assert page.find(".photo img").get_attribute("alt") == "a dog.jpg"
    assert page.find(".words .end").accessible_name == "end"
    for button in page.driver.find_elements("tag name", "button"):
        assert button.accessible_name.startswith(button.text)
