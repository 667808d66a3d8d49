"""Successive halving that waits: a trial pauses at each rung and goes on when it is among the best of those that have
reached it.

Li et al. (2018) promote; Ray's ASHA never lets a trial wait, so that whoever comes first to a rung runs on, however bad
it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.space.epochs import rungs
from search.space.settings import SearchConfig

COUNTED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


def pauses(search: SearchConfig, epochs: int) -> list[int]:
    """The epochs at which trials pause, ascending; none where the search does not promote."""
    return rungs(search, epochs) if search.scheduler == "promotion" else []


def promoted(
    trials: Sequence[FrozenTrial], search: SearchConfig, epochs: int, live: Collection[int], last: bool
) -> FrozenTrial | None:
    """The paused trial that goes on: the best of the highest rung where one of `reduction_factor` may; `live` are the
    numbers of running trials.

    `last`: nothing new will be tried, so that while no trial has been promoted from a rung its best may.
    """
    for rung in reversed(pauses(search, epochs)):
        here = [
            trial
            for trial in trials
            if trial.state in COUNTED and not trial.constraints.get("memory") and rung in trial.intermediate_values
        ]
        here.sort(key=lambda trial: (-trial.intermediate_values[rung], trial.number))
        for trial in here[: max(int(last), len(here) // search.reduction_factor)]:
            if (
                trial.state == TrialState.RUNNING
                and trial.number not in live
                and max(trial.intermediate_values) == rung
            ):
                return trial
    return None


class Pausing(FIFOScheduler):  # type: ignore[misc]
    """Ends a trial's run at each rung above the one it was promoted from; the searcher knows that it only pauses."""

    def __init__(self, search: SearchConfig, epochs: int) -> None:
        super().__init__()
        self._pauses = pauses(search, epochs)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        stops = result.get("epoch") in self._pauses and result["epoch"] > trial.config.get("promoted", 0)
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)
