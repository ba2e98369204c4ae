"""Image captioning. `captioning.load_captioner().caption("photo.jpg")` captions a photo."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

# What the modules here import at their top.
_needed = ("numpy", "PIL", "tqdm", "tomli_w", "filelock", "regex")
_missing = [name for name in _needed if not find_spec(name)]
if _missing:
    _sentence = (
        f"{', '.join(_missing)} cannot be imported: activate the virtual environment by . "
        ".venv/bin/activate; make venv makes it"
    )
    # The scripts stand beside this package; nobody should read a traceback of one.
    _script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    if _script.resolve().parent == Path(__file__).resolve().parent.parent:
        print(_sentence, file=sys.stderr)
        raise SystemExit(2)
    raise ModuleNotFoundError(_sentence)

if TYPE_CHECKING:
    from captioning.captioner import Captioner

__all__ = ["load_captioner"]


def load_captioner(
    model: str | Path | Sequence[str | Path] | None = None, weights: str | None = None
) -> "Captioner":
    """Loads a model folder, or several that are averaged, with the encoder of its features.

    None is the model that comes with the project. `weights` names the encoder's weights where they
    are no longer where the model says: `imagenet`, `none` or a file.

    Raises:
        captioning.cli.UserError: if the model or the weights are missing or damaged.
    """
    # Keras takes seconds to import, which nobody should wait for who needs another module.
    from captioning.captioner import Captioner

    return Captioner.load(model, weights)
