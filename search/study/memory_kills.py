"""Trials that Ray kills because a machine runs out of memory: they end neither the study nor, at first, themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.experiment import Trial

from lssat.config import Config
from lssat.storage.place import Place
from lssat.train import microbatch

TUNES_OWN = RayActorManager._actor_task_failed  # Ray 2.60's own


class KilledForMemory(RayActorError):  # type: ignore[misc]
    """A trial's process was killed for memory."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.error_msg = message

    def __reduce__(self) -> tuple[type[KilledForMemory], tuple[str]]:
        return KilledForMemory, (self.error_msg,)


def survive() -> None:
    """Let Ray Tune take such a kill for the death of a process, which `max_failures` forgives.

    Without it Tune 2.60 knows a killed process by RayActorError alone, raises at OutOfMemoryError, and one trial's kill
    ends the whole study.
    """
    RayActorManager._actor_task_failed = _task_failed


def halve_rows_if_killed(trial: Trial, checkpoints: Place, config: Config) -> None:
    """Where a trial that goes on was killed for memory, let it do so with micro-batches of half the rows. For
    `Callback.on_trial_recover`. `checkpoints`: the trial's own.
    """
    written = trial.pickled_error_file  # by this very process, here; where `get_pickled_error` looks it comes later
    if written and isinstance(cloudpickle.loads(Path(written).read_bytes()), KilledForMemory):
        microbatch.halve_rows(checkpoints, config)
        trial.run_metadata.num_failures -= 1  # it is forgiven until one row does not fit, which is no death


def _task_failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
    TUNES_OWN(
        manager,
        tracked_actor_task,
        KilledForMemory(str(exception)) if isinstance(exception, OutOfMemoryError) else exception,
    )
