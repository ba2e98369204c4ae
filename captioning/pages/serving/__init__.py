"""A local page on which photos are dropped to be captioned."""

import os
import sys
import tempfile
import webbrowser
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioning.cli import UserError
from captioning.pages.serving.server import PageServer
from captioning.pages.serving.worker import CaptionWorker

if TYPE_CHECKING:
    from captioning.captioner import Captioner

LOOPBACK = "127.0.0.1"


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
    # Handlers that still write when Ctrl-C comes may make files while the folder is deleted.
    with (
        tempfile.TemporaryDirectory(prefix="photos-", ignore_cleanup_errors=True) as folder,
        CaptionWorker(captioner, decoding) as worker,
        _listen(host, port, worker, Path(folder)) as server,
    ):
        worker.warm_up()
        print(f"caption photos at {server.url} (Ctrl-C stops)", flush=True)
        if not is_loopback(host):
            print(
                "everyone on the network can use it, at an IP address of this computer", flush=True
            )
        if open_browser and has_desktop():
            webbrowser.open(server.url)
        server.serve_forever()


def _listen(host: str, port: int, worker: CaptionWorker, folder: Path) -> PageServer:
    try:
        return PageServer(host, port, worker, folder)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot serve at {host}:{port}: {reason}; choose another port, or 0 for any free one"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only programs on this computer can reach a server at this host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def has_desktop() -> bool:
    """Whether a browser can open a window; one for the terminal would take the terminal over."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))
