"""Captions photos, a line each, with the files beside it, which models/export.py wrote.

    python caption.py PHOTO ...

It needs onnxruntime, Pillow and NumPy, and takes the likeliest word at every step, as
`generate.py --beam 1` does.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent


def load(name: str) -> onnxruntime.InferenceSession:
    """Loads a network."""
    return onnxruntime.InferenceSession(HERE / name, providers=["CPUExecutionProvider"])


def read_photo(path: str, settings: dict) -> list[np.ndarray]:
    """Reads a photo, upright and on white where it is transparent, in the sizes of the encoder."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    image = image.convert("RGB")
    filters = [Image.Resampling[name.upper()] for name in settings["resizing"]]
    pairs = zip(settings["sizes"], filters, strict=True)
    return [np.asarray(image.resize((size, size), how))[None] for size, how in pairs]


def caption(path: str, encoder, step, settings: dict) -> str:
    """Captions a photo: its image embedding, then the likeliest next token until the last."""
    pixels = read_photo(path, settings)
    names = [given.name for given in encoder.get_inputs()]
    (embedding,) = encoder.run(None, dict(zip(names, pixels, strict=True)))
    # A step takes token, image embedding and states; it gives scores, tokens, and the new states.
    given = step.get_inputs()
    states = [np.zeros((1, state.shape[1]), np.float32) for state in given[2:]]
    token, words = settings["start_id"], []
    for _ in range(settings["maximum_length"]):
        arrays = [np.array([[token]], np.int32), embedding, *states]
        _, tokens, *states = step.run(None, {x.name: y for x, y in zip(given, arrays, strict=True)})
        token = int(tokens[0, 0])
        if token == settings["end_id"]:
            break
        words.append(settings["words"][token - 1])
    return " ".join(words)


if __name__ == "__main__":
    networks = load("encoder.onnx"), load("step.onnx")
    captioner = json.loads((HERE / "captioner.json").read_text(encoding="utf-8"))
    for photo in sys.argv[1:]:
        print(photo, caption(photo, *networks, captioner), sep="\t")
