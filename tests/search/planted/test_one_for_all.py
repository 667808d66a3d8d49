"""Planted tasks are what they say; what is said of one for all is seldom false: a short run of docs/claims.md."""

import numpy as np
import pytest

from search.claims.words import MARGIN
from search.planted.one_for_all import FAMILIES, TRUTHS, tally_families, tally_one_for_all
from search.planted.studies import Plant

STUDIES = 200


def who_suits(name, arms=4):
    truth = TRUTHS[name](Plant(arms))
    behind = truth.max(axis=1, keepdims=True) - truth
    return np.flatnonzero((behind <= MARGIN + 1e-12).all(axis=0)).tolist()


@pytest.mark.parametrize(
    ("name", "suiting"),
    [
        ("all equal", [0, 1, 2, 3]),
        ("one leads in all", [0]),
        ("another in each", []),
        ("just outside the margin", []),
        ("at the margin", [0]),
    ],
)
def test_each_planted_truth_has_those_suit_all_that_it_says(name, suiting):
    assert who_suits(name) == suiting


@pytest.mark.parametrize("plant", [Plant(4, 3, 1000), Plant(4, 2, 4000), Plant(8, 5, 300)])
@pytest.mark.parametrize("name", TRUTHS)
def test_what_is_said_is_seldom_false_and_bounds_hold(plant, name):
    found = tally_one_for_all(plant, TRUTHS[name], STUDIES)
    assert found.share("false") <= 0.05
    assert found.share("held") > 0.9


def test_what_is_far_beyond_the_margin_is_told_and_what_is_equal_is_not():
    plant = Plant(4, 5, 1000)
    assert tally_one_for_all(plant, TRUTHS["one leads in all"], STUDIES).share("all told") > 0.8
    assert tally_one_for_all(plant, TRUTHS["another in each"], STUDIES).share("all told") > 0.7
    assert tally_one_for_all(plant, TRUTHS["all equal"], STUDIES).share("first told") < 0.05


def test_the_rule_before_is_often_false_of_equal_arms():
    assert tally_one_for_all(Plant(4, 3, 300), TRUTHS["all equal"], STUDIES).share("earlier") > 0.1


def test_all_families_together_are_seldom_false_and_count_once():
    found = tally_families(Plant(8, 3, 1000), TRUTHS["all equal"], STUDIES)
    shares = [found.share(name) for name in FAMILIES]
    assert max(shares) <= found.share("any") <= min(sum(shares), 0.15)
