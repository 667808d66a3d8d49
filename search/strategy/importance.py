"""Which settings the best trials of a search have in common: conditional PED-ANOVA (arXiv 2601.20800), Optuna's.

A search draws what it hopes for, and each point once, so this describes its trials and tests nothing. A setting is
important here where its values among the top trials are spread otherwise than among all. Optuna's evaluator knows
settings that are drawn under a condition, but skips every trial that is not complete. Only the order of trials counts
in it, though, and one that the scheduler stopped was behind: so those go in below all that are complete.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from lssat.errors import ConfigError
from search.strategy.searcher import storage_of

FEWEST_TRIALS = 10
FEWEST_AT_THE_TOP = 5
"""What Optuna's documentation advises."""
TOP = 0.1
"""The share of the trials that are the top."""
RESAMPLES = 100


@dataclass(frozen=True)
class Weight:
    """A setting's part of all importance. `low` to `high`: where it lies in 95% of draws of the trials with
    replacement. That is how much hangs on single trials, and no confidence interval.
    """

    key: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Description:
    """Of the trials of a search. `top`: how many of them were set against all."""

    complete: int
    stopped: int
    top: int
    weights: list[Weight]


def describe(database: Path, keys: Mapping[str, str]) -> Description:
    """The weights, the largest first. `keys`: Optuna's name of each parameter -> the key it sets; a key with several
    parameters gets the sum of theirs. Raises ConfigError where there are too few trials.
    """
    storage = storage_of(database)
    study = optuna.load_study(study_name=optuna.get_all_study_names(storage)[0], storage=storage)
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    stopped = [trial for trial in trials if trial.state == TrialState.PRUNED and "reason" not in trial.user_attrs]
    if len(complete) + len(stopped) < FEWEST_TRIALS or len(complete) < FEWEST_AT_THE_TOP:
        raise ConfigError(
            f"of the search's trials {len(complete)} are complete and {len(stopped)} were stopped; it takes "
            f"{FEWEST_TRIALS} in all and {FEWEST_AT_THE_TOP} complete ones to see what the best have in common: go on "
            "with `--resume --extend 20`"
        )
    ranked = [_in_order(trial, complete) for trial in [*complete, *stopped]]
    shares = _shares(ranked, len(complete), keys)
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = [ranked[index] for index in generator.integers(0, len(ranked), len(ranked))]
        num_complete = sum("stopped" not in trial.user_attrs for trial in chosen)
        drawn.append(_shares(chosen, num_complete, keys))
    weights = [_weight(key, share, [of.get(key, 0.0) for of in drawn]) for key, share in shares.items()]
    weights.sort(key=lambda weight: (-weight.share, weight.key))
    return Description(len(complete), len(stopped), _num_top(len(ranked), len(complete)), weights)


def _weight(key: str, share: float, drawn: Sequence[float]) -> Weight:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Weight(key, share, float(low), float(high))


def _in_order(trial: FrozenTrial, complete: Sequence[FrozenTrial]) -> FrozenTrial:
    """A trial with its score, which is below all that are complete where it was stopped."""
    is_complete = trial.state == TrialState.COMPLETE
    value = trial.values[0] if is_complete else min(other.values[0] for other in complete) - 1
    attributes = {} if is_complete else {"stopped": True}
    return create_trial(value=value, params=trial.params, distributions=trial.distributions, user_attrs=attributes)


def _num_top(trials: int, complete: int) -> int:
    return min(max(math.ceil(TOP * trials), FEWEST_AT_THE_TOP), complete, trials - 1)


class _Drawn(optuna.Study):
    """A study of these trials, where the same may be there more than once. A storage would copy each of them with its
    distributions, which takes longer than everything else.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        storage = optuna.storages.InMemoryStorage()
        name = storage.get_study_name_from_id(storage.create_new_study([StudyDirection.MAXIMIZE]))
        super().__init__(name, storage)
        self._drawn = [_numbered(trial, number) for number, trial in enumerate(trials)]

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """All of them, which are complete."""
        return list(self._drawn)


def _numbered(trial: FrozenTrial, number: int) -> FrozenTrial:
    """The same trial under another number; the evaluator tells trials apart by it."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=trial.state,
        value=trial.value,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def _shares(trials: Sequence[FrozenTrial], complete: int, keys: Mapping[str, str]) -> dict[str, float]:
    """Key -> its part of all importance; empty where no trial is complete."""
    top = _num_top(len(trials), complete)
    if top < 1:
        return {}
    study = _Drawn(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings that few trials drew: their spread shows it
        found = PedAnovaImportanceEvaluator(target_quantile=top / len(trials)).evaluate(study)
    by_key: defaultdict[str, float] = defaultdict(float)
    for name, value in found.items():
        by_key[keys.get(name, name)] += value
    total = sum(by_key.values())
    return {key: value / total if total else 0.0 for key, value in by_key.items()}
