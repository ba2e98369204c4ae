"""Checkpoints: one file from which an interrupted training goes on exactly where it was.

It holds all variables of the model (weights, and the states of the random generators that dropout
draws from), those of the optimizer, the settings of the run, and the logs of its epochs.
"""

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from captioning.cli import UserError
from captioning.files import CHECKPOINT
from captioning.keras_setup import keras
from captioning.storage import atomic_path

_START_ANEW = "run the same command without --resume"

# What a damaged file fails with in NumPy, zipfile or json, besides errors of zipfile and zlib.
_DAMAGE = (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Checkpoint:
    """Where a run with some settings stands: its logs so far, and the state it was resumed with."""

    path: Path
    settings: dict[str, Any]
    logs: list[dict] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)  # empty at the start

    def restore(self, model: keras.Model) -> None:
        """Gives a compiled model the state that the run was resumed with, if it was."""
        if self.arrays:
            for variable, array in zip(_variables(model), self.arrays, strict=True):
                variable.assign(array)

    def write(self, model: keras.Model) -> None:
        """Writes the logs and the state of a compiled model, with checksums."""
        arrays = [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]
        run = np.array(json.dumps({"settings": self.settings, "logs": self.logs}))
        with atomic_path(self.path) as partial:
            np.savez(partial, *arrays, run=run)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Lists all that training changes: the model's variables and the optimizer's."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def start_or_resume(folder: Path, settings: dict[str, Any], *, resume: bool) -> Checkpoint:
    """Reads the checkpoint of a run with these settings, or removes the one of an earlier run.

    Raises `UserError` if it is damaged or of an earlier version, or the run was started with other
    settings, all of which are named.
    """
    path = folder / CHECKPOINT
    if not resume:
        path.unlink(missing_ok=True)
        return Checkpoint(path, settings)
    try:
        with np.load(path, allow_pickle=False) as file:
            run = json.loads(str(file["run"]))
            logs, earlier = run["logs"], run["settings"]
            arrays = [file[f"arr_{index}"] for index in range(len(file.files) - 1)]
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged or of an earlier version: {_START_ANEW}") from error
    changed = [
        f"{name} {earlier.get(name)}, not {settings.get(name)}"
        for name in dict.fromkeys([*settings, *earlier])
        if earlier.get(name) != settings.get(name)
    ]
    if changed:
        raise UserError(
            f"{path} is of a run with {'; '.join(changed)}: resume it with the same settings, or "
            f"{_START_ANEW}"
        )
    print(f"resuming after epoch {len(logs)}")
    return Checkpoint(path, settings, logs, arrays)
