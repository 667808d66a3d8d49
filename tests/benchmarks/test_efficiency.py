"""How many epochs a search needs, replayed on recorded curves: ours beside Ray's stock search, random search and plain
TPE. `make bench`.
"""

import numpy as np
import pytest

from tests.benchmarks.efficiency.compare import CURVES, replay_space, runs, table
from tests.benchmarks.efficiency.curves import read
from tests.benchmarks.efficiency.methods import METHODS

SEEDS = 30
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]


def test_every_cell_of_the_grid_is_recorded_to_its_last_epoch():
    curves, space = read(CURVES), replay_space()
    assert len(curves.best) == len(space.points())
    assert {len(best) for best in curves.best.values()} == {space.fixed["optim.epochs"]}


@pytest.mark.parametrize("concurrent", [1, 2])
def test_four_fifths_of_stock(concurrent):
    """Half of random is missed on this grid, where one draw in a dozen is good enough: see docs/results.md."""
    costs = {name: runs(name, range(SEEDS), concurrent, processes=2) for name in METHODS}
    print(f"\n{concurrent} at a time\n\n{table(costs)}")
    median = {name: np.median([one.epochs for one in found]) for name, found in costs.items()}
    assert median["ours"] <= 0.8 * median["random + ASHA"]
    assert median["ours"] <= 0.8 * median["OptunaSearch + ASHA"]
