"""Reads `captioner.keras`, which may be a stranger's, in memory that its size bounds."""

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py

from captioning.keras_setup import keras

# How many times its bytes a file may unpack to; that of models/shrink.py unpacks to three times.
MAXIMUM_EXPANSION = 10

# Bytes besides: the configuration, which is text and compresses better, weighs most in small files.
CONFIGURATION_ALLOWANCE = 2**20

# Parts of the archive.
_CONFIGURATION = "config.json"
_WEIGHTS = "model.weights.h5"


def load_network(path: Path) -> keras.Model:
    """Loads a network that Keras saved.

    A damaged file, or one that asks for more memory than its size bounds, fails in zipfile, h5py,
    json or Keras, each with errors of its own, or as a ValueError.
    """
    _check_size(path)
    return keras.models.load_model(path, compile=False, safe_mode=True)


def _check_size(path: Path) -> None:
    """Raises an error if the file is damaged or the network larger than its weights."""
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
        if size > MAXIMUM_EXPANSION * path.stat().st_size + CONFIGURATION_ALLOWANCE:
            raise ValueError(f"Expected the weights of a network. Received: {size} bytes unpacked")
        # Keras reads single parts of the archive, which leaves their checksums unchecked.
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = parts[_WEIGHTS]
    # An array need not be in the file: HDF5 compresses, and leaves out what was never written.
    sizes = []
    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(
            lambda _, item: sizes.append(item.nbytes) if isinstance(item, h5py.Dataset) else None
        )
    # Keras keeps a list for each thread of the variables that it has to make sooner or later.
    with ThreadPoolExecutor(1) as thread:
        parameters = thread.submit(_count_parameters, json.loads(parts[_CONFIGURATION])).result()
    # A parameter has a byte at least.
    if max(sum(sizes), parameters) > len(weights):
        raise ValueError(f"Expected no more than {len(weights)} bytes of weights")


def _count_parameters(configuration: dict[str, Any]) -> int:
    """Builds a network without making its weights, and returns how many there would be."""
    configuration["compile_config"] = None
    with keras.StatelessScope(initialize_variables=False):
        return keras.saving.deserialize_keras_object(configuration, safe_mode=True).count_params()
