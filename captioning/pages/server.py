"""A local page on which photos are dropped to be captioned: Flask answers, waitress serves."""

import io
import logging
import os
import re
import socket
import sys
import threading
import webbrowser
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import waitress
from flask import Flask, Response, abort, request
from PIL import Image
from werkzeug.exceptions import HTTPException

from captioning.cli import UserError, one_line
from captioning.pages.page import Caption, Card, fill, render_card
from captioning.photos.reading import PhotoError

if TYPE_CHECKING:
    from captioning.captioner import Captioner

LOOPBACK = "127.0.0.1"

# Limits of one photo, and of the photos on the page.
PHOTO_MEGABYTES = 30
MEGABYTE = 1_000_000
PHOTOS_ON_PAGE = 100

# What every answer says besides the policy of the page.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

SENTENCES = {
    404: "There is no such page.",
    413: f"This file is larger than {PHOTO_MEGABYTES} MB.",
}

_HOST = re.compile(r"(\[[^]]*\]|[^:]+)(:[0-9]+)?")


def serve(
    captioner: "Captioner",
    host: str = LOOPBACK,
    port: int = 0,
    *,
    open_browser: bool = True,
    **decoding: Any,
) -> None:
    """Serves the page until Ctrl-C, which raises `KeyboardInterrupt` as everywhere.

    Port 0 is any that is free. `decoding` are options of `Captioner.caption_all`.

    Raises:
        UserError: if the address cannot be served at.
    """
    with _listen(host, port) as listener:
        # A first photo has the networks compiled, which a person should not wait for.
        list(captioner.caption_all([Image.new("RGB", (64, 64))], **decoding))
        page = DropPage(captioner, host, decoding)
        # Waitress would tell of every photo that waits for another.
        logging.getLogger("waitress").setLevel(logging.ERROR)
        # What is longer than Flask takes is not even received.
        limit = 2 * PHOTO_MEGABYTES * MEGABYTE
        app = page.make_app()
        server = waitress.create_server(app, sockets=[listener], max_request_body_size=limit)
        name = "localhost" if host in ("", "0.0.0.0", "::") else host
        url = f"http://{f'[{name}]' if ':' in name else name}:{server.effective_port}/"
        print(f"caption photos at {url} (Ctrl-C stops)", flush=True)
        if not _is_loopback(host):
            print("everyone on the network can use it, at an IP address of this computer")
        if open_browser and _has_desktop():
            webbrowser.open(url)
        server.run()
        # The interpreter must not exit while a network runs.
        page.captioning.acquire()
        # Waitress keeps Ctrl-C to itself.
        raise KeyboardInterrupt


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"cannot serve at {host}:{port}: {error.strerror or error}; choose another port, or 0 "
            "for any free one"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _has_desktop() -> bool:
    """Tells whether a browser can open a window; one for the terminal would take it over."""
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(name in os.environ for name in names)


class DropPage:
    """The page, and a card with its caption for each photo that is posted."""

    def __init__(self, captioner: "Captioner", host: str, decoding: dict[str, Any]):
        self.captioner = captioner
        self.host = host.lower()
        self.decoding = decoding
        self.captioning = threading.Lock()
        content = {
            "title": "Caption photos",
            "photos": PHOTOS_ON_PAGE,
            "megabytes": PHOTO_MEGABYTES,
            "doubts": captioner.doubts,
            "waiting": Card("", None, ()),
        }
        self.html, policy = fill("drop.html", ["page.js", "drop.js"], content, connect="'self'")
        self.headers = HEADERS | {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}

    def make_app(self) -> Flask:
        """Returns the WSGI application that waitress serves."""
        app = Flask(__name__, static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = PHOTO_MEGABYTES * MEGABYTE
        app.before_request(self.check_origin)
        app.add_url_rule("/", view_func=lambda: self.html, endpoint="page")
        app.add_url_rule("/caption", view_func=self.caption, methods=["POST"])
        app.register_error_handler(HTTPException, self.explain)
        app.after_request(self.add_headers)
        return app

    def check_origin(self) -> None:
        """Refuses photos from pages of other sites, and names that lead here but are not ours.

        A page of somebody whose DNS server has its name point at this computer could otherwise
        read the answers (DNS rebinding).
        """
        host = request.headers.get("Host", "")
        if not self.is_own_name(host.lower()):
            abort(403, "This page is served under localhost or an IP address only.")
        if request.method == "POST" and request.headers.get("Origin") != f"http://{host}":
            abort(403, "Photos are taken from this page only.")

    def is_own_name(self, host: str) -> bool:
        """Tells whether a name with its port, if any, is this computer's."""
        found = _HOST.fullmatch(host)
        name = found[1] if found else ""
        try:
            return bool(ip_address(name.strip("[]")))
        except ValueError:
            return found is not None and name in ("localhost", self.host)

    def caption(self) -> str:
        """Answers a photo with its card."""
        photo = request.get_data()
        if not photo:
            abort(400, "This file is empty.")
        # The encoder and the decoder serve one thread at a time.
        with self.captioning:
            ((_, result),) = self.captioner.caption_all([io.BytesIO(photo)], **self.decoding)
        if isinstance(result, PhotoError):
            abort(422, f"This photo cannot be read: {result}.")
        name = request.args.get("name", "")
        card = Card(name, io.BytesIO(photo), (Caption((), result.tokens),))
        return render_card(card, result.language)

    def explain(self, error: HTTPException) -> tuple[str, int, dict[str, str]]:
        """Answers a mistake, and a fault of the captioner, with one sentence."""
        sentence = SENTENCES.get(error.code, error.description)
        if fault := getattr(error, "original_exception", None):
            sentence = f"The captioner failed: {one_line(str(fault)) or type(fault).__name__}"
        return sentence, error.code, {"Content-Type": "text/plain; charset=utf-8"}

    def add_headers(self, response: Response) -> Response:
        """Adds the headers that every answer has."""
        response.headers.update(self.headers)
        return response
