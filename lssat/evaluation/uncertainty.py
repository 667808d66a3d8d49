"""How far a score would move with other test images: the bootstrap over what is independent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lssat.evaluation.metrics import Array

RESAMPLES = 500
LEVEL = 95  # percent of the resamples that an interval holds


def bootstrap(units: Array, score: Callable[[Array], float]) -> tuple[float, float]:
    """Percentile interval (95%) of `score(rows)`. units [N]: rows of equal unit (a person's, a video's) are drawn
    together, since they resemble each other.

    Resamples whose score is undefined (a ValueError, or not finite), for lack of a class or a group, are left out. NaN
    where none is left.
    """
    _, unit = np.unique(units, return_inverse=True)
    order = np.argsort(unit, kind="stable")
    rows_of_unit = np.split(order, np.cumsum(np.bincount(unit))[:-1])
    generator = np.random.default_rng(0)
    scores = []
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, len(rows_of_unit), len(rows_of_unit))
        try:
            scores.append(score(np.concatenate([rows_of_unit[index] for index in drawn])))
        except ValueError:
            continue
    scores = [value for value in scores if np.isfinite(value)]
    outside = (100 - LEVEL) / 2  # percent on either side
    low, high = np.percentile(scores, [outside, 100 - outside]) if scores else (float("nan"), float("nan"))
    return float(low), float(high)
