"""Checkpoints: one file from which an interrupted training goes on exactly where it was.

It holds all variables of the model (weights, and the states of the random generators that dropout
draws from), those of the optimizer, the settings of the run, and the figures of its epochs.
"""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioning.cli import UserError
from captioning.old import CHECKPOINT, atomic_path, open_arrays, require

if TYPE_CHECKING:
    from captioning.keras_setup import keras

# The entry of the file that is no array of the model.
_RUN = "run"

# Of the earliest date that a zip archive can have, and so what Keras writes.
_FIRST_YEAR = 1980


def write_checkpoint(
    folder: Path, model: "keras.Model", settings: dict[str, Any], history: list[dict]
) -> None:
    """Writes the state of a compiled model, with checksums, in place of an earlier checkpoint."""
    # Whoever has nothing to resume need not wait for Keras.
    from captioning.keras_setup import keras

    arrays = [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]
    run = np.array(json.dumps({"settings": settings, "history": history}))
    with atomic_path(folder / CHECKPOINT) as partial:
        np.savez(partial, *arrays, **{_RUN: run})


def require_checkpoint(folder: Path, remedy: str) -> Path:
    """Returns the path of the checkpoint, or raises `UserError` if there is none."""
    return require(folder / CHECKPOINT, f"there is nothing to resume; {remedy}")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the figures of the epochs done, and the state after the last."""

    history: list[dict]
    arrays: list[np.ndarray]
    remedy: str = ""  # what the user does where the state does not fit

    def restore(self, model: "keras.Model") -> None:
        """Gives a compiled model the state.

        Raises:
            UserError: if the variables of the model have other shapes.
        """
        variables = _variables(model)
        if [tuple(variable.shape) for variable in variables] != [one.shape for one in self.arrays]:
            raise UserError(f"{CHECKPOINT} was written by another network: {self.remedy}")
        for variable, array in zip(variables, self.arrays, strict=True):
            variable.assign(array)


def read_checkpoint(folder: Path, settings: dict[str, Any], remedy: str) -> Checkpoint:
    """Reads the checkpoint of a run with these settings.

    Raises:
        UserError: if there is no checkpoint, it is damaged, or the run was started with other
            settings, all of which are named.
    """
    path = require_checkpoint(folder, remedy)
    run, arrays = _read(path, remedy)
    _check_settings(path, run["settings"], settings, remedy)
    return Checkpoint(run["history"], arrays, remedy)


def start_or_resume(
    folder: Path, settings: dict[str, Any], is_resumed: bool, remedy: str
) -> Checkpoint:
    """Reads the checkpoint of a run that is resumed; otherwise starts anew and removes an old one.

    Raises:
        UserError: as `read_checkpoint`, or if the clock is wrong.
    """
    year = time.localtime().tm_year
    if year < _FIRST_YEAR:
        raise UserError(
            f"the clock of this computer says {year}, and no model can be saved with a date before "
            f"{_FIRST_YEAR}: set the clock, then run the same command again"
        )
    if is_resumed:
        checkpoint = read_checkpoint(folder, settings, remedy)
        print(f"resuming after epoch {len(checkpoint.history)}")
        return checkpoint
    if remove_checkpoint(folder):
        print(f"{folder} holds an interrupted run: starting anew, without --resume")
    return Checkpoint([], [])


def _read(path: Path, remedy: str) -> tuple[dict, list[np.ndarray]]:
    try:
        with open_arrays(path) as file:
            run = json.loads(str(file[_RUN]))
            return run, [file[f"arr_{number}"] for number in range(len(file.files) - 1)]
    # A damaged file fails in zipfile, zlib, NumPy or json, each with errors of its own.
    except Exception as error:
        raise UserError(f"{path} is damaged: {remedy}") from error


def _check_settings(path: Path, earlier: dict, settings: dict, remedy: str) -> None:
    names = dict.fromkeys([*settings, *earlier])
    changed = [
        f"{name} {earlier.get(name)}, not {settings.get(name)}"
        for name in names
        if earlier.get(name) != settings.get(name)
    ]
    if changed:
        raise UserError(
            f"{path} is of a run with {'; '.join(changed)}: resume it with the same settings, or "
            f"{remedy}"
        )


def remove_checkpoint(folder: Path) -> bool:
    """Removes the checkpoint; returns whether there was one."""
    exists = (folder / CHECKPOINT).exists()
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return exists


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


def _variables(model: "keras.Model") -> "list[keras.Variable]":
    """Lists all that training changes: the model's variables and the optimizer's."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
