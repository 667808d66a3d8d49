"""The finished runs of a comparison: their scores, and how these would move together with other validation units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 500


@dataclass(frozen=True)
class Runs:
    """Runs of one metric on the same validation units; a run that failed is left out.

    arms [R]: what each run trained. seeds [R]: what it was started from; a seed has the same effect on all arms, as far
    as it has one. scores [R]. covariance [R, R]: of the scores, over the choice of units with the training fixed.
    units: how many independent units (persons, videos, rows) were scored. lacking: why nothing is known of the units,
    in words; empty where it is known.
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


def of_values(arms: Sequence[str], seeds: Sequence[int], values: Array) -> Runs:
    """Runs whose score is a mean over units. values [R, units]: what each unit gives (1 for a right answer, say).

    The bootstrap of a mean needs no drawing: its covariance is that of the values over their number.
    """
    if values.ndim != 2 or not values.size:
        raise ValueError(f"values must be runs x units, but have the shape {values.shape}")
    units = values.shape[1]
    apart = values - values.mean(axis=1, keepdims=True)
    covariance = apart @ apart.T / (units * max(units - 1, 1))
    return Runs(tuple(arms), tuple(seeds), values.mean(axis=1), covariance, units)


def of_predictions(
    arms: Sequence[str], seeds: Sequence[int], units: NDArray[np.generic], scores: Callable[[NDArray[np.intp]], Array]
) -> Runs:
    """Runs scored by any metric. units [N]: whose each row is. `scores(rows)`: the score [R] of every run on the same
    rows, NaN or a ValueError where they lack what the metric needs.

    The units are drawn with replacement, all rows of a unit together and the same for all runs. Draws without a score
    are left out; more than half of them is a ValueError, since what is left is no sample of the draws.
    """
    _, unit, counts = np.unique(units, return_inverse=True, return_counts=True)
    rows_of_unit = np.split(np.argsort(unit, kind="stable"), np.cumsum(counts)[:-1])
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = generator.integers(0, len(counts), len(counts))
        try:
            found = scores(np.concatenate([rows_of_unit[index] for index in chosen]))
        except ValueError:
            continue
        if np.isfinite(found).all():
            drawn.append(found)
    if len(drawn) < RESAMPLES / 2:
        raise ValueError(
            f"only {len(drawn)} of {RESAMPLES} draws of the {len(counts)} validation units have a score: too few units "
            "of some class; take a larger validation set"
        )
    covariance = np.atleast_2d(np.cov(np.array(drawn), rowvar=False))
    return Runs(tuple(arms), tuple(seeds), scores(np.arange(len(units))), covariance, len(counts))
