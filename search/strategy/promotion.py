"""Successive halving that waits: a trial pauses at each rung and goes on when it is among the best that reached it.

Li et al. (2018) promote. Ray's ASHA never lets a trial wait, so whichever comes first to a rung runs on, however bad it
is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.space.epochs import rungs
from search.space.settings import SearchConfig
from search.strategy.suggestion import suggestion_of

COMPARED_STATES = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


def pauses(search: SearchConfig, epochs: int) -> list[int]:
    """The epochs at which trials pause, ascending; none where the search does not promote."""
    return rungs(search, epochs) if search.scheduler == "promotion" else []


def next_promoted(
    trials: Sequence[FrozenTrial], search: SearchConfig, epochs: int, running: Collection[int], waits_for_none: bool
) -> FrozenTrial | None:
    """The paused trial that goes on: the best at the highest rung from which one of `reduction_factor` may.

    `running`: numbers of the trials that run now. `waits_for_none`: the best of a rung from which no trial was promoted
    may go on, however few have reached it, since nothing new will be tried or earlier studies tell enough.
    """
    for rung in reversed(pauses(search, epochs)):
        ranked = _ranked_at(trials, rung)
        num_promotable = max(int(waits_for_none), len(ranked) // search.reduction_factor)
        for trial in ranked[:num_promotable]:
            if _is_paused_at(trial, rung, running):
                return trial
    return None


def last_epoch(trial: FrozenTrial) -> int:
    """The last epoch that Optuna knows of; 0 before the first."""
    return int(max(trial.intermediate_values, default=0))


def _ranked_at(trials: Sequence[FrozenTrial], rung: int) -> list[FrozenTrial]:
    """The trials that have a score at a rung, the best first; those that never fit into memory do not count."""
    compared = (
        trial
        for trial in trials
        if trial.state in COMPARED_STATES and not trial.constraints.get("memory") and rung in trial.intermediate_values
    )
    return sorted(compared, key=lambda trial: (-trial.intermediate_values[rung], trial.number))


def _is_paused_at(trial: FrozenTrial, rung: int, running: Collection[int]) -> bool:
    return trial.state == TrialState.RUNNING and trial.number not in running and last_epoch(trial) == rung


class Pausing(FIFOScheduler):  # type: ignore[misc]
    """Ends a trial's run at each rung above the one that it was promoted from; the searcher knows that it pauses."""

    def __init__(self, search: SearchConfig, epochs: int) -> None:
        super().__init__()
        self._pauses = pauses(search, epochs)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """STOP at a rung, else CONTINUE."""
        epoch = result["epoch"]
        stops = epoch in self._pauses and epoch > suggestion_of(trial).promoted
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)
