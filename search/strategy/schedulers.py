"""Ray Tune's schedulers by their names, on our own `epoch`, able to go on after a kill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from search.space.settings import SearchConfig
from search.strategy.promotion import Pausing

History = Callable[[str], Sequence[Mapping[str, Any]]]
"""Name of a trial -> what it has reported, epoch by epoch."""
MEASURED = {"time_attr": "epoch", "metric": "val/best", "mode": "max"}


def scheduler(search: SearchConfig, epochs: int, history: History, earlier: Sequence[str]) -> TrialScheduler:
    """The scheduler of a study whose trials have `epochs`, told what the `earlier` ones (names, oldest first) had
    reported.
    """
    if search.scheduler == "none" or search.grace_epochs >= epochs:
        return FIFOScheduler()
    if search.scheduler == "promotion":
        return Pausing(search, epochs)
    built: TrialScheduler
    if search.scheduler == "median":
        built = Median(history, grace_period=search.grace_epochs, **MEASURED)
    else:
        rungs = int(np.log(epochs / search.grace_epochs) / np.log(search.reduction_factor) + 1)  # as Ray counts them
        brackets = rungs if search.scheduler == "hyperband" else 1
        settings = {
            "max_t": epochs,
            "grace_period": search.grace_epochs,
            "reduction_factor": search.reduction_factor,
            "brackets": brackets,
        }
        built = Asha(history, **settings, **MEASURED)
    for name in earlier:
        built.on_trial_add(None, _Earlier(f"earlier-{name}", {"name": name}))
    return built


@dataclass(frozen=True, eq=False)
class _Earlier:
    """Stands for a trial of an earlier session: all that a scheduler reads of one."""

    trial_id: str
    config: Mapping[str, Any]


class Remembering(TrialScheduler):  # type: ignore[misc]
    """Decides once about each epoch of a trial, and remembers what a trial had reported before it was interrupted.

    Ray saves no scheduler's state, and a trial that goes on reports its last epoch again.
    """

    def __init__(self, history: History, **settings: Any) -> None:
        super().__init__(**settings)
        self._history = history
        self._epochs: dict[str, int] = defaultdict(int)
        self._decisions: dict[str, str] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        for result in self._history(trial.config["name"]):
            self.on_trial_result(tune_controller, trial, result)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        name = trial.config["name"]
        if result.get("epoch", 0) > self._epochs[name]:
            self._epochs[name] = result["epoch"]
            self._decisions[name] = super().on_trial_result(tune_controller, trial, result)
        return self._decisions.get(name, str(TrialScheduler.CONTINUE))


class Asha(Remembering, AsyncHyperBandScheduler):  # type: ignore[misc]
    """Asynchronous successive halving (Li et al., 2018). With several brackets (Hyperband), a trial's name decides
    which is its own.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        state = np.random.get_state()
        np.random.seed(int(trial.config["name"]))  # Ray draws the bracket from NumPy's global generator
        super().on_trial_add(tune_controller, trial)
        np.random.set_state(state)


class Median(Remembering, MedianStoppingRule):  # type: ignore[misc]
    """Stops a trial whose best is below the median of the others' running means (Golovin et al., 2017); never pauses
    one.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        self._stopped_trials.discard(
            trial
        )  # told again in another order, what others had reported may stop a trial that went on
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> None:
        """Nothing: Ray would count the last epoch twice."""

    def _on_insufficient_samples(self, tune_controller: Any, trial: Any, time: float) -> str:
        return str(TrialScheduler.CONTINUE)
