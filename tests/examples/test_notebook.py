"""The notebooks of the examples run from the first cell to the last."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# In a process of its own: the client of a notebook's kernel leaves sockets to the garbage collector.
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.ipynb")))
def test_it_runs_and_shows_its_tables(name, tmp_path):
    kept = nbformat.read(EXAMPLES / name, as_version=4)
    assert not any(cell.get("outputs") for cell in kept.cells)
    command = [sys.executable, "-c", EXECUTE, str(EXAMPLES / name), str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outputs = [one for cell in nbformat.read(tmp_path / name, as_version=4).cells for one in cell.get("outputs", ())]
    shown = [one.data for one in outputs if one.output_type == "execute_result"]
    assert sum("<table" in str(one.get("text/html", "")) for one in shown) >= 7
