"""How far a score would move with other test images: the bootstrap over what is independent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lssat.evaluation.metrics import Array

RESAMPLES = 500
LEVEL = 95  # percent of the resamples that an interval holds
FEWEST_UNITS = 100
"""Below it the spread of the units themselves is too little known for an interval that holds."""
NOTHING = 1e-9
"""A spread below it is rounding."""


def too_few(units: Array) -> str:
    """Why so few units have no interval, in words; empty where they are enough. units [N]: whose each row is."""
    count = len(np.unique(units))
    return "" if count >= FEWEST_UNITS else f"too few independent units ({count}; an interval takes {FEWEST_UNITS})"


def bootstrap(units: Array, score: Callable[[Array], float]) -> tuple[float, float]:
    """Percentile interval (95%) of `score(rows)`. units [N]: rows of equal unit (a person's, a video's) are drawn
    together, since they resemble each other.

    Resamples whose score is undefined (a ValueError, or not finite), for lack of a class or a group, are left out. NaN
    where none is left.
    """
    scores = resampled(units, lambda rows: [score(rows)])[:, 0]
    scores = scores[np.isfinite(scores)]
    outside = (100 - LEVEL) / 2  # percent on either side
    low, high = np.percentile(scores, [outside, 100 - outside]) if len(scores) else (float("nan"), float("nan"))
    return float(low), float(high)


def resampled(units: Array, scores: Callable[[Array], Sequence[float]]) -> Array:
    """`scores(rows)` of each resample [R, Q]; NaN where it is undefined (a ValueError)."""
    found = []
    for rows in _rows_of_resamples(units):
        try:
            found.append(scores(rows))
        except ValueError:
            found.append([float("nan")])
    width = max(map(len, found))
    return np.array([[*each, *[float("nan")] * (width - len(each))] for each in found], float)


def counts_of_resamples(units: Array) -> Array:
    """How often each row is in each resample [R, N], the same resamples as elsewhere."""
    return np.array([np.bincount(rows, minlength=len(units)) for rows in _rows_of_resamples(units)], np.float32)


def joint_halves(values: Array, drawn: Array) -> Array:
    """Half-widths [Q] of intervals that hold together: in 95% of samples each of them has its true value inside (max-t,
    Romano and Wolf 2005), so that the largest of them may be picked after the fact. values [Q]; drawn [R, Q]: of each
    resample.

    NaN where a value has no spread, or fewer than half of the resamples have it.
    """
    known = np.isfinite(drawn).sum(axis=0) >= len(drawn) / 2
    spread = np.full(len(values), np.nan)
    spread[known] = np.nanstd(drawn[:, known], axis=0, ddof=1)
    moves = known & (spread > NOTHING)
    halves = np.full(len(values), np.nan)
    if moves.any():
        distances = np.abs(drawn[:, moves] - values[moves]) / spread[moves]
        largest = np.where(np.isnan(distances), 0, distances).max(axis=1)
        halves[moves] = np.percentile(largest, LEVEL) * spread[moves]
    return halves


def interval(value: float, half: float) -> tuple[float, float] | None:
    """Around a value; None where nothing is known of its spread."""
    return None if np.isnan(half) else (float(value - half), float(value + half))


def _rows_of_resamples(units: Array) -> Iterator[Array]:
    """The rows of as many units, drawn with replacement, RESAMPLES times."""
    _, unit = np.unique(units, return_inverse=True)
    order = np.argsort(unit, kind="stable")
    rows_of_unit = np.split(order, np.cumsum(np.bincount(unit))[:-1])
    generator = np.random.default_rng(0)
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, len(rows_of_unit), len(rows_of_unit))
        yield np.concatenate([rows_of_unit[index] for index in drawn])
