"""Regrets: bounds beside every arm that may be the best, and sentences that never say more than they do."""

import math

import numpy as np
import pytest
from scipy import stats

from search.claims.critical import two_sided_value
from search.claims.estimate import estimate
from search.claims.ranks import critical_difference, mean_ranks
from search.claims.regret import Suits, one_for_all, regrets
from search.claims.runs import Runs
from search.planted.studies import Plant, draw, with_truth
from tests.search.claims.values import of_values


def planted(*truths, seeds=5, units=4000, seed=0, arms=None):
    """An estimate for each task, whose arms have these expected scores."""
    generator = np.random.default_rng(seed)
    plant = Plant(arms or len(truths[0]), seeds, units)
    runs = (with_truth(draw(plant, generator), np.array(truth)) for truth in truths)
    return {f"task {number}": estimate(of_task) for number, of_task in enumerate(runs)}


def without_spread(*scores):
    """Arms whose runs and units all agree."""
    values = np.repeat(np.array(scores), 3)[:, None] * np.ones((1, 200))
    arms = np.repeat([f"arm {number:02d}" for number in range(len(scores))], 3).tolist()
    return estimate(of_values(arms, [0, 1, 2] * len(scores), values))


@pytest.mark.parametrize(("arms", "df", "value"), [(2, 10, 2.23), (4, 1e9, 2.35), (5, 10, 2.89), (8, 1e9, 2.61)])
def test_critical_values_are_those_of_dunnetts_two_sided_table(arms, df, value):
    assert two_sided_value(arms, df) == pytest.approx(value, abs=0.01)


def test_a_smaller_level_needs_more():
    assert two_sided_value(2, 10, 0.01) == pytest.approx(stats.t.ppf(0.995, 10), abs=0.03)


@pytest.mark.parametrize("seed", range(30))
def test_bounds_hold_what_was_seen_and_the_highest_mean_may_have_no_regret(seed):
    truths = np.random.default_rng(seed).choice([0, 0.005, 0.02, 0.1], (3, 5))
    found = regrets(planted(*truths, seed=seed))
    assert (found.low <= found.seen + 1e-12).all() and (found.seen <= found.high + 1e-12).all()
    assert (found.low[found.seen == 0] == 0).all() and (found.low >= 0).all()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("margin", [0.0, 0.01, 0.05])
def test_a_word_and_the_bounds_say_the_same(seed, margin):
    truths = np.random.default_rng(seed).choice([0, 0.01, 0.05, 0.2], (2, 4))
    found = regrets(planted(*truths, seed=seed))
    words = found.words(margin)
    for arm, word in enumerate(words.values()):
        low, high = found.low[:, arm].max(), found.high[:, arm].max()
        expected = Suits.DOES_NOT if low > margin else Suits.SUITS if high <= margin else Suits.MAY_SUIT
        assert word is expected
    sentence = one_for_all(found, margin)
    assert sentence.startswith("none") == all(word is Suits.DOES_NOT for word in words.values())


@pytest.mark.parametrize(
    ("truths", "sentence"),
    [
        (([0.5, 0, 0], [0.5, 0, 0]), "arm 00 suits all: at most 0.0000 behind the best; arm 01 and arm 02 do not"),
        (([0.5, 0, 0], [0, 0.5, 0]), "none suits all: each is more than 0.01 behind the best in some task"),
        (([0, 0, 0], [0, 0, 0]), "cannot be told: each may suit all"),
        (([0.5, 0.5, 0], [0.5, 0.5, 0]), "arm 00 and arm 01 may suit all; arm 02 does not"),
    ],
)
def test_the_four_sentences(truths, sentence):
    assert one_for_all(regrets(planted(*truths, units=1000))) == sentence


def test_nothing_is_said_of_a_task_without_intervals_but_what_others_show_stays():
    found = planted([0.5, 0, 0], [0.5, 0, 0])
    one_seed = Runs(("arm 00", "arm 01", "arm 02"), (0, 0, 0), np.array([0.9, 0.8, 0.7]), np.eye(3) * 1e-4, 1000)
    found["task 2"] = estimate(one_seed)
    of_all = regrets(found)
    assert of_all.words() == {"arm 00": Suits.UNTOLD, "arm 01": Suits.DOES_NOT, "arm 02": Suits.DOES_NOT}
    sentence = one_for_all(of_all)
    assert sentence == "cannot be told (task 2: one seed shows no spread); but arm 01 and arm 02 do not"


def test_scores_without_any_spread_tell_nothing_unless_they_are_equal():
    assert "neither seeds nor units" in one_for_all(regrets({"a": without_spread(0.9, 0.8)}))
    equal = regrets({"a": without_spread(0.9, 0.9)})
    assert set(equal.words().values()) == {Suits.SUITS} and (equal.high == 0).all()


def test_tasks_share_the_error_so_more_of_them_widen_the_bounds():
    (task,) = planted([0, 0.01, 0.02]).values()
    alone, among = regrets({"a": task}), regrets({"a": task, "b": task, "c": task})
    assert (among.high[0] > alone.high[0]).all()


def test_probabilities_are_those_of_the_normal_distribution_where_much_is_known():
    """Two arms one standard error apart: the better is the best with the probability of z < 1."""
    (task,) = planted([0.0, 0.0], seeds=40, units=100_000).values()
    of_all = regrets({"a": task})
    behind = float(of_all.seen.max() / task.standard_error[0, 1])
    expected = stats.norm.cdf(behind)
    assert of_all.best.max() == pytest.approx(expected, abs=0.02)
    assert of_all.best.sum() == pytest.approx(1)
    assert of_all.near_in_all(1.0).tolist() == [1, 1]


def test_the_best_in_all_is_the_best_of_each():
    of_all = regrets(planted([0, 0.005, 0.01], [0.01, 0, 0.005]))
    assert of_all.best_in_all == pytest.approx(of_all.best[0] * of_all.best[1])
    assert (of_all.near_in_all() >= of_all.best_in_all).all()


def test_equal_tasks_need_the_same_arms():
    found = planted([0, 0, 0], [0, 0, 0])
    found["other"] = next(iter(planted([0, 0]).values()))
    with pytest.raises(ValueError, match="same two or more arms"):
        regrets(found)


def test_nemenyis_difference_is_that_of_demsars_table_and_more_than_three_tasks_allow():
    """q at 5% for 4 and 10 arms: 2.569 and 3.164."""
    assert critical_difference(4, 3) == pytest.approx(2.569 * math.sqrt(20 / 18), abs=1e-3)
    assert critical_difference(10, 8) == pytest.approx(3.164 * math.sqrt(110 / 48), abs=1e-3)


def test_mean_ranks_share_those_of_equals():
    scores = np.array([[0.9, 0.8, 0.7], [0.5, 0.5, 0.1]])
    assert mean_ranks(scores).tolist() == [1.25, 1.75, 3]
