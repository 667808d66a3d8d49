"""The Pareto front against its definition, pair by pair."""

import math

import numpy as np
import optuna
import pytest

from search.strategy.objectives import OBJECTIVES, front, values
from tests.search.records import epoch

NAMES = ["score", "parameters", "flops"]


def test_front_equals_optunas():
    points = np.random.default_rng(0).integers(0, 20, (60, 3)).astype(float).tolist()
    study = optuna.create_study(directions=[OBJECTIVES[name].direction for name in NAMES])
    for point in points:
        study.add_trial(optuna.trial.create_trial(values=point))
    best = {trial.number for trial in study.best_trials}
    assert {index for index, is_best in enumerate(front(NAMES, points)) if is_best} == best
    assert 3 < len(best) < 40


def test_what_was_not_measured_is_not_on_the_front():
    assert front(["score", "gap"], [[0.5, 0.1], [0.9, None], [0.4, math.nan]]) == [True, False, False]


def test_values_are_read_in_order():
    result = epoch(3, 0.5, score=0.4, parameters=7, best_gap=0.1, flops=100)
    assert values(["score", "parameters", "flops", "gap"], result) == [0.5, 7.0, 100.0, 0.1]
    assert all(map(math.isnan, values(["gap", "flops"], epoch(3, 0.5))))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_more_is_better_or_less_is(name):
    better, worse = (2.0, 1.0) if OBJECTIVES[name].direction == "maximize" else (1.0, 2.0)
    assert front([name], [[worse], [better]]) == [False, True]
