"""How alike two rankings are: the value is SciPy's, the interval holds the truth as often as it says."""

import math

import numpy as np
import pytest
from scipy import stats

from search.claims.ranks import FEWEST_RANKED, rank_correlation


def test_the_value_is_spearmans_and_lies_in_its_interval():
    generator = np.random.default_rng(0)
    for _ in range(50):
        one, other = generator.integers(0, 9, (2, 12))
        found = rank_correlation(one.tolist(), other.tolist())
        assert found.value == pytest.approx(stats.spearmanr(one, other).statistic)
        assert -1 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("truth", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("count", [8, 20, 60])
def test_the_interval_holds_the_truth(truth, count):
    """Of normal scores, whose correlation by ranks is known: in at least 92% of 1,000 studies."""
    generator = np.random.default_rng(count)
    linear = 2 * math.sin(math.pi * truth / 6)
    held = 0
    for _ in range(1000):
        one, other = generator.multivariate_normal([0, 0], [[1, linear], [linear, 1]], count).T
        found = rank_correlation(one.tolist(), other.tolist())
        held += found.low <= truth <= found.high
    assert held >= 920


def test_rankings_that_are_equal_or_opposite_have_a_width_too():
    ranks = list(range(10))
    alike, opposite = rank_correlation(ranks, ranks), rank_correlation(ranks, ranks[::-1])
    assert alike.value == alike.high == pytest.approx(1) and 0.9 < alike.low < 0.99
    assert (opposite.low, opposite.high) == pytest.approx((-alike.high, -alike.low))


def test_nothing_is_said_of_few_or_of_equals():
    few = list(range(FEWEST_RANKED - 1))
    assert rank_correlation(few, few) is None
    assert rank_correlation([1.0] * 20, list(range(20))) is None
