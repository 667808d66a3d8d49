"""A study on a cluster that is up, two nodes of one CPU: trials with a worker on each, every row counted once,
everything given back.
"""

import csv
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[4]
RAY = Path(sys.executable).with_name("ray")
SPACE = {
    "fixed": {
        "backbone.name": "test_vit",
        "backbone.patch_size": 8,
        "data.image_size": 32,
        "masking.unit": 8,
        "optim.epochs": 2,
        "optim.batch_size": 16,
        "optim.precision": "float32",
        "resources.num_workers": 2,
        # Weights stay what they were and images too, so that losses say which rows were counted, and nothing else.
        "optim.lr": 1e-12,
        "optim.min_lr": 0.0,
        "augment.flip": False,
        "augment.crop_scale": 1.0,
        "augment.color": 0.0,
    },
    "space": {"decoder.dim": [32, 48, 64]},
    "search": {"num_trials": 2, "scheduler": "none", "finalists": 0},
}
LOOK = """
import sys, time, ray
from ray.util.state import list_actors
ray.init(address=sys.argv[1], log_to_driver=False)
deadline = time.time() + float(sys.argv[2])
def num_cpus(resources):
    return resources().get("CPU", 0)
while time.time() < deadline and min(num_cpus(ray.cluster_resources), num_cpus(ray.available_resources)) < 2:
    time.sleep(0.5)
found = list_actors(address=sys.argv[1], filters=[("class_name", "=", "RayTrainWorker")], detail=True)
workers = [actor.node_id for actor in found]
print(len(workers), "workers on", len(set(workers)), "nodes;", ray.available_resources().get("CPU", 0), "CPUs free")
"""


@pytest.fixture
def table(tmp_path):
    """Plain and striped squares: 65 train, 23 val, 13 test, odd so that two workers cannot share them equally."""
    random = np.random.default_rng(0)
    rows = {"image": [], "label": [], "split": []}
    for number in range(101):
        pixels = random.integers(0, 90, (32, 32, 3), dtype=np.uint8)
        pixels[:, :: 4 if number % 2 else 32] += 120
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        rows["image"].append(file.getvalue())
        rows["label"].append("striped" if number % 2 else "plain")
        rows["split"].append("train" if number < 65 else "val" if number < 88 else "test")
    pq.write_table(pa.table(rows), tmp_path / "squares.parquet")
    return tmp_path / "squares.parquet"


@pytest.fixture
def environment():
    """A token of its own, and nothing of a Ray that others have started."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "TUNE_")) and name != "PYTHONPATH"
    }
    return kept | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@pytest.fixture
def of_worker(tmp_path):
    """What the environment of the worker holds beside that of the head: another timm is installed there first."""
    (tmp_path / "other" / "timm-0.0.1.dist-info").mkdir(parents=True)
    (tmp_path / "other" / "timm-0.0.1.dist-info" / "METADATA").write_text("Name: timm\nVersion: 0.0.1\n")
    return {"PYTHONPATH": str(tmp_path / "other")}


@pytest.fixture
def cluster(environment, request):
    """The address of two raylets with one CPU each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    folder = Path(tempfile.mkdtemp(prefix="two", dir="/tmp"))  # Ray's sockets need a short path
    common = [
        "--block",
        "--num-cpus=1",
        "--node-ip-address=127.0.0.1",
        "--object-store-memory=200000000",
        "--disable-usage-stats",
    ]
    head = [
        "--head",
        f"--port={address.split(':')[1]}",
        f"--temp-dir={folder}",
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        "--dashboard-port=0",
    ]
    of_worker = request.getfixturevalue("of_worker") if "of_worker" in request.fixturenames else {}
    nodes = []
    try:
        for name, arguments in (("head", head), ("worker", [f"--address={address}"])):
            held = environment | (of_worker if name == "worker" else {})
            with (folder / f"{name}.txt").open("w") as log:
                nodes.append(
                    subprocess.Popen([RAY, "start", *arguments, *common], env=held, stdout=log, stderr=log, cwd=folder)
                )
            wait_for(nodes[-1], folder / f"{name}.txt")
        assert look(address, environment, 60) == "0 workers on 0 nodes; 2.0 CPUs free"
        yield address
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(node, log):
    """Until Ray says that the node runs."""
    for _ in range(240):
        assert node.poll() is None, log.read_text()
        if "Ray runtime started" in log.read_text():
            return
        time.sleep(0.25)
    pytest.fail(f"a node did not start: {log.read_text()}")


def look(address, environment, seconds):
    """Where train workers have been, and how many CPUs are free, at the latest after `seconds`."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, address, str(seconds)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    return done.stdout.strip() or done.stderr


def search(folder, table, cluster, environment, *more):
    """What a small study on the cluster ended with; its results lie in `folder`."""
    space = folder / "tiny.yaml"
    space.write_text(yaml.safe_dump(SPACE))
    words = ["--space", space, "--data", table, "--task", "label", "--address", cluster]
    return subprocess.run(
        [sys.executable, "search/run.py", *words, "--results", folder / "results", *more],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(600)
def test_study_on_two_nodes(table, tmp_path, environment, cluster):
    done = search(tmp_path, table, cluster, environment, "--storage", tmp_path / "shared")
    folder = tmp_path / "results" / "tiny-squares-label"
    assert done.returncode == 0, done.stdout + done.stderr + (folder / "log.txt").read_text()[-4000:]

    with (folder / "leaderboard.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["complete", "complete"]
    assert {"weights.safetensors", "config.json", "test.json"} <= {path.name for path in (folder / "best").iterdir()}
    assert look(cluster, environment, 60) == "4 workers on 2 nodes; 2.0 CPUs free"
    for trial in sorted((folder / "trials").iterdir()):
        assert_every_row_counted(folder, trial)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_node_with_another_version_is_refused_by_name_before_the_first_trial(
    table, tmp_path, environment, of_worker, cluster
):
    done = search(tmp_path, table, cluster, environment)
    assert done.returncode == 2, done.stdout + done.stderr
    said = r"error: 1 of 1 nodes run other versions than this process: [\d.]+ has timm 0.0.1 instead of \d"
    assert re.match(said, done.stderr), done.stderr
    assert "make setup" in done.stderr
    assert not list(tmp_path.glob("results/*/trials"))


def assert_every_row_counted(folder, trial):
    """The losses of two workers are those of one, which reads all rows without Ray."""
    import torch

    from lssat.config import build
    from lssat.data.prepared.decoding import read_resident
    from lssat.data.prepared.table import read_info, shard_paths
    from lssat.train.distributed import Distributed
    from lssat.train.loop import TrainingRun, fit

    prepared = Path(json.loads((folder / "manifest.json").read_text())["data"]["prepared"])
    config = build(json.loads((trial / "config.json").read_text())["sampled"] | {"resources.num_workers": 1})
    train, val = (read_resident(shard_paths(prepared, split), config.data.image_size) for split in ("train", "val"))
    alone: list[dict] = []
    run = TrainingRun(config, read_info(prepared).as_task, train, val, Distributed(torch.device("cpu")))
    fit(run, lambda result: alone.append(result.to_json()))
    together = [json.loads(line) for line in (trial / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in together] == [1, 2]
    for one, two in zip(alone, together, strict=True):
        for name in ("train/task_loss", "val/task_loss", "val/auc", "val/score"):
            assert two[name] == pytest.approx(one[name], rel=1e-5), name
