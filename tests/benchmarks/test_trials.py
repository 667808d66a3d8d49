"""What a trial costs beside its training, and whether a hundred of them leave anything behind. `make bench`."""

import csv
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from skimage.io import imsave

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
objective: {metric: auc} # of few images, accuracy ties too often for any trial to be stopped
fixed:
  data.image_size: 32
  masking.unit: 8
  backbone.name: test_efficientnet
  optim.epochs: 4
  optim.batch_size: 16
  decoder.dim: 32
space:
  optim.lr: {low: 1e-5, high: 1e-2, log: on}
  aux_weight: {low: 0.1, high: 0.9}
search: {sampler: random, grace_epochs: 1, reduction_factor: 2, finalists: 0}
"""
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    names = [f"{index}.png" for index in range(160)]
    wrong = random.random(160) < 0.25  # labels that no trial can learn, so that trials differ and some are stopped
    for index, name in enumerate(names):
        imsave(
            folder / name,
            (random.integers(0, 200, (32, 32, 3)) + 30 * (index % 2)).astype(np.uint8),
            check_contrast=False,
        )
    split = ["train"] * 96 + ["val"] * 32 + ["test"] * 32
    pq.write_table(
        pa.table({"image": names, "bright": (np.arange(160) % 2) ^ wrong, "split": split}), folder / "table.parquet"
    )
    return folder / "table.parquet"


def search(tmp_path, table, *more):
    """Run a study; its folder, its seconds, and the resident memory of it and all it started, sampled every two seconds
    (MB).
    """
    (tmp_path / "bench.yaml").write_text(SPACE)
    words = [
        sys.executable,
        ROOT / "search/run.py",
        "--space",
        tmp_path / "bench.yaml",
        "--data",
        table,
        "--task",
        "bright",
        "--results",
        tmp_path / "results",
        *more,
    ]
    started, memory = time.time(), []
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def watch():
        while process.poll() is None:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            memory.append(sum(_private(member) for member in family) / 1e6)
            time.sleep(2)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return tmp_path / "results" / "bench-table-bright", time.time() - started, memory


def _private(process):
    try:
        return process.memory_full_info().uss
    except psutil.Error:
        return 0


def rows(folder):
    with (folder / "leaderboard.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_next_trial_starts_at_once(tmp_path, table):
    folder, _, _ = search(
        tmp_path, table, "--num-trials", "12", "--set", "optim.epochs=1", "--set", "optim.warmup_epochs=0"
    )
    gaps = []
    epochs = sorted(
        (json.loads(line)["time"], 96 / json.loads(line)["train/images_per_s"])
        for path in folder.glob("trials/*/metrics.jsonl")
        for line in path.read_text().splitlines()
    )
    cores = len(os.sched_getaffinity(0))
    for (before, _), (after, training) in zip(epochs[cores : -cores or None], epochs[2 * cores :], strict=False):
        gaps.append(
            after - training - before
        )  # `cores` trials run side by side: the one that starts now took the place of that one
    print(
        "\nfrom a trial's end to the next one's first step, validation and checkpoint included: median "
        f"{np.median(gaps):.2f} s, worst {max(gaps):.2f} s"
    )
    assert np.median(gaps) < 1.5


@pytest.mark.parametrize(
    ("trials", "more"), [(100, []), (10, ["--set", "resources.num_workers=2"])], ids=["100-local", "10-two-worker"]
)
def test_stopped_trials_leave_nothing_behind(tmp_path, table, trials, more):
    folder, seconds, memory = search(tmp_path, table, "--num-trials", trials, *more)
    states = [row["status"] for row in rows(folder)]
    counted = {state: states.count(state) for state in set(states)}
    third = len(memory) // 3
    early, late = (
        np.percentile(part, 90) for part in (memory[third : 2 * third], memory[2 * third :])
    )  # workers come and go: their peaks tell
    print(
        f"\n{trials} trials {' '.join(more)}: {counted} in {seconds:.0f} s; memory {early:.0f} MB in the middle "
        f"third, {late:.0f} MB in the last"
    )
    assert len(states) == trials
    assert set(states) <= {"complete", "stopped"}
    assert states.count("stopped") >= trials // 4
    assert late < 1.15 * early
