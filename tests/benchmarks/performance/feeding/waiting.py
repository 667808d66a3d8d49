"""What an epoch of training waits for its rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lssat.data.prepared.rows import Rows
from lssat.train.loop import train_epoch
from lssat.train.result import IMAGES_PER_S, TRAINING_SECONDS, WAITING_SECONDS
from tests.benchmarks.performance.feeding.pictures import opened, prepared, ray_here, rows, streamed
from tests.benchmarks.performance.joint_step import LIGHT, PLAIN
from tests.benchmarks.performance.machine import one_thread
from tests.benchmarks.performance.overhead import LAPTOP
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import Ratio
from tests.benchmarks.performance.trained import Trained

AIMS = {"cached": 0.02, "streamed": 0.05}
PROSE = (
    "Share of an epoch's seconds that training waits for rows (`train/waiting_seconds` over `train/seconds`), on one "
    "thread as a trial has. Cached: decoded in shared memory. Streamed: what would not "
    "fit there, decoded on the way by the cores that are left. The table has the rows of an epoch and the seconds that "
    "a stream takes to its first batch, which an epoch pays once however long it is."
)
HEADER = ("rows", "in an epoch", "images/s", "seconds to the first batch")


class Setting(NamedTuple):
    """What is trained, and the rows of an epoch that are cached and streamed."""

    label: str
    settings: dict[str, Any]
    cached: int
    streamed: int


SETTINGS = (
    Setting("laptop", {**LAPTOP, "backbone.name": "test_vit", "backbone.patch_size": 8}, 1024, 4096),
    Setting(
        "ViT-S at 224 px", {**PLAIN, **LIGHT, "backbone.name": "vit_small_patch16_224", "optim.batch_size": 8}, 32, 96
    ),
)


def sections(effort: Effort) -> Iterator[Section]:
    """Left out of a quick look: Ray takes its time to start."""
    if not effort.quick:
        yield from (measured(setting, effort.seconds) for setting in SETTINGS)


def measured(setting: Setting, seconds: float) -> Section:
    """Cached and streamed."""
    found: list[Row] = []
    table: list[Sequence[str]] = [HEADER]
    with ray_here(), one_thread():
        for kind, aim in AIMS.items():
            num_rows = getattr(setting, kind)
            with prepared(num_rows) as folder:
                split = opened(folder, setting.settings["data.image_size"])
                fed = rows(split if kind == "cached" else streamed(split))
                share, speed = _epochs(Trained.of(setting.settings), fed, seconds)
                first = _first_batch(fed, setting.settings["optim.batch_size"])
            found.append(Row(f"{setting.label}, {kind}: waiting share", share, Aim("at most", aim)))
            table.append((kind, str(num_rows), f"{speed:.3g}", f"{first:.2f}"))
    return Section(f"Feeding: waiting, {setting.label}", PROSE, found, table)


def _epochs(trained: Trained, fed: Rows, seconds: float) -> tuple[Ratio, float]:
    """The waiting share of epochs for so long, at least of one, and the images per second."""
    trained.step()
    end, epochs = time.perf_counter() + seconds, list[dict[str, float]]()
    while not epochs or time.perf_counter() < end:
        epochs.append(train_epoch(trained.context, trained.learner, fed, len(epochs), 1))
    waited, trained_for, speed = (
        np.array([epoch[name] for epoch in epochs]) for name in (WAITING_SECONDS, TRAINING_SECONDS, IMAGES_PER_S)
    )
    low, high = np.quantile(waited / trained_for, (0.25, 0.75))
    share = Ratio(float(waited.sum() / trained_for.sum()), float(low), float(high), len(epochs))
    return share, float(np.median(speed))


def _first_batch(fed: Rows, size: int) -> float:
    """Seconds until it is there."""
    began = time.perf_counter()
    batches = fed.batches(size, -(-fed.num_rows // size), 0)
    next(batches)
    return time.perf_counter() - began
