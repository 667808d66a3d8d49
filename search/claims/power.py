"""Which difference a final stage can see: reckoned before anything is trained, from assumed spreads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from search.claims.critical import critical_value
from search.claims.estimate import satterthwaite

POWER = 0.8
"""In how many of studies a difference is to be named."""
SEED_SD = 0.01
"""How far apart seeds spread the score of an arm, validation units left out: assumed where nothing was measured."""


@dataclass(frozen=True)
class Spread:
    """Standard deviations of what makes scores differ: `seed`: of a run's own luck; over units, `arm`: of what an arm
    does differently from every seed, and `run`: of what a single run does. Those of units are such as accuracies of
    0.85 to 0.95 have.
    """

    seed: float = SEED_SD
    arm: float = 0.14
    run: float = 0.2


def smallest_gap(arms: int, seeds: int, units: int, spread: Spread | None = None) -> float:
    """By how much an arm must be better than all others so that a named one of them is called worse in 80% of studies.

    The difference over its estimated standard error is noncentral t. The critical value is that for all arms being
    equal, the most cautious one of the closed test.
    """
    if arms < 2 or seeds < 2 or units < 2:
        raise ValueError(f"a difference is seen from 2 arms, seeds and units on, but got {arms}, {seeds} and {units}")
    sd = spread or Spread()
    by_seeds = np.array(2 * (sd.seed**2 + sd.run**2 / units) / seeds)
    by_units = np.array(2 * sd.arm**2 / units)
    df = float(satterthwaite(by_seeds, (arms - 1) * (seeds - 1), by_units, units - 1))
    critical = critical_value(arms, arms, df)

    def excess(standard_errors: float) -> float:
        return float(1 - special.nctdtr(df, standard_errors, critical)) - POWER

    return float(optimize.brentq(excess, 0.0, 10 * critical) * np.sqrt(by_seeds + by_units))
