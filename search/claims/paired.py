"""Arms whose runs differ in their seed alone: means, intervals and differences paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Comparison:
    """An arm beside the baseline. `half` and `difference_half` are half-widths of 95% intervals; NaN for fewer than two
    seeds.
    """

    label: str
    seeds: int
    mean: float
    half: float
    difference: float
    difference_half: float
    verdict: str


def compare(scores: Mapping[str, Mapping[int, float]], baseline: str) -> list[Comparison]:
    """The baseline first, then the other arms. `scores`: arm -> seed -> score. Differences are paired by seed."""
    base = scores[baseline]
    found = []
    for label, by_seed in sorted(scores.items(), key=lambda item: item[0] != baseline):
        mean, half = interval(list(by_seed.values()))
        shared = sorted(by_seed.keys() & base.keys())
        differences = [by_seed[seed] - base[seed] for seed in shared]
        difference, difference_half = interval(differences)
        verdict = "baseline" if label == baseline else _verdict(differences, len(scores) - 1)
        found.append(Comparison(label, len(by_seed), mean, half, difference, difference_half, verdict))
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95% interval (Student's t)."""
    if len(values) < 2:
        return float(np.mean(values)) if values else float("nan"), float("nan")
    return float(np.mean(values)), float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def _verdict(differences: Sequence[float], comparisons: int) -> str:
    if len(differences) < 2:
        return "too few seeds"
    if len(set(differences)) == 1:
        return "equal" if differences[0] == 0 else "no spread"
    p = float(stats.ttest_1samp(differences, 0).pvalue) * comparisons
    return "tie" if p >= 0.05 else "better" if np.mean(differences) > 0 else "worse"
