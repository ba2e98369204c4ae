"""Kills prepare_photos.py in a process of its own, and counts how many photos it encodes twice.

The network is replaced by a few lines of NumPy, so that TensorFlow need not start. Run as a script,
with a data folder as its argument, this is prepare_photos.py with small files in its cache.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import StandIn, draw_photos  # noqa: E402

from captioning.cli import run  # noqa: E402
from captioning.old import (  # noqa: E402
    ENCODER_RECORD,
    FEATURES,
    FEATURES_CACHE,
    LOCK,
)
from captioning.photos import extraction  # noqa: E402  The folder must be known before it is imported.

PHOTOS = 300
BATCH_SIZE = 8

# In place of the 256 of the script, so that a few hundred photos make many files.
AT_RISK = 32

RESULTS = (FEATURES, ENCODER_RECORD)

# Where the network notes, beside the data, how many photos it has taken.
TALLY = "tally.txt"


def heed_interrupts():
    """Undoes what a shell does to those that it starts in the background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def be_prepare_photos(data):
    """Is prepare_photos.py with small files in its cache, and tallies what it encodes."""
    sys.argv[0] = "prepare_photos.py"
    sys.modules["captioning.photos.encoders"] = SimpleNamespace(Encoder=StandIn)
    # Only after its network has been replaced.
    import prepare_photos
    from captioning.photos.encoders import Encoder

    extraction.PHOTOS_AT_RISK = AT_RISK
    encode = Encoder.encode

    def tally(encoder, photos, batch_size):
        # Before the work, so that a kill in between counts as the loss that it is.
        with open(data / TALLY, "a") as file:
            file.write(f"{len(photos)}\n")
        return encode(encoder, photos, batch_size)

    Encoder.encode = tally
    flags = ["--encoder", "MobileNetV2", "--weights", "none", "--batch-size", str(BATCH_SIZE)]
    return run(prepare_photos.main, ["--data", str(data), *flags])


class Disturber:
    """Runs prepare_photos.py on photos drawn for it, and stops it.

    Args:
        data: pathlib.Path of a folder to be made.
        photos: int, how many to draw.
    """

    def __init__(self, data, photos=PHOTOS):
        self.data = data
        self.readable = photos - 1
        self.command = [sys.executable, __file__, str(data)]
        draw_photos(data / "photos", photos)
        started = self.start()
        begun = time.monotonic()
        self.finish(started)
        self.duration = time.monotonic() - begun
        self.expected = self.results()

    def results(self):
        """Reads what the script has written."""
        return {name: (self.data / name).read_bytes() for name in RESULTS}

    def clear(self):
        """Removes all but the photos."""
        for path in sorted(self.data.rglob("*"), reverse=True):
            if "photos" not in path.relative_to(self.data).parts:
                path.rmdir() if path.is_dir() else path.unlink()

    def start(self):
        """Starts the script and waits until it holds the folder's lock."""
        (self.data / LOCK).unlink(missing_ok=True)
        process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )
        while process.poll() is None and not (self.data / LOCK).exists():
            time.sleep(0.005)
        return process

    def finish(self, process):
        """Waits for the script, which must end well or by a kill, without a traceback."""
        _, errors = process.communicate(timeout=600)
        if "Traceback" in errors:
            raise AssertionError(errors)
        # 1: done, but for the file that is no photo.
        if process.returncode not in (1, -signal.SIGKILL):
            raise AssertionError(f"status {process.returncode}: {errors}")

    def encoded(self):
        """Counts the photos that the network has taken."""
        path = self.data / TALLY
        return sum(map(int, path.read_text().split())) if path.exists() else 0

    def disturb(self, delays):
        """Lets the script begin anew, kills it, and lets it end.

        Args:
            delays: list of float, seconds from the lock to each kill.

        Returns:
            int: the photos that were done again.

        Raises:
            AssertionError: if anything is lost or different.
        """
        self.clear()
        for delay in delays:
            process = self.start()
            time.sleep(delay)
            process.kill()
            self.finish(process)
        self.finish(self.start())
        again = self.encoded() - self.readable
        for name, content in self.results().items():
            if content != self.expected[name]:
                raise AssertionError(f"{name} is another after stops at {delays}")
        if again > AT_RISK * len(delays):
            raise AssertionError(f"{again} photos were done again after stops at {delays}")
        if len(list((self.data / FEATURES_CACHE).iterdir())) != 1:
            raise AssertionError(f"{FEATURES_CACHE} holds several files after stops at {delays}")
        return again


if __name__ == "__main__":
    sys.exit(be_prepare_photos(Path(sys.argv[1])))
