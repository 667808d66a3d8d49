"""A group of workers whose device is too small: it is started again with smaller micro-batches, until it fits or never
will.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STUDY = """
import os
import sys

import numpy as np
import ray
from ray import tune
from lssat.config import build
from lssat.data.prepared.table import RowGroup
from lssat.on_ray.ingest import Split
from lssat.on_ray.groups import train_run
from lssat.on_ray.worker import Run
from lssat.task import Task

ROWS = int(sys.argv[3])

def small_device():
    import torch
    from timm.models.vision_transformer import VisionTransformer
    forward = VisionTransformer._pos_embed

    def limited(self, x):
        if torch.is_grad_enabled() and len(x) > ROWS:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, x)

    VisionTransformer._pos_embed = limited

def split(rows):
    image = np.random.default_rng(rows).integers(0, 255, (rows, 32, 32, 3)).astype(np.uint8)
    items = [{"image": image[row], "label": row % 3, "row": row} for row in range(rows)]
    halves = [ray.data.from_items(items[: rows // 2]), ray.data.from_items(items[rows // 2 :])]
    shares = tuple(half.materialize() for half in halves)
    return Split((RowGroup("none", 0, 0, rows),), np.ones(rows, bool), 32, 2, shares)

environment = {"worker_process_setup_hook": small_device, "env_vars": {"PYTHONPATH": os.getcwd()}}
here = {"_node_ip_address": "127.0.0.1", "dashboard_host": "127.0.0.1", "dashboard_port": 0, "_temp_dir": sys.argv[2]}
ray.init(num_cpus=3, runtime_env=environment, include_dashboard=True, object_store_memory=200 << 20, **here)
config = build({
    "backbone.name": "test_vit",
    "backbone.patch_size": 8,
    "data.image_size": 32,
    "masking.unit": 8,
    "decoder.dim": 32,
    "optim.precision": "float32",
    "optim.epochs": 2,
    "optim.warmup_epochs": 0.5,
    "optim.batch_size": 4,
    "resources.num_workers": 2,
})
task = Task("t", "multiclass", ("a", "b", "c"), (9, 8, 8), 25)
run = Run(config, task, {"train": split(25), "val": split(13)}, sys.argv[1] + "/trial", "name")
trainable = tune.with_parameters(lambda _, run: train_run(run), run=run)
storage = tune.RunConfig(storage_path=sys.argv[1] + "/ray", verbose=0)
result = tune.Tuner(tune.with_resources(trainable, {"memory": 1 << 20}), run_config=storage).fit()[0]
print("RESULT", result.metrics.get("micro_batches"), result.metrics.get("infeasible") or result.error)
"""


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("rows", "expected"), [(1, "2 None"), (0, "None DoesNotFit: a micro-batch of one row must fit into memory")]
)
def test_a_group_goes_on_until_it_fits_or_cannot(tmp_path, rows, expected):
    """Two rows a worker, halved once; the second worker has a row more than the first."""
    with tempfile.TemporaryDirectory(
        prefix="grp", dir="/tmp", ignore_cleanup_errors=True
    ) as ray:  # Ray's sockets need a short path
        done = subprocess.run(
            [sys.executable, "-c", STUDY, tmp_path, ray, str(rows)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=800,
        )
    result = next((line for line in done.stdout.splitlines() if line.startswith("RESULT")), "")
    assert result.startswith(f"RESULT {expected}"), done.stdout[-3000:] + done.stderr[-6000:]
