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
    notebook = v4.new_notebook(cells=[v4.new_code_cell(text) for text in (LINES, MISTAKE)])
    resources = {"metadata": {"path": str(folder)}}
    options = {"kernel_name": "python3", "timeout": 300, "allow_errors": True}
    client = nbclient.NotebookClient(notebook, resources=resources, **options)
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    return notebook.cells


def test_the_lines_of_the_readme_caption_a_photo_and_print_nothing_else(cells):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(line in readme for line in LINES.splitlines())
    (output,) = cells[0].outputs
    assert (output.output_type, output.name) == ("stream", "stdout")
    (caption,) = output.text.splitlines()
    assert len(caption.split()) > 2


def test_a_photo_that_cannot_be_read_is_an_error_that_says_why(cells):
    (output,) = cells[1].outputs
    assert output.output_type == "error"
    assert output.ename == "PhotoError"
    assert output.evalue.startswith("notes.jpg cannot be read: cannot identify image file")
