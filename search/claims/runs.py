"""The finished runs of a comparison: their scores, and how these would move together with other validation units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 500
AT_ONCE = 1 << 20
"""Draws times rows that are in memory at a time: 8 MiB, and as much again for each step of a score."""


@dataclass(frozen=True)
class Runs:
    """Runs of one metric on the same validation units; a run that failed is left out.

    arms [R]: what each run trained. seeds [R]: what it was started from; a seed has the same effect on all arms, as far
    as it has one. scores [R]. covariance [R, R]: of the scores, over the choice of units with the training fixed.
    units: how many independent units (persons, videos, rows) were scored. lacking: why nothing is known of units, in
    words; the covariance is then of no use.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: Array
    covariance: Array
    units: int
    lacking: str = ""

    def __post_init__(self) -> None:
        count = len(self.arms)
        if not count:
            raise ValueError("a comparison needs runs, but got none; did any finish?")
        if len(self.seeds) != count or self.scores.shape != (count,) or self.covariance.shape != (count, count):
            raise ValueError(
                f"{count} runs need as many seeds and scores, and a covariance of each with each, but got "
                f"{len(self.seeds)}, {self.scores.shape} and {self.covariance.shape}"
            )
        repeated = [run for run, times in Counter(self.names).items() if times > 1]
        if repeated:
            raise ValueError(f"an arm runs once from a seed, but {repeated[0]} is there twice; leave one out")
        if not np.isfinite(self.scores).all():
            name = self.names[int(np.argmin(np.isfinite(self.scores)))]
            raise ValueError(f"{name} has no finite score; leave the run out, as one that failed")
        if not np.isfinite(self.covariance).all():
            raise ValueError("the covariance over units has entries that are not finite; were all runs scored?")

    @property
    def names(self) -> list[str]:
        """Each run in words."""
        return [f"{arm} with seed {seed}" for arm, seed in zip(self.arms, self.seeds, strict=True)]


def of_predictions(
    arms: Sequence[str], seeds: Sequence[int], units: NDArray[np.generic], scores: Callable[[Array], Array]
) -> Runs:
    """Runs scored by any metric. units [N]: whose each row is. `scores(times)`: the score [R, D] of every run in each
    of D draws of the rows, of which times [D, N] says how often each counts; NaN where a draw lacks what the metric
    needs.

    The units are drawn with replacement, all rows of a unit together and the same for all runs. Draws without a score
    are left out; more than half of them is a ValueError, since what is left is no sample of the draws.
    """
    names, unit = np.unique(units, return_inverse=True)
    generator = np.random.default_rng(0)
    times = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    parts = np.array_split(times, min(-(-RESAMPLES * len(unit) // AT_ONCE), RESAMPLES))
    # The counts of a row in all draws lie side by side in memory: scores of ranks take rows in an order of their own.
    drawn = np.hstack([scores(part.T.astype(float)[unit].T) for part in parts])
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    if drawn.shape[1] < RESAMPLES / 2:
        raise ValueError(
            f"only {drawn.shape[1]} of {RESAMPLES} draws of the {len(names)} validation units have a score: too few "
            "units of some class; take a larger validation set"
        )
    of_all = scores(np.ones((1, len(unit))))[:, 0]
    return Runs(tuple(arms), tuple(seeds), of_all, np.atleast_2d(np.cov(drawn)), len(names))
