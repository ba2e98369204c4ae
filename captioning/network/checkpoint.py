"""Checkpoints: one file from which an interrupted training goes on exactly where it was.

It holds all variables of the model (weights, and the states of the random generators that dropout
draws from), those of the optimizer, the settings of the run, and the logs of its epochs.
"""

import contextlib
import json
import shlex
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from captioning.cli import UserError
from captioning.files import CHECKPOINT
from captioning.keras_setup import keras
from captioning.storage import atomic_path

_START_ANEW = "run the same command without --resume"

# The entry of the file that is no array of the model.
_RUN = "run"

# What a damaged file fails with in zipfile, zlib, NumPy or json.
_DAMAGE = (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError)
_DAMAGE += (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Checkpoint:
    """The logs of the epochs done, and the state after the last; both are empty at the start."""

    logs: list[dict] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)

    def restore(self, model: keras.Model) -> None:
        """Gives a compiled model the state, if there is one."""
        if self.arrays:
            for variable, array in zip(_variables(model), self.arrays, strict=True):
                variable.assign(array)


def write_checkpoint(
    folder: Path, model: keras.Model, settings: dict[str, Any], logs: list[dict]
) -> None:
    """Writes the state of a compiled model, with checksums, in place of an earlier checkpoint."""
    arrays = [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]
    run = np.array(json.dumps({"settings": settings, "logs": logs}))
    with atomic_path(folder / CHECKPOINT) as partial:
        np.savez(partial, *arrays, **{_RUN: run})


def start_or_resume(folder: Path, settings: dict[str, Any], *, resume: bool) -> Checkpoint:
    """Reads the checkpoint of a run with these settings, or removes the one of an earlier run.

    Raises `UserError` if it is damaged or of an earlier version, or the run was started with other
    settings, all of which are named.
    """
    path = folder / CHECKPOINT
    if not resume:
        if path.exists():
            print(f"{folder} holds an interrupted run: starting anew, without --resume")
            path.unlink()
        return Checkpoint()
    try:
        with np.load(path, allow_pickle=False) as file:
            run = json.loads(str(file[_RUN]))
            logs, earlier = run["logs"], run["settings"]
            arrays = [file[f"arr_{index}"] for index in range(len(file.files) - 1)]
    except _DAMAGE as error:
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
    return Checkpoint(logs, arrays)


@contextlib.contextmanager
def resumable(folder: Path, script: str, arguments: Sequence[str] | None) -> Iterator[None]:
    """Says on stderr how to resume the run if it is stopped and has left a checkpoint.

    `arguments` are those of the script, or None for the command line's.
    """
    try:
        yield
    except KeyboardInterrupt:
        if (folder / CHECKPOINT).exists():
            typed = sys.argv[1:] if arguments is None else arguments
            command = shlex.join([item for item in typed if item != "--resume"])
            print(f"\nto resume: python {script} {command} --resume", file=sys.stderr)
        raise


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Lists all that training changes: the model's variables and the optimizer's."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
