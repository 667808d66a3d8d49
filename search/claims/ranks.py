"""How several tasks rank the same backbones."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import stats

Scores = Mapping[str, Mapping[str, float]]
"""Task -> backbone -> score."""


class Agreement(NamedTuple):
    """How alike two tasks rank the backbones: 1 for the same order, -1 for the reverse; None where all scores of a task
    are equal, so that there is no order.
    """

    tasks: tuple[str, str]
    kendall_tau: float | None
    spearman_rho: float | None


def ranks(scores: Mapping[str, float]) -> dict[str, float]:
    """Backbone -> rank, 1 for the best; equals share the mean of their ranks."""
    ranked = stats.rankdata([-score for score in scores.values()])
    return dict(zip(scores, ranked.tolist(), strict=True))


def mean_ranks(scores: Scores) -> dict[str, float]:
    """Backbone -> mean of its ranks, the best first."""
    by_task = [ranks(of_task) for of_task in scores.values()]
    means = {backbone: float(np.mean([ranked[backbone] for ranked in by_task])) for backbone in by_task[0]}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def agreements(scores: Scores) -> list[Agreement]:
    """Kendall's tau-b and Spearman's rho of each pair of tasks."""
    found = []
    for one, other in combinations(scores, 2):
        first, second = list(scores[one].values()), list(scores[other].values())
        if len(set(first)) == 1 or len(set(second)) == 1:
            found.append(Agreement((one, other), None, None))
            continue
        tau, rho = stats.kendalltau(first, second).statistic, stats.spearmanr(first, second).statistic
        found.append(Agreement((one, other), float(tau), float(rho)))
    return found


def best_of_each(scores: Scores) -> dict[str, list[str]]:
    """Task -> its best backbones, all of them where several are equal."""
    return {
        task: [backbone for backbone, score in of_task.items() if score == max(of_task.values())]
        for task, of_task in scores.items()
    }


def largest_shortfalls(scores: Scores) -> dict[str, float]:
    """Backbone -> how far it is behind a task's best score where it is furthest behind, the smallest first."""
    backbones = next(iter(scores.values()))
    behind = {
        backbone: max(max(of_task.values()) - of_task[backbone] for of_task in scores.values())
        for backbone in backbones
    }
    return dict(sorted(behind.items(), key=lambda item: item[1]))
