"""The one door through which the reports of trials come in: each epoch of a trial is handed on once, as a message.

Ray Tune asks its scheduler about every report before it does anything else, so the adaptor stands in the scheduler's
place. A trial that goes on after an interruption reports its last epoch again, since it cannot know whether a kill came
between saving the epoch and recording it; and Tune repeats the last report of a trial that returns. Nobody behind the
adaptor has to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ray.tune.schedulers import TrialScheduler

from lssat.train.result import Ended, EpochResult, read_report
from search.record.trials import TrialRecord
from search.strategy.suggestion import Suggestion, suggestion_of

MESSAGE_KEYS = ("epoch", "failed", "infeasible")


class Listener(Protocol):
    """Who wants to know what trials say of themselves."""

    def observe(self, suggestion: Suggestion, message: EpochResult | Ended) -> None:
        """A trial has finished an epoch, or says why it ends before its last."""


class Adaptor(TrialScheduler):  # type: ignore[misc]
    """Hands each epoch of a trial to the scheduler that decides, then to the listeners.

    The listener that writes the record comes last: an epoch that is on record has reached everybody, so that after a
    kill what is on record is what is not handed on again.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        listeners: Sequence[Listener],
        record_of: Callable[[str], TrialRecord],
        is_budget_spent: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._listeners = listeners
        self._record_of = record_of
        self._is_budget_spent = is_budget_spent
        self._epochs: dict[str, int] = {}
        self._decisions: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its scheduler; nothing reads those snapshots: what was decided is replayed from the record."""
        return {}

    def replay(self, records: Iterable[TrialRecord]) -> None:
        """Tell the scheduler what trials that are over, oldest first, had reported in earlier sessions."""
        for record in records:
            self.on_trial_add(None, _EarlierTrial(f"earlier-{record.name}", Suggestion(record.name, {}).for_tune()))

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Tell the scheduler of a trial, and what it had reported before it was interrupted or paused."""
        self._scheduler.on_trial_add(tune_controller, trial)
        name = suggestion_of(trial).name
        self._epochs[name] = 0
        for result in self._record_of(name).epochs:
            self._decide(tune_controller, trial, result)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """What is to become of the trial after this report."""
        suggestion = suggestion_of(trial)
        if not any(key in result for key in MESSAGE_KEYS):  # it returned without a word
            return str(TrialScheduler.CONTINUE)
        message = read_report(result)
        if isinstance(message, EpochResult):
            if message.epoch <= self._epochs[suggestion.name]:
                return self._decisions.get(suggestion.name, str(TrialScheduler.CONTINUE))
            self._decide(tune_controller, trial, message)
        for listener in self._listeners:
            listener.observe(suggestion, message)
        if isinstance(message, EpochResult) and message.is_last and self._is_budget_spent():
            return str(TrialScheduler.STOP)  # Tune ends all trials now; this one is complete, and must be told so first
        return self._decisions.get(suggestion.name, str(TrialScheduler.CONTINUE))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._scheduler.on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._scheduler.on_trial_error(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._scheduler.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        return self._scheduler.choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        return str(self._scheduler.debug_string())

    def _decide(self, tune_controller: Any, trial: Any, result: EpochResult) -> None:
        name = suggestion_of(trial).name
        self._epochs[name] = result.epoch
        self._decisions[name] = str(self._scheduler.on_trial_result(tune_controller, trial, result.to_json()))


@dataclass(frozen=True, eq=False)
class _EarlierTrial:
    """Stands for a trial of an earlier session: all that a scheduler reads of one."""

    trial_id: str
    config: dict[str, Any]
