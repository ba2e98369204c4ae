"""Damages a file between the stages, runs a stage that reads it, and then the one that makes it.

The stage must refuse the file, or make exactly what it makes of the undamaged one. What a person
wrote may be edited: there the results may be others.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from stress.harm import FAULTS, OF_TEXT, TEXT
from stress.judging import LOST, WRONG, Fault, compare, contents, judge_end
from stress.scene import Scene


@dataclass(frozen=True)
class Kind:
    """What a file is to the stages."""

    readers: tuple[str, ...]
    maker: str = ""  # the stage that makes it anew; without one it is a person's, who puts it back
    free: tuple[str, ...] = ()  # the readers for which another content is another input
    left_out: tuple[str, ...] = ()  # results that may show it, and are not compared
    is_removed: bool = False  # whether the message asks to remove it before it is made anew


_PICKLED = Kind(("photos", "first train", "evaluate"), "photos")
_MAPPED = Kind(("photos mapped", "train mapped", "evaluate mapped"), "photos mapped")
_PREPARED = Kind(("text", "first train", "evaluate"), "text")
_OF_MODEL = Kind(("evaluate", "generate"), "first train")
_OF_RESULTS = Kind(("evaluate",), "evaluate")
_OF_STOPPED = Kind(("resume",), "train anew")
# Nothing but the page shows them, and they are text for people.
_SHOWN = ("model/captions.html",)

KINDS = {
    "data/Flickr8k.token.txt": Kind(("text", "first train", "evaluate"), free=("text",)),
    "data/Flickr_8k.trainImages.txt": Kind(("text", "first train", "evaluate"), free=("text",)),
    # Which photos are for validation and test may change after the vocabulary was made.
    "data/Flickr_8k.devImages.txt": Kind(("text", "first train"), free=("first train",)),
    "data/Flickr_8k.testImages.txt": Kind(("text", "evaluate"), free=("evaluate",)),
    # A photo that is encoded in a batch of its own has features that differ in the last bits.
    "data/photos/red_ball_snow.png": Kind(
        ("photos", "generate"),
        free=("photos", "generate"),
        left_out=("data/features.pkl", "data/features.json"),
    ),
    "drawn/words/captions.csv": Kind(
        ("text named", "train mapped", "evaluate mapped"), free=("text named",)
    ),
    "drawn/places.json": Kind(
        ("text drawn", "photos mapped", "train mapped", "evaluate mapped"),
        "text named",
        # Without it, the photos that are named are remembered, and the captions looked for.
        left_out=("drawn/places.json",),
        is_removed=True,
    ),
    "drawn/splits.json": Kind(("text drawn", "train mapped", "evaluate mapped"), "text drawn"),
    "data/descriptions.txt": _PREPARED,
    "data/vocabulary.json": _PREPARED,
    "data/features.pkl": _PICKLED,
    "data/features.json": _PICKLED,
    # Without it photos are not compared for those that look alike, of which the scores tell.
    "data/features-cache/*.npz": replace(
        _PICKLED, left_out=("model/captions.html", "model/scores.json")
    ),
    "drawn/features.npy": _MAPPED,
    "drawn/features-index.json": _MAPPED,
    "drawn/features.json": _MAPPED,
    "model/captioner.keras": _OF_MODEL,
    "model/vocabulary.json": _OF_MODEL,
    "model/features.json": _OF_MODEL,
    "model/training-photos.json": _OF_MODEL,
    "model/recipe.toml": Kind(
        ("evaluate", "generate", "models"), "first train", ("models",), _SHOWN
    ),
    "model/history.csv": Kind(("evaluate",), "first train"),
    "model/curves.png": Kind(("evaluate",), "first train", left_out=_SHOWN),
    "model/scores.json": Kind(("evaluate", "models"), "evaluate"),
    "model/captions.csv": _OF_RESULTS,
    "other/scores.json": Kind(("compare", "models"), "evaluate other"),
    "other/captions.csv": Kind(("compare",), "evaluate other"),
    "other/recipe.toml": Kind(("compare", "models"), "train other", ("models",)),
    "stopped/checkpoint.npz": _OF_STOPPED,
    "stopped/history.csv": _OF_STOPPED,
    "stopped/captioner.keras": _OF_STOPPED,
    "stopped/vocabulary.json": _OF_STOPPED,
    "stopped/training-photos.json": _OF_STOPPED,
    "stopped/recipe.toml": _OF_STOPPED,
}

# The readers whose results are what they print.
_PRINTING = ("generate", "models")

# Training takes seconds: so often is it seen whether it mends what was refused.
_TRAINED_AGAIN = 0.15

# With another file of the folder.
SWAPPED = "swapped"


def plan() -> Iterator[tuple[str, str, str]]:
    """Yields each file with each stage that reads it and each way to damage it."""
    for fault in (*FAULTS, SWAPPED):
        for name, kind in KINDS.items():
            for reader in kind.readers:
                if _is_possible(fault, name):
                    yield name, reader, fault


def _is_possible(fault: str, name: str) -> bool:
    if fault == SWAPPED:
        return bool(_beside(name))
    return fault not in OF_TEXT or name.endswith(TEXT)


def _beside(name: str) -> list[str]:
    return [other for other in KINDS if other != name and Path(other).parent == Path(name).parent]


def damage(name: str, fault: str, generator: Random, folder: Path) -> list[str]:
    """Damages a file; returns the names of `KINDS` that were touched."""
    path = _find(name, folder)
    if fault != SWAPPED:
        FAULTS[fault](path, generator)
        return [name]
    other = generator.choice(_beside(name))
    spare = folder / "spare"
    path.rename(spare)
    _find(other, folder).rename(path)
    spare.rename(folder / other)
    return [name, other]


def _find(name: str, folder: Path) -> Path:
    return next(folder.glob(name))


def trial(scene: Scene, case: tuple[str, str, str], generator: Random, folder: Path) -> list[Fault]:
    """Damages a file, runs the stage that reads it, and has it made anew."""
    name, reader, fault = case
    touched = damage(name, fault, generator, folder)
    kinds = [KINDS[one] for one in touched]
    before = contents(folder)
    outcome = scene.run(reader, folder)
    faults, after = judge_end(outcome), contents(folder)
    is_free = any(reader in kind.free for kind in kinds)
    left_out = {result for kind in kinds for result in kind.left_out}
    if outcome.status == 2:
        changed = [one for one in before if before[one] != after.get(one)]
        if changed:
            faults.append(Fault(LOST, f"refused, but changed: {', '.join(changed)}"))
    elif outcome.status == 0 and not is_free:
        # A damaged file that was not written anew stays what it is.
        left_out |= {one for one in touched if after.get(one) == before.get(one)}
        expected = scene.undisturbed[reader]
        faults += compare(after, expected.contents, left_out)
        if reader in _PRINTING and outcome.output != expected.outcome.output:
            faults.append(Fault(WRONG, "it prints something else"))
    if faults or (outcome.status == 0 and not is_free):
        return faults
    return _repair(scene, reader, touched, generator, folder)


def _repair(
    scene: Scene, reader: str, touched: list[str], generator: Random, folder: Path
) -> list[Fault]:
    """Does what a message may ask for; all must be as if nothing had been damaged."""
    stages, left_out = {KINDS[name].maker or reader for name in touched}, set()
    for name in touched:
        kind = KINDS[name]
        left_out.update(kind.left_out)
        if kind.is_removed:
            (folder / name).unlink(missing_ok=True)
        if not kind.maker:
            shutil.copy2(scene.whole / name, folder / name)
    scripts = {scene.stages[stage].command.script for stage in stages}
    if "train.py" in scripts and generator.random() > _TRAINED_AGAIN:
        return []
    faults = []
    # In the order of the pipeline.
    for stage in sorted(stages, key=[*scene.stages].index):
        outcome = scene.run(stage, folder)
        faults += judge_end(outcome)
        if outcome.status != 0:
            faults.append(Fault(LOST, f"{stage}, run again: {outcome.errors.strip()}"))
            break
        expected, found = scene.undisturbed[stage], contents(folder)
        written = [one for one in expected.sizes if one in expected.contents]
        faults += compare(
            {one: found[one] for one in written if one in found},
            {one: expected.contents[one] for one in written},
            left_out,
        )
    return faults
