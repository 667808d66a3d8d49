"""A trial whose process dies again and again: it is tried once more when no other trial runs, then it has failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.strategy.suggestion import suggestion_of

FORGIVEN_DEATHS = 2
"""Of a trial's process since its last new epoch, from which it goes on beside others."""


@dataclass
class Alone:
    """Trials that wait to be alone, by Tune's id, and those that have been let go on alone.

    Trials that run are left to end; those that begin meanwhile are let begin. So it is the last of its stage.
    """

    waiting: dict[str, Trial] = field(default_factory=dict)
    let_on: set[str] = field(default_factory=set)

    def hold(self, controller: Any) -> None:
        """Take what waits out of Tune's queue."""
        for trial in self.waiting.values():
            if trial.status == Trial.PENDING:
                controller._set_trial_status(trial, Trial.PAUSED)

    def next(self, trials: Sequence[Trial]) -> Trial | None:
        """One that may go on now; None where another trial runs or waits for its place, or none waits."""
        if not self.waiting or any(trial.status in (Trial.PENDING, Trial.RUNNING) for trial in trials):
            return None
        trial_id, trial = next(iter(self.waiting.items()))
        del self.waiting[trial_id]
        self.let_on.add(trial_id)
        return trial

    def over(self, trial_id: str) -> None:
        """A trial has ended."""
        self.waiting.pop(trial_id, None)
        self.let_on.discard(trial_id)


@dataclass
class Deaths(Callback):  # type: ignore[misc]
    """Counts the deaths of trials' processes. Those that a memory kill takes back come first among Tune's callbacks."""

    alone: Alone
    say: Callable[[str], None]

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its callbacks; nothing reads those snapshots."""
        return {}

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Its process has died, and Tune has put it into its queue."""
        deaths = trial.run_metadata.num_failures
        if deaths > FORGIVEN_DEATHS:
            self.alone.waiting[trial.trial_id] = trial
            self.say(
                f"{suggestion_of(trial).name}: its process has died {deaths} times without a new epoch; it is tried "
                "once more when no other trial runs"
            )
