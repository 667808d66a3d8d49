"""The difference that a final stage is said to see is the one that planted studies name."""

import pytest

from search.claims.power import Spread, smallest_gap
from search.planted.power import named_gap
from search.planted.studies import Plant


def test_the_spread_assumed_is_that_of_planted_studies():
    plant, spread = Plant(), Spread()
    assert (spread.seed, spread.arm, spread.run) == (plant.luck[0], plant.arm_sd, plant.unit_sd)


@pytest.mark.parametrize(
    ("arms", "seeds", "units"), [(2, 5, 1000), (4, 2, 1000), (4, 3, 300), (4, 5, 4000), (8, 3, 1000), (8, 10, 4000)]
)
def test_what_is_reckoned_is_named_in_eighty_percent_of_planted_studies(arms, seeds, units):
    found = named_gap(Plant(arms, seeds, units), 400)
    assert smallest_gap(arms, seeds, units) == pytest.approx(found, rel=0.12)


def test_more_seeds_and_more_units_see_more_and_more_spread_sees_less():
    gaps = [smallest_gap(6, seeds, 1000) for seeds in (2, 3, 5, 10, 100)]
    assert gaps == sorted(gaps, reverse=True)
    assert smallest_gap(6, 5, 300) > smallest_gap(6, 5, 1000) > smallest_gap(6, 5, 4000)
    assert smallest_gap(6, 5, 1000, Spread(seed=0.03)) > 1.8 * smallest_gap(6, 5, 1000)
    assert smallest_gap(6, 10_000, 1000) > 0.02, "no number of seeds makes the validation set larger"


@pytest.mark.parametrize("numbers", [(1, 5, 100), (4, 1, 100), (4, 5, 1)])
def test_a_stage_that_sees_nothing_is_refused(numbers):
    with pytest.raises(ValueError, match="from 2 arms, seeds and units on"):
        smallest_gap(*numbers)
