"""Optuna, as Ray Tune asks it: a persistent study that is told the truth about every trial.

Ray's own OptunaSearch tells Optuna that a stopped trial is COMPLETE with its early value, which misleads TPE, and
swallows what Optuna refuses; so this speaks to Optuna's ask-and-tell interface directly.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from ray.tune.search import Searcher

from lssat.config import ConfigError, build
from lssat.model import catalog
from search.space.definition import Space
from search.space.settings import SearchConfig
from search.strategy.drawing import draw
from search.strategy.objectives import OBJECTIVES, values
from search.strategy.promotion import pauses, promoted
from search.strategy.samplers import first_points, sampler

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Verdict(NamedTuple):
    """What Optuna is told of a trial, `values` only where it is COMPLETE; `status` is our word for it."""

    status: str
    state: TrialState
    values: list[float] | None = None


def trial_name(number: int) -> str:
    return f"{number:04d}"


def open_study(folder: Path, name: str, space: Space) -> optuna.Study:
    """The study in `<folder>/study.db`; a new one has the first points of the space queued."""
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{folder / 'study.db'}", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    return create_study(storage, name, space)


def create_study(storage: optuna.storages.BaseStorage, name: str, space: Space) -> optuna.Study:
    """The study of that name; a new one has the first points of the space queued."""
    directions = [OBJECTIVES[objective].direction for objective in space.search.objectives]
    study = optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(space.search.objectives))
    if not num_asked(study):
        for point in first_points(space)[
            len(study.get_trials(deepcopy=False)) :
        ]:  # a kill may have come while they were queued
            study.enqueue_trial(point)
    return study


class OptunaSearcher(Searcher):  # type: ignore[misc]
    """Suggests `{"name": "0007", "config": dotted keys}`; the name is Optuna's trial number.

    Trials that a killed study left RUNNING are handed out first, under their old name, so that they go on from their
    checkpoint.
    """

    def __init__(self, study: optuna.Study, space: Space) -> None:
        super().__init__(metric="val/best", mode="max")
        self._study = study
        self._space = space
        self._trials: dict[str, Trial] = {}
        self._epochs_seen: dict[str, int] = {}
        self._epochs = space.example().optim.epochs
        self._promotes = bool(pauses(space.search, self._epochs))
        self._exhausted = False
        self._waits = False  # for a trial that runs
        running, resting = (
            study.get_trials(deepcopy=False, states=[TrialState.RUNNING]),
            pauses(space.search, self._epochs),
        )
        self._interrupted = [frozen for frozen in running if max(frozen.intermediate_values, default=0) not in resting]

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its searcher; nothing reads those snapshots: the study is on disk."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._waits:
            return None
        paused = self._promoted()
        while paused or self._interrupted or self._wants_more():
            if paused or self._interrupted:
                frozen = paused or self._interrupted.pop(0)
                trial, seen = again(self._study, self._space, frozen), max(frozen.intermediate_values, default=0)
            elif asked := ask(self._study, self._space):
                trial, seen = asked, 0
            else:
                self._exhausted = True
                return self.suggest(trial_id)
            sampled = sample(self._study, self._space, trial)
            if sampled is not None:
                self._trials[trial_id], self._epochs_seen[trial_id] = trial, seen
                return {"name": trial_name(trial.number), "config": sampled, **({"promoted": seen} if paused else {})}
        self._waits = bool(self._trials)  # one of those that run may let another go on, or end the stagnation
        if self._waits:
            return None
        self._end_paused()
        return str(Searcher.FINISHED)

    def _wants_more(self) -> bool:
        settings = self._space.search
        return (
            num_asked(self._study) < settings.num_trials
            and not self._exhausted
            and not stagnates(self._study, settings)
        )

    def _promoted(self) -> FrozenTrial | None:
        if not self._promotes:
            return None
        last = not (self._trials or self._interrupted or self._wants_more())
        live = {trial.number for trial in self._trials.values()} | {frozen.number for frozen in self._interrupted}
        return promoted(self._study.get_trials(deepcopy=False), self._space.search, self._epochs, live, last)

    def _end_paused(self) -> None:
        """What was never promoted was stopped where it paused."""
        live = {trial.number for trial in self._trials.values()}
        for frozen in self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]) if self._promotes else ():
            if frozen.number not in live:
                tell(self._study, Trial(self._study, frozen._trial_id), Verdict("stopped", TrialState.PRUNED))

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        if len(self._space.search.objectives) > 1:  # Optuna takes intermediate values of one objective only
            return
        if "val/best" in result and result["epoch"] > self._epochs_seen[trial_id]:
            self._epochs_seen[trial_id] = result["epoch"]
            self._trials[trial_id].report(result["val/best"], step=result["epoch"])

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        if result:
            self.on_trial_result(trial_id, result)
        self._waits = False
        trial, told = self._trials.pop(trial_id), verdict(self._space.search, result, error)
        if told.status == "infeasible" and result:
            trial.set_user_attr("reason", result["infeasible"])
        if told.status != "paused":
            tell(self._study, trial, told)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is on disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is on disk."""


def num_asked(study: optuna.Study) -> int:
    """Trials that were asked for, whatever became of them."""
    return sum(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False))


def ask(study: optuna.Study, space: Space) -> Trial | None:
    """The next trial: queued points first, then what is drawn; None when a finite space has been tried through."""
    study.sampler = sampler(space.search, num_asked(study))
    if not study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
        point = draw(study, space)
        if point is None:
            return None
        study.enqueue_trial(point)
    return study.ask()


def again(study: optuna.Study, space: Space, frozen: FrozenTrial) -> Trial:
    """A trial that was asked for in an earlier session; what had not been drawn yet will be drawn as it would have been
    then.
    """
    study.sampler = sampler(space.search, frozen.number)
    return Trial(study, frozen._trial_id)


def sample(study: optuna.Study, space: Space, trial: Trial) -> dict[str, Any] | None:
    """The dotted keys of a trial; None, and the trial told as failed, when they break a rule between keys."""
    sampled = space.sample(trial)
    try:
        catalog.architecture(build(sampled).backbone)
    except ConfigError as error:
        trial.set_user_attr("failed", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return None
    trial.set_user_attr("config", json.dumps(sampled))
    return sampled


def verdict(search: SearchConfig, result: Mapping[str, Any] | None, error: bool) -> Verdict:
    """failed: FAIL. infeasible (never fits into memory): PRUNED, and a broken constraint. stopped before its last
    epoch: PRUNED. complete: COMPLETE.

    paused: RUNNING, for it may go on.
    """
    if result and "infeasible" in result:
        return Verdict("infeasible", TrialState.PRUNED)
    if error or not result or "failed" in result or not math.isfinite(result.get("val/best", math.nan)):
        return Verdict("failed", TrialState.FAIL)
    if result["epoch"] in pauses(search, result["epochs"]):
        return Verdict("paused", TrialState.RUNNING)
    if result["epoch"] < result["epochs"]:
        return Verdict("stopped", TrialState.PRUNED)
    found = values(search.objectives, result)
    return (
        Verdict("complete", TrialState.COMPLETE, found)
        if all(map(math.isfinite, found))
        else Verdict("failed", TrialState.FAIL)
    )


def tell(study: optuna.Study, trial: Trial, told: Verdict) -> None:
    """End a trial. Every trial has the constraint `memory`, for a sampler takes it of all or of none; it is broken
    above 0.
    """
    trial.set_constraint("memory", float(told.status == "infeasible"))
    study.tell(trial, told.values, state=told.state)


def stagnates(study: optuna.Study, search: SearchConfig) -> bool:
    """Whether `search.patience` trials in a row, in the order in which they ended, brought nothing better by
    `search.min_improvement`.
    """
    if search.patience is None:
        return False
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    best, without = -math.inf, 0
    for trial in sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number)):
        score = trial.values[0] if trial.state == TrialState.COMPLETE else -math.inf
        without = 0 if score > best + search.min_improvement else without + 1
        best = max(best, score)
    return without >= search.patience
