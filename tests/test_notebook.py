"""The notebook runs from its first cell to its last, as a newcomer would run it."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "first_study.ipynb"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("ray")
def test_the_notebook_goes_from_a_folder_of_photos_to_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "results" / "first" / "report.html").exists()
    answers = (tmp_path / "answers.csv").read_text().splitlines()
    assert len(answers) == 1 + len(list((tmp_path / "photos").rglob("*.jpg"))) > 100
