"""Encodes photos on many processors, GPUs and machines at once, by Ray, an extra (docs.ray.io)."""

import contextlib
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from captioning.cli import UserError, one_line
from captioning.photos.encoders import Encoded, Encoder, encode_photos
from captioning.photos.reading import Photo, limit_pixels

# In place of an address: no cluster, or one of this computer alone, started for this run.
NO_CLUSTER = "none"
LOCAL = "auto"

# Photos that are handed out at once, in whole batches; those of a worker that dies are done again.
PHOTOS_PER_TASK = 48

# Seconds in which the next photos must be encoded, the start of the workers among them.
PATIENCE = 600


class _Worker:
    """An encoder in a process of its own, which Ray starts again when it dies."""

    def __init__(self, encoder: list, pixels: int):
        import ray

        import captioning.keras_setup  # noqa: F401 - before the encoder, which brings Keras

        limit_pixels(pixels)
        self.encoder = ray.get(encoder[0])

    def encode(self, photos: Sequence[Photo], batch_size: int) -> list:
        """Encodes whole batches of photos: the features or error and the hash of each."""
        return [item[1:] for item in encode_photos(photos, self.encoder, batch_size)]


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Callable[[Sequence[Photo], Encoder, int], Encoded]]:
    """Connects with a Ray cluster, and yields what encodes photos as `encode_photos` does, on it.

    Raises:
        UserError: if Ray is not installed, or no cluster answers at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError("Ray is not installed: run python -m pip install -r requirements-ray.txt")
    # Read when Ray is imported: it should report to nobody, look for a cluster once, not 20 times,
    # and leave it to us to say what went wrong.
    quiet = {"USAGE_STATS_ENABLED": "0", "NUM_REDIS_GET_RETRIES": "1", "BACKEND_LOG_LEVEL": "fatal"}
    os.environ |= {f"RAY_{name}": value for name, value in quiet.items()}
    import ray

    # With one thread the last bits would be others than those of a process with several.
    defaults = {"KERAS_BACKEND": "tensorflow", "TF_NUM_INTRAOP_THREADS": "2"}
    variables = {name: os.environ.get(name, default) for name, default in defaults.items()}
    # The packages must be installed on all machines; the project itself is sent there.
    environment = {"py_modules": [str(Path(__file__).parent.parent)], "env_vars": variables}
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
    # The network that this process loads would take the GPUs' memory, which the workers need.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield _encode_on_cluster
    finally:
        ray.shutdown()


def _encode_on_cluster(photos: Sequence[Photo], encoder: Encoder, batch_size: int) -> Encoded:
    import ray

    gpus, processors = (int(ray.cluster_resources().get(kind, 0)) for kind in ("GPU", "CPU"))
    needs = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    worker = ray.remote(**needs, max_restarts=-1, max_task_retries=-1)(_Worker)
    # In a list it stays a reference until the worker asks for it.
    shared, pixels = [ray.put(encoder)], Image.MAX_IMAGE_PIXELS
    workers = [worker.remote(shared, pixels) for _ in range(gpus or processors or 1)]
    # Twice: while the next photos in order are waited for, each worker has a task ahead.
    pool = ray.util.ActorPool(workers * 2)
    step = max(1, PHOTOS_PER_TASK // batch_size) * batch_size
    tasks = [photos[first : first + step] for first in range(0, len(photos), step)]
    for task in tasks:
        given = [photo.absolute() for photo in task]
        pool.submit(lambda worker, given: worker.encode.remote(given, batch_size), given)
    with tqdm(total=len(photos), unit=" photos", delay=1, disable=None) as progress:
        for task in tasks:
            try:
                results = pool.get_next(timeout=PATIENCE)
            except (TimeoutError, ray.exceptions.RayError) as error:
                raise UserError(
                    f"the workers of the Ray cluster fail ({_last_line(error)}): every machine "
                    "needs the packages of requirements-ray.txt in the versions of this one"
                ) from error
            for photo, (result, digits) in zip(task, results, strict=True):
                yield photo, result, digits
            progress.update(len(task))


def _last_line(error: Exception) -> str:
    # That of one of Ray's tells what is at the root of it.
    return one_line(str(error).strip().rpartition("\n")[2])
