"""The notebooks run from beginning to end, and are stored without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_a_notebook_is_kept_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


# Warnings about event loops and sockets, between here and the notebook's process, are not ours.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
@each_notebook
def test_a_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises what a cell raises
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    nbformat.write(notebook, tmp_path / path.name)  # to be looked at
