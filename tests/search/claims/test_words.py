"""Words: against all sets of arms that may be equal, and never against their own interval."""

import math
from itertools import combinations

import numpy as np
import pytest

from search.claims.cost import cost_to_tell
from search.claims.critical import critical_value
from search.claims.estimate import estimate
from search.claims.words import Word, beside_baselines, beside_best
from search.planted.studies import Plant, draw, with_truth
from tests.search.claims.values import of_values


def planted(plant, truth=None, seed=0):
    runs = draw(plant, np.random.default_rng(seed))
    return estimate(runs if truth is None else with_truth(runs, np.array(truth)))


def words(claims):
    return {claim.arm: claim.word for claim in claims}


def slow_worse(found):
    """Arms that no set of arms which may all be equal to the best holds: the closed test, set by set."""
    count, top = len(found.arms), int(np.argmax(found.means))
    possible = set()
    for size in range(1, count + 1):
        for tied in combinations(range(count), size):
            within = [
                found.means[top] - found.means[arm]
                <= critical_value(count, size, found.df[arm, top]) * found.standard_error[arm, top]
                for arm in tied
            ]
            if all(within):
                possible.update(tied)
    return {arm for index, arm in enumerate(found.arms) if index not in possible}


@pytest.mark.parametrize("seed", range(40))
def test_worse_arms_are_those_of_the_closed_test(seed):
    spread = np.random.default_rng(seed).choice([0, 0.01, 0.03, 0.06], 6)
    found = planted(Plant(arms=6, seeds=3 + seed % 3), spread, seed)
    worse = {claim.arm for claim in beside_best(found, margin=0) if claim.word is Word.WORSE}
    assert worse == slow_worse(found)


@pytest.mark.parametrize("seed", range(40))
def test_a_word_and_its_interval_say_the_same(seed):
    generator = np.random.default_rng(seed)
    plant = Plant(arms=4, seeds=int(generator.integers(2, 8)), units=int(generator.choice([150, 4000, 100_000])))
    found = planted(plant, generator.choice([0, 0.005, 0.05], 4), seed)
    top, *others = beside_best(found)
    for claim in [*others, *beside_baselines(found, [("arm 00", "arm 01"), ("arm 02", "arm 03")])]:
        is_inside = claim.low > -0.01 and claim.high < 0.01
        assert claim.low <= claim.difference <= claim.high
        assert (claim.word is Word.EQUIVALENT) == is_inside
        assert (claim.word is Word.WORSE) == (claim.high < 0 and not is_inside)
        assert (claim.word is Word.BETTER) == (claim.low > 0 and not is_inside)
    assert (top.word is Word.BEST) == all(claim.word is Word.WORSE for claim in others)
    assert Word.BETTER not in words(others).values()


def test_clear_arms_are_named_and_close_ones_are_left_open():
    found = words(beside_best(planted(Plant(seeds=5, units=4000), [0.9, 0.9, 0.7, 0.8], seed=1)))
    assert {found["arm 02"], found["arm 03"]} == {Word.WORSE}
    assert {found["arm 00"], found["arm 01"]} == {Word.MAY_BE_BEST}
    assert words(beside_best(planted(Plant(seeds=5, units=4000), [0.9, 0.8, 0.7, 0.8])))["arm 00"] is Word.BEST


def test_many_seeds_and_units_show_that_arms_are_equivalent():
    plant = Plant(arms=3, seeds=10, units=100_000, run_sd=(0.001,) * 3)
    found = beside_best(planted(plant))
    assert [claim.word for claim in found] == [Word.MAY_BE_BEST, Word.EQUIVALENT, Word.EQUIVALENT]
    assert Word.EQUIVALENT not in words(beside_best(planted(plant), margin=1e-5)).values()


def test_order_of_arms_and_a_shift_change_no_word():
    runs = draw(Plant(arms=5), np.random.default_rng(3))
    moved = with_truth(runs, np.full(5, 0.5))
    order = np.random.default_rng(0).permutation(len(runs.arms))
    mixed = type(runs)(
        tuple(runs.arms[run] for run in order),
        tuple(runs.seeds[run] for run in order),
        runs.scores[order],
        runs.covariance[np.ix_(order, order)],
        runs.units,
    )
    claims = beside_best(estimate(runs))
    for same in (beside_best(estimate(moved)), beside_best(estimate(mixed))):
        assert [(claim.arm, claim.word) for claim in same] == [(claim.arm, claim.word) for claim in claims]
        assert [claim.low for claim in same] == pytest.approx([claim.low for claim in claims], nan_ok=True)


@pytest.mark.parametrize(
    ("names", "seeds", "units", "why"),
    [
        (["a", "b"], [0, 0], 200, "one seed"),
        (["a", "a", "b", "b"], [0, 1, 0, 1], 2, "too few validation units (2;"),
    ],
)
def test_without_an_interval_nothing_is_told_and_it_is_said_why(names, seeds, units, why):
    values = np.random.default_rng(0).random((len(names), units)) + 10 * np.array([[name == "a"] for name in names])
    found = estimate(of_values(names, seeds, values))
    for claim in [*beside_best(found), *beside_baselines(found, [("a", "b")])]:
        assert claim.word is Word.UNTOLD
        assert why in claim.why
        assert math.isnan(claim.low) and math.isnan(claim.high)
        assert cost_to_tell(found, claim) is None


def test_one_arm_is_compared_with_nothing():
    found = estimate(of_values(["a", "a"], [0, 1], np.random.default_rng(0).random((2, 200))))
    assert [(claim.word, claim.why) for claim in beside_best(found)] == [(Word.UNTOLD, "there is one arm")]


def test_equal_predictions_are_equivalent_and_a_difference_without_any_spread_is_not_believed():
    values = np.random.default_rng(0).random((1, 200)).repeat(4, axis=0)
    runs = ["a", "a", "b", "b"], [0, 1, 0, 1]
    assert words(beside_best(estimate(of_values(*runs, values))))["b"] is Word.EQUIVALENT
    last_bits = values + np.array([[0], [1e-17], [0], [3e-16]])
    assert Word.WORSE not in words(beside_best(estimate(of_values(*runs, last_bits)))).values()
    shifted = beside_best(estimate(of_values(*runs, values + np.array([[0.1], [0.1], [0], [0]]))))
    assert {(claim.word, claim.why) for claim in shifted} == {(Word.UNTOLD, "neither seeds nor units make any spread")}


def test_differences_that_are_equal_but_for_the_last_bit_are_not_overwhelming():
    generator = np.random.default_rng(0)
    right = [generator.permutation(np.arange(200) < 200 * share) for share in (0.80, 0.81, 0.81, 0.82)]
    found = estimate(of_values(["a", "a", "b", "b"], [0, 1, 0, 1], np.array(right, dtype=float)))
    assert words(beside_best(found)) == {"b": Word.MAY_BE_BEST, "a": Word.MAY_BE_BEST}


def test_arms_picked_from_more_candidates_need_a_larger_difference():
    found = planted(Plant(seeds=5), [0.05, 0, 0, 0])
    few, many = (beside_baselines(found, [("arm 00", "arm 01")], among)[0] for among in (1, 12))
    assert few.low > many.low
    assert few.word is Word.BETTER
