"""Model folders: where they are, and how new files take the place of all of a folder at once."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from captioning.cli import quoted
from captioning.old import (
    CAPTIONER,
    CURVES,
    ENCODER_RECORD,
    GALLERY,
    GENERATED_CAPTIONS,
    HISTORY,
    RECIPE,
    SCORES,
    TRAINING_PHOTOS,
    VOCABULARY,
    flush_folder_to_disk,
    require,
)

# Where new files are written, and what that folder is called as soon as all of them are complete.
_UNFINISHED = ".next"
_FINISHED = ".complete"

# What may be among them; the network comes last, since it says that a model is replaced.
_OF_TRAINING = (
    VOCABULARY,
    ENCODER_RECORD,
    TRAINING_PHOTOS,
    RECIPE,
    HISTORY,
    CURVES,
    CAPTIONER,
)
_OF_EVALUATION = (SCORES, GENERATED_CAPTIONS, GALLERY)


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yields a folder to write files of a model in, which then replace those of `folder` at once.

    Whatever stops it, a full disk or a power cut too, all files are the earlier ones or, once
    `finish_replacing` has been called, the new ones. Where a network is among these, the results of
    the earlier model are removed: they would pass for those of the new one.
    """
    finish_replacing(folder)
    unfinished = folder / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        # From here on the new files count.
        os.rename(unfinished, folder / _FINISHED)
        flush_folder_to_disk(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    finish_replacing(folder)


def finish_replacing(folder: Path) -> None:
    """Moves complete files to their place where a run was killed before it had moved them all.

    Several processes may do so at once. Whatever reads a model folder calls it first.
    """
    finished = folder / _FINISHED
    # A link in a stranger's folder might lead to files of one's own.
    if finished.is_symlink() or not finished.is_dir():
        return
    if (finished / CAPTIONER).exists():
        for name in _OF_EVALUATION:
            (folder / name).unlink(missing_ok=True)
    for name in _OF_TRAINING:
        with contextlib.suppress(FileNotFoundError):
            os.replace(finished / name, folder / name)
    # Another process may have removed it, or completed other files by now.
    with contextlib.suppress(OSError):
        finished.rmdir()


def holds_captioner(folder: Path) -> bool:
    """Returns whether a model folder has a network."""
    finish_replacing(folder)
    return (folder / CAPTIONER).is_file()


def find_captioner(folder: Path, data: Path | None = None) -> tuple[Path, str]:
    """Returns the path of a model folder's network, and the remedy if anything is wrong with it.

    `data` is the data folder that the remedy names.

    Raises:
        UserError: if it is missing.
    """
    flags = f"--data {quoted(data)} --model" if data else "--model"
    remedy = f"train a model with python train.py {flags} {quoted(folder)}"
    if folder.resolve() == pretrained_model().resolve():
        remedy = "it comes with the project: fetch the project"
    finish_replacing(folder)
    place = "" if folder.is_absolute() else f" in {Path.cwd()}"
    return require(folder / CAPTIONER, remedy, place), remedy


def model_folder(path: Path) -> Path:
    """Returns the model folder, also where the path is that of its file CAPTIONER."""
    return path.parent if path.name == CAPTIONER else path


def pretrained_model() -> Path:
    """Returns the folder of the model that comes with the project.

    It is models/pretrained of the project's folder, and lies within the package where the project
    is installed.
    """
    package = Path(__file__).resolve().parent.parent
    folder = package.parent / "models" / "pretrained"
    folder = folder if folder.is_dir() else package / "pretrained"
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def results_folder(folders: Sequence[Path]) -> Path:
    """Returns where the results of models go: to the folder of one, or beside the first of several.

    The folder of several is named after all of them, `a+b+c`.
    """
    if len(folders) == 1:
        return folders[0]
    return folders[0].parent / "+".join(folder.absolute().name for folder in folders)
