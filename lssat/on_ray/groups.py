"""A training run under Ray Train, in a trial of Ray Tune. One worker runs in the trial's own process. Several run in
processes of their own, under DistributedDataParallel: a group, after which another begins where it was lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

import ray
from pyarrow.fs import LocalFileSystem
from ray.exceptions import RayActorError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from lssat.config import Config, build
from lssat.errors import ConfigError
from lssat.on_ray.ingest import Split
from lssat.on_ray.lost import is_drained, is_lost_node, is_lost_to_memory
from lssat.on_ray.machine_fault import machine_fault
from lssat.on_ray.worker import Run, work_alone, work_together
from lssat.settings.training import ResourcesConfig
from lssat.storage.whole import manifest_of
from lssat.storage.working import working_folder
from lssat.train import microbatch
from lssat.train.checkpoint import STATE
from lssat.train.result import LAST_CHECKPOINT, RAY_TRAIN_FOLDER

REFUSALS = 10
"""Times, 60 s apart, that the cluster may not hold a trial's workers before its process ends, and waits anew."""
RESTARTS = 2
"""Of a group of workers that lost one, since its last new epoch, from which it goes on."""


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
    TorchTrainer(work_alone, train_loop_config={"run": run}, scaling_config=ScalingConfig(num_workers=0)).fit()


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
            work_together,
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
