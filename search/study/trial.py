"""One sampled configuration -> one Ray Train run."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune import PlacementGroupFactory

from lssat.config import build
from lssat.evaluation.fairness import Groups
from lssat.on_ray.ingest import Split
from lssat.on_ray.worker import Run, train_run
from lssat.task import Task
from lssat.train.microbatch import DoesNotFit

WAITING = {
    "memory": 1 << 20
}  # bytes; what a trial that only waits for its workers holds: they need every CPU, and Ray refuses nothing at all


def run_trial(
    suggestion: Mapping[str, Any],
    splits: Mapping[int, Mapping[str, Split]],
    task: Task,
    storage: str,
    study: str,
    groups: Groups | None,
) -> None:
    """Train what was suggested, with checkpoints in `<storage>/<name>`; `splits` by number of workers.

    An exception becomes the result `failed`, or `infeasible` where memory never suffices, so that it ends this trial
    alone.
    """
    name = suggestion["name"]
    try:
        config = build(suggestion["config"])
        train_run(
            Run(
                config, task, splits[config.resources.num_workers], str(Path(storage) / name), f"{study}-{name}", groups
            )
        )
    except torch.AcceleratorError:  # the device is lost to this process: a new one goes on from the last epoch
        raise
    except Exception as error:
        traceback.print_exc()
        cause = innermost(error)
        tune.report({"infeasible" if isinstance(cause, DoesNotFit) else "failed": reason(cause)})


def innermost(error: BaseException) -> BaseException:
    """The cause that Ray wrapped."""
    causes = [*getattr(error, "worker_failures", {}).values(), getattr(error, "cause", None)]
    return next((innermost(cause) for cause in causes if isinstance(cause, BaseException)), error)


def reason(error: BaseException) -> str:
    """One line that says why."""
    lines = str(error).strip().splitlines() or [""]
    return lines[-1] if lines[0].startswith("Traceback") else f"{type(error).__name__}: {lines[0]}"


def resources(suggestion: Mapping[str, Any]) -> PlacementGroupFactory:
    """What the trial itself holds: everything when it trains in its own process, next to nothing when its workers hold
    it.
    """
    wanted = build(suggestion["config"]).resources
    if wanted.num_workers > 1:
        return PlacementGroupFactory([WAITING])
    return PlacementGroupFactory(
        [{"CPU": float(wanted.cpus_per_worker)} | ({"GPU": wanted.gpus_per_worker} if wanted.gpus_per_worker else {})]
    )
