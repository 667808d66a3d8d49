"""One suggestion -> one Ray Train run."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from ray import tune
from ray.exceptions import ActorUnschedulableError
from ray.train import ControllerError
from ray.train._internal.session import get_session
from ray.tune import PlacementGroupFactory

from lssat.config import Config
from lssat.data.prepared.row_keys import RowKeys
from lssat.evaluation.units import RowTexts
from lssat.on_ray.groups import train_run
from lssat.on_ray.ingest import Split
from lssat.on_ray.machine_fault import innermost, machine_fault, reason_of, with_repair
from lssat.on_ray.worker import Run
from lssat.settings.data import DataConfig
from lssat.storage.mark import StorageMark
from lssat.storage.place import Place
from lssat.task import Task
from lssat.train.microbatch import DoesNotFit
from lssat.train.result import Ended
from search.strategy.suggestion import TUNE_KEY, Suggestion

WAITING = {"memory": 1 << 20}
"""Bytes. What a trial holds that only waits for its workers, which need every CPU; Tune wants it to ask for something.
"""


class LearntFrom(NamedTuple):
    """What a run is given, which depends on what it holds out. `splits`: by number of workers."""

    task: Task
    splits: Mapping[int, Mapping[str, Split]]


def key_of(data: DataConfig) -> str:
    """What is held out, as the key of what is learnt from then."""
    return json.dumps(data.held_out)


@dataclass(frozen=True)
class StageContext:
    """What all trials of a stage share. `splits`: by number of workers. `checkpoints`: the path or URL of
    all of theirs.
    `rotated`: by what is held out, for runs that hold out something of their own.

    `study`: what Ray Train's runs are named after, so that no two of a cluster have one name.
    """

    splits: Mapping[int, Mapping[str, Split]]
    task: Task
    checkpoints: str
    study: str
    texts: RowTexts | None
    storage: StorageMark | None = None
    rotated: Mapping[str, LearntFrom] = field(default_factory=dict)
    keys: RowKeys | None = None

    def learnt_by(self, config: Config) -> LearntFrom:
        """What a run learns from."""
        return self.rotated.get(key_of(config.data), LearntFrom(self.task, self.splits))


def run_trial(tune_config: Mapping[str, Any], context: StageContext) -> None:
    """Train what was suggested.

    An exception becomes the message `Ended`: infeasible where memory never suffices, interrupted where the machine
    failed, which ends the session, and failed otherwise, which ends this trial alone.
    """
    suggestion: Suggestion = tune_config[TUNE_KEY]
    try:
        config = suggestion.config
        folder = str(Place.of(context.checkpoints) / suggestion.name)
        name = f"{context.study}-{suggestion.name}"
        given = context.learnt_by(config)
        splits = given.splits[config.resources.num_workers]
        train_run(Run(config, given.task, splits, folder, name, context.texts, context.storage, context.keys))
    except torch.AcceleratorError:  # the device is lost to this process: a new one goes on from the last epoch
        raise
    except Exception as error:
        if get_session() is None:  # Tune has ended the trial, and with it its workers: nobody waits for them any more
            return
        if isinstance(error, ControllerError) or isinstance(innermost(error), ActorUnschedulableError):
            raise  # others hold what its workers need, or its node is drained: it goes on later or elsewhere
        traceback.print_exc()
        tune.report(ended_by(error).to_report())


def ended_by(error: Exception) -> Ended:
    """How an exception ended a trial."""
    if fault := machine_fault(error):
        return Ended("interrupted", with_repair(fault))
    cause = innermost(error)
    return Ended("infeasible" if isinstance(cause, DoesNotFit) else "failed", reason_of(cause))


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
