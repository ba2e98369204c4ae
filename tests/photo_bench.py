"""Runs prepare_photos.py within the tests' own process, with an encoder of a few lines."""

import shutil

from kill_prepare_photos import StandIn, draw_photos

import prepare_photos
from captioning import extraction
from captioning.cli import run

COUNT = 30
RESULTS = ("features.pkl", "features.json", "features-photos.json")


class Bench:
    """A data folder, an encoder of a few lines, and how much that was given to do."""

    def __init__(self, folder, capsys, monkeypatch):
        self.folder = folder
        self.photos = folder / "photos"
        self.capsys = capsys
        self.encoded = self.loaded = 0
        self.digest = "0" * 64
        bench = self

        class Encoder(StandIn):
            def __init__(self, name, weights, dtype):
                bench.loaded += 1
                super().__init__(name, weights, dtype, bench.digest)

            def encode(self, photos):
                bench.encoded += len(photos)
                return super().encode(photos)

        monkeypatch.setattr(prepare_photos, "Encoder", Encoder)
        monkeypatch.setattr(extraction, "PHOTOS_AT_RISK", 8)
        draw_photos(self.photos, COUNT)

    def run(self, *flags, encoder="MobileNetV2", weights="none"):
        """Runs prepare_photos.py and gives status, output and errors; counts what it encodes."""
        self.encoded = self.loaded = 0
        arguments = ["--data", str(self.folder), "--encoder", encoder, "--weights", weights]
        status = run(prepare_photos.main, [*arguments, "--batch-size", "4", *flags])
        captured = self.capsys.readouterr()
        return status, captured.out, captured.err

    def results(self):
        """Reads what the script has written."""
        return {name: (self.folder / name).read_bytes() for name in RESULTS}

    def photo(self, number):
        """Gives the path of a photo."""
        return self.photos / f"photo {number:04d}.png"

    def stop_at(self, patch, owner, name, count, before=True):
        """Makes the count-th call of a function a stop, before or after its work."""
        ordinary = getattr(owner, name)
        calls = []

        def stop(*arguments, **options):
            calls.append(1)
            if len(calls) == count and before:
                raise KeyboardInterrupt
            result = ordinary(*arguments, **options)
            if len(calls) == count:
                raise KeyboardInterrupt
            return result

        patch.setattr(owner, name, stop)

    def restore(self, state):
        """Makes all but the photos what it was."""
        for path in self.folder.iterdir():
            if path != self.photos:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, content in state.items():
            (self.folder / name).write_bytes(content)
