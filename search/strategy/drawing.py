"""What is tried next: what the sampler draws once it is shown trials that can be compared, and never what was tried
before.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from search.space.definition import Space
from search.strategy.samplers import sampler

REPEATS = 10


def draw(study: optuna.Study, space: Space) -> dict[str, Any] | None:
    """A point by Optuna's names that no trial has had; None when there is none left.

    It is drawn in a copy of the study in memory, so that the study itself holds only what was run. A point that was
    tried stays in the copy as one that is running, which TPE avoids; after REPEATS of them in a row the model has
    nothing new to say, and chance takes over.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    shadow = optuna.create_study(directions=study.directions, sampler=sampler(space.search, len(trials)))
    shadow.add_trials(comparable(trials, space.search.startup_trials))
    repeats = 0
    while True:
        drawn = shadow.ask()
        space.sample(drawn)
        if is_new(drawn.params, trials):
            return drawn.params
        repeats += 1
        if repeats == REPEATS:
            if space.holds_at_most(len(trials)):
                return None
            shadow.sampler = RandomSampler(seed=space.search.seed * 100_003 + len(trials))


def is_new(params: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> bool:
    """Whether no trial had these: training is seeded, so it could only bring again what it brought."""
    return all(params != trial.params for trial in trials)


def comparable(trials: Sequence[FrozenTrial], enough: int) -> list[FrozenTrial]:
    """The trials as a sampler is to see them: complete with their score at the last epoch that `enough` of them have
    reached (BOHB, Falkner et al., 2018).

    Optuna ranks any complete trial above any that was stopped, and those that are running last, however good they are:
    with few trials that is what came first against what came later. Trials that have not reached that epoch stay as
    they are. No trial is changed.
    """
    reached = sorted((max(trial.intermediate_values, default=0) for trial in trials), reverse=True)
    epoch = reached[enough - 1] if len(reached) >= enough else 0
    return [_at(trial, epoch) if 0 < epoch <= max(trial.intermediate_values, default=0) else trial for trial in trials]


def _at(trial: FrozenTrial, epoch: int) -> FrozenTrial:
    if trial.state == TrialState.FAIL:
        return trial
    seen = copy.copy(trial)
    seen.state, seen.value = (
        TrialState.COMPLETE,
        trial.intermediate_values[max(step for step in trial.intermediate_values if step <= epoch)],
    )
    seen.datetime_complete = trial.datetime_complete or trial.datetime_start
    seen.system_attrs = dict(trial.system_attrs)
    if not seen.constraints:  # it is not told yet; a sampler takes constraints of all complete trials or of none
        seen.set_constraint("memory", 0.0)
    return seen
