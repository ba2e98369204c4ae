"""A script that withstands what the stress run does to it, and others that do not.

    python planted.py BEHAVIOUR

Each makes data/result.txt of data/input.txt.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

GOOD_INPUT = "one two three\n"
RESULT_SIZE = 1000

_INPUT, _RESULT, _COUNT = (Path("data", f"{name}.txt") for name in ("input", "result", "count"))


def _refuse(sentence: str) -> int:
    print(f"planted.py: {sentence}", file=sys.stderr)
    return 2


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(".partial-0")
    try:
        beside.write_text(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _meet_damage(behaviour: str) -> int:
    """Does what should not be done with a damaged input, but for the last."""
    if behaviour == "crashes":
        raise ValueError("the input is damaged")
    if behaviour == "hangs":
        time.sleep(1000)
    if behaviour == "says nothing":
        return 1
    if behaviour == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "loses another file":
        _COUNT.unlink()
    return _refuse(f"{_INPUT} is damaged: write it again")


def command(arguments: Sequence[str]) -> int:
    """Behaves as the argument says; returns the exit status."""
    (behaviour,) = arguments
    text = _INPUT.read_text(errors="replace") if _INPUT.exists() else ""
    if text != GOOD_INPUT and behaviour != "believes":
        return _meet_damage(behaviour)
    if behaviour == "counts":
        # Without a lock.
        count = int(_COUNT.read_text())
        _write_whole(_COUNT, str(count + 1))
        return 0
    if behaviour == "cannot go on":
        if not _RESULT.exists():
            return _refuse(f"{_RESULT} is missing: I am of no help")
        _RESULT.unlink()
    try:
        if behaviour in ("cannot go on", "leaves a half"):
            with open(_RESULT.with_name(".partial-1"), "w") as file:
                file.write(text.ljust(RESULT_SIZE))
            os.replace(_RESULT.with_name(".partial-1"), _RESULT)
        else:
            _write_whole(_RESULT, text.ljust(RESULT_SIZE))
    except OSError as error:
        return _refuse(f"{_RESULT}: {error.strerror}")
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
