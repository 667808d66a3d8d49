"""A search over two data sets as a user types it: what trains, what selects, what the page says, what goes on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lssat.data.prepared.table import read_info
from search.record.predictions import read
from tests.lssat.data.tables import table

ROOT = Path(__file__).resolve().parents[1]
SPACE = """
fixed:
  data.source: [{a}, {b}]
  data.task: mood
  data.validate_on: b
  data.image_size: 32
  objective.subgroups: [{subgroups}]
  masking.unit: 8
  decoder.dim: 32
  optim.epochs: 2
  optim.batch_size: 16
space:
  backbone.name: [test_vit]
  backbone.patch_size: [8]
  aux_weight: {{low: 0.1, high: 0.5}}
search: {{num_trials: 2, scheduler: none, finalists: 0}}
"""


def run(*words):
    command = [sys.executable, ROOT / "search" / "run.py", *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=280)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_two_data_sets_are_searched_as_one(tmp_path):
    """Trained on both, chosen on `b`; moved, both are found by `--data`; another to validate on is refused."""
    splits = {"train": 40, "val": 24, "test": 24}
    columns = {"camera": ["x", "x", "y", "y"]}
    sources = [table(tmp_path / "at" / f"{name}.parquet", splits, ["sad", "glad"], columns) for name in "ab"]
    space = tmp_path / "two.yaml"
    space.write_text(SPACE.format(a=sources[0], b=sources[1], subgroups="camera, dataset"))
    words = ["--space", space, "--results", tmp_path / "results", "--name", "two"]
    done = run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a + b: task mood (binary, 2 classes), 80 train, 24 val, 24 test" in done.stdout
    folder = tmp_path / "results" / "two"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"]["rows"] == {"train": 80, "val": 24, "test": 24}
    assert manifest["resolved"]["space"]["fixed"]["data.source"] == sources
    (opening,) = manifest["test_opened"]
    found = opening["results"][opening["chosen"]]["subgroups"]
    assert {column: {name: of["rows"] for name, of in each["groups"].items()} for column, each in found.items()} == {
        "camera": {"x": 12, "y": 12},
        "dataset": {"b": 24},
    }
    kept = read(folder / "trials" / opening["chosen"] / "predictions-validation.parquet")
    assert {*kept.texts.groups["dataset"]} == {"b"}
    said = {claim["id"]: claim["text"] for claim in json.loads((folder / "report.json").read_text())["claims"]}
    assert any(text.startswith("Validation and test are of `b` alone") for text in said.values())
    moved = [shutil.move(path, tmp_path / Path(path).name) for path in sources]
    given = ["--data", moved[0], "--data", moved[1]]
    shutil.rmtree(manifest["data"]["prepared"])
    done = run(*words, *given, "--extend", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((folder / "trials").iterdir())) == 3
    prepared = json.loads((folder / "manifest.json").read_text())["data"]["prepared"]
    assert read_info(Path(prepared)).fingerprint == manifest["resolved"]["data"]
    done = run("--again", f"{folder}#0000", *given)
    assert (done.returncode, "to the bit" in done.stdout) == (0, True), done.stdout + done.stderr
    done = run(*words, *given, "--resume", "--set", "data.validate_on=a")
    assert done.returncode == 2
    assert "these differ: " in done.stderr
