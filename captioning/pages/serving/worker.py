"""Captions photos in one thread, whichever thread asks."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from captioning.photos.reading import Photo, PhotoError

if TYPE_CHECKING:
    from captioning.captioner import Captioner, PhotoCaption

# Photos that are captioned together if they wait together.
PHOTOS_TOGETHER = 6

# Of the photo that is captioned while there is no other.
BLANK_SIZE = (64, 64)


class CaptionWorker:
    """Captions photos for many threads, one batch after the other."""

    def __init__(self, captioner: "Captioner", decoding: dict[str, Any]):
        self.captioner = captioner
        self.decoding = decoding
        self._waiting: deque[tuple[Path, Future]] = deque()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> "CaptionWorker":
        return self

    def __exit__(self, *error: object) -> None:
        # Waits for the batch in hand: the interpreter must not exit while a network runs.
        self._thread.shutdown(cancel_futures=True)

    def caption(self, path: Path) -> "PhotoCaption | PhotoError":
        """Waits for the caption of a photo, or for the error that says why it has none."""
        answer = Future()
        self._waiting.append((path, answer))
        self._thread.submit(self._caption_waiting)
        return answer.result()

    def warm_up(self) -> None:
        """Has the networks compiled, so that a person's first photos need not wait for it.

        That is done when they first run, and once more, then for batches of any size, when they
        first run with another size.
        """
        blank = Image.new("RGB", BLANK_SIZE)
        for count in (1, 2):
            self._thread.submit(self._results, [blank] * count)

    def _caption_waiting(self) -> None:
        # Nothing waits if an earlier batch took it along.
        count = min(len(self._waiting), PHOTOS_TOGETHER)
        paths, answers = [], []
        for path, answer in (self._waiting.popleft() for _ in range(count)):
            paths.append(path)
            answers.append(answer)
        if not paths:
            return
        try:
            results = self._results(paths)
        # Whatever it is, the threads that wait must get it.
        except Exception as error:
            for answer in answers:
                answer.set_exception(error)
        else:
            for answer, result in zip(answers, results, strict=True):
                answer.set_result(result)

    def _results(self, photos: list[Photo]) -> "list[PhotoCaption | PhotoError]":
        return [result for _, result in self.captioner.caption_all(photos, **self.decoding)]
