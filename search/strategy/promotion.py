"""Successive halving that waits: a trial pauses at each rung and goes on when it is among the best that reached it.

Li et al. (2018) promote. Ray's ASHA never lets a trial wait, so whichever comes first to a rung runs on, however bad it
is.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.space.epochs import rungs
from search.space.settings import SearchConfig
from search.strategy.known.history import History
from search.strategy.known.scores import last_epoch
from search.strategy.suggestion import suggestion_of


def pauses(search: SearchConfig, epochs: int) -> list[int]:
    """The epochs at which trials pause, ascending; none where the search does not promote."""
    return rungs(search, epochs) if search.scheduler == "promotion" else []


def next_promoted(
    history: History, search: SearchConfig, epochs: int, running: Collection[int], waits_for_none: bool
) -> FrozenTrial | None:
    """The paused trial that goes on: the best at the highest rung from which one of `reduction_factor` may.

    `running`: numbers of the trials that run now. `waits_for_none`: the best of a rung from which no trial was promoted
    may go on, however few have reached it, since nothing new will be tried or earlier studies tell enough.
    """
    alive = history.alive
    for rung in reversed(pauses(search, epochs)):
        there = [trial for trial in alive if rung in trial.intermediate_values]
        there.sort(key=lambda trial: (-trial.intermediate_values[rung], trial.number))
        num_promotable = max(int(waits_for_none), (history.num_over_at(rung) + len(there)) // search.reduction_factor)
        for index, trial in enumerate(there):
            num_better = index + history.num_better(rung, (trial.intermediate_values[rung], -trial.number))
            if num_better >= num_promotable:
                break
            if trial.number not in running and last_epoch(trial) == rung:
                return trial
    return None


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
