"""The HTTP server of the page: its files, and a caption for each photo that is posted."""

import contextlib
import json
import math
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO

from captioning.cli import one_line
from captioning.pages.serving.page import PHOTO_MEGABYTES, caption_json, page_files
from captioning.pages.serving.worker import CaptionWorker
from captioning.photos.reading import PhotoError

# Photos that are received or wait at one time.
PHOTOS_AT_ONCE = 32

# Photos whose thumbnails are made at one time.
THUMBNAILS_AT_ONCE = 2

MEGABYTE = 1_000_000

# A connection is closed after so many seconds without a byte, or when a photo takes longer to
# arrive; what a refused client still sends is read and dropped for so long.
SILENT_SECONDS = 20
UPLOAD_SECONDS = 60
DISCARD_SECONDS = 10

CHUNK = 1 << 16

# The page runs its own scripts and styles alone, and talks to nothing but this server.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

# Hosts that stand for all addresses of this computer.
EVERYWHERE = ("", "0.0.0.0", "::")

_JSON = "application/json"

_HOST = re.compile(r"(?P<name>\[[^]]*\]|[^:]+)(:[0-9]+)?")


class PageServer(ThreadingHTTPServer):
    """Listens at once; `serve_forever` answers, with a thread for each connection."""

    # Otherwise Linux would let two servers share a port, and Windows too.
    allow_reuse_port = False
    allow_reuse_address = os.name != "nt"
    request_queue_size = 64

    def __init__(self, host: str, port: int, worker: CaptionWorker, folder: Path):
        self.host = host
        self.worker = worker
        self.folder = folder
        self.files = page_files(worker.captioner.doubts)
        self.places = threading.BoundedSemaphore(PHOTOS_AT_ONCE)
        # A large photo takes hundreds of megabytes while its thumbnail is made.
        self.thumbnails = threading.BoundedSemaphore(THUMBNAILS_AT_ONCE)
        self.is_closed = False
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), PageHandler)

    @property
    def url(self) -> str:
        """Address of the page on this computer."""
        host = "localhost" if self.host in EVERYWHERE else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.server_port}/"

    def server_close(self) -> None:
        """Stops listening; requests that are being answered fail silently from now on."""
        self.is_closed = True
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints the traceback, but not of clients that went away."""
        is_expected = isinstance(sys.exception(), (ConnectionError, TimeoutError))
        if not (is_expected or self.is_closed):
            super().handle_error(request, client_address)


class RefusalError(Exception):
    """A request that is not served; the message is one plain sentence."""

    def __init__(self, status: HTTPStatus, message: str):
        super().__init__(message)
        self.status = status


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request: HTTP/1.0, so that each has its own connection."""

    server: PageServer
    timeout = SILENT_SECONDS

    def do_GET(self) -> None:
        """Sends a file of the page."""
        try:
            self._check_host()
            path = self.path.partition("?")[0]
            if path not in self.server.files:
                raise RefusalError(HTTPStatus.NOT_FOUND, "There is no such page.")
        except RefusalError as refusal:
            self._answer(refusal.status, "text/plain; charset=utf-8", str(refusal).encode())
        else:
            self._answer(HTTPStatus.OK, *self.server.files[path])

    def do_POST(self) -> None:
        """Captions the photo that the request carries and answers with JSON."""
        try:
            content = self._caption()
        except RefusalError as refusal:
            self._answer_json(refusal.status, {"error": str(refusal)})
            self._discard_rest()
        except ConnectionError:
            raise
        except Exception as error:
            reason = one_line(str(error)) or type(error).__name__
            sentence = f"The captioner failed: {reason}"
            self._answer_json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": sentence})
            raise
        else:
            self._answer_json(HTTPStatus.OK, content)

    def _caption(self) -> dict[str, Any]:
        self._check_host()
        self._check_origin()
        if self.path != "/caption":
            raise RefusalError(HTTPStatus.NOT_FOUND, "There is no such page.")
        length = self._body_length()
        if not self.server.places.acquire(blocking=False):
            message = "Too many photos are waiting: try again in a moment."
            raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, message)
        try:
            with self._body_as_file(length) as path:
                return self._caption_file(path)
        finally:
            self.server.places.release()

    def _caption_file(self, path: Path) -> dict[str, Any]:
        caption = self.server.worker.caption(path)
        if isinstance(caption, PhotoError):
            # The page shows the name that the photo has for the user.
            reason = str(caption).replace(f" {path.name!r}", "")
            message = f"This photo cannot be read: {reason}."
            raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, message)
        with self.server.thumbnails:
            return caption_json(caption, path)

    def _check_host(self) -> None:
        """Refuses a name that somebody else's DNS server may have pointed at this computer.

        A page of theirs could otherwise read our answers (DNS rebinding).
        """
        headers = self.headers.get_all("Host", ())
        host = _HOST.fullmatch(headers[0].lower()) if len(headers) == 1 else None
        if not host or not self._is_own_name(host["name"]):
            message = "This page is served under localhost or an IP address only."
            raise RefusalError(HTTPStatus.FORBIDDEN, message)

    def _is_own_name(self, name: str) -> bool:
        try:
            return bool(ip_address(name.strip("[]")))
        except ValueError:
            return name in ("localhost", self.server.host.lower())

    def _check_origin(self) -> None:
        """Refuses requests that pages of other sites make."""
        if self.headers.get_all("Origin") != [f"http://{self.headers['Host']}"]:
            raise RefusalError(HTTPStatus.FORBIDDEN, "Photos are taken from this page only.")

    def _body_length(self) -> int:
        lengths = self.headers.get_all("Content-Length", ())
        if not lengths:
            message = "The length of the photo is missing: send Content-Length."
            raise RefusalError(HTTPStatus.LENGTH_REQUIRED, message)
        if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,15}", lengths[0]):
            raise RefusalError(HTTPStatus.BAD_REQUEST, "The Content-Length is no number of bytes.")
        length = int(lengths[0])
        if length > PHOTO_MEGABYTES * MEGABYTE:
            size = math.ceil(length / MEGABYTE)
            message = f"This file is {size:,d} MB; the limit is {PHOTO_MEGABYTES} MB."
            raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        if not length:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "This file is empty.")
        return length

    @contextlib.contextmanager
    def _body_as_file(self, length: int) -> Iterator[Path]:
        """Writes the body to a file, which is deleted afterwards."""
        descriptor, name = tempfile.mkstemp(dir=self.server.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._copy_body(file, length)
            yield Path(name)
        finally:
            os.unlink(name)

    def _copy_body(self, file: BinaryIO, length: int) -> None:
        deadline = time.monotonic() + UPLOAD_SECONDS
        try:
            while length:
                if time.monotonic() > deadline:
                    raise TimeoutError
                part = self.rfile.read1(min(length, CHUNK))
                if not part:
                    raise RefusalError(
                        HTTPStatus.BAD_REQUEST, "The photo has arrived in part only."
                    )
                file.write(part)
                length -= len(part)
        except TimeoutError as error:
            message = "The photo took too long to arrive: try again."
            raise RefusalError(HTTPStatus.REQUEST_TIMEOUT, message) from error

    def _discard_rest(self) -> None:
        """Reads what a refused client still sends.

        To close the connection earlier would reset it, and the client would lose the answer.
        """
        deadline = time.monotonic() + DISCARD_SECONDS
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1)
            while time.monotonic() < deadline and self.rfile.read1(CHUNK):
                pass

    def _answer_json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._answer(status, _JSON, json.dumps(content).encode())

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        """Adds the headers that every answer has."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Prints nothing."""
