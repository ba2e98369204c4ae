"""The folder that every trial begins with a copy of, and what undisturbed commands make of it."""

import shutil
import signal
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import write_tiny_data

from stress.judging import contents
from stress.running import Command, Outcome, Run, run, tally_events

_ENCODER = ("--encoder", "MobileNetV2", "--weights", "none", "--batch-size", "4")
_NETWORK = ("--units", "8", "--batch-size", "16")
_DATA = ("--data", "data")
_DRAWN = ("--data", "drawn")
_MODEL = (*_DATA, "--model", "model")
_SHORT = ("--beam", "3", "--consensus", "1")


@dataclass(frozen=True)
class Stage:
    """A command, and what is known of it."""

    command: Command
    outputs: tuple[str, ...] = ()  # what it writes, and may find missing
    use: str = ""  # the stage that must still work whenever this one was stopped

    def again(self, folder: Path) -> Command:
        """Returns the command that a person runs after it was stopped."""
        typed = [word for word in self.command.arguments if word != "--resume"]
        if self.command.script == "train.py":
            model = typed[typed.index("--model") + 1]
            if (folder / model / "checkpoint.npz").exists():
                typed.append("--resume")
        return replace(self.command, arguments=tuple(typed))


@dataclass
class Undisturbed:
    """What a stage makes of the folder where nothing disturbs it."""

    outcome: Outcome
    contents: dict[str, str]
    sizes: dict[str, int]  # of the files that it wrote, in bytes
    changes: int = 0  # events that `is_change` counts
    touches: int = 0


def _stage(script: str, *arguments: str, outputs: tuple[str, ...] = (), use: str = "") -> Stage:
    return Stage(Command(script, arguments), outputs, use)


_PICKLED = ("data/features.pkl", "data/features.json", "data/features-cache")
_MAPPED = ("drawn/features.npy", "drawn/features-index.json", "drawn/features.json")
_WORDS = ("descriptions.txt", "vocabulary.json")
_PAGE = ("captions.html", "captions.csv", "scores.json")

STAGES = {
    "photos": _stage("prepare_photos.py", *_DATA, *_ENCODER, outputs=_PICKLED),
    "photos mapped": _stage(
        *("prepare_photos.py", *_DRAWN, *_ENCODER, "--photos", "drawn/pictures"),
        *("--format", "mapped"),
        outputs=(*_MAPPED, "drawn/features-cache"),
    ),
    "text": _stage("prepare_text.py", *_DATA, outputs=tuple(f"data/{name}" for name in _WORDS)),
    "text named": _stage(
        *("prepare_text.py", *_DRAWN, "--captions", "drawn/words/captions.csv"),
        *("--photos", "drawn/pictures"),
    ),
    "text drawn": _stage(
        *("prepare_text.py", *_DRAWN),
        outputs=tuple(f"drawn/{name}" for name in (*_WORDS, "splits.json")),
    ),
    "text drawn anew": _stage("prepare_text.py", *_DRAWN, "--split-seed", "2"),
    "first train": _stage("train.py", *_MODEL, *_NETWORK, "--epochs", "2"),
    # In place of a model with another vocabulary, so that files of both cannot pass for one model.
    "train": _stage(
        *("train.py", *_DRAWN, "--model", "model", *_NETWORK, "--epochs", "2"),
        outputs=("model",),
        use="generate one",
    ),
    # Of one epoch, since a model of each is there to caption with.
    "train briefly": _stage("train.py", *_DRAWN, "--model", "model", *_NETWORK, "--epochs", "1"),
    "train mapped": _stage(
        "train.py", *_DRAWN, "--model", "mapped", *_NETWORK, "--epochs", "2", outputs=("mapped",)
    ),
    "train with rewards": _stage(
        *("train.py", *_MODEL, *_NETWORK, "--epochs", "1", "--reward-epochs", "1"),
        outputs=("model",),
        use="generate one",
    ),
    "train other": _stage(
        *("train.py", *_DATA, "--model", "other", *_NETWORK, "--epochs", "2", "--seed", "3"),
    ),
    "train anew": _stage("train.py", *_DATA, "--model", "stopped", *_NETWORK, "--epochs", "3"),
    "resume": _stage(
        *("train.py", *_DATA, "--model", "stopped", *_NETWORK, "--epochs", "3", "--resume"),
        use="generate one by stopped",
    ),
    "evaluate": _stage(
        *("evaluate.py", *_MODEL, *_SHORT),
        outputs=tuple(f"model/{name}" for name in _PAGE),
        use="generate one",
    ),
    "evaluate dev": _stage("evaluate.py", *_MODEL, *_SHORT, "--split", "dev"),
    "evaluate mapped": _stage("evaluate.py", *_DRAWN, "--model", "mapped", *_SHORT),
    "evaluate other": _stage("evaluate.py", *_DATA, "--model", "other", *_SHORT),
    "compare": _stage("evaluate.py", *_MODEL, *_SHORT, "--compare", "other", use="generate one"),
    "models": _stage("evaluate.py", "--models", "model", "other"),
    "generate": _stage(
        *("generate.py", "data/photos", "--model", "model"),
        *("--csv", "out/captions.csv", "--html", "out/captions.html"),
        outputs=("out",),
    ),
    "generate one": _stage("generate.py", "data/photos/red_ball_snow.png", "--model", "model"),
    "generate one by stopped": _stage(
        "generate.py", "data/photos/red_ball_snow.png", "--model", "stopped"
    ),
}
# The same in a Python of its own; those that need the encoder would load a real one.
STAGES |= {
    f"{name} in a new Python": replace(
        STAGES[name], command=replace(STAGES[name].command, is_copied=False), use=""
    )
    for name in ("text", "train", "resume", "evaluate")
}

# In the order in which they make the folder.
_MAKERS = (
    *("photos", "text", "text named", "photos mapped", "first train", "train mapped"),
    *("train other", "evaluate", "evaluate mapped", "evaluate other", "generate"),
)


@dataclass
class Scene:
    """A folder in which every stage has been run, and what each stage makes of a copy of it."""

    place: Path  # holds the folder, and those of the trials
    stages: dict[str, Stage]
    limit: float = 180  # seconds after which a command hangs; none takes a tenth of it
    undisturbed: dict[str, Undisturbed] = field(default_factory=dict)
    # Pair of stages, one after the other -> both statuses, and what the folder holds then.
    sequences: dict[tuple[str, str], tuple[tuple[int, int], dict[str, str]]] = field(
        default_factory=dict
    )

    @property
    def whole(self) -> Path:
        """The folder."""
        return self.place / "whole"

    def copy(self, name: str) -> Path:
        """Returns a copy of the folder."""
        folder = self.place / name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        # With the times of the files, by which the cache of features knows the photos.
        return shutil.copytree(self.whole, folder)

    def run(self, name: str, folder: Path) -> Outcome:
        """Runs a stage."""
        return run(self.stages[name].command, folder, self.limit)

    def run_undisturbed(self, name: str) -> Undisturbed:
        """Runs a stage in a copy of the folder, and sees what it does."""
        folder = self.copy(f"undisturbed {name}")
        before = _times(folder)
        with tempfile.TemporaryFile() as tally:
            outcome = run(
                self.stages[name].command, folder, self.limit, tally_events(tally.fileno())
            )
            tally.seek(0)
            events = tally.read()
        if outcome.status != 0:
            raise AssertionError(f"{self.stages[name].command}: {outcome.errors}")
        after, found = _times(folder), contents(folder)
        written = [path for path, time in after.items() if before.get(path) != time]
        sizes = {path: (folder / path).stat().st_size for path in written}
        shutil.rmtree(folder)
        return Undisturbed(outcome, found, sizes, events.count(b"c"), len(events))

    def run_in_sequence(self, pair: tuple[str, str]) -> tuple[tuple[int, int], dict[str, str]]:
        """Runs one stage after another in a copy of the folder."""
        folder = self.copy(f"sequence {' '.join(pair)}")
        first, second = (self.run(name, folder).status for name in pair)
        found = contents(folder)
        shutil.rmtree(folder)
        return (first, second), found


def _times(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def make_whole(scene: Scene) -> None:
    """Runs every stage in a folder of made-up photos, and stops one training."""
    folder = scene.whole
    write_tiny_data(folder / "data")
    # What is named but not in the data folder is remembered by its absolute path, which would make
    # every copy of the folder read the files of this one.
    shutil.copytree(folder / "data" / "photos", folder / "drawn" / "pictures")
    (folder / "drawn" / "words").mkdir()
    lines = (folder / "data" / "Flickr8k.token.txt").read_text().splitlines()
    rows = [line.replace(" ,", "").replace("#", "\t").split("\t") for line in lines]
    table = ["image,caption", *(f"{name},{caption}" for name, _, caption in rows)]
    (folder / "drawn" / "words" / "captions.csv").write_text("\n".join(table) + "\n")
    for name in _MAKERS:
        outcome = scene.run(name, folder)
        if outcome.status != 0:
            raise AssertionError(f"{scene.stages[name].command}: {outcome.errors}")
    stopped = Run(scene.stages["train anew"].command, folder)
    while not (folder / "stopped" / "checkpoint.npz").exists():
        if stopped.rests_within(0.01):
            raise AssertionError(stopped.finish(scene.limit).errors)
    stopped.send(signal.SIGTERM)
    stopped.finish(scene.limit)
