"""Many devices: each batch of training divided among those of one computer.

Keras has that, and only for JAX: the captioner is copied to every device, a device computes its
part of a batch, and JAX adds up the sums over the whole batch, those of the gradient too. So the
steps are those of one device.
"""

import argparse
import contextlib

from captioning.cli import UserError, counted

# Takes every device there is.
ALL = "all"


def count_or_all(text: str) -> int | str:
    """Converts the text of a flag: ALL, or a whole number of at least 1."""
    if text == ALL:
        return ALL
    if text.isdecimal() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"expected all or a whole number of at least 1, got {text!r}")


def scope(count: int | str) -> contextlib.AbstractContextManager:
    """Returns a scope in which Keras divides each batch among so many devices.

    Nothing may have been computed by Keras before.

    Raises:
        UserError: if the engine has no distribution, or there are too few devices.
    """
    from captioning.keras_setup import keras

    if count == 1:
        return contextlib.nullcontext()
    if keras.backend.backend() != "jax":
        raise UserError(
            f"--devices {count} needs the engine jax, not {keras.backend.backend()}: python -m pip "
            "install jax, and set KERAS_BACKEND=jax"
        )
    devices = keras.distribution.list_devices()
    if count != ALL and count > len(devices):
        raise UserError(
            f"--devices {count} is more than the {counted(len(devices), 'device')} that jax finds: "
            "run python train.py with fewer, or with --devices all"
        )
    chosen = devices if count == ALL else devices[:count]
    return keras.distribution.DataParallel(devices=chosen, auto_shard_dataset=False).scope()
