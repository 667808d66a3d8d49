"""How many tasks rank the same arms, where there are tasks enough to tell."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from search.claims.critical import LEVEL
from search.claims.runs import Array

FEWEST_TASKS = 8
"""Below it mean ranks would have to lie nearly as far apart as they can."""


def mean_ranks(scores: Array) -> Array:
    """The mean over tasks of the ranks [arms] of scores [tasks, arms], 1 for the best; equals share their ranks."""
    return np.asarray(stats.rankdata(-scores, axis=1).mean(axis=0))


def critical_difference(arms: int, tasks: int) -> float:
    """How far two mean ranks must lie apart for a difference at 5%, all pairs compared (Nemenyi; Demsar 2006)."""
    range_of_equals = stats.studentized_range.ppf(1 - LEVEL, arms, math.inf)
    return float(range_of_equals / math.sqrt(2) * math.sqrt(arms * (arms + 1) / (6 * tasks)))
