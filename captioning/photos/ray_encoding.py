"""Encodes photos on many processors, GPUs and machines at once, by Ray (https://docs.ray.io).

Ray is optional, and loaded only when it is asked for.
"""

import contextlib
import importlib.util
import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from captioning.cli import UserError, one_line
from captioning.photos.hashes import hash_photo
from captioning.photos.reading import (
    Photo,
    PhotoError,
    encode_prepared,
    limit_pixels,
    read_in_sizes,
    read_photo,
)

if TYPE_CHECKING:
    from captioning.photos.encoders import Encoder

# In place of an address: no cluster, or one of this computer alone, started for this run.
NO_CLUSTER = "none"
LOCAL = "auto"

# The processors of an encoder where there are no GPUs. Fewer encoders of more processors each need
# less memory, and use the processors less well.
PROCESSORS_PER_ENCODER = 1

# Photos that are handed out at once, in whole batches; those of a worker that dies are done again.
PHOTOS_PER_TASK = 48

# Workers in a row that may die while they load the encoder.
FAILED_STARTS = 3

# Seconds in which a cluster must answer at first: Ray itself would wait for minutes.
PATIENCE = 5


class HiddenPhotoError(PhotoError):
    """A photo that a worker cannot open; the message says why, and `worker` on which machine."""

    def __init__(self, reason: str, worker: str):
        super().__init__(reason, worker)
        self.worker = worker

    def __str__(self):
        return self.args[0]


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Callable]:
    """Connects with a Ray cluster, and yields what encodes photos as `encode_here` does, on it.

    Leaving ends a cluster that was started for this. Until then this process sees no GPU: networks
    that it loads would take the memory that the workers need.

    Raises:
        UserError: if Ray is not installed, or no cluster answers at the address.
    """
    _check_address(address)
    ray = import_ray()
    terminate = signal.getsignal(signal.SIGTERM)
    environment = _runtime_environment()
    try:
        with _standard_error_dropped():
            ray.init(
                "local" if address == LOCAL else address,
                runtime_env=environment,
                logging_level=logging.CRITICAL,
                log_to_driver=False,
            )
    # Ray has no error of its own for a cluster that is not there, or has another version or key.
    except Exception as error:
        raise UserError(
            f"no Ray cluster can be used at {address} ({_last_line(error)}): if it asks for a key, "
            "set RAY_AUTH_MODE=token, and copy ~/.ray/auth_token from its first machine"
        ) from error
    # Ray's handler would end the process before it has said that it was stopped.
    signal.signal(signal.SIGTERM, terminate)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    runs = contextlib.ExitStack()

    def encode(photos: Sequence[Photo], encoder: "Encoder", batch_size: int) -> Iterator:
        return runs.enter_context(
            contextlib.closing(_encode_photos(ray, photos, encoder, batch_size))
        )

    try:
        yield encode
    finally:
        # A run that was left in the middle has threads, which would miss the cluster.
        runs.close()
        ray.shutdown()
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible


def _check_address(address: str) -> None:
    if address == LOCAL:
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise UserError(
            f"--ray {address} is not the address of a Ray cluster: give {LOCAL}, or the HOST:PORT "
            "that ray start --head has printed"
        )
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"nothing answers at --ray {address} ({getattr(error, 'strerror', None) or error}): "
            "start a cluster by ray start --head, and give the address that it prints"
        ) from error


def import_ray() -> ModuleType:
    """Imports Ray, or raises `UserError` if it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "Ray, which --ray needs, is not installed: run python -m pip install "
            "-r requirements-ray.txt in the virtual environment"
        )
    # Read by Ray when it is imported. It should report to nobody, and leave it to us to say what
    # went wrong.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # A thread that outlives its cluster should not start another.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    # Each of these takes up to a minute; the default are 20.
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


def _runtime_environment() -> dict[str, Any]:
    """Says what workers need of this process; the packages must be installed on their machines."""
    from captioning.keras_setup import keras

    return {
        "py_modules": [str(Path(__file__).parent.parent)],
        "env_vars": {
            "KERAS_BACKEND": keras.backend.backend(),
            "TF_NUM_INTRAOP_THREADS": str(PROCESSORS_PER_ENCODER),
        },
    }


@contextlib.contextmanager
def _standard_error_dropped() -> Iterator[None]:
    # Ray's C++ code says there that its log level has been set.
    sys.stderr.flush()
    original = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)


def _encode_photos(
    ray: ModuleType, photos: Sequence[Photo], encoder: "Encoder", batch_size: int
) -> Iterator[tuple[Photo, np.ndarray | PhotoError, str]]:
    starts = range(0, len(photos), batch_size)
    batches = [photos[start : start + batch_size] for start in starts]
    with tqdm(total=len(photos), unit=" photos", delay=1, disable=None) as progress:
        rows = _encoded_batches(ray, batches, encoder, batch_size)
        for number, (batch, row) in enumerate(zip(batches, rows, strict=True)):
            if row["number"] != number:
                raise RuntimeError(f"Ray returned batch {row['number']} where {number} was due")
            for photo, (result, digits) in zip(batch, pickle.loads(row["results"]), strict=True):
                if isinstance(result, HiddenPhotoError):
                    _check_hidden(photo, result)
                yield photo, result, digits
            progress.update(len(batch))


def _check_hidden(photo: Photo, error: HiddenPhotoError) -> None:
    """Raises `UserError` if this process can read a photo that a worker cannot open."""
    with contextlib.suppress(PhotoError):
        read_photo(photo, (1, 1))
        raise UserError(
            f"the worker on {error.worker} cannot open {photo} ({error}), which can be read here: "
            "put the photos where every machine of the cluster finds them under the same path, and "
            "run the same command again"
        )


def _encoded_batches(
    ray: ModuleType, batches: list[Sequence[Photo]], encoder: "Encoder", batch_size: int
) -> Iterator[dict[str, Any]]:
    """Yields a row for each batch, in their order: its number, and its pickled results."""
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = FAILED_STARTS
    gpus = int(ray.cluster_resources().get("GPU", 0))
    processors = int(ray.cluster_resources().get("CPU", 0)) // PROCESSORS_PER_ENCODER
    # Where reading and encoding need the same, Ray has one worker do both, without a copy between.
    reading = {"num_cpus": PROCESSORS_PER_ENCODER}
    encoding = {"num_gpus": 1, "num_cpus": 0} if gpus else reading
    # One is enough to go on with when machines are lost; those that join get encoders too.
    pool = ray.data.ActorPoolStrategy(min_size=1, initial_size=max(1, gpus or processors))
    per_task = max(1, PHOTOS_PER_TASK // batch_size)
    rows = [
        {"number": number, "photos": pickle.dumps(list(map(_absolute, batch)))}
        for number, batch in enumerate(batches)
    ]
    dataset = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // per_task))
    dataset = dataset.map(
        _read_batch,
        fn_kwargs={"sizes": encoder.input_sizes, "max_pixels": Image.MAX_IMAGE_PIXELS},
        **reading,
    )
    dataset = dataset.map(
        _EncodeBatch,
        # Put once, and fetched by each machine once.
        fn_constructor_args=(ray.put(encoder), batch_size),
        compute=pool,
        **encoding,
    )
    try:
        # iter_rows has threads, and one that is left when the cluster is ends this process.
        for bundle in dataset.iter_internal_ref_bundles():
            for block in bundle.blocks:
                yield from ray.get(block.ref).to_pylist()
    except ray.exceptions.ActorDiedError as error:
        raise UserError(
            f"the workers of the Ray cluster cannot load the encoder ({_last_line(error)}): every "
            "machine needs the packages of requirements-ray.txt in the versions of this one"
        ) from error
    except ray.data.exceptions.ExecutionTimeoutError as error:
        raise UserError(
            "the Ray cluster stands still: its workers die again and again, or none is left; what "
            "is done is kept, and running the same command again goes on from there"
        ) from error


def _absolute(photo: Photo) -> Photo:
    return photo.absolute() if isinstance(photo, Path) else photo


def _read_batch(
    row: dict[str, Any], sizes: Sequence[tuple[int, int]], max_pixels: int
) -> dict[str, Any]:
    """Reads and hashes a batch of photos, by a worker."""
    limit_pixels(max_pixels)
    pixels = [_read(photo, sizes) for photo in pickle.loads(row["photos"])]
    hashes = ["" if isinstance(item, PhotoError) else hash_photo(item[0]) for item in pixels]
    return {"number": row["number"], "pixels": pickle.dumps(pixels), "hashes": hashes}


def _read(photo: Photo, sizes: Sequence[tuple[int, int]]) -> list[np.ndarray] | PhotoError:
    try:
        return read_in_sizes(photo, sizes)
    except PhotoError as error:
        if isinstance(error.__cause__, (FileNotFoundError, PermissionError)):
            return HiddenPhotoError(str(error), socket.gethostname())
        return PhotoError(str(error))


class _EncodeBatch:
    """The encoder of a worker, which encodes one batch after another."""

    def __init__(self, encoder: Any, batch_size: int):
        import ray

        self.encoder = ray.get(encoder)
        self.batch_size = batch_size

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Encodes a batch that was read."""
        prepared = [
            item if isinstance(item, PhotoError) else self.encoder.preprocess(item)
            for item in pickle.loads(row["pixels"])
        ]
        results = encode_prepared(prepared, self.encoder, self.batch_size)
        hashed = list(zip(results, row["hashes"], strict=True))
        return {"number": row["number"], "results": pickle.dumps(hashed)}


def _last_line(error: Exception) -> str:
    """Returns the last line of a message, which in one of Ray's tells what is at the root of it."""
    return one_line((str(error).strip().splitlines() or [type(error).__name__])[-1])
