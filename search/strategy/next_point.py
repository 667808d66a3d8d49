"""What is tried next: what the sampler draws once it is shown trials that can be compared, and never what was tried
before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from search.earlier.agreement import Reached, pairs_at, promised, trusted
from search.space.definition import Space
from search.strategy.promotion import last_epoch
from search.strategy.samplers import sampler

REPEATS = 10  # draws of points that were tried, in a row, after which the model is not asked any more


def draw(study: optuna.Study, space: Space) -> dict[str, Any] | None:
    """A point by Optuna's names that no trial has had; None when there is none left.

    It is drawn in a copy of the study in memory, so that the study itself holds only what was run. A point that was
    tried stays in the copy as one that is running, which TPE avoids; after REPEATS of them in a row the model has
    nothing new to say, and the next is drawn at random.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    shadow = optuna.create_study(directions=study.directions, sampler=sampler(space.search, len(trials)))
    shadow.add_trials([*_from_earlier(trials, space), *comparable(trials, space.search.startup_trials)])
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
    epoch = _compared_at(trials, enough)
    return [_complete_at(trial, epoch) if 0 < epoch <= last_epoch(trial) else trial for trial in trials]


def _from_earlier(trials: Sequence[FrozenTrial], space: Space) -> list[FrozenTrial]:
    """The trials of earlier studies that have earned trust, as a sampler is to see them: complete, with the score that
    they promise here at the epoch at which the trials of this study are compared; without those that were run here.
    """
    epoch, known = _compared_at(trials, space.search.startup_trials), reached(trials)
    found: list[FrozenTrial] = []
    for study in trusted(space, known) if epoch else []:
        far = [trial for trial in study.trials if trial.is_whole and len(trial.scores) >= epoch]
        values = promised(pairs_at(space, study, known, epoch), far, epoch)
        for trial, value in zip(far if values else [], values, strict=True):
            point = FixedTrial(dict(trial.point))
            space.sample(point)
            if is_new(point.params, trials):
                found.append(
                    create_trial(
                        value=value,
                        params=point.params,
                        distributions=point.distributions,
                        constraints={"memory": 0.0},
                    )
                )
    return found


def reached(trials: Sequence[FrozenTrial]) -> Reached:
    """What is known of the scores of each trial."""
    return {trial.number: trial.intermediate_values for trial in trials}


def _compared_at(trials: Sequence[FrozenTrial], enough: int) -> int:
    """The last epoch that `enough` trials have reached; 0 where there are fewer."""
    epochs = sorted(map(last_epoch, trials), reverse=True)
    return epochs[enough - 1] if len(epochs) >= enough else 0


def _complete_at(trial: FrozenTrial, epoch: int) -> FrozenTrial:
    """The trial as if it had been complete at an epoch; a failed one as it is."""
    if trial.state == TrialState.FAIL:
        return trial
    last = max(step for step in trial.intermediate_values if step <= epoch)
    return create_trial(
        value=trial.intermediate_values[last],
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=dict(trial.system_attrs),
        intermediate_values=trial.intermediate_values,
        # Samplers read constraints of all complete trials or of none; a trial that runs has none yet.
        constraints=None if trial.constraints else {"memory": 0.0},
    )
