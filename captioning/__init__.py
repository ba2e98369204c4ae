"""Image captioning. `captioning.load_captioner().caption("photo.jpg")` captions a photo."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if find_spec("numpy") is None:
    # One sentence for whoever runs a script outside of the virtual environment.
    print(
        "the packages are missing: activate the virtual environment by . .venv/bin/activate; make "
        "venv makes it",
        file=sys.stderr,
    )
    raise SystemExit(2)

if TYPE_CHECKING:
    from captioning.captioner import Captioner

__all__ = ["load_captioner"]


def load_captioner(
    model: str | Path | Sequence[str | Path] | None = None, weights: str | None = None
) -> "Captioner":
    """Loads a model folder, or several that are averaged, with the encoder of its features.

    None is the model that comes with the project. `weights` names the encoder's weights, as
    `prepare_photos.py --weights` does, where they are no longer where the model says.

    Raises:
        captioning.cli.UserError: if the model or the weights are missing or damaged.
    """
    # Keras takes seconds to import, which nobody should wait for who needs another module.
    from captioning.captioner import Captioner

    return Captioner.load(model, weights)
