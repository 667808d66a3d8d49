"""What runs tell of their arms: expected scores, and the standard error of each difference.

The difference is that of the scores which the arms can expect over training seeds and over validation units, the
training data fixed. Its variance has two parts. Training anew: 2 s^2 / n, with s^2 pooled over all arms from what is
left after the effects of arms and seeds. Other units: the part of the arms' difference per unit that repeats from seed
to seed, since what does not repeat is in s^2 already. It stays the same however many seeds are run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from search.claims.design import Design, design_of
from search.claims.runs import Array, Runs

FEWEST_UNITS = 100
"""Below it the spread of the units themselves is too little known for an interval that holds."""
NOTHING = 1e-18
"""A variance below it (a spread below 1e-9) is rounding."""
UNLIKE = 0.05
"""An arm whose spread is larger than that of the others, where luck makes it so in fewer cases, counts with its own."""
UNLIKE_OF_FEW = 0.01
"""The same below `FEW` degrees of freedom (5 seeds), where more would cost more power than it mends."""
FEW = 4


@dataclass(frozen=True)
class Estimate:
    """arms [A], in alphabetical order. means [A]: expected scores. runs [A]: how many of each arm.

    Of the difference of each two arms [A, A]: seed_variance and unit_variance, whose sum is the squared standard error,
    and seed_df, the degrees of freedom of the first; those of the other are one less than the units. `pooled_df`: of
    the pooled s^2. `trouble`: why there are no intervals, in words; empty where there are.
    """

    arms: tuple[str, ...]
    means: Array
    runs: tuple[int, ...]
    seed_variance: Array
    unit_variance: Array
    seed_df: Array
    pooled_df: int
    units: int
    trouble: str

    @cached_property
    def standard_error(self) -> Array:
        """Of the difference of each two arms [A, A]."""
        return np.asarray(np.sqrt(self.seed_variance + self.unit_variance))

    @cached_property
    def df(self) -> Array:
        """Degrees of freedom of each difference [A, A]."""
        return satterthwaite(self.seed_variance, self.seed_df, self.unit_variance, self.units - 1)


def satterthwaite(one: Array, one_df: Array | float, other: Array, other_df: Array | float) -> Array:
    """Degrees of freedom of the sum of two estimated variances (Satterthwaite 1946); 1 where both are 0."""
    spread = one**2 / np.maximum(one_df, 1) + other**2 / np.maximum(other_df, 1)
    total = (one + other) ** 2
    return np.divide(total, spread, out=np.ones_like(total), where=spread > 0)


def estimate(runs: Runs) -> Estimate:
    """Means and variances of all arms. Where all ran from the same seeds, an arm's mean is that of its runs."""
    design = design_of(runs.arms, runs.seeds)
    means = design.effects @ runs.scores
    pooled = _pooled_variance(runs, design)
    lengths = ((design.effects[:, None] - design.effects[None]) ** 2).sum(axis=2)
    seed_variance, seed_df = pooled * lengths, np.full(lengths.shape, float(max(design.df, 1)))
    _replace_unlike(seed_variance, seed_df, runs, design)
    return Estimate(
        design.arms,
        means,
        tuple(runs.arms.count(arm) for arm in design.arms),
        seed_variance,
        _unit_variance(runs, design),
        seed_df,
        design.df,
        runs.units,
        _trouble(runs, design),
    )


def _pooled_variance(runs: Runs, design: Design) -> float:
    """s^2 of one run, at least what the units alone make of it: few runs may agree by luck, or by rounding."""
    if design.df < 1:
        return 0.0
    rank = np.trace(design.left)
    seen = (design.left_of(runs.scores) ** 2).sum() / rank
    by_units = (design.left * runs.covariance).sum() / rank
    return float(max(seen, by_units, 0.0))


def _replace_unlike(seed_variance: Array, seed_df: Array, runs: Runs, design: Design) -> None:
    """Give pairs with an arm that spreads more than the others, beyond luck, the larger variance which that arm makes.

    The pooled s^2 stays that of all arms: what is left after the most spread arms are taken out would be too small.
    """
    pooled = _pooled_variance(runs, design)
    squares = float((design.left_of(runs.scores) ** 2).sum())
    own = [_own_variance(arm, runs, design, squares) for arm in design.arms]
    if not any(own):
        return
    per_run = [found or (pooled, float(design.df)) for found in own]
    variance = np.array([of_run / runs.arms.count(arm) for arm, (of_run, _) in zip(design.arms, per_run, strict=True)])
    df = np.array([of_arm for _, of_arm in per_run])
    unlike = np.array([found is not None for found in own])
    together = variance[:, None] + variance[None]
    counts = (unlike[:, None] | unlike[None]) & (together > seed_variance) & ~np.eye(len(own), dtype=bool)
    seed_variance[counts] = together[counts]
    seed_df[counts] = satterthwaite(variance[:, None], df[:, None], variance[None], df[None])[counts]


def _own_variance(arm: str, runs: Runs, design: Design, of_all: float) -> tuple[float, float] | None:
    """(s^2, its degrees of freedom) of an arm's runs where it is larger than that of all others beyond luck, by the F
    test of what the arm adds to the squares that are left, `of_all` in all.
    """
    others = np.array([name != arm for name in runs.arms])
    kept = np.flatnonzero(others)
    if not design.shares_seeds or len(design.arms) < 3:
        return None
    rest = design_of(tuple(runs.arms[run] for run in kept), tuple(runs.seeds[run] for run in kept))
    df = design.df - rest.df
    if not rest.shares_seeds or df < 1 or rest.df < 1:
        return None
    scores, count = runs.scores[others], len(design.arms)
    squares = float((rest.left_of(scores) ** 2).sum())
    added = of_all - squares
    by_units = float((design.left * runs.covariance).sum()) / design.df
    of_others = max(squares / rest.df, by_units)
    luck = UNLIKE if df >= FEW else UNLIKE_OF_FEW
    if added / df <= max(special.fdtri(df, rest.df, 1 - luck) * of_others, NOTHING):
        return None
    return (added / df * count - of_others) / (count - 1), float(df)


def _unit_variance(runs: Runs, design: Design) -> Array:
    """The part over units of the variance of each difference [A, A], from runs of different seeds: these have nothing
    in common but the units. An arm with a single run has no two; what does not repeat is then counted, too.
    """
    member, apart = design.member, 1 - design.same_seed
    pairs = member.T @ apart @ member
    repeated = member.T @ (apart * runs.covariance) @ member
    everything = member.T @ runs.covariance @ member / (member.T @ np.ones_like(apart) @ member)
    between = np.where(pairs > 0, repeated / np.maximum(pairs, 1), everything)
    own = np.diag(between)
    variance = np.maximum(own[:, None] + own[None] - 2 * between, 0)
    np.fill_diagonal(variance, 0)
    return np.asarray(variance)


def _trouble(runs: Runs, design: Design) -> str:
    if len(design.arms) < 2:
        return "there is one arm"
    if runs.lacking:
        return runs.lacking
    if len(set(runs.seeds)) < 2:
        return "one seed shows no spread"
    if design.df < 1:
        return "too few runs share a seed"
    if runs.units < FEWEST_UNITS:
        return f"too few validation units ({runs.units}; it takes {FEWEST_UNITS})"
    return ""
