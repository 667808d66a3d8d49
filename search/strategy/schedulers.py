"""Ray Tune's schedulers by their names, on our own `epoch`. What they had decided before an interruption is replayed to
them by `search.study.tune_adaptor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from lssat.train.result import BEST
from search.space.settings import SearchConfig
from search.strategy.promotion import Pausing
from search.strategy.suggestion import suggestion_of

MEASURED = {"time_attr": "epoch", "metric": BEST, "mode": "max"}


def scheduler(search: SearchConfig, epochs: int) -> TrialScheduler:
    """The scheduler of a study whose trials have `epochs`."""
    if search.scheduler == "none" or search.grace_epochs >= epochs:
        return FIFOScheduler()
    if search.scheduler == "promotion":
        return Pausing(search, epochs)
    if search.scheduler == "median":
        return Median(grace_period=search.grace_epochs, **MEASURED)
    num_rungs = int(np.log(epochs / search.grace_epochs) / np.log(search.reduction_factor) + 1)  # as Ray counts them
    return Asha(
        max_t=epochs,
        grace_period=search.grace_epochs,
        reduction_factor=search.reduction_factor,
        brackets=num_rungs if search.scheduler == "hyperband" else 1,
        **MEASURED,
    )


def compares_trials(chosen: TrialScheduler) -> bool:
    """Whether a scheduler decides by what other trials have reported: then it must be shown earlier sessions."""
    return not isinstance(chosen, Pausing) and type(chosen) is not FIFOScheduler


class Asha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Asynchronous successive halving (Li et al., 2018). With several brackets (Hyperband), a trial's name decides
    which is its own.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Give the trial its bracket, which Ray draws from NumPy's global generator."""
        state = np.random.get_state()
        np.random.seed(int(suggestion_of(trial).name))
        super().on_trial_add(tune_controller, trial)
        np.random.set_state(state)


class Median(MedianStoppingRule):  # type: ignore[misc]
    """Stops a trial whose best is below the median of the others' running means (Golovin et al., 2017); never pauses
    one.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """The decision on an epoch.

        Results are replayed trial by trial, which is another order than that in which they came. There a trial may look
        as if it had been stopped that went on, and Ray refuses results of a stopped one.
        """
        self._stopped_trials.discard(trial)
        return str(super().on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> None:
        """Nothing: Ray would count the last epoch twice."""

    def _on_insufficient_samples(self, tune_controller: Any, trial: Any, time: float) -> str:
        return str(TrialScheduler.CONTINUE)
