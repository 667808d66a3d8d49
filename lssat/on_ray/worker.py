"""What each worker of a training run does under Ray Train: it takes its share, runs the loop and reports to Ray."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import ray
import torch
import torch.distributed as dist
from ray import train, tune
from ray.train.torch import get_device as ray_device

from lssat.config import Config
from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.row_keys import RowKeys
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts
from lssat.on_ray.ingest import Split, rows_of
from lssat.on_ray.lost import Leaves
from lssat.storage.mark import StorageMark
from lssat.storage.place import Place
from lssat.storage.working import working_folder
from lssat.task import Task
from lssat.train.checkpoint import CheckpointError
from lssat.train.distributed import Distributed
from lssat.train.losses import NonFiniteLoss
from lssat.train.microbatch import DoesNotFit
from lssat.train.result import WORKERS, Ended, EpochResult

if TYPE_CHECKING:
    from lssat.train.loop import Report

DETERMINISTIC = (ConfigError, CheckpointError, NonFiniteLoss, DoesNotFit)
"""Errors in which a restart would end again."""


@dataclass(frozen=True)
class Run:
    """One training run, as it is sent to its workers."""

    config: Config
    task: Task
    splits: Mapping[str, Split]
    folder: str
    """Of checkpoints: a path or URL of storage that the nodes of all workers see."""
    name: str
    texts: RowTexts | None = None
    """What scores need to know of the validation rows."""
    storage: StorageMark | None = None
    """What tells whether that storage is there."""
    keys: RowKeys | None = None
    """What drawing needs to know of the training rows."""

    @property
    def place(self) -> Place:
        """Of checkpoints."""
        return Place.of(self.folder)

    @property
    def drawing(self) -> Drawing | None:
        """How training rows are drawn; None: each comes once."""
        return Drawing.of(self.config.data, self.task.kind != "multilabel", self.keys)


def work_alone(setting: Mapping[str, Run]) -> None:
    """`setting["run"]` in the trial's own process. Raises what training raises."""
    run = setting["run"]
    device = torch.device("cuda" if run.config.resources.gpus_per_worker and torch.cuda.is_available() else "cpu")
    _work(run, Distributed(device), lambda result: tune.report(result.to_report()))


def work_together(setting: Mapping[str, Run]) -> None:
    """One worker's part of `setting["run"]`. Raises Leaves where a machine of the group is being drained; an error in
    which a restart would end again is reported instead.
    """
    run: Run = setting["run"]
    distributed = Distributed(ray_device(), dist.get_rank(), dist.get_world_size())
    is_whole = distributed.world_size == run.config.resources.num_workers
    fewer = {} if is_whole else {WORKERS: float(distributed.world_size)}

    def report(result: EpochResult) -> None:
        train.report(replace(result, metrics={**result.metrics, **fewer}).to_report())
        if _is_drained_of(distributed) and not result.is_last:
            raise Leaves

    try:
        _work(run, distributed, report)
    except DETERMINISTIC as error:  # raised on every worker at once; reported, it causes no restart
        ended = Ended("infeasible" if isinstance(error, DoesNotFit) else "failed", f"{type(error).__name__}: {error}")
        train.report(ended.to_report())


def _is_drained_of(distributed: Distributed) -> bool:
    """Whether a machine of any worker is being drained; all workers are told the same."""
    draining = ray._private.state.state.get_draining_nodes()
    return any(distributed.gather(ray.get_runtime_context().get_node_id() in draining))


def _work(run: Run, distributed: Distributed, report: Report) -> None:
    # It loads timm, which takes seconds: a trial that only waits for its workers, and Ray Train's controller, need not.
    from lssat.train.loop import TrainingRun, fit

    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(run.config.resources.cpus_per_worker)
    if run.config.resources.gpus_per_worker and distributed.device.type == "cpu":
        raise OSError(
            errno.ENODEV,
            "a GPU was granted, but this torch cannot use it; install a torch that fits its driver, or take "
            "`--profile laptop`",
        )
    # Each worker takes its share by itself: Ray Train would start a process more to hand it out.
    rows = {name: rows_of(run.splits[name], distributed.rank) for name in ("train", "val")}
    kept = None if run.place.local else run.place
    try:
        with working_folder(run.place) as folder:
            shares = (rows["train"], rows["val"])
            training = TrainingRun(run.config, run.task, *shares, distributed, folder, run.texts, run.storage, run.keys)
            fit(replace(training, kept=kept), report)
    finally:
        if distributed.device.type == "cuda":  # the next trial in this process, or beside it, needs the memory
            torch.cuda.empty_cache()
