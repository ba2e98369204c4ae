"""Reads the weights in a PyTorch file without PyTorch, and builds nothing but arrays."""

import io
import pickle
from collections import OrderedDict
from typing import NamedTuple

import numpy as np


class _Tensor(NamedTuple):
    """A tensor of the state dict, whose storage comes later in the file."""

    storage: tuple  # "storage", dtype, key, device, length
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        values = storages[self.storage[2]]
        steps = [stride * values.itemsize for stride in self.strides]
        # Unlike `as_strided` this refuses what lies outside the storage.
        return np.ndarray(self.shape, values.dtype, values, self.offset * values.itemsize, steps)


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: _Tensor(*arguments[:4]),
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _StateUnpickler(pickle.Unpickler):
    """Unpickles a PyTorch state dict into `_Tensor`s, and refuses any other class."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a state dict")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: tuple) -> tuple:
        """Leaves a storage as the file describes it."""
        return pid


def unpickle_state_dict(content: bytes) -> dict[str, np.ndarray]:
    """Unpickles a state dict in the format that `torch.save` had before version 1.6.

    That is a stream of pickles (magic number, protocol, system, state dict, keys of the storages),
    then of each storage its length as int64 and its numbers.

    Raises:
        pickle.UnpicklingError: if it holds any class that is not part of a state dict.
    """
    file = io.BytesIO(content)
    *_, tensors, keys = [_StateUnpickler(file).load() for _ in range(5)]
    dtypes = {key: dtype for _, dtype, key, *_ in (x.storage for x in tensors.values())}
    storages = {}
    for key in keys:
        length = int(np.frombuffer(file.read(8), "<i8")[0])
        storages[key] = np.frombuffer(file.read(length * dtypes[key].itemsize), dtypes[key])
    return {name: tensor.array(storages) for name, tensor in tensors.items()}
