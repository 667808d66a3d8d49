"""Critical values: those of published tables, and between them."""

import math

import numpy as np
import pytest
from scipy import stats

from search.claims.critical import critical_value


@pytest.mark.parametrize(
    ("arms", "df", "value"), [(2, 10, 1.81), (3, 10, 2.15), (4, 10, 2.34), (5, 10, 2.47), (4, 20, 2.19)]
)
def test_one_tied_arm_has_dunnetts_one_sided_value(arms, df, value):
    """Dunnett 1955, table 1a."""
    assert critical_value(arms, 1, df) == pytest.approx(value, abs=0.012)


@pytest.mark.parametrize(("arms", "df"), [(2, 2), (2, 14), (4, 6), (8, 14), (8, 400)])
def test_all_tied_arms_have_tukeys_value(arms, df):
    tukey = stats.studentized_range.ppf(0.95, arms, df) / math.sqrt(2)
    assert critical_value(arms, arms, df) == pytest.approx(tukey, rel=0.01)
    assert critical_value(arms, arms, df) > tukey - 0.001


def test_two_arms_are_a_t_test():
    assert critical_value(2, 2, 8) == pytest.approx(stats.t.ppf(0.975, 8), rel=0.005)


def test_more_tied_arms_and_fewer_degrees_of_freedom_need_more():
    by_size = [critical_value(8, tied, 14) for tied in range(1, 9)]
    assert by_size == sorted(by_size)
    by_df = [critical_value(4, 2, df) for df in (1, 2, 3, 6, 20, 1e9, math.inf)]
    assert by_df == sorted(by_df, reverse=True)


def test_drawn_arms_exceed_it_in_5_percent():
    """Of 6 equal arms, 3 of which are watched, with 10 degrees of freedom."""
    generator = np.random.default_rng(0)
    arms = generator.standard_normal((100_000, 6)) / np.sqrt(generator.chisquare(10, (100_000, 1)) / 10)
    distance = (arms.max(axis=1) - arms[:, :3].min(axis=1)) / math.sqrt(2)
    assert (distance > critical_value(6, 3, 10)).mean() == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize(("arms", "tied"), [(1, 1), (4, 0), (4, 5)])
def test_impossible_numbers_of_arms_are_refused(arms, tied):
    with pytest.raises(ValueError, match="must hold"):
        critical_value(arms, tied, 5)
