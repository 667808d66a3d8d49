"""One suggestion -> one Ray Train run."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune import PlacementGroupFactory

from lssat.evaluation.fairness import Groups
from lssat.on_ray.ingest import Split
from lssat.on_ray.worker import Run, train_run
from lssat.task import Task
from lssat.train.microbatch import DoesNotFit
from lssat.train.result import Ended
from search.strategy.suggestion import TUNE_KEY, Suggestion

WAITING = {"memory": 1 << 20}
"""Bytes. What a trial holds that only waits for its workers, which need every CPU; Tune wants it to ask for something.
"""


@dataclass(frozen=True)
class StageContext:
    """What all trials of a stage share. `splits`: by number of workers. `checkpoints`: the folder of all of theirs.

    `study`: what Ray Train's runs are named after, so that no two of a cluster have one name.
    """

    splits: Mapping[int, Mapping[str, Split]]
    task: Task
    checkpoints: str
    study: str
    groups: Groups | None


def run_trial(tune_config: Mapping[str, Any], context: StageContext) -> None:
    """Train what was suggested.

    An exception becomes the message `Ended`, infeasible where memory never suffices, so that it ends this trial alone.
    """
    suggestion: Suggestion = tune_config[TUNE_KEY]
    try:
        config = suggestion.config
        folder = str(Path(context.checkpoints) / suggestion.name)
        name = f"{context.study}-{suggestion.name}"
        splits = context.splits[config.resources.num_workers]
        train_run(Run(config, context.task, splits, folder, name, context.groups))
    except torch.AcceleratorError:  # the device is lost to this process: a new one goes on from the last epoch
        raise
    except Exception as error:
        traceback.print_exc()
        cause = innermost(error)
        status = "infeasible" if isinstance(cause, DoesNotFit) else "failed"
        tune.report(Ended(status, reason_of(cause)).to_report())  # type: ignore[arg-type]


def innermost(error: BaseException) -> BaseException:
    """The cause that Ray wrapped."""
    causes = [*getattr(error, "worker_failures", {}).values(), getattr(error, "cause", None)]
    return next((innermost(cause) for cause in causes if isinstance(cause, BaseException)), error)


def reason_of(error: BaseException) -> str:
    """One line that says why."""
    lines = str(error).strip().splitlines() or [""]
    return lines[-1] if lines[0].startswith("Traceback") else f"{type(error).__name__}: {lines[0]}"


def resources_of(tune_config: Mapping[str, Any]) -> PlacementGroupFactory:
    """What the trial itself holds: everything when it trains in its own process, next to nothing when its workers hold
    it.
    """
    suggestion: Suggestion = tune_config[TUNE_KEY]
    wanted = suggestion.config.resources
    if wanted.num_workers > 1:
        return PlacementGroupFactory([WAITING])
    gpus = {"GPU": wanted.gpus_per_worker} if wanted.gpus_per_worker else {}
    return PlacementGroupFactory([{"CPU": float(wanted.cpus_per_worker)} | gpus])
