"""How fast a configuration trains, is evaluated and classifies on this machine: measured on random images, training and
evaluation with the loop's own epochs.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lssat.config import Config, build
from lssat.data.prepared.rows import ResidentRows
from lssat.model.lssat import LSSAT, build_model
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import new_learner
from lssat.train.loop import train_epoch
from lssat.train.precision import autocast
from lssat.train.result import IMAGES_PER_S
from lssat.train.scoring import predict_rows
from lssat.train.step import StepContext
from search.plan.machine import BUSY

TRAINING_SHARE = 0.7
"""Of the time that a measurement may take; evaluation takes most of the rest."""
FEWEST_STEPS = 8
"""That a measurement should have time for: where it has not, it takes smaller batches."""

CLASSIFIED = 16
"""Images of a batch whose classification is timed."""
FEWEST, MOST, SECONDS = 3, 20, 0.5
"""Such batches: as many as take so many seconds, within these bounds."""


@dataclass(frozen=True)
class Rate:
    """Images per second of one worker that has its CPUs for itself.

    `share`: of the clock that the measurement got of them, below BUSY where the machine was busy with something else.
    """

    train: float
    evaluate: float
    share: float = 1.0


class Speed(NamedTuple):
    """Images per second that a network classifies on a device, which is named in words."""

    images_per_s: float
    measured_on: str


def measure(config: Config, num_outputs: int, seconds: float) -> Rate:
    """Joint training and evaluation of one worker's share of a batch, alone on the machine, in about so many seconds.

    Threads are those of `resources.cpus_per_worker`. Where a whole batch takes too long, a smaller one is taken.
    """
    device = torch.device("cuda" if config.resources.gpus_per_worker else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(config.resources.cpus_per_worker)
    try:
        first = _rate(_alone(config, 2), num_outputs, 4, device)  # rough, but it tells how much there is time for
        share_of_worker = config.optim.batch_size // config.resources.num_workers
        batch_size = 2 * max(1, min(share_of_worker, int(first.train * seconds / FEWEST_STEPS)) // 2)
        num_rows = max(batch_size, int(first.train * seconds * TRAINING_SHARE) // batch_size * batch_size)
        return _rate(_alone(config, batch_size), num_outputs, num_rows, device)
    finally:
        torch.set_num_threads(threads)


def between(small: tuple[int, Rate], large: tuple[int, Rate], parameters: int) -> Rate:
    """The rate of a model of so many parameters: on the straight line through two others, logarithms on both axes."""
    (low, low_rate), (high, high_rate) = small, large
    share = 0.0 if low == high else np.log(parameters / low) / np.log(high / low)

    def interpolated(at_low: float, at_high: float) -> float:
        return float(at_low ** (1 - share) * at_high**share)

    train = interpolated(low_rate.train, high_rate.train)
    return Rate(train, interpolated(low_rate.evaluate, high_rate.evaluate), min(low_rate.share, high_rate.share))


@torch.no_grad()
def classification_speed(config: Config, num_outputs: int) -> Speed | None:
    """Of a network with this configuration: the median over batches of `CLASSIFIED`; None where they do not fit into a
    GPU. Measure it where nothing else runs. Random weights are as fast as trained ones.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(config, num_outputs, trained=True).eval()
    image = torch.rand(CLASSIFIED, 3, config.data.image_size, config.data.image_size)
    try:
        with autocast(config, model.encoder.masking, device):
            seconds = _seconds(model.to(device), image.to(device))
    except torch.OutOfMemoryError:
        return None
    on_gpu = device.type == "cuda"
    measured_on = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} CPU threads"
    return Speed(CLASSIFIED / statistics.median(seconds), measured_on)


def _alone(config: Config, batch_size: int) -> Config:
    """The same recipe for one worker with batches of so many rows, in one micro-batch."""
    alone = {
        "optim.batch_size": batch_size,
        "optim.accumulate": 1,
        "resources.num_workers": 1,
        "optim.epochs": 1,
        "optim.warmup_epochs": 0,
    }
    return build({**config.flat(), **alone})


def _rate(config: Config, num_outputs: int, num_rows: int, device: torch.device) -> Rate:
    """The rate over an epoch of so many random images.

    On a CPU this thread computes all the time that it has one, so that its time on the CPU beside that on the clock
    tells how busy the machine is.
    """
    random, side = np.random.default_rng(0), config.data.image_size
    images = random.integers(0, 256, (num_rows, side, side, 3), np.uint8)
    rows = ResidentRows([{"image": images, "label": random.integers(0, num_outputs, num_rows)}])
    task = Task("plan", "multiclass", tuple(map(str, range(num_outputs))), (1,) * num_outputs, num_rows)
    context = StepContext.of(config, task, Distributed(device))
    learner = new_learner(config, task, device, resumed=True)  # random weights are as fast as pretrained ones
    begun, begun_on_cpu = time.perf_counter(), time.thread_time()
    train = train_epoch(context, learner, rows, epoch=0, num_micro_batches=1)[IMAGES_PER_S]
    trained = time.perf_counter()
    predict_rows(config, learner.model, rows, context.distributed)
    ended = time.perf_counter()
    share = (time.thread_time() - begun_on_cpu) / (ended - begun) if device.type == "cpu" else 1.0
    slowed = share if share < BUSY else 1.0
    return Rate(train / slowed, num_rows / (ended - trained) / slowed, share)


def _seconds(model: LSSAT, image: Tensor) -> list[float]:
    model(image)  # the first batch plans and allocates
    found: list[float] = []
    while len(found) < FEWEST or (len(found) < MOST and sum(found) < SECONDS):
        begun = time.perf_counter()
        model(image).logits.sum().item()  # waits for the device
        found.append(time.perf_counter() - begun)
    return found
