"""A study whose validation is made of what training never sees, as a user types it, and one run of it again."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SPACE = """
data: {hold_out: method, held_out: [warp]}
objective: {over: worst}
fixed: {data.image_size: 32, masking.unit: 8, optim.epochs: 1, optim.warmup_epochs: 0, optim.batch_size: 16}
space:
  backbone.name: [test_convnext]
  auxiliary: [false]
  optim.lr: [1e-3, 3e-3]
search: {num_trials: 2, scheduler: none, sampler: random, finalists: 1, final_seeds: 2, rotate: on}
"""


@pytest.fixture
def table(tmp_path):
    """Fakes are brighter by one method and darker by the other, in two persons each."""
    generator, rows = np.random.default_rng(0), []
    for split in ("train", "val", "test"):
        for number in range(48):
            method = ("", "", "swap", "warp")[number % 4]
            level, out = {"": 0, "swap": 70, "warp": 40}[method], io.BytesIO()
            Image.fromarray((generator.integers(0, 150, (32, 32, 3)) + level).astype(np.uint8)).save(out, "PNG")
            row = {"image": out.getvalue(), "fake": int(bool(method)), "method": method, "split": split}
            rows.append({**row, "identity": f"{split} {number // 8}"})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "fakes.parquet")
    return tmp_path / "fakes.parquet"


def typed(tmp_path, *words):
    line = [sys.executable, ROOT / "search/run.py", "--results", tmp_path / "results", *words]
    done = subprocess.run(list(map(str, line)), cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_study_chooses_by_what_training_never_saw_and_rotates_it_in_the_final_stage(tmp_path, table):
    (tmp_path / "small.yaml").write_text(SPACE)
    said = typed(tmp_path, "--space", "small.yaml", "--data", table, "--task", "fake", "--name", "s")
    assert "held out method warp: training has 36 of 48 images" in said
    assert "final stage: the best 1 and their supervised baselines over 2 fresh seeds x 2 held-out values" in said
    assert "of each the worst over what is held out: swap, warp" in said
    folder = tmp_path / "results" / "s"

    line = json.loads((folder / "trials" / "0000" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 <= line["val/in_domain"] <= 1 and line["val/best_in_domain"] == line["val/in_domain"]
    with (folder / "leaderboard.csv").open() as file:
        assert all(float(row["in_domain"]) >= 0 for row in csv.DictReader(file))

    finals = sorted(path.name for path in (folder / "finals").iterdir())
    assert [name.partition("-")[2] for name in finals] == [f"seed{s}-fold{f}" for s in (1, 2) for f in (0, 1)]
    best = {name: last_of(folder / "finals" / name)["val/best"] for name in finals}
    with (folder / "finals.csv").open() as file:
        (row,) = csv.DictReader(file)
    worst = [min(best[name] for name in finals if f"-{seed}-" in name) for seed in ("seed1", "seed2")]
    assert (row["seeds"], float(row["mean"])) == ("2", pytest.approx(np.mean(worst)))

    card = json.loads((folder / "best" / "test.json").read_text())
    assert card["hold_out"]["held_out"] == ["warp"] and card["in_domain"] == card["hold_out"]["in_domain"]["score"]
    assert set(card["hold_out"]["values"]) == {"swap", "warp"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["data"]["folds"] == ["swap", "warp"] and len(manifest["test_opened"]) == 1
    assert "In domain and out of domain" in (folder / "report.html").read_text()

    again = typed(tmp_path, "--again", f"{folder}#{finals[1]}")
    assert "equal" in again


def last_of(record):
    return json.loads((record / "metrics.jsonl").read_text().splitlines()[-1])
