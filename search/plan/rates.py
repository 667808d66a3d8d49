"""How fast a configuration trains and is evaluated on this machine: measured on random images, with the loop's own
epochs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from lssat.config import Config, build
from lssat.data.prepared.rows import ResidentRows
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import new_learner
from lssat.train.loop import train_epoch
from lssat.train.result import IMAGES_PER_S
from lssat.train.scoring import predict_rows
from lssat.train.step import StepContext

TRAINING_SHARE = 0.7  # of the time that a measurement may take


@dataclass(frozen=True)
class Rate:
    """Images per second of one worker."""

    train: float
    evaluate: float


def measure(config: Config, num_outputs: int, seconds: float) -> Rate:
    """Joint training and evaluation of one worker's share of a batch, alone on the machine, in about so many seconds.

    Threads are those of `resources.cpus_per_worker`. Where a whole batch takes too long, a smaller one is taken.
    """
    device = torch.device("cuda" if config.resources.gpus_per_worker else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(config.resources.cpus_per_worker)
    try:
        first = _rate(_sized(config, 2), num_outputs, 4, device)  # also warms up
        most = config.optim.batch_size // config.resources.num_workers
        size = 2 * max(1, min(most, int(first.train * seconds / 8)) // 2)
        rows = max(size, int(first.train * seconds * TRAINING_SHARE) // size * size)
        return _rate(_sized(config, size), num_outputs, rows, device)
    finally:
        torch.set_num_threads(threads)


def between(small: tuple[int, Rate], large: tuple[int, Rate], parameters: int) -> Rate:
    """The rate of a model of so many parameters: on the straight line through two others, logarithms on both axes."""
    (low, slow), (high, fast) = small, large
    share = 0.0 if low == high else np.log(parameters / low) / np.log(high / low)
    return Rate(
        *(float(a ** (1 - share) * b**share) for a, b in ((slow.train, fast.train), (slow.evaluate, fast.evaluate)))
    )


def _sized(config: Config, rows: int) -> Config:
    """The same recipe for one worker with batches of so many rows, in one micro-batch."""
    alone = {
        "optim.batch_size": rows,
        "optim.accumulate": 1,
        "resources.num_workers": 1,
        "optim.epochs": 1,
        "optim.warmup_epochs": 0,
    }
    return build({**config.flat(), **alone})


def _rate(config: Config, num_outputs: int, num_rows: int, device: torch.device) -> Rate:
    random = np.random.default_rng(0)
    side = config.data.image_size
    rows = ResidentRows(
        [
            {
                "image": random.integers(0, 256, (num_rows, side, side, 3), np.uint8),
                "label": random.integers(0, num_outputs, num_rows),
            }
        ]
    )
    task = Task("plan", "multiclass", tuple(map(str, range(num_outputs))), (1,) * num_outputs, num_rows)
    context = StepContext.of(config, task, Distributed(device))
    learner = new_learner(config, task, device, resumed=True)  # random weights are as fast as pretrained ones
    train = train_epoch(context, learner, rows, epoch=0, num_micro_batches=1)[IMAGES_PER_S]
    begun = time.perf_counter()
    predict_rows(config, learner.model, rows, context.distributed)
    return Rate(train, num_rows / (time.perf_counter() - begun))
