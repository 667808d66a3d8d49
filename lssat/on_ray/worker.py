"""A training run under Ray Train: each worker takes its shard, runs the loop and reports to Ray.

One worker runs inside the trial's own process; several run in processes of their own, under DistributedDataParallel.
"""

from __future__ import annotations

import errno
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import ray
import torch
import torch.distributed as dist
from pyarrow.fs import LocalFileSystem
from ray import train, tune
from ray.exceptions import LocalRayletDiedError, NodeDiedError, OutOfMemoryError, RayActorError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchTrainer
from ray.train.torch import get_device as ray_device
from ray.tune.integration.ray_train import TuneReportCallback

from lssat.config import Config, build
from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.row_keys import RowKeys
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts
from lssat.on_ray.ingest import Split, rows_of
from lssat.on_ray.machine_fault import innermost, machine_fault
from lssat.settings.training import ResourcesConfig
from lssat.storage.mark import StorageMark
from lssat.storage.place import Place
from lssat.storage.whole import manifest_of
from lssat.storage.working import working_folder
from lssat.task import Task
from lssat.train import microbatch
from lssat.train.checkpoint import STATE, CheckpointError
from lssat.train.distributed import Distributed
from lssat.train.losses import NonFiniteLoss
from lssat.train.microbatch import DoesNotFit
from lssat.train.result import LAST_CHECKPOINT, RAY_TRAIN_FOLDER, WORKERS, Ended, EpochResult

if TYPE_CHECKING:
    from lssat.train.loop import Report

REFUSALS = 10
"""Times, 60 s apart, that the cluster may not hold a trial's workers before the trial fails."""
RESTARTS = 2
"""Of a group of workers that lost one, since its last new epoch, from which it goes on."""
DETERMINISTIC = (ConfigError, CheckpointError, NonFiniteLoss, DoesNotFit)
"""Errors in which a restart would end again."""


class Leaves(Exception):
    """The machine of a worker is about to go, and an epoch has just been saved."""


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


def train_run(run: Run) -> None:
    """Train under Ray Train inside a Ray Tune trial, reporting every epoch to Tune.

    One worker runs in this very process (Ray Train's local mode): the next trial then starts at once in the same actor.
    """
    if run.storage:
        run.storage.check()  # before Ray Train makes a folder there
    if run.config.resources.num_workers > 1:
        return _train_in_groups(run)
    if run.drawing:
        run = replace(run, splits=_undivided(run.splits))
    TorchTrainer(_work_alone, train_loop_config={"run": run}, scaling_config=ScalingConfig(num_workers=0)).fit()


def _train_in_groups(run: Run) -> None:
    """Train with one group of workers after the other, until one comes to the end. Each goes on from the last epoch,
    with as many workers as the cluster then holds.
    """
    num_workers = run.config.resources.num_workers
    splits, deaths, refusals = run.splits, 0, 0  # deaths of a group since the last new epoch
    while True:
        saved = _last_state(run)
        try:
            return _train_together(replace(run, splits=_undivided(splits) if run.drawing else splits), num_workers)
        except ControllerError:  # the cluster has not held the group within a minute
            refusals += 1
            if refusals >= REFUSALS:
                raise
        except (WorkerGroupError, RayActorError) as error:
            if machine_fault(error) and not (is_lost_node(error) or is_drained(error)):
                raise
            if is_lost_to_memory(error):  # when even one row does not fit, the workers report that
                microbatch.halve_rows(run.place, run.config)
                continue
            if _last_state(run) != saved:
                deaths = refusals = 0
            if not is_drained(error):
                deaths += 1
            if deaths > RESTARTS:
                raise
        fitting = group_size(run.config, places(run.config.resources))
        if fitting != num_workers:
            num_workers = fitting
            splits = {name: split.cut_for(fitting) for name, split in run.splits.items()}


def _undivided(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The same, of training all rows for each worker, which draws its own."""
    return {**splits, "train": splits["train"].undivided()}


def places(resources: ResourcesConfig) -> int:
    """How many workers the machines of the cluster hold that are not about to leave."""
    draining = ray._private.state.state.get_draining_nodes()
    wanted = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
    return sum(
        int(min(node["Resources"].get(kind, 0) // amount for kind, amount in wanted.items() if amount))
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] not in draining
    )


def group_size(config: Config, num_places: int) -> int:
    """The largest number of workers that divides the batch as the configuration asks for, where there are so many
    places: its own where they suffice, and one where none is left, which then waits.
    """
    own = config.resources.num_workers
    return next(
        number for number in range(own, 0, -1) if number == 1 or (number <= num_places and _fits(config, number))
    )


def _fits(config: Config, num_workers: int) -> bool:
    try:
        build(config.flat() | {"resources.num_workers": num_workers})
    except ConfigError:
        return False
    return True


def is_lost_node(error: BaseException) -> bool:
    """Whether workers were lost with the machine that they were on, which says nothing about the others."""
    failures = getattr(error, "worker_failures", {}).values()
    return any(isinstance(machine_fault(each), (NodeDiedError, LocalRayletDiedError)) for each in failures)


def is_drained(error: BaseException) -> bool:
    """Whether a group left a machine that is being drained, or lost a worker with one: no death that counts."""
    parts = [error, *getattr(error, "worker_failures", {}).values()]
    lost = [getattr(part, "health_check_failure", part) for part in parts]
    return any(isinstance(innermost(part), Leaves) or getattr(part, "preempted", False) for part in lost)


def _last_state(run: Run) -> bytes | None:
    """What the last checkpoint says of itself; every epoch that is saved changes it."""
    last = run.place / LAST_CHECKPOINT
    if last.local is None:
        return manifest_of(last)
    state = last.local / STATE
    return state.read_bytes() if state.exists() else None


def _train_together(run: Run, num_workers: int) -> None:
    """Train with one group of workers. Raises WorkerGroupError where it lost a worker, RayActorError where it lost who
    controls them, ControllerError where the cluster does not hold it.
    """
    resources = run.config.resources
    scaling = ScalingConfig(
        num_workers=num_workers,
        use_gpu=resources.gpus_per_worker > 0,
        resources_per_worker={"CPU": resources.cpus_per_worker}
        | ({"GPU": resources.gpus_per_worker} if resources.gpus_per_worker else {}),
        placement_strategy="PACK" if resources.gpus_per_worker else "SPREAD",
    )
    # Ray Train counts restarts over the whole run, and we since the last new epoch: so each group is a run of its own.
    failures = FailureConfig(0, controller_failure_limit=0, max_preemption_failures=0)
    # Ray Train would silently restore a run whose name was there already: so names are unique.
    name = f"{run.name}-{uuid.uuid4().hex[:8]}"
    with working_folder(run.place) as folder:
        TorchTrainer(
            _work_together,
            train_loop_config={"run": run},
            scaling_config=scaling,
            run_config=RunConfig(
                name=name,
                storage_path=str(folder / RAY_TRAIN_FOLDER),
                storage_filesystem=LocalFileSystem(),  # else Ray takes the path for a URI
                callbacks=[TuneReportCallback()],
                failure_config=failures,
            ),
        ).fit()


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
