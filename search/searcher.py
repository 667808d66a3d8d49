"""Optuna, as Ray Tune asks it: a persistent study that is told the truth about every trial.

Ray's own OptunaSearch tells Optuna that a stopped trial is COMPLETE with its early value, which misleads TPE, and swallows what Optuna
refuses; so this speaks to Optuna's ask-and-tell interface directly.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState
from ray.tune.search import Searcher

from lssat import catalog
from lssat.config import ConfigError, build
from search.space import SearchConfig, Space

ABANDONED = "abandoned"

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_study(folder: Path, name: str, space: Space) -> optuna.Study:
    """The study in `<folder>/study.db`, made if it is not there: then the points of a grid are queued; otherwise every backbone family once, so that
    none is never tried."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}", engine_kwargs={"connect_args": {"timeout": 60}})
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    if not study.get_trials(deepcopy=False):
        families = next((p.choices for p in space.parameters if p.key == "backbone.family"), ())
        for parameters in space.points() if space.search.sampler == "grid" else [{"backbone.family": family} for family in families]:
            study.enqueue_trial(parameters)
    return study


class OptunaSearcher(Searcher):  # type: ignore[misc]
    """Suggests `{"number": Optuna's trial number, "config": dotted keys}`.

    Trials that a killed study left RUNNING are handed out first, under their old number, so that they go on from their checkpoint.
    """

    def __init__(self, study: optuna.Study, space: Space) -> None:
        super().__init__(metric="val/best", mode="max")
        self._study = study
        self._space = space
        self._trials: dict[str, Trial] = {}
        self._epochs_seen: dict[str, int] = {}
        running = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        self._interrupted = [frozen for frozen in running if "config" in frozen.user_attrs]
        for frozen in running:
            if "config" not in frozen.user_attrs:  # killed between asking and sampling: it does not count, another takes its place
                Trial(study, frozen._trial_id).set_user_attr(ABANDONED, True)
                study.tell(frozen.number, state=TrialState.FAIL)

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its searcher; nothing reads those snapshots: the study is on disk."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        if self._interrupted:
            frozen = self._interrupted.pop(0)
            self._trials[trial_id] = Trial(self._study, frozen._trial_id)
            self._epochs_seen[trial_id] = max(frozen.intermediate_values, default=0)
            return {"number": frozen.number, "config": json.loads(frozen.user_attrs["config"])}
        while num_asked(self._study) < self._space.search.num_trials:
            trial, sampled = ask(self._study, self._space)
            if sampled is not None:
                self._trials[trial_id] = trial
                return {"number": trial.number, "config": sampled}
        return str(Searcher.FINISHED)

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        if "val/best" in result and result["epoch"] > self._epochs_seen.get(trial_id, 0):
            self._epochs_seen[trial_id] = result["epoch"]
            self._trials[trial_id].report(result["val/best"], step=result["epoch"])

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        if result:
            self.on_trial_result(trial_id, result)
        state, value = verdict(result, error)
        self._study.tell(self._trials.pop(trial_id), value, state=state)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is on disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the study is on disk."""


def num_asked(study: optuna.Study) -> int:
    """Trials that were suggested, whatever became of them."""
    return sum(trial.state != TrialState.WAITING and ABANDONED not in trial.user_attrs for trial in study.get_trials(deepcopy=False))


def ask(study: optuna.Study, space: Space) -> tuple[Trial, dict[str, Any] | None]:
    """A new Optuna trial and its dotted keys; None, and the trial told as failed, when they break a rule between keys."""
    study.sampler = sampler(space.search, number=num_asked(study))
    trial = study.ask()
    sampled = space.sample(trial)
    try:
        catalog.architecture(build(sampled).backbone)
    except ConfigError as error:
        trial.set_user_attr("failed", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return trial, None
    trial.set_user_attr("config", json.dumps(sampled))
    return trial, sampled


def sampler(search: SearchConfig, number: int) -> optuna.samplers.BaseSampler:
    """Seeded by (seed, number of the trial), so that a resumed study draws what the uninterrupted one would have drawn."""
    seed = search.seed * 100_003 + number
    if search.sampler != "tpe":  # all that a grid tries is queued
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=search.startup_trials)


def verdict(result: Mapping[str, Any] | None, error: bool) -> tuple[TrialState, float | None]:
    """What Optuna is told of a trial: FAIL, PRUNED without a value (stopped before its last epoch), or COMPLETE."""
    if error or not result or "failed" in result or not math.isfinite(result.get("val/best", math.nan)):
        return TrialState.FAIL, None
    if result["epoch"] < result["epochs"]:
        return TrialState.PRUNED, None
    return TrialState.COMPLETE, float(result["val/best"])
