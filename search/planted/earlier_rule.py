"""The rule of earlier versions, beside which that of `search.claims` is judged: t-tests of differences seed by seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

Scores = Mapping[str, Mapping[int, float]]
"""Arm -> seed -> score."""


def verdicts(scores: Scores, baseline: str) -> dict[str, str]:
    """Of each other arm: better, worse, or tie; p-values are multiplied by the number of comparisons."""
    others = [arm for arm in scores if arm != baseline]
    return {arm: _verdict(scores[arm], scores[baseline], len(others)) for arm in others}


def verdicts_beside_best(scores: Scores) -> dict[str, str]:
    """Each arm against the one of the highest mean among those with all runs."""
    most = max(map(len, scores.values()))
    whole = [arm for arm, found in scores.items() if len(found) == most]
    return verdicts(scores, max(whole, key=lambda arm: float(np.mean(list(scores[arm].values())))))


def _verdict(arm: Mapping[int, float], base: Mapping[int, float], comparisons: int) -> str:
    differences = [arm[seed] - base[seed] for seed in sorted(arm.keys() & base.keys())]
    if len(set(differences)) < 2:
        return "tie"
    p = float(stats.ttest_1samp(differences, 0).pvalue) * comparisons
    return "tie" if p >= 0.05 else "better" if np.mean(differences) > 0 else "worse"
