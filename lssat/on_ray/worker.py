"""A training run under Ray Train: each worker takes its shard, runs the loop and reports to Ray.

One worker runs inside the trial's own process; several run in processes of their own, under DistributedDataParallel.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ray import train, tune
from ray.exceptions import OutOfMemoryError
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, UserCallback
from ray.train.torch import TorchTrainer
from ray.train.torch import get_device as ray_device
from ray.tune.integration.ray_train import TuneReportCallback

from lssat.config import Config, ConfigError
from lssat.data.prepared.rows import Rows
from lssat.evaluation.fairness import Groups
from lssat.on_ray.ingest import EveryRow, Split, rows_of
from lssat.task import Task
from lssat.train import microbatch
from lssat.train.checkpoint import CheckpointError
from lssat.train.distributed import Distributed
from lssat.train.loop import Report, TrainingRun, fit
from lssat.train.microbatch import DoesNotFit
from lssat.train.result import RAY_TRAIN_FOLDER, Ended
from lssat.train.scoring import NonFiniteLoss

REFUSALS = 10
"""Times, 60 s apart, that the cluster may not hold a trial's workers before the trial fails."""
RESTARTS = 2
"""Of a group of workers that lost one; each goes on from the last epoch."""
DETERMINISTIC = (ConfigError, CheckpointError, NonFiniteLoss, DoesNotFit)
"""Errors in which a restart would end again."""


@dataclass(frozen=True)
class Run:
    """One training run, as it is sent to its workers."""

    config: Config
    task: Task
    splits: Mapping[str, Split]
    folder: str
    """Of checkpoints: storage that the nodes of all workers see."""
    name: str
    groups: Groups | None = None
    """Subgroups of the validation rows."""


def train_run(run: Run) -> None:
    """Train under Ray Train inside a Ray Tune trial, reporting every epoch to Tune.

    One worker runs in this very process (Ray Train's local mode): the next trial then starts at once in the same actor.
    """
    resources = run.config.resources
    shares = {name: split.share(0) for name, split in run.splits.items()}
    if resources.num_workers == 1:
        TorchTrainer(
            _work_alone, train_loop_config={"run": run}, scaling_config=ScalingConfig(num_workers=0), datasets=shares
        ).fit()
        return
    while not _trained_together(run, shares):
        pass  # the next group takes half the rows at once; when even one row does not fit, the workers report that


def _trained_together(run: Run, shares: dict[str, Any]) -> bool:
    """Train with a group of workers. False where Ray gave it up after losing workers for lack of memory; raises
    TrainingFailedError where it was lost for another reason.
    """
    resources = run.config.resources
    scaling = ScalingConfig(
        num_workers=resources.num_workers,
        use_gpu=resources.gpus_per_worker > 0,
        resources_per_worker={"CPU": resources.cpus_per_worker}
        | ({"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {}),
        placement_strategy="PACK" if resources.gpus_per_worker else "SPREAD",
    )
    storage = Path(run.folder) / RAY_TRAIN_FOLDER
    failures = FailureConfig(RESTARTS, controller_failure_limit=REFUSALS)
    # A resumed trial has had a run of its name already, which Ray Train would restore silently: so names are unique.
    name = f"{run.name}-{uuid.uuid4().hex[:8]}"
    callbacks = [TuneReportCallback(), HalveRowsWhenKilled(run)]
    try:
        TorchTrainer(
            _work_together,
            train_loop_config={"run": run},
            scaling_config=scaling,
            run_config=RunConfig(name=name, storage_path=str(storage), callbacks=callbacks, failure_config=failures),
            datasets=shares,  # for their names: EveryRow decides which worker gets which rows
            dataset_config=EveryRow(run.splits),
        ).fit()
    except TrainingFailedError as error:
        if not is_lost_to_memory(error):
            raise
        return False
    return True


class HalveRowsWhenKilled(UserCallback):  # type: ignore[misc]
    """Gives the next group of workers micro-batches of half the rows when one was lost for lack of memory. It runs in
    the process of Ray Train's controller.
    """

    def __init__(self, run: Run) -> None:
        self._folder = run.folder
        self._config = run.config

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Ray Train calls this after a group was lost and before it starts another."""
        if any(is_lost_to_memory(error) for error in worker_exceptions.values()):
            microbatch.halve_rows(Path(self._folder), self._config)


def is_lost_to_memory(error: BaseException | None) -> bool:
    """Whether Ray killed a worker because its machine ran out of memory, or a device had none left.

    A process that was killed without a reason given is not counted.
    """
    inner = [*getattr(error, "worker_failures", {}).values(), getattr(error, "health_check_failure", None)]
    return (
        isinstance(error, OutOfMemoryError)
        or microbatch.is_out_of_memory(error)
        or any(is_lost_to_memory(part) for part in inner if part)
    )


def _work_alone(setting: Mapping[str, Run]) -> None:
    run = setting["run"]
    device = torch.device("cuda" if run.config.resources.gpus_per_worker and torch.cuda.is_available() else "cpu")
    _work(run, Distributed(device), lambda result: tune.report(result.to_report()))


def _work_together(setting: Mapping[str, Run]) -> None:
    distributed = Distributed(ray_device(), dist.get_rank(), dist.get_world_size())
    try:
        _work(setting["run"], distributed, lambda result: train.report(result.to_report()))
    except DETERMINISTIC as error:  # raised on every worker at once; reported, it causes no restart
        ended = Ended("infeasible" if isinstance(error, DoesNotFit) else "failed", f"{type(error).__name__}: {error}")
        train.report(ended.to_report())


def _work(run: Run, distributed: Distributed, report: Report) -> None:
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(run.config.resources.cpus_per_worker)
    if run.config.resources.gpus_per_worker and distributed.device.type == "cpu":
        raise ConfigError(
            "a GPU was granted, but this torch cannot use it; install a torch that fits its driver, or take "
            "`--profile laptop`"
        )
    rows = {name: _rows(run.splits[name], name, distributed.rank) for name in ("train", "val")}
    folder = Path(run.folder)
    try:
        fit(TrainingRun(run.config, run.task, rows["train"], rows["val"], distributed, folder, run.groups), report)
    finally:
        if distributed.device.type == "cuda":  # the next trial in this process, or beside it, needs the memory
            torch.cuda.empty_cache()


def _rows(split: Split, name: str, rank: int) -> Rows:
    """This worker's share of a split, which Ray Train hands out by name."""
    return rows_of(train.get_dataset_shard(name), split.resident is not None, split.share_rows(rank))
