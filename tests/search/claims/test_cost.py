"""What it would take to tell: enough when it is done, not enough with less, and said where seeds do not help."""

import numpy as np
import pytest

from search.claims.cost import Cost, cost_to_tell
from search.claims.estimate import Estimate
from search.claims.words import Word, beside_baselines, beside_best


def known(difference, seed_variance, unit_variance, seeds=3, units=1000):
    """Two arms with these variances of one run and of one unit."""
    apart = 1 - np.eye(2)
    variances = apart * 2 * seed_variance / seeds, apart * 2 * unit_variance / units
    df = np.full((2, 2), float(seeds - 1))
    return Estimate(("a", "b"), np.array([difference, 0.0]), (seeds, seeds), *variances, df, seeds - 1, units, "")


@pytest.mark.parametrize("pair", [True, False])
def test_the_seeds_it_takes_tell_and_one_less_does_not(pair):
    def claim(found):
        return beside_baselines(found, [("a", "b")])[0] if pair else beside_best(found)[1]

    found = known(0.03, 1e-3, 1e-3)
    cost = cost_to_tell(found, claim(found))
    assert cost.seeds > 3
    told = claim(known(0.03, 1e-3, 1e-3, seeds=3 + cost.seeds))
    assert told.word is (Word.BETTER if pair else Word.WORSE)
    assert claim(known(0.03, 1e-3, 1e-3, seeds=2 + cost.seeds)).word in (Word.UNTOLD, Word.MAY_BE_BEST)


def test_where_the_units_leave_it_open_no_seeds_help():
    found = known(0.02, 1e-6, 0.5)
    cost = cost_to_tell(found, beside_best(found)[1])
    assert cost.seeds is None
    assert beside_best(known(0.02, 1e-6, 0.5, units=1000 + cost.units))[1].word is Word.WORSE
    assert beside_best(known(0.02, 1e-6, 0.5, units=900 + cost.units))[1].word is Word.MAY_BE_BEST
    assert str(cost).startswith("not with this validation set; about ")


def test_arms_that_seem_equal_need_an_interval_inside_the_margin():
    found = known(0.0, 1e-4, 1e-3)
    cost = cost_to_tell(found, beside_best(found)[1])
    assert beside_best(known(0.0, 1e-4, 1e-3, seeds=3 + cost.seeds))[1].word is Word.EQUIVALENT


def test_what_is_told_costs_nothing():
    found = known(0.5, 1e-4, 1e-3)
    assert [cost_to_tell(found, claim) for claim in beside_best(found)] == [None, None]


def test_a_cost_is_said_in_words():
    assert str(Cost(1, 500)) == "about 1 more seed, or about 500 more validation units"
    assert str(Cost(7, None)) == "about 7 more seeds"
    assert Cost(7, None).in_words("3.5 h") == "about 7 more seeds (3.5 h)"
    assert Cost(None, 500).in_words("") == "not with this validation set; about 500 more validation units"
    assert str(Cost(None, None)) == "only more of both, seeds and units"
