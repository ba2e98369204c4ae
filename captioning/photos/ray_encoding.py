"""Encodes photos on many processors, GPUs and machines at once, by Ray (https://docs.ray.io).

Ray is optional, and loaded only when it is asked for.
"""

import contextlib
import errno
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from PIL import Image
from tqdm import tqdm

from captioning.cli import UserError, one_line
from captioning.photos.lookalikes import hash_photo
from captioning.photos.reading import Photo, PhotoError, encode_photos, limit_pixels

if TYPE_CHECKING:
    from captioning.photos.encoders import Encoder

# In place of an address: no cluster, or one of this computer alone, started for this run.
NO_CLUSTER = "none"
LOCAL = "auto"

# Photos that are handed out at once, in whole batches; those of a worker that dies are done again.
PHOTOS_PER_TASK = 48

# Seconds in which the next photos must be encoded, the start of the workers among them.
PATIENCE = 600

# Photos, each with its features or the error that says why it has none, and with its hash.
Encoded = Iterator[tuple[Photo, np.ndarray | PhotoError, str]]


def encode_here(photos: Sequence[Photo], encoder: "Encoder", batch_size: int) -> Encoded:
    """Encodes and hashes photos by this process."""
    hashes = {}

    def keep_hash(photo: Photo, pixels: np.ndarray) -> None:
        hashes[photo] = hash_photo(pixels)

    for photo, result in encode_photos(photos, encoder, batch_size, keep_hash):
        yield photo, result, hashes.pop(photo, "")


class _Worker:
    """An encoder in a process of its own, which Ray starts again when it dies."""

    def __init__(self, encoder: list, pixels: int):
        import ray

        import captioning.keras_setup  # noqa: F401 - before the encoder, which brings Keras

        limit_pixels(pixels)
        self.encoder = ray.get(encoder[0])

    def encode(self, photos: Sequence[Photo], batch_size: int) -> list:
        """Encodes whole batches of photos: the features or error and the hash of each."""
        return [item[1:] for item in encode_here(photos, self.encoder, batch_size)]


@contextlib.contextmanager
def cluster(address: str) -> "Iterator[Callable[[Sequence[Photo], Encoder, int], Encoded]]":
    """Connects with a Ray cluster, and yields what encodes photos as `encode_here` does, on it.

    Leaving ends a cluster that was started for this.

    Raises:
        UserError: if Ray is not installed, or no cluster answers at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "Ray, which --ray needs, is not installed: run python -m pip install "
            "-r requirements-ray.txt in the virtual environment"
        )
    # Read when Ray is imported: it should report to nobody, look for a cluster once, not 20 times,
    # and leave it to us to say what went wrong.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    # The packages must be installed on all machines; the project itself is sent there.
    environment = {
        "py_modules": [str(Path(__file__).parent.parent)],
        "env_vars": {
            "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow"),
            # With one thread the last bits would be others than those of a process with several.
            "TF_NUM_INTRAOP_THREADS": os.environ.get("TF_NUM_INTRAOP_THREADS", "2"),
        },
    }
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        place = "local" if address == LOCAL else address
        ray.init(place, runtime_env=environment, logging_level="ERROR", log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray cluster can be used at --ray {address} ({_last_line(error)}): give {LOCAL}, "
            "or the HOST:PORT that ray start --head has printed"
        ) from error
    # Ray's handler would end the process before it has said that it was stopped.
    signal.signal(signal.SIGTERM, terminate)
    try:
        # A network that this process loads would take the GPUs' memory, which the workers need.
        with patch.dict(os.environ, CUDA_VISIBLE_DEVICES=""):
            yield partial(_encode_photos, ray)
    finally:
        ray.shutdown()


def _encode_photos(
    ray: ModuleType, photos: Sequence[Photo], encoder: "Encoder", batch_size: int
) -> Encoded:
    gpus, processors = (int(ray.cluster_resources().get(kind, 0)) for kind in ("GPU", "CPU"))
    needs = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    worker = ray.remote(**needs, max_restarts=-1, max_task_retries=-1)(_Worker)
    # In a list it stays a reference until the worker asks for it.
    arguments = [ray.put(encoder)], Image.MAX_IMAGE_PIXELS
    workers = [worker.remote(*arguments) for _ in range(gpus or processors or 1)]
    # Twice: while the next photos in order are waited for, each worker has a task ahead.
    pool = ray.util.ActorPool(workers * 2)
    step = max(1, PHOTOS_PER_TASK // batch_size) * batch_size
    tasks = [photos[first : first + step] for first in range(0, len(photos), step)]
    for task in tasks:
        given = [photo.absolute() if isinstance(photo, Path) else photo for photo in task]
        pool.submit(lambda worker, given: worker.encode.remote(given, batch_size), given)
    with tqdm(total=len(photos), unit=" photos", delay=1, disable=None) as progress:
        for task in tasks:
            for photo, (result, digits) in zip(task, _next(ray, pool), strict=True):
                # No bad photo, if it is there for this process.
                if (
                    isinstance(result, PhotoError)
                    and str(result) == os.strerror(errno.ENOENT)
                    and photo.exists()
                ):
                    raise UserError(
                        f"a worker does not find {photo}, which is there: put the photos where "
                        "every machine of the cluster finds them under the same path"
                    )
                yield photo, result, digits
            progress.update(len(task))


def _next(ray: ModuleType, pool: Any) -> list:
    try:
        return pool.get_next(timeout=PATIENCE)
    except TimeoutError as error:
        raise UserError(
            "the Ray cluster stands still: its workers die again and again, or none is left; what "
            "is done is kept, and running the same command again goes on from there"
        ) from error
    except ray.exceptions.RayError as error:
        raise UserError(
            f"the workers of the Ray cluster fail ({_last_line(error)}): every machine needs the "
            "packages of requirements-ray.txt in the versions of this one"
        ) from error


def _last_line(error: Exception) -> str:
    """Returns the last line of a message, which in one of Ray's tells what is at the root of it."""
    return one_line((str(error).strip().splitlines() or [type(error).__name__])[-1])
