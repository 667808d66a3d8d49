"""Sums of squares of contrasts against what seeds and units make of them where nothing else does.

Brunner, Dette and Munk (1997): an F test whose degrees of freedom fit the covariance of the contrasts. It needs no
inverse, so that it holds where contrasts are many and their covariance is estimated. Where all contrasts are equally
noisy and independent, it is the F test.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from search.claims.estimate import NOTHING, satterthwaite
from search.claims.runs import Array


class Squares(NamedTuple):
    """seen: the sum. expected: of it from noise alone. of_one: the scale of its distribution, with `df` degrees of
    freedom; those of the noise are `noise_df`.
    """

    seen: float
    expected: float
    of_one: float
    df: float
    noise_df: float

    def p(self) -> float:
        """How often noise alone makes as much."""
        return float(special.fdtrc(self.df, self.noise_df, self.seen / self.expected))

    def bound(self, probability: float) -> float:
        """The true sum of squares, by which what is seen or less has this probability; 0 where there is none."""
        if self.expected < NOTHING:
            return 0.0
        found = float(special.ncfdtrinc(self.df, self.noise_df, probability, self.seen / self.expected))
        return found * self.of_one

    @property
    def true(self) -> float:
        """An estimate without bias, but for that it is not negative."""
        return max(self.seen - self.expected, 0.0)


class Noise(NamedTuple):
    """of_run [R]: the variance of each run around what is expected of it. by_units: the part of it that units make.
    groups: the runs whose variance was estimated together, and its degrees of freedom.
    """

    of_run: Array
    by_units: float
    groups: list[tuple[NDArray[np.bool_], float]]

    def of(self, contrasts: Array) -> tuple[Array, float]:
        """The covariance of contrasts [Q, R] of runs, and its degrees of freedom (Satterthwaite 1946)."""
        parts = [(float((contrasts[:, runs] ** 2 @ self.of_run[runs]).sum()), df) for runs, df in self.groups]
        spread = sum(part**2 / max(df, 1.0) for part, df in parts)
        total = sum(part for part, _ in parts)
        return (contrasts * self.of_run) @ contrasts.T, total**2 / spread if spread > 0 else 1.0


def squares(contrasts: Array, training: Array, units: Array, df: tuple[float, float]) -> Squares:
    """contrasts [Q]: as they are seen. training, units [Q, Q]: the two parts of their covariance; units need not be a
    covariance by itself. `df`: of the first and of the second.
    """
    covariance = training + units
    seen, expected = float(contrasts @ contrasts), float(np.trace(covariance))
    if expected < NOTHING:
        return Squares(seen, 0.0, 0.0, 1.0, 1.0)
    squared = float((covariance**2).sum())
    parts = np.array(max(float(np.trace(training)), 0.0)), np.array(max(float(np.trace(units)), 0.0))
    noise_df = float(satterthwaite(parts[0], df[0], parts[1], df[1]))
    return Squares(seen, expected, squared / expected, expected**2 / squared, noise_df)
