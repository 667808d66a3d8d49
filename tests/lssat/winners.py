"""Tiny runs whose best checkpoints become bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lssat.config import build
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import shard_paths
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from lssat.train.result import BEST_CHECKPOINT

ALONE = Distributed(torch.device("cpu"))
TASK = Task("bright", "binary", ("no", "yes"), (10, 10), 20)
SIZE = 32
SMALL = {
    "data.image_size": SIZE,
    "masking.unit": 8,
    "decoder.dim": 32,
    "optim.epochs": 1,
    "optim.batch_size": 8,
    "optim.warmup_epochs": 0,
}


def train(folder: Path, prepared: Path, task: Task = TASK, **settings: Any) -> Path:
    """The best checkpoint of a run on prepared data."""
    rows, val = (read_resident(shard_paths(prepared, split), SIZE) for split in ("train", "val"))
    config = build({**SMALL, "backbone.name": "test_efficientnet", **settings})
    fit(TrainingRun(config, task, rows, val, ALONE, folder), lambda result: None)
    return folder / BEST_CHECKPOINT
