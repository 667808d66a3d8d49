"""Trust is earned: by an order that chance seldom brings."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from search.earlier.agreement import LEVEL, agreement, promised, trusted
from search.earlier.words import held
from search.space.definition import EarlierStudy, EarlierTrial
from tests.search.earlier.test_trials import space_of

SCORES = (0.9, 0.8, 0.7, 0.6, 0.5)


@pytest.fixture
def space(tmp_path):
    """Its rungs are epochs 2 and 6; five trials were taken over."""
    trials = tuple(EarlierTrial(f"{n:04d}", {}, True, (0.1, score, score)) for n, score in enumerate(SCORES))
    study = EarlierStudy("old", "x", None, trials, tuple(trial.name for trial in trials), {})
    return replace(space_of(tmp_path), earlier=(study,))


def reached(scores, epoch=2):
    return {number: {1: 0.1, epoch: score} for number, score in enumerate(scores)}


def test_the_same_order_earns_trust_on_any_scale_and_a_mirrored_one_does_not(space):
    assert trusted(space, reached(np.exp(SCORES) * 100)) == [space.earlier[0]]
    assert trusted(space, reached([-score for score in SCORES])) == []
    assert "yes: of 5" in held(space, space.earlier[0], reached(SCORES))
    assert held(space, space.earlier[0], reached(SCORES[::-1])).startswith("no: ")


def test_of_all_orders_no_more_than_the_level_earn_trust(space):
    earned = [bool(trusted(space, reached(order))) for order in permutations(SCORES)]
    assert 0 < np.mean(earned) <= LEVEL


def test_three_trials_are_too_few_and_those_that_were_not_compared_do_not_count(space):
    assert agreement(space, space.earlier[0], reached(SCORES[:3])).number == 3
    assert trusted(space, reached(SCORES[:3])) == []
    assert trusted(space, reached(SCORES, epoch=3)) == []
    assert trusted(space, {}) == []
    assert held(space, space.earlier[0], {}).startswith("open: 0")


def test_equal_scores_are_no_order(space):
    assert trusted(space, reached([0.5] * 5)) == []


def test_an_earlier_score_is_promised_on_the_scale_of_now():
    trials = [EarlierTrial("a", {}, True, (0.5,)), EarlierTrial("b", {}, True, (0.9,))]
    assert promised([(0.1, 10), (0.2, 20), (0.3, 30)], trials, 1) == pytest.approx([50, 90])
    assert promised([(0.1, 30), (0.2, 20), (0.3, 10)], trials, 1) == []
    assert promised([(0.1, 10), (0.2, 20)], trials, 1) == []
