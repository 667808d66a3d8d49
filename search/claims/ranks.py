"""How many tasks rank the same arms, where there are tasks enough to tell; how alike two rankings are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from search.claims.critical import LEVEL
from search.claims.runs import Array

FEWEST_TASKS = 8
"""Below it mean ranks would have to lie nearly as far apart as they can."""

FEWEST_RANKED = 8
"""Below it an interval would hold nearly every correlation."""


class Correlation(NamedTuple):
    """Spearman's rank correlation with its 95% interval."""

    value: float
    low: float
    high: float


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> Correlation | None:
    """How alike two scores rank the same things; None of fewer than FEWEST_RANKED, or of equals alone.

    The interval is Fisher's with the standard error of Bonett and Wright (2000). Equal rankings count as half a swap of
    neighbours away from it: their interval would have no width.
    """
    count = len(one)
    if count < FEWEST_RANKED or len(set(one)) < 2 or len(set(other)) < 2:
        return None
    value = float(stats.spearmanr(one, other).statistic)
    most = 1 - 6 / (count * (count**2 - 1))
    near = min(max(value, -most), most)
    half = float(stats.norm.ppf(1 - LEVEL / 2)) * math.sqrt((1 + near**2 / 2) / (count - 3))
    low, high = (math.tanh(math.atanh(near) + end) for end in (-half, half))
    return Correlation(value, min(low, value), max(high, value))


def mean_ranks(scores: Array) -> Array:
    """The mean over tasks of the ranks [arms] of scores [tasks, arms], 1 for the best; equals share their ranks."""
    return np.asarray(stats.rankdata(-scores, axis=1).mean(axis=0))


def critical_difference(arms: int, tasks: int) -> float:
    """How far two mean ranks must lie apart for a difference at 5%, all pairs compared (Nemenyi; Demsar 2006)."""
    range_of_equals = stats.studentized_range.ppf(1 - LEVEL, arms, math.inf)
    return float(range_of_equals / math.sqrt(2) * math.sqrt(arms * (arms + 1) / (6 * tasks)))
