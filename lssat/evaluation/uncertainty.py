"""How far a score would move with other test images: the bootstrap over what is independent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lssat.evaluation.metrics import Array

RESAMPLES = 500


def bootstrap(units: Array, score: Callable[[Array], float]) -> tuple[float, float]:
    """Percentile interval (95%) of `score(rows)`. units [N]: rows of equal unit (a person's, a video's) are drawn
    together, since they resemble each other.

    Resamples whose score is undefined, for lack of a class, are left out. NaN where none is left.
    """
    _, unit = np.unique(units, return_inverse=True)
    order = np.argsort(unit, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(unit))[:-1])
    generator = np.random.default_rng(0)
    scores = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[one] for one in generator.integers(0, len(members), len(members))])
        try:
            scores.append(score(rows))
        except ValueError:
            continue
    low, high = np.percentile(scores, [2.5, 97.5]) if scores else (float("nan"), float("nan"))
    return float(low), float(high)
