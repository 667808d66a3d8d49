"""What is tried next, by a persistent study of Optuna that knows how every trial really ended.

Ray's own OptunaSearch tells Optuna that a stopped trial is COMPLETE with its early value, which misleads TPE, and
swallows what Optuna refuses; so this speaks to Optuna's ask-and-tell interface directly.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from lssat.errors import ConfigError
from lssat.model import catalog
from lssat.train.result import EpochResult
from search.earlier.agreement import trusted
from search.record.trials import Outcome, Status
from search.space.definition import Space
from search.strategy.known.history import History
from search.strategy.known.in_memory import KnownStudies
from search.strategy.known.scores import last_epoch
from search.strategy.next_point import draw, reached
from search.strategy.objectives import OBJECTIVES, values
from search.strategy.promotion import next_promoted, pauses
from search.strategy.samplers import first_points, sampler
from search.strategy.suggestion import Suggestion

optuna.logging.set_verbosity(optuna.logging.WARNING)

STATES = {
    Status.COMPLETE: TrialState.COMPLETE,
    Status.STOPPED: TrialState.PRUNED,
    Status.INFEASIBLE: TrialState.PRUNED,
    Status.FAILED: TrialState.FAIL,
}
"""What Optuna is told of a trial that ended. An infeasible one breaks a constraint as well."""

BROKEN = "failed"
"""The attribute of a trial of Optuna's that never began, because its keys break a rule: which one."""


def trial_name(number: int) -> str:
    """The name of Optuna's trial of that number."""
    return f"{number:04d}"


def open_study(database: Path, name: str, space: Space) -> optuna.Study:
    """The study in a SQLite file; a new one gets that name, and has the first points of the space queued."""
    storage = KnownStudies(storage_of(database))
    begun_as = optuna.get_all_study_names(storage)  # a run folder may have been renamed since
    return create_study(storage, begun_as[0] if begun_as else name, space)


def storage_of(database: Path) -> optuna.storages.RDBStorage:
    """Optuna's storage in a SQLite file."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(database, timeout=60, check_same_thread=False)

    # The path is no part of the URL, in which `?`, `#`, `%` and `{` would have a meaning.
    return optuna.storages.RDBStorage("sqlite:///study.db", engine_kwargs={"creator": connect})


def broken_points(database: Path) -> dict[int, str]:
    """Number of each trial of a study whose keys broke a rule, so that it never began -> what was said of them."""
    storage = storage_of(database)
    (name, *_) = optuna.get_all_study_names(storage)
    failed = storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False, states=(TrialState.FAIL,))
    return {trial.number: str(trial.user_attrs[BROKEN]) for trial in failed if BROKEN in trial.user_attrs}


def create_study(storage: optuna.storages.BaseStorage, name: str, space: Space) -> optuna.Study:
    """The study of that name; a new one has the first points of the space queued."""
    directions = [OBJECTIVES[objective].direction for objective in space.search.objectives]
    study = optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(space.search.objectives))
    if not num_asked(study):
        num_queued = len(study.get_trials(deepcopy=False))  # a kill may have come while they were queued
        for point in first_points(space)[num_queued:]:
            study.enqueue_trial(point)
    return study


class OptunaSearcher:
    """Suggests trials, named by Optuna's numbers, and tells Optuna what becomes of them.

    Trials that a killed study left RUNNING are handed out first, under their old name, so that they go on from their
    checkpoint; those of them that have paused wait to be promoted. `closes`: whether no new one is to begin.
    """

    def __init__(self, study: optuna.Study, space: Space, closes: Callable[[], bool] = lambda: False) -> None:
        self._study = study
        self._space = space
        self._closes = closes
        self._running: dict[str, Trial] = {}  # by name
        self._epochs = space.example().optim.epochs
        self._pauses = pauses(space.search, self._epochs)
        self._history = History(study, space.search, self._pauses)
        self._is_exhausted = False
        # There is nothing to suggest until a running trial ends, which may let another go on, or end the stagnation.
        self._waits = False
        self._interrupted = [frozen for frozen in self._history.alive if last_epoch(frozen) not in self._pauses]

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing more to run, and nothing that runs could change that."""
        return not self._waits and not self._running

    def suggest(self) -> Suggestion | None:
        """What to run next; None: nothing now, and nothing ever where `is_finished`."""
        if self._waits:
            return None
        if suggestion := self._next():
            return suggestion
        self._waits = bool(self._running)
        if not self._waits:
            self._end_paused()
        return None

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """Tell Optuna the score of an epoch, which it takes of one objective only."""
        if len(self._space.search.objectives) == 1:
            self._running[suggestion.name].report(result.best, step=result.epoch)

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """Tell Optuna how a trial ended; one that has only paused stays RUNNING there."""
        self._waits = False
        trial = self._running.pop(suggestion.name)
        if outcome:
            tell(self._study, trial, outcome, values(self._space.search.objectives, last) if last else None)

    def _next(self) -> Suggestion | None:
        """The next trial that can run: a promoted one, one that was interrupted, or a new one; None: there is none."""
        while True:
            self._history.refresh()
            if frozen := self._promoted():
                trial, promoted = resumed(self._study, self._space, frozen), last_epoch(frozen)
            elif self._interrupted:
                trial, promoted = resumed(self._study, self._space, self._interrupted.pop(0)), 0
            elif not self._wants_more():
                return None
            elif asked := ask(self._study, self._space, self._history):
                trial, promoted = asked, 0
            else:
                self._is_exhausted = True
                continue
            if suggestion := sample(self._study, self._space, trial):
                self._running[suggestion.name] = trial
                return replace(suggestion, promoted=promoted)

    def _wants_more(self) -> bool:
        """Whether new trials are to be asked for."""
        has_room = self._history.num_asked < self._space.search.num_trials and not self._is_exhausted
        return has_room and not self._closes() and not self._history.stagnates

    def _promoted(self) -> FrozenTrial | None:
        if not self._pauses:
            return None
        is_closing = not (self._running or self._interrupted or self._wants_more())
        running = self._numbers_running() | {frozen.number for frozen in self._interrupted}
        # Earlier trials that hold here are those that a rung would wait for.
        known = reached(self._history.first(len(self._space.tried_first)))
        waits_for_none = is_closing or bool(trusted(self._space, known))
        return next_promoted(self._history, self._space.search, self._epochs, running, waits_for_none)

    def _end_paused(self) -> None:
        """What was never promoted was stopped where it paused."""
        if not self._pauses:
            return
        for frozen in self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if frozen.number not in self._numbers_running():
                tell(self._study, Trial(self._study, frozen._trial_id), Outcome(Status.STOPPED), None)

    def _numbers_running(self) -> set[int]:
        return {trial.number for trial in self._running.values()}


def num_asked(study: optuna.Study) -> int:
    """Trials that were asked for, whatever became of them."""
    return sum(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False))


def ask(study: optuna.Study, space: Space, history: History) -> Trial | None:
    """The next trial: queued points first, then what is drawn; None when a finite space has been tried through.

    `history`: of the study, and fresh.
    """
    study.sampler = sampler(space.search, history.num_asked)
    if study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        return study.ask()
    drawn = draw(study, space, history)
    if drawn is None:
        return None
    study.add_trial(drawn)  # whole, by one transaction
    return Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)


def resumed(study: optuna.Study, space: Space, frozen: FrozenTrial) -> Trial:
    """A trial that was asked for earlier. What had not been drawn yet will be drawn as it would have been then."""
    study.sampler = sampler(space.search, frozen.number)
    return Trial(study, frozen._trial_id)


def sample(study: optuna.Study, space: Space, trial: Trial) -> Suggestion | None:
    """What a trial of Optuna is to run; None, and the trial is ended as failed, where its keys break a rule."""
    suggestion = Suggestion(trial_name(trial.number), space.sample(trial))
    try:
        catalog.architecture(suggestion.config.backbone)
    except ConfigError as error:
        trial.set_user_attr(BROKEN, str(error))
        study.tell(trial, state=TrialState.FAIL)
        return None
    trial.set_user_attr("config", json.dumps(suggestion.sampled))
    return suggestion


def tell(study: optuna.Study, trial: Trial, outcome: Outcome, objectives: list[float] | None) -> None:
    """End a trial in Optuna's study. `objectives`: of a complete one.

    Every trial has the constraint `memory`, broken above 0: a sampler reads constraints of all trials or of none.
    """
    if outcome.status == Status.INFEASIBLE:
        trial.set_user_attr("reason", outcome.reason)
    trial.set_constraint("memory", float(outcome.status == Status.INFEASIBLE))
    is_complete = outcome.status == Status.COMPLETE
    study.tell(trial, objectives if is_complete else None, state=STATES[outcome.status])
