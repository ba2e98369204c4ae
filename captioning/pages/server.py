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
from typing import Any

import waitress
from flask import Flask, Response, abort, request
from PIL import Image
from werkzeug.exceptions import HTTPException

from captioning.captioner import Captioner
from captioning.cli import UserError
from captioning.pages.page import Caption, Card, fill, render_card
from captioning.photos.reading import PhotoError

PHOTO_MEGABYTES = 30  # the limit of one photo

# Hosts that this computer alone can reach.
LOOPBACK = ("127.0.0.1", "::1", "localhost")

# Of every answer; the page itself says which scripts it runs.
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def serve(captioner: Captioner, host: str, port: int, **decoding: Any) -> None:
    """Serves the page until Ctrl-C, which raises `KeyboardInterrupt` as everywhere.

    Port 0 is any that is free. `decoding` are options of `Captioner.caption_all`.

    Raises:
        UserError: if the address cannot be served at.
    """
    page = DropPage(captioner, host, decoding)
    # Flask refuses a long photo with a sentence; one that is far too long is not even received.
    limit = 2 * PHOTO_MEGABYTES * 10**6
    # Waitress would tell of every photo that waits for another.
    logging.getLogger("waitress").setLevel(logging.ERROR)
    with _listen(host, port) as listener:
        # The first photo has the networks compiled, which no person should wait for.
        list(captioner.caption_all([Image.new("RGB", (64, 64))], **decoding))
        app = page.make_app()
        server = waitress.create_server(app, sockets=[listener], max_request_body_size=limit)
        _announce(host, server.effective_port)
        server.run()
        # The interpreter must not exit while a network runs. Waitress keeps Ctrl-C to itself.
        page.captioning.acquire()
        raise KeyboardInterrupt


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        cause = f"cannot serve at {host}:{port}: {error.strerror or error}"
        raise UserError(f"{cause}; choose another port, or 0 for any free one") from error


def _announce(host: str, port: int) -> None:
    name = "localhost" if host in ("", "0.0.0.0", "::") else host
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
    print(f"caption photos at {url} (Ctrl-C stops)", flush=True)
    if host not in LOOPBACK:
        print("everyone on the network can use it, at an IP address of this computer", flush=True)
    # A browser for the terminal would take the terminal over.
    desktops = {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
    if desktops or sys.platform in ("darwin", "win32"):
        webbrowser.open(url)


class DropPage:
    """The page, and the card of each photo that is posted."""

    def __init__(self, captioner: Captioner, host: str, decoding: dict[str, Any]):
        self.captioner = captioner
        self.names = {"localhost", host.lower()} - {""}
        self.decoding = decoding
        # One photo at a time, and none once the server has ended.
        self.captioning = threading.Lock()
        content = {"title": "Caption photos", "doubts": captioner.doubts, "waiting": Card("", None)}
        content |= {"megabytes": PHOTO_MEGABYTES, "status": ""}
        self.html = fill("drop.html", ["page.js", "drop.js"], content, connect="'self'")

    def make_app(self) -> Flask:
        """Returns the WSGI application that waitress serves."""
        app = Flask(__name__, static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = PHOTO_MEGABYTES * 10**6
        app.before_request(self._check)
        app.add_url_rule("/", "page", lambda: self.html)
        app.add_url_rule("/caption", "caption", self._caption, methods=["POST"])
        app.register_error_handler(HTTPException, self._explain)
        app.after_request(self._add_headers)
        return app

    def _check(self) -> None:
        """Refuses photos from pages of other sites, and names that lead here but are not ours.

        A page under such a name could read the answers (DNS rebinding).
        """
        host = request.headers.get("Host", "")
        name = re.sub(":[0-9]+$", "", host.lower())
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            if name not in self.names:
                abort(403, "This page is served under localhost or an IP address only.")
        if request.method == "POST" and request.headers.get("Origin") != f"http://{host}":
            abort(403, "Photos are taken from this page only.")

    def _caption(self) -> str:
        photo = request.get_data() or abort(400, "This file is empty.")
        with self.captioning:
            ((_, result),) = self.captioner.caption_all([io.BytesIO(photo)], **self.decoding)
        if isinstance(result, PhotoError):
            abort(422, f"This photo cannot be read: {result}.")
        captions = (Caption((), result.tokens, is_unsure=result.is_unsure),)
        return render_card(Card(request.args["name"], io.BytesIO(photo), captions), result.language)

    def _explain(self, error: HTTPException) -> tuple[str, int, dict[str, str]]:
        # Of a fault of the captioner, Flask prints the traceback.
        return error.description, error.code, {"Content-Type": "text/plain; charset=utf-8"}

    def _add_headers(self, response: Response) -> Response:
        response.headers.update(HEADERS)
        return response
