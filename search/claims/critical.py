"""How far arms that are equal may lie apart by luck: critical values for comparisons with the best."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]

LEVEL = 0.05
"""How often at most a family of claims may hold a false one."""
FINENESS = 1.02
"""Degrees of freedom are rounded down to powers of this, so that few values are computed. Down: the cautious side."""
MOST_DF = 1e6
"""From here on the standard error is as good as known."""
CHI_NODES = 400
"""Points at which the estimated standard deviation is tried."""


def critical_value(arms: int, tied: int, df: float) -> float:
    """What the distance of the best of all arms from the lowest of `tied` of them, in standard errors of a difference,
    exceeds with probability `LEVEL`, where all arms are equal.

    For 1 tied arm it is Dunnett's one-sided value, for all of them Tukey's (the studentised range over the root of 2).
    `df`: degrees of freedom of the standard error; at least 1. Raises ValueError for fewer than two arms, or `tied`
    outside 1 to `arms`.
    """
    if arms < 2 or not 1 <= tied <= arms:
        raise ValueError(f"`2 <= arms` and `1 <= tied <= arms` must hold, but got {arms} and {tied}")
    return _critical_value(arms, tied, _step(df))


def two_sided_value(arms: int, df: float, level: float = LEVEL) -> float:
    """What the largest distance of any other arm from a named one, in standard errors of a difference and in either
    direction, exceeds with this probability where all arms are equal: Dunnett's two-sided value.

    `df`: as in `critical_value`. Raises ValueError for fewer than two arms.
    """
    if arms < 2:
        raise ValueError(f"`2 <= arms` must hold, but got {arms}")
    return _two_sided_value(arms, _step(df), level)


def _step(df: float) -> int:
    return math.floor(math.log(min(max(df, 1.0), MOST_DF)) / math.log(FINENESS) + 1e-9)


@cache
def _critical_value(arms: int, tied: int, step: int) -> float:
    return _exceeded(*_normal_distribution(arms, tied), step, LEVEL)


@cache
def _two_sided_value(arms: int, step: int, level: float) -> float:
    return _exceeded(*_normal_distances_from_one(arms), step, level)


def _exceeded(distances: Array, probabilities: Array, step: int, level: float) -> float:
    """The distance that is exceeded with probability `level`, the standard error being estimated."""
    scale = _chi_nodes(step)

    def excess(value: float) -> float:
        return float(np.interp(value * scale, distances, probabilities).mean()) - (1 - level)

    return float(optimize.brentq(excess, 0.0, 1e4, xtol=1e-6))


@cache
def _chi_nodes(step: int) -> Array:
    """The estimated over the true standard deviation, at equally probable points."""
    df = FINENESS**step
    quantiles = (np.arange(CHI_NODES) + 0.5) / CHI_NODES
    return np.asarray(np.sqrt(stats.chi2.ppf(quantiles, df) / df))


@cache
def _normal_distribution(arms: int, tied: int) -> tuple[Array, Array]:
    """Distances and the probability of not exceeding them, where the standard error is known.

    The best of all arms lies at x and is either one of the tied, or another; no arm lies above it, and no tied arm
    below x - distance.
    """
    x = np.linspace(-8.5, 8.5, 681)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    below = special.ndtr(x)
    distances = np.linspace(0, 12, 1201)
    near = below - special.ndtr(x - math.sqrt(2) * distances[:, None])
    others = arms - tied
    best_is_tied = tied * near ** (tied - 1) * below**others
    best_is_other = others * near**tied * below ** max(others - 1, 0)
    return distances, ((best_is_tied + best_is_other) @ density)


@cache
def _normal_distances_from_one(arms: int) -> tuple[Array, Array]:
    """Distances and the probability that no other arm lies farther from a named one, at x, on either side."""
    x = np.linspace(-8.5, 8.5, 681)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    distances = np.linspace(0, 12, 1201)
    apart = math.sqrt(2) * distances[:, None]
    return distances, (special.ndtr(x + apart) - special.ndtr(x - apart)) ** (arms - 1) @ density
