"""Captioning in a notebook: the lines of the README, run in a real Jupyter kernel."""

import os

import pytest
from support import ROOT, draw_photo

LINES = """
from captioning import load_captioner
captioner = load_captioner()
print(captioner.caption("photo.jpg"))
""".strip()


def test_the_lines_of_the_readme_caption_a_photo_and_print_nothing_else(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is missing: it runs notebooks")
    pytest.importorskip("ipykernel", reason="ipykernel is missing: it is the kernel")
    from nbformat import v4

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(line in readme for line in LINES.splitlines())
    draw_photo(tmp_path / "photo.jpg", "red", "ball", "snow")
    notebook = v4.new_notebook(cells=[v4.new_code_cell(LINES)])
    resources = {"metadata": {"path": str(tmp_path)}}
    options = {"kernel_name": "python3", "timeout": 300, "allow_errors": True}
    client = nbclient.NotebookClient(notebook, resources=resources, **options)
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    (output,) = notebook.cells[0].outputs
    assert (output.output_type, output.name) == ("stream", "stdout")
    (caption,) = output.text.splitlines()
    assert len(caption.split()) > 2
