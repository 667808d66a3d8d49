"""A driver killed at random moments loses nothing: every study ends as the uninterrupted one does. `make bench`."""

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from skimage.io import imsave

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("LSSAT_BENCH_KILLS", "20"))
SPACE = """
objective: {metric: auc}
fixed:
  data.image_size: 32
  masking.unit: 8
  optim.epochs: 4
  optim.batch_size: 16
  decoder.dim: 32
space:
  backbone.name: [test_efficientnet, test_convnext]
  optim.lr: {low: 1e-4, high: 1e-2, log: on}
  aux_weight: {low: 0.1, high: 0.9}
search:
  scheduler: SCHEDULER
  num_trials: 8
  startup_trials: 3
  grace_epochs: 1
  reduction_factor: 2
  max_concurrent: 1
  finalists: 1
  final_seeds: 2
"""
TIMES = ("images_per_s", "to_tell", "auxiliary_to_tell")
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module", params=["promotion", "asha"])
def words(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0)
    names = [f"{index}.png" for index in range(160)]
    wrong = noise.random(160) < 0.25
    for index, name in enumerate(names):
        imsave(
            folder / name,
            (noise.integers(0, 200, (32, 32, 3)) + 30 * (index % 2)).astype(np.uint8),
            check_contrast=False,
        )
    split = ["train"] * 96 + ["val"] * 32 + ["test"] * 32
    pq.write_table(
        pa.table({"image": names, "bright": (np.arange(160) % 2) ^ wrong, "split": split}), folder / "table.parquet"
    )
    (folder / "kills.yaml").write_text(SPACE.replace("SCHEDULER", request.param))
    return [
        sys.executable,
        ROOT / "search/run.py",
        "--space",
        folder / "kills.yaml",
        "--data",
        folder / "table.parquet",
        "--task",
        "bright",
    ]


def tables(folder):
    """Leaderboard, final table, and what Optuna knows, without times."""
    rows = []
    for name in ("leaderboard.csv", "finals.csv"):
        with (folder / name).open() as file:
            rows.append(
                [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]
            )
    return rows


def ended(folder):
    """What finished trials and runs have reported, with the times of their epochs."""
    return {
        str(path.parent.relative_to(folder)): (path.parent / "metrics.jsonl").read_text()
        for path in folder.glob("*/*/outcome.json")
    }


def test_killed_at_random_moments(words, tmp_path):
    begun = time.time()
    subprocess.run([*words, "--results", tmp_path / "whole"], check=True, capture_output=True)
    seconds = time.time() - begun
    whole = tables(tmp_path / "whole" / "kills-table-bright")
    assert {row["status"] for row in whole[0]} == {"complete", "stopped"}, "or nothing is seen of the scheduler"
    moments, lines = random.Random(0), []
    for number in range(KILLS):
        results = tmp_path / f"killed-{number}"
        folder = results / "kills-table-bright"
        after = moments.uniform(0.05, 0.95) * seconds
        with subprocess.Popen(
            [*words, "--results", results], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(after)
            process.kill()
        before = ended(folder)
        done = subprocess.run([*words, "--results", results, "--resume"], capture_output=True, text=True)
        if not folder.exists():  # killed before there was anything
            done = subprocess.run([*words, "--results", results], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        same = tables(folder) == whole
        kept = all((folder / name / "metrics.jsonl").read_text() == text for name, text in before.items())
        sessions = len(json.loads((folder / "manifest.json").read_text())["sessions"])
        lines.append(
            f"killed after {after:5.1f} s of {seconds:.0f}: {len(before)} runs over, {sessions} sessions, same "
            f"tables: {same}, none run twice: {kept}"
        )
        print(lines[-1], flush=True)
        assert kept, lines[-1]
        assert same, lines[-1]
