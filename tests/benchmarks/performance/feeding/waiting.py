"""What an epoch of training waits for its rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lssat.data.prepared.rows import Batch, Rows
from lssat.train.loop import train_epoch
from lssat.train.result import TRAINING_SECONDS, WAITING_SECONDS
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
    "thread as a trial has, after the epoch's first batch. Cached: decoded in shared memory. Streamed: what would not "
    "fit there, decoded on the way by the cores that are left. A stream gives its first batch when it has rows enough "
    "to shuffle; an epoch waits for it once however long it is, and those that are streamed are long."
)
HEADER = ("rows", "in an epoch", "images/s after the first batch", "seconds to the first batch")


class Setting(NamedTuple):
    """What is trained, and the rows of an epoch that are cached and streamed."""

    label: str
    settings: dict[str, Any]
    cached: int
    streamed: int


SETTINGS = (
    Setting("laptop", {**LAPTOP, "backbone.name": "test_vit", "backbone.patch_size": 8}, 1024, 4096),
    Setting(
        "ViT-S at 224 px", {**PLAIN, **LIGHT, "backbone.name": "vit_small_patch16_224", "optim.batch_size": 8}, 24, 48
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
                epochs = _epochs(Trained.of(setting.settings), Clocked(fed), seconds)
            found.append(Row(f"{setting.label}, {kind}: waiting share", _share(epochs), Aim("at most", aim)))
            _, trained_for, first = epochs.T
            speed = np.median(num_rows / trained_for)
            table.append((kind, str(num_rows), f"{speed:.3g}", f"{np.median(first):.2g}"))
    return Section(f"Feeding: waiting, {setting.label}", PROSE, found, table)


class Clocked:
    """Rows, and how many seconds their first batch took to come."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self.num_rows, self.first = rows, rows.num_rows, 0.0

    def batches(self, size: int, steps: int, seed: int | None) -> Iterator[Batch]:
        """See `Rows.batches`."""
        began = time.perf_counter()
        for number, batch in enumerate(self._rows.batches(size, steps, seed)):
            if number == 0:
                self.first = time.perf_counter() - began
            yield batch


def _epochs(trained: Trained, fed: Clocked, seconds: float) -> npt.NDArray[np.float64]:
    """Of epochs for so long, at least of one: the seconds that were waited and that were trained after the first batch,
    and those to it [epochs, 3].
    """
    trained.step()
    end, epochs = time.perf_counter() + seconds, list[tuple[float, float, float]]()
    while not epochs or time.perf_counter() < end:
        measured = train_epoch(trained.context, trained.learner, fed, len(epochs), 1)
        waited, trained_for = (measured[name] - fed.first for name in (WAITING_SECONDS, TRAINING_SECONDS))
        epochs.append((waited, trained_for, fed.first))
    return np.array(epochs)


def _share(epochs: npt.NDArray[np.float64]) -> Ratio:
    waited, trained_for, _ = epochs.T
    low, high = np.quantile(waited / trained_for, (0.25, 0.75))
    return Ratio(float(waited.sum() / trained_for.sum()), float(low), float(high), len(epochs))
