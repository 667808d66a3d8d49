"""All that Ray Tune sees of a study: what Tune says of a trial is handed on in our own words, each epoch once.

Tune speaks to a searcher, a scheduler and callbacks, and says the same thing to each in its own way. A trial that goes
on after an interruption reports its last epoch again, since it cannot know whether a kill came between saving the epoch
and recording it. Nobody behind the adaptor has to know.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ray.tune import Stopper
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from lssat.train.result import BEST, Ended, EpochResult, read_report
from search.record.trials import Outcome, TrialRecord
from search.space.settings import SearchConfig
from search.strategy.outcome import outcome_of
from search.strategy.suggestion import Suggestion, suggestion_of
from search.study.watch.alone import FORGIVEN_DEATHS, Alone


class Suggester(Protocol):
    """Who says what runs next."""

    def suggest(self) -> Suggestion | None:
        """The next trial; None: there is none now."""

    @property
    def is_finished(self) -> bool:
        """Whether there will never be another one."""


class Listener(Protocol):
    """Who wants to know what becomes of trials."""

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """A trial has finished an epoch."""

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """A trial is over; without an outcome it has only paused. `last`: its last epoch."""


@dataclass(frozen=True)
class Participants:
    """Who takes part in a stage. `scheduler` decides which trials are stopped.

    `listeners`: the one that writes the record comes first. What is on record is not handed on again after a kill;
    Optuna, which then may lack it, is told of it from the record when the study goes on. `is_budget_spent`: all
    trials are to end where they are.
    """

    suggester: Suggester
    scheduler: TrialScheduler
    listeners: Sequence[Listener]
    is_budget_spent: Callable[[], bool] = lambda: False


class Adaptor:
    """Gives Ray Tune its searcher and its scheduler. `record_of`: what is on record of a trial, by its name."""

    def __init__(
        self, search: SearchConfig, participants: Participants, record_of: Callable[[str], TrialRecord]
    ) -> None:
        self.tune_searcher = _TuneSearcher(self)
        self.tune_scheduler = _TuneScheduler(self)
        self.tune_stopper = _TuneStopper(self)
        self.interruption: str | None = None
        """Of which trial the machine failed, and how; all trials then end where they are, and can go on later."""
        self.failure: Exception | None = None
        """Of a listener that was told how a trial ended; all trials then end where they are."""
        self.most_at_once: Callable[[], int] = lambda: sys.maxsize
        """Trials that may run or wait for their place."""
        self.alone = Alone()
        self.died_of: dict[str, str] = {}
        """Why the process of a trial was ended, by Tune's id of the trial, where it did not die by itself."""
        self.suggester = participants.suggester
        self.scheduler = participants.scheduler
        self._search = search
        self._listeners = participants.listeners
        self._is_budget_spent = participants.is_budget_spent
        self._record_of = record_of
        self._stretches: dict[str, _Stretch] = {}  # by Tune's id of the trial: one that was promoted has a new one

    def replay(self, records: Iterable[TrialRecord]) -> None:
        """Show the scheduler what trials that are over, oldest first, had reported in earlier sessions."""
        for record in records:
            earlier = _EarlierTrial(f"earlier-{record.name}", Suggestion(record.name, {}).for_tune())
            self.add(None, earlier)
            del self._stretches[earlier.trial_id]  # it takes no room

    def add(self, tune_controller: Any, trial: Any) -> None:
        """A trial is about to run. The scheduler is shown what it had reported before it was interrupted or paused.

        Tune adds a trial whose process died a second time.
        """
        self.scheduler.on_trial_add(tune_controller, trial)
        stretch = self._stretches.setdefault(trial.trial_id, _Stretch(suggestion_of(trial)))
        stretch.ended = None  # what the process said that died does not count any more
        for result in self._record_of(stretch.suggestion.name).epochs:
            if result.epoch > stretch.epoch:
                self._decide(stretch, tune_controller, trial, result)

    def report(self, tune_controller: Any, trial: Any, report: dict[str, Any]) -> str:
        """What is to become of the trial after this report."""
        stretch, message = self._stretches[trial.trial_id], read_report(report)
        if isinstance(message, Ended):
            stretch.ended = message
            if message.status == "interrupted":
                self.interruption = f"{stretch.suggestion.name}: {message.reason}"
            return stretch.decision
        if message.epoch > stretch.epoch:
            trial.run_metadata.num_failures = 0  # deaths count since the last new epoch
            self._decide(stretch, tune_controller, trial, message)
            for listener in self._listeners:
                listener.observe(stretch.suggestion, message)
        if message.is_last and self.ends_now:
            # Tune ends all trials and tells nobody. STOP ends this one before that.
            return str(TrialScheduler.STOP)
        return stretch.decision

    @property
    def ends_now(self) -> bool:
        """Whether all trials end where they are."""
        return self.is_broken or self._is_budget_spent()

    @property
    def is_broken(self) -> bool:
        """Whether the session cannot go on."""
        return self.interruption is not None or self.failure is not None

    @property
    def has_room(self) -> bool:
        """Whether another trial may begin."""
        return not self.alone.let_on and len(self._stretches) - len(self.alone.waiting) < self.most_at_once()

    def choose(self, tune_controller: Any) -> Any:
        """The trial that Tune runs next; None: the first that waits."""
        self.alone.hold(tune_controller)
        if trial := self.alone.next(tune_controller.get_trials()):
            return trial
        trial = self.scheduler.choose_trial_to_run(tune_controller)
        return None if trial and trial.trial_id in self.alone.waiting else trial

    def finish(self, trial_id: str, died: bool) -> None:
        """A trial has paused or is over."""
        self.alone.over(trial_id)
        if stretch := self._stretches.pop(trial_id, None):
            why = self.died_of.pop(trial_id, "see log.txt")
            why = f"its process died {FORGIVEN_DEATHS + 2} times without a new epoch, the last time alone; {why}"
            outcome = outcome_of(self._search, stretch.ended or stretch.last, died, why)
            self._tell_finished(stretch, outcome)

    def remove(self, trial_id: str) -> None:
        """A trial will not run in this session; it can go on in the next."""
        self.alone.over(trial_id)
        if stretch := self._stretches.pop(trial_id, None):
            self._tell_finished(stretch, None)

    def _tell_finished(self, stretch: _Stretch, outcome: Outcome | None) -> None:
        """Tune would take an error here for a death of the trial, and run it again (Ray 2.60)."""
        try:
            for listener in self._listeners:
                listener.finish(stretch.suggestion, outcome, stretch.last)
        except Exception as error:
            self.failure = self.failure or error

    def _decide(self, stretch: _Stretch, tune_controller: Any, trial: Any, result: EpochResult) -> None:
        stretch.last = result
        stretch.decision = str(self.scheduler.on_trial_result(tune_controller, trial, result.to_json()))


@dataclass
class _Stretch:
    """What the adaptor knows of a trial until it pauses or ends."""

    suggestion: Suggestion
    last: EpochResult | None = None
    ended: Ended | None = None
    decision: str = str(TrialScheduler.CONTINUE)

    @property
    def epoch(self) -> int:
        return self.last.epoch if self.last else 0


class _TuneSearcher(Searcher):  # type: ignore[misc]
    """What Ray Tune takes for its search algorithm."""

    def __init__(self, adaptor: Adaptor) -> None:
        super().__init__(metric=BEST, mode="max")
        self._adaptor = adaptor

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its searcher; nothing reads those snapshots: the study is on disk."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._adaptor.is_broken:
            return str(Searcher.FINISHED)
        if not self._adaptor.has_room:
            return None
        if suggestion := self._adaptor.suggester.suggest():
            return suggestion.for_tune()
        return str(Searcher.FINISHED) if self._adaptor.suggester.is_finished else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._adaptor.finish(trial_id, died=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class _TuneScheduler(TrialScheduler):  # type: ignore[misc]
    """What Ray Tune takes for its scheduler: asked about every report before anything else happens."""

    def __init__(self, adaptor: Adaptor) -> None:
        super().__init__()
        self._adaptor = adaptor

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its scheduler; nothing reads those snapshots: what was decided is replayed from the record."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._adaptor.add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return self._adaptor.report(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._adaptor.scheduler.on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._adaptor.scheduler.on_trial_error(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._adaptor.scheduler.on_trial_remove(tune_controller, trial)
        self._adaptor.remove(trial.trial_id)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        return self._adaptor.choose(tune_controller)

    def debug_string(self) -> str:
        return str(self._adaptor.scheduler.debug_string())


class _TuneStopper(Stopper):  # type: ignore[misc]
    """What Ray Tune asks whether to end all trials."""

    def __init__(self, adaptor: Adaptor) -> None:
        self._adaptor = adaptor

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots what stops a study; nothing reads those snapshots."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped by itself."""
        return False

    def stop_all(self) -> bool:
        return self._adaptor.ends_now


@dataclass(frozen=True, eq=False)
class _EarlierTrial:
    """Stands for a trial of an earlier session: all that a scheduler reads of one."""

    trial_id: str
    config: dict[str, Any]
