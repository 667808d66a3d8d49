"""How several tasks rank the same backbones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

Scores = Mapping[str, Mapping[str, float]]  # task -> backbone -> score


def ranks(scores: Mapping[str, float]) -> dict[str, float]:
    """Backbone -> rank, 1 for the best; equals share the mean of their places."""
    placed = stats.rankdata([-score for score in scores.values()])
    return dict(zip(scores, placed.tolist(), strict=True))


def mean_ranks(scores: Scores) -> dict[str, float]:
    """Backbone -> mean of its ranks, the best first."""
    by_task = [ranks(of_task) for of_task in scores.values()]
    means = {backbone: float(np.mean([placed[backbone] for placed in by_task])) for backbone in by_task[0]}
    return dict(sorted(means.items(), key=lambda item: item[1]))
