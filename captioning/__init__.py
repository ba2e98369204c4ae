"""Image captioning. `captioning.load_captioner().caption("photo.jpg")` captions a photo."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# The scripts stand beside this package; nobody should read a traceback of one because the virtual
# environment is not active. Of the packages, this one is the least likely to be elsewhere.
_is_script = Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent.parent
if _is_script and not find_spec("msgspec"):
    print("packages are missing: make venv, then . .venv/bin/activate", file=sys.stderr)
    raise SystemExit(2)


def __getattr__(name: str) -> Any:
    # Imported late: Keras takes seconds, and other modules do without it.
    if name == "load_captioner":
        from captioning.captioner import load_captioner

        return load_captioner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
