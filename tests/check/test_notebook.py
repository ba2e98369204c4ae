"""Captioning in a notebook: the lines of the README, run in a real Jupyter kernel."""

import os

import pytest
from support import ROOT, draw_photo

from captioning.files import pretrained_model

LINES = """
from captioning import load_captioner
captioner = load_captioner()
print(captioner.caption("photo.jpg"))
""".strip()

# Standard error must reach the notebook again after what TensorFlow writes there was withheld.
MORE = """
import os, sys, warnings
from PIL import Image
warnings.simplefilter("ignore")
image = Image.open("photo.jpg")
texts = captioner.caption([image, "photo.jpg"] * 10)
print(len(texts), set(texts) == {captioner.caption("photo.jpg")})
print("to the stream", file=sys.stderr)
os.write(2, b"to the descriptor") and None
"""

MISTAKE = 'captioner.caption("notes.jpg")'


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Runs the cells in a folder with a photo and returns them with their outputs."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is missing: it runs notebooks")
    pytest.importorskip("ipykernel", reason="ipykernel is missing: it is the kernel")
    if not pretrained_model().is_dir():
        pytest.skip("models/pretrained is missing: load_captioner() has nothing to load")
    from nbformat import v4

    folder = tmp_path_factory.mktemp("notebook")
    draw_photo(folder / "photo.jpg", "red", "ball", "snow")
    (folder / "notes.jpg").write_text("no photo")
    notebook = v4.new_notebook(cells=[v4.new_code_cell(text) for text in (LINES, MORE, MISTAKE)])
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(
        notebook, kernel_name="python3", timeout=300, resources=resources, allow_errors=True
    )
    # A kernel in a test, which this variable tells, leaves the file descriptors alone.
    environment = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
    client.execute(env=environment | {"PYTHONPATH": str(ROOT)})
    return notebook.cells


def test_the_readme_shows_the_lines():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in LINES.splitlines():
        assert line in readme


def test_the_lines_of_the_readme_caption_a_photo_and_print_nothing_else(cells):
    (output,) = cells[0].outputs
    assert (output.output_type, output.name) == ("stream", "stdout")
    (caption,) = output.text.splitlines()
    assert len(caption.split()) > 2


def test_images_and_lists_are_captioned_and_standard_error_works(cells):
    streams = {"stdout": "", "stderr": ""}
    for output in cells[1].outputs:
        streams[output.name] += output.text
    assert streams["stdout"] == "20 True\n"
    assert "to the stream" in streams["stderr"]
    assert "to the descriptor" in streams["stderr"]


def test_a_photo_that_cannot_be_read_is_an_error_that_says_why(cells):
    (output,) = cells[2].outputs
    assert output.output_type == "error"
    assert output.ename == "PhotoError"
    assert output.evalue.startswith("notes.jpg cannot be read: cannot identify image file")
