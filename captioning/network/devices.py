"""Many devices: each batch of training divided among them, in one process or in several.

Keras has that, and only for JAX: the captioner is copied to every device, a device computes its
part of a batch, and JAX adds up the sums over the whole batch, those of the gradient too. So the
steps are those of one device. All processes compute the same and keep the same history; the first
alone prints and writes.
"""

import argparse
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from captioning.cli import UserError, counted

# Scripts read their arguments before they load Keras.
if TYPE_CHECKING:
    from captioning.keras_setup import keras

# Takes every device there is.
ALL = "all"

# What `keras.distribution.initialize` reads.
PROCESS_VARIABLES = tuple(
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)


def count_or_all(text: str) -> int | str:
    """Converts the text of a flag: ALL, or a whole number of at least 1."""
    if text == ALL:
        return ALL
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"expected all or a whole number of at least 1, got {text!r}")


def has_several_processes() -> bool:
    """Tells whether the environment says that other processes train along."""
    return any(name in os.environ for name in PROCESS_VARIABLES)


def choose(count: int | str) -> "keras.distribution.Distribution | None":
    """Finds the devices, and the other processes; returns None for one device.

    Nothing may have been computed by Keras before.

    Raises:
        UserError: if the engine has no distribution, there are too few devices, or the other
            processes are not found.
    """
    from captioning.keras_setup import keras

    if count == 1 and not has_several_processes():
        return None
    if keras.backend.backend() != "jax":
        raise UserError(
            f"--devices {count} needs the engine jax, not {keras.backend.backend()}: python -m pip "
            "install jax, and set KERAS_BACKEND=jax"
        )
    if has_several_processes():
        _join_processes()
    devices = keras.distribution.list_devices()
    if count != ALL and count > len(devices):
        raise UserError(
            f"--devices {count} is more than the {counted(len(devices), 'device')} that jax finds: "
            "run python train.py with fewer, or with --devices all"
        )
    if has_several_processes() and count not in (ALL, len(devices)):
        raise UserError(
            f"--devices {count} leaves out some of the {counted(len(devices), 'device')} of all "
            "processes: run python train.py with --devices all"
        )
    chosen = devices if count == ALL else devices[:count]
    # Keras itself divides nothing but a tf.data.Dataset; see `own_rows`.
    return keras.distribution.DataParallel(devices=chosen, auto_shard_dataset=False)


def _join_processes() -> None:
    import jax

    from captioning.keras_setup import keras

    # JAX would take SIGTERM for itself, and go on training.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        keras.distribution.initialize()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the processes did not find each other ({str(error).rstrip('.')}): set "
            f"{', '.join(PROCESS_VARIABLES)} as docs/scale.md says"
        ) from error


@contextlib.contextmanager
def using(
    distribution: "keras.distribution.Distribution | None", settings: dict[str, Any]
) -> Iterator[None]:
    """Has Keras put what is built within on the devices; silences all processes but the first.

    Raises:
        UserError: if the processes have not the same settings.
    """
    if distribution is None:
        yield
        return
    devices, processes = distribution.num_model_replicas, distribution.num_processes
    print(f"devices    {devices}" + (f" in {processes} processes" if processes > 1 else ""))
    with contextlib.ExitStack() as stack:
        stack.enter_context(distribution.scope())
        require_agreement(settings)
        if not is_first():
            process = distribution.data_shard_id
            print(f"process    {process}, computes along; process 0 prints and writes", flush=True)
            silence = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        yield


def is_first() -> bool:
    """Tells whether this process is the one that prints and writes."""
    from captioning.keras_setup import keras

    distribution = keras.distribution.distribution()
    return distribution is None or distribution.data_shard_id == 0


def require_agreement(run: Any) -> None:
    """Raises `UserError` if what JSON can hold of a run is not the same in all processes.

    Their captioners would part without a word.
    """
    from captioning.keras_setup import keras

    distribution = keras.distribution.distribution()
    if distribution is None:
        return
    digest = hashlib.sha256(json.dumps(run).encode()).digest()
    layout = keras.distribution.TensorLayout([None], distribution.device_mesh)
    try:
        # JAX compares what is to be the same on the devices of all processes.
        keras.distribution.distribute_tensor(np.frombuffer(digest, np.int32), layout)
    except AssertionError as error:
        raise UserError(
            "the processes differ in their settings, data or checkpoint: run the same command in "
            "all of them, on the same files"
        ) from error


def own_rows(
    rows: np.ndarray, distribution: "keras.distribution.Distribution | None"
) -> np.ndarray:
    """Returns which rows of a batch this process reads, so that every device has as many.

    Where the devices do not divide the batch, it ends with rows of -1.
    """
    if distribution is None:
        return rows
    missing = -len(rows) % distribution.num_model_replicas
    padded = np.append(rows, np.full(missing, -1, dtype=rows.dtype))
    return np.split(padded, distribution.num_processes)[distribution.data_shard_id]
