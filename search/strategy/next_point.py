"""What is tried next: what the sampler draws once it is shown trials that can be compared, and never what was tried
before.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from search.earlier.agreement import Reached, pairs_at, promised, trusted
from search.space.definition import Space
from search.strategy.known.history import MOST, History
from search.strategy.known.in_memory import as_it_is
from search.strategy.known.scores import last_epoch, score_at
from search.strategy.samplers import sampler

REPEATS = 10  # draws of points that were tried, in a row, after which the model is not asked any more


def draw(study: optuna.Study, space: Space, history: History) -> FrozenTrial | None:
    """A trial that is to run, with a point that none has had; None when there is none left.

    It is drawn in a study in memory of what the sampler is shown, so that the study itself holds only what was run. A
    point that was tried stays there as one that is running, which TPE avoids; after REPEATS of them in a row the model
    has nothing new to say, and the next is drawn at random.
    """
    number = history.num_asked
    shadow = _study_of(
        [*_from_earlier(history, space), *comparable(history.shown(), space.search.startup_trials)],
        study.directions,
        sampler(space.search, number),
    )
    repeats = 0
    while True:
        drawn = shadow.ask()
        space.sample(drawn)
        if is_new(drawn.params, history):
            return create_trial(state=TrialState.RUNNING, params=drawn.params, distributions=drawn.distributions)
        repeats += 1
        if repeats == REPEATS:
            if space.holds_at_most(number):
                return None
            shadow.sampler = RandomSampler(seed=space.search.seed * 100_003 + number)


def is_new(params: Mapping[str, Any], history: History) -> bool:
    """Whether no trial had these."""
    return not history.has_tried(params)


def comparable(trials: Sequence[FrozenTrial], enough: int) -> list[FrozenTrial]:
    """The trials as a sampler is to see them: complete with their score at the last epoch that `enough` of them have
    reached (BOHB, Falkner et al., 2018).

    Optuna ranks any complete trial above any that was stopped, and those that are running last, however good they are:
    with few trials that is what came first against what came later. Trials that have not reached that epoch stay as
    they are. All are copies.
    """
    epoch = _compared_at(trials, enough)
    return [_complete_at(trial, epoch) if 0 < epoch <= last_epoch(trial) else _copied(trial) for trial in trials]


def _study_of(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], chosen: BaseSampler) -> optuna.Study:
    """A study in memory of these trials, which become its own, in their order, with that sampler."""
    storage = InMemoryStorage()
    study = optuna.create_study(storage=storage, directions=directions, sampler=chosen)
    for trial in trials:
        storage.create_new_trial(study._study_id, as_it_is(trial))
    return study


def _from_earlier(history: History, space: Space) -> list[FrozenTrial]:
    """The trials of earlier studies that have earned trust, as a sampler is to see them: complete, with the score that
    they promise here at the epoch at which the trials of this study are compared; without those that were run here.
    """
    if not space.earlier:
        return []
    epoch, known = history.compared_at, reached(history.first(len(space.tried_first)))
    found: list[FrozenTrial] = []
    for study in trusted(space, known) if epoch else []:
        far = [trial for trial in study.trials if trial.is_whole and len(trial.scores) >= epoch]
        values = promised(pairs_at(space, study, known, epoch), far, epoch)
        best = heapq.nlargest(MOST, zip(values, range(len(values)), strict=True)) if values else []
        for value, index in sorted(best, key=itemgetter(1)):
            point = FixedTrial(dict(far[index].point))
            space.sample(point)
            if is_new(point.params, history):
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
    seen = _copied(trial)
    if trial.state == TrialState.FAIL:
        return seen
    seen.state, seen.values, seen.system_attrs = TrialState.COMPLETE, [score_at(trial, epoch)], dict(trial.system_attrs)
    if not trial.constraints:  # samplers read those of all complete trials or of none; one that runs has none yet
        seen.set_constraint("memory", 0.0)
    return seen


def _copied(trial: FrozenTrial) -> FrozenTrial:
    """The same in another object; `copy.copy` takes four times as long."""
    copied = object.__new__(FrozenTrial)
    copied.__dict__.update(trial.__dict__)
    return copied
