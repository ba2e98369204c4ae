"""The ways to damage a file, at random."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any


def _flip(path: Path, generator: Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(generator.randint(1, 8)):
        content[generator.randrange(len(content))] ^= generator.randint(1, 255)
    path.write_bytes(content)


def _truncate(path: Path, generator: Random) -> None:
    path.write_bytes(path.read_bytes()[: generator.randrange(1, path.stat().st_size)])


def _zero(path: Path, generator: Random) -> None:
    content = path.read_bytes()
    begin = generator.randrange(len(content))
    size = min(generator.randint(1, 512), len(content) - begin)
    path.write_bytes(content[:begin] + bytes(size) + content[begin + size :])


def _remove(path: Path, generator: Random) -> None:
    path.unlink()


def _empty(path: Path, generator: Random) -> None:
    path.write_bytes(b"")


def _drop_line(path: Path, generator: Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[generator.randrange(len(lines))]
    path.write_bytes(b"".join(lines))


def _edit(path: Path, generator: Random) -> None:
    """Writes another value that might stand there."""
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        places = [*_places(content)]
        holder, key = generator.choice(places)
        holder[key] = _another(holder[key], generator)
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return
    text = path.read_text()
    words = [*re.finditer(r"\w+", text)]
    begin, end = generator.choice(words).span()
    path.write_text(text[:begin] + generator.choice(words).group() + text[end:])


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every list and object within a JSON value, with each index or key of it."""
    if isinstance(content, dict | list):
        keys = content if isinstance(content, dict) else range(len(content))
        for key in keys:
            yield content, key
            yield from _places(content[key])


def _another(value: Any, generator: Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return generator.choice([value + 1, value - 1, 10 * value, 0, -value, float(value)])
    if isinstance(value, str):
        return generator.choice([f"{value}s", value[1:], value.upper(), "", "none", value[::-1]])
    if isinstance(value, list) and value:
        return generator.choice([value[1:], value[::-1], [*value, value[0]], []])
    return [] if isinstance(value, dict) else {}


FAULTS: dict[str, Callable[[Path, Random], None]] = {
    "flipped bytes": _flip,
    "truncated": _truncate,
    "zeroed block": _zero,
    "removed": _remove,
    "emptied": _empty,
    "line dropped": _drop_line,
    "edited": _edit,
}

# Those for files of text alone, and what their names end in.
OF_TEXT = {"line dropped", "edited"}
TEXT = (".txt", ".csv", ".json", ".toml")
