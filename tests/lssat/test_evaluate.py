"""A kept winner scores as its training said it did, read from shards again."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from lssat.bundle import score_trained
from lssat.config import build
from lssat.data.prepared.decoding import read_resident
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit

TASK = Task("bright", "binary", ("no", "yes"), (60, 60), 120)


def shard(path, rows, generator):
    images, labels = [], np.arange(rows) % 2
    for label in labels:
        out = io.BytesIO()
        Image.fromarray((generator.integers(0, 200, (32, 32, 3)) + 40 * label).astype(np.uint8)).save(out, "PNG")
        images.append(out.getvalue())
    pq.write_table(pa.table({"image": images, "label": labels}), path)
    return path


def test_subgroups_of_a_split_read_from_several_shards(tmp_path):
    generator = np.random.default_rng(0)
    rows = read_resident(
        [shard(tmp_path / f"{number}.parquet", size, generator) for number, size in enumerate((70, 50))], 32
    )
    assert [batch.row[0] for batch in rows.batches(1, 120, None)] == list(range(120))
    texts = {"Male": generator.choice(["0", "1"], 120)}
    small = {
        "backbone.name": "test_efficientnet",
        "data.image_size": 32,
        "masking.unit": 8,
        "decoder.dim": 32,
        "auxiliary": False,
    }
    config = build(
        {
            **small,
            "optim.epochs": 2,
            "optim.warmup_epochs": 0,
            "objective.subgroups": ["Male"],
            "objective.metric": "worst_group",
        }
    )
    reported = []
    fit(
        TrainingRun(config, TASK, rows, rows, Distributed(torch.device("cpu")), tmp_path / "run", texts),
        reported.append,
    )
    best = max(reported, key=lambda result: result.score).metrics
    again = score_trained(tmp_path / "run" / "best", rows, texts)
    assert again["score"] == again["worst_group"] == pytest.approx(best["val/worst_group"])
    assert again["gap"] == pytest.approx(best["val/gap"])
    assert again["auc"] == pytest.approx(best["val/auc"])
