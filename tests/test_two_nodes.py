"""A Ray cluster of two nodes, separate raylets on this machine, that is already up: a trial's two workers are spread over both."""

import csv
import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image
from ray.cluster_utils import Cluster

ROOT = Path(__file__).resolve().parent.parent
SPACE = """
fixed:
  data.image_size: 32
  masking.unit: 8
  backbone.name: test_convnext
  optim.epochs: 2
  optim.batch_size: 16
  optim.precision: float32
  decoder.dim: 32
  resources.num_workers: 2
space:
  optim.lr: {low: 1e-3, high: 2e-3}
search: {num_trials: 1, scheduler: none}
"""


@pytest.fixture
def cluster():
    """Two CPUs a node: both workers would fit on one, were they not spread."""
    node = {"num_cpus": 2, "object_store_memory": 200_000_000}
    dashboard = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": _free_port()}
    found = Cluster(initialize_head=True, head_node_args={**node, **dashboard, "gcs_server_port": _free_port()})
    found.add_node(**node)
    found.wait_for_nodes()
    yield found
    found.shutdown()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _table(folder):
    random = np.random.default_rng(0)
    rows = {"image": [], "bright": [], "split": []}
    for split, number in (("train", 65), ("val", 23), ("test", 20)):  # odd numbers: shares are uneven
        for index in range(number):
            pixels = random.integers(0, 120, (32, 32, 3)) + 110 * (index % 2)
            out = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
            rows["image"].append(out.getvalue())
            rows["bright"].append(index % 2)
            rows["split"].append(split)
    pq.write_table(pa.table(rows), folder / "noise.parquet")
    return folder / "noise.parquet"


@pytest.mark.slow
def test_a_trial_spreads_over_two_nodes(cluster, tmp_path):
    (tmp_path / "two.yaml").write_text(SPACE)
    words = [sys.executable, ROOT / "search/run.py", "--space", tmp_path / "two.yaml", "--data", _table(tmp_path), "--task", "bright"]
    words += ["--results", tmp_path / "results", "--address", cluster.address, "--profile", "laptop"]
    done = subprocess.run(list(map(str, words)), cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "results" / "two-noise-bright"
    with (folder / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["complete"]
    assert rows[0]["test"]
    assert (folder / "best" / "weights.safetensors").exists()
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        from ray.util.state import list_actors

        workers = [actor for actor in list_actors(detail=True, limit=500) if actor.class_name.endswith("RayTrainWorker")]
        assert len({worker.node_id for worker in workers}) == 2, "both workers ran on one node"
        deadline = time.time() + 30
        while ray.available_resources().get("CPU", 0) < 4 and time.time() < deadline:
            time.sleep(0.5)
        assert ray.available_resources()["CPU"] == pytest.approx(4), "CPUs were not given back"
    finally:
        ray.shutdown()
        os.environ.pop("RAY_ADDRESS", None)
