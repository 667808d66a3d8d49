"""Does one arm suit all tasks? Its regret in a task is how far its expected score lies below that of the task's best.

Bounds that hold for all arms and tasks together in 95% of cases (Edwards and Hsu 1983): were it known which arm is the
best of a task, Dunnett's two-sided intervals beside that arm would bound the regrets of all. Which it is, is unknown;
but an arm that certainly lies behind another is not, and what holds beside each of the others holds. Each task has its
share of the 5%, so tasks may depend on each other. Nothing is picked by what was seen, so nothing is too good to be
true: whoever has the smallest regret is claimed to have no less than its bounds say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from search.claims.critical import LEVEL, two_sided_value
from search.claims.estimate import NOTHING, Estimate, satterthwaite
from search.claims.runs import Array
from search.claims.words import LAST_BITS, MARGIN, NO_SPREAD, listed

DRAWS = 20_000
"""Of the expected scores, for probabilities to within a percent."""


class Suits(StrEnum):
    """Whether an arm is within the margin of the best in every task."""

    SUITS = "suits all"
    MAY_SUIT = "may suit all"
    DOES_NOT = "does not suit all"
    UNTOLD = "cannot be told"


@dataclass(frozen=True)
class Regrets:
    """estimates: of each task, of the same arms. seen [tasks, arms]: how far an arm's mean lies below the highest.
    low, high [tasks, arms]: bounds of its regret; 0 and infinity where nothing is known.
    """

    estimates: Mapping[str, Estimate]
    seen: Array
    low: Array
    high: Array

    @property
    def tasks(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.estimates)

    @property
    def arms(self) -> tuple[str, ...]:
        """Their names."""
        return next(iter(self.estimates.values())).arms

    @property
    def troubles(self) -> dict[str, str]:
        """Task -> why nothing is known of it, where that is so."""
        found = {task: of_task.trouble for task, of_task in self.estimates.items()}
        for task, high in zip(self.tasks, self.high, strict=True):
            found[task] = found[task] or (NO_SPREAD if np.isinf(high).all() else "")
        return {task: trouble for task, trouble in found.items() if trouble}

    def words(self, margin: float = MARGIN) -> dict[str, Suits]:
        """Arm -> what its bounds say."""
        found = {}
        for arm, low, high in zip(self.arms, self.low.T, self.high.T, strict=True):
            if (low > margin + LAST_BITS).any():
                found[arm] = Suits.DOES_NOT
            elif (high <= margin + LAST_BITS).all():
                found[arm] = Suits.SUITS
            else:
                found[arm] = Suits.UNTOLD if np.isinf(high).any() else Suits.MAY_SUIT
        return found

    @cached_property
    def best(self) -> Array:
        """The probability of being the best of each task [tasks, arms], as if nothing had been known beforehand."""
        drawn = (_drawn_regrets(found) for found in self.estimates.values())
        return np.array([(regrets <= LAST_BITS).mean(axis=0) for regrets in drawn])

    @property
    def best_in_all(self) -> Array:
        """The same of being the best of every task [arms], the tasks independent."""
        return np.asarray(self.best.prod(axis=0))

    def near_in_all(self, margin: float = MARGIN) -> Array:
        """The same of being within the margin of the best in every task [arms]."""
        drawn = (_drawn_regrets(found) for found in self.estimates.values())
        return np.asarray(np.prod([(regrets <= margin + LAST_BITS).mean(axis=0) for regrets in drawn], axis=0))


def regrets(estimates: Mapping[str, Estimate]) -> Regrets:
    """The regrets of the same arms in several tasks. Raises ValueError where the arms differ, or there is one."""
    arms = {found.arms for found in estimates.values()}
    if len(arms) != 1 or len(next(iter(arms))) < 2:
        raise ValueError(f"every task needs the same two or more arms, but they have {sorted(arms)}")
    seen = [found.means.max() - found.means for found in estimates.values()]
    bounds = [_bounds(found, LEVEL / len(estimates)) for found in estimates.values()]
    return Regrets(estimates, np.array(seen), *(np.array(side) for side in zip(*bounds, strict=True)))


def one_for_all(found: Regrets, margin: float = MARGIN) -> str:
    """Whether one arm suits all tasks, in a sentence."""
    words = found.words(margin)
    suiting, possible, others, untold = ([arm for arm in words if words[arm] is word] for word in Suits)
    not_these = f"{listed(others)} {'does' if len(others) == 1 else 'do'} not" if others else ""
    if len(others) == len(words):
        return f"none suits all: each is more than {margin:g} behind the best in some task"
    if untold:
        why = "; ".join(f"{task}: {trouble}" for task, trouble in found.troubles.items()) or NO_SPREAD
        return f"cannot be told ({why})" + (f"; but {not_these}" if not_these else "")
    if suiting:
        worst = max(found.high[:, found.arms.index(arm)].max() for arm in suiting)
        claim = f"{listed(suiting)} {'suits' if len(suiting) == 1 else 'suit'} all: at most {worst:.4f} behind the best"
        maybe = f"{listed(possible)} may, too" if possible else ""
        return "; ".join(filter(None, [claim, maybe, not_these]))
    if not others:
        return "cannot be told: each may suit all"
    return f"{listed(possible)} may suit all; {not_these}"


def _bounds(found: Estimate, level: float) -> tuple[Array, Array]:
    """The lowest and the highest regret of each arm [arms] of a task; beyond them lies any with probability `level`."""
    count = len(found.arms)
    ahead = found.means[:, None] - found.means[None]  # [a, b]: how far a is ahead of b
    ahead[abs(ahead) < LAST_BITS] = 0
    half = np.full((count, count), math.inf)
    if not found.trouble:
        for pair in np.ndindex(count, count):
            half[pair] = _half(found, pair, level)
    np.fill_diagonal(half, 0)
    may_be_best = (ahead + half >= 0).all(axis=1)
    low = np.maximum(ahead - half, 0)[may_be_best].min(axis=0)
    high = np.maximum(ahead + half, 0)[may_be_best].max(axis=0)
    return low, high


def _half(found: Estimate, pair: tuple[int, int], level: float) -> float:
    error = float(found.standard_error[pair])
    if error**2 < NOTHING:
        return 0.0 if abs(found.means[pair[0]] - found.means[pair[1]]) < LAST_BITS else math.inf
    return two_sided_value(len(found.arms), _cautious_df(found, pair), level) * error


def _cautious_df(found: Estimate, pair: tuple[int, int]) -> float:
    """Satterthwaite's, with the part of the seeds enlarged by how much its true variance exceeds the estimated one on
    average, df / (df - 2). Where luck makes that part small the interval is short, and the plain formula takes it for
    well known, too: so far out, bounds of 4 arms would hold in 90% (2 seeds) or 93.5% (3 seeds).
    """
    df = float(found.seed_df[pair])
    enlarged = found.seed_variance[pair] * df / max(df - 2, 1.0)
    return float(satterthwaite(np.array(enlarged), df, np.array(found.unit_variance[pair]), found.units - 1))


def _drawn_regrets(found: Estimate) -> Array:
    """Regrets [draws, arms] as expected scores would have them that are drawn around the means: by Student's t, the
    part of the seeds and that of the units each with its own degrees of freedom.
    """
    generator = np.random.default_rng(0)
    means = np.tile(found.means, (DRAWS, 1))
    for variance, df in ((found.seed_variance, found.pooled_df), (found.unit_variance, found.units - 1)):
        scale = np.sqrt(max(df, 1) / generator.chisquare(max(df, 1), (DRAWS, 1)))
        means += scale * (generator.standard_normal(means.shape) @ _root(variance))
    return np.asarray(means.max(axis=1, keepdims=True) - means)


def _root(variance: Array) -> Array:
    """A root [arms, arms] of the covariance of centred means, whose differences have these variances (Torgerson)."""
    centred = np.eye(len(variance)) - 1 / len(variance)
    values, vectors = np.linalg.eigh(-centred @ variance @ centred / 2)
    return np.asarray(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)
