"""Of planted grids little is said falsely: a short run of the last tables of docs/claims.md."""

import numpy as np
import pytest

from search.claims.design import design_of
from search.planted.grids import LEAD, Grid, draw_grid, tally_grid, tally_texture
from search.planted.role_tables import grids, role_tables, textures
from search.planted.studies import Plant

STUDIES = 200
LARGEST = 0.1
"""What 5% exceed in fewer than 1 of 500 runs of so many studies."""


@pytest.mark.parametrize(
    "grid", [Grid(), Grid((4, 3, 2), seeds=1, strange_seeds=True), Grid(seeds=5, units=300), Grid(missing=5)]
)
def test_settings_seldom_matter_falsely_and_intervals_hold(grid):
    found = tally_grid(grid, STUDIES)
    assert found.share("false") < LARGEST
    assert found.share("false beside others") < LARGEST
    assert found.share("lead") > 0.7
    assert grid.missing or found.share("holds") > 1 - LARGEST


@pytest.mark.parametrize("plant", [Plant(4, 3), Plant(8, 5, 300), Plant(8, 3, candidates=12, baselines=4)])
def test_textures_seldom_help_falsely_and_intervals_hold(plant):
    found = tally_texture(plant, STUDIES)
    assert found.share("false") < LARGEST
    assert found.share("torn") < LARGEST
    assert found.share("holds") > 1 - LARGEST


def test_a_planted_lead_is_so_many_standard_errors():
    grid, generator = Grid(units=300), np.random.default_rng(0)
    seen = []
    for _ in range(2000):
        runs = draw_grid(grid, generator)
        means = design_of(runs.arms, runs.seeds).effects @ runs.scores
        seen.append(means[grid.arms[:, -1] == 0].mean() - means[grid.arms[:, -1] == 1].mean())
    assert np.ptp(grid.lead) / np.std(seen) == pytest.approx(LEAD, rel=0.05)


def test_the_tables_have_a_row_for_each_kind():
    text = role_tables(studies=1)
    assert all(text.count(f"| {name} |") == 1 for name in [*grids(), *textures()])
