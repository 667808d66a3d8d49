"""What may be said of arms: words that hold together, each with the interval that says the same.

With the best: every arm is compared with the one of the highest mean. An arm is called worse where it is in no set of
arms that may all be equal to the best: a closed test (Marcus, Peritz, Gabriel 1976). So in at most 5% of studies is any
arm that is as good as the best called worse, however many are equal. Hsu's comparison (1984) promises less, that *one*
best arm stays: it calls some of 4 equal arms worse in 15% of studies, some of 8 in 24% (3 seeds, large validation set).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import special

from search.claims.critical import LEVEL, critical_value
from search.claims.estimate import NOTHING, Estimate

MARGIN = 0.01
"""Arms whose expected scores differ by less are equivalent for all that a user would do."""
LAST_BITS = 1e-9
"""Scores that differ by less are equal."""
NO_SPREAD = "neither seeds nor units make any spread"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b` or `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


class Word(StrEnum):
    """What is said of an arm beside the best, or beside its baseline."""

    BEST = "best"
    MAY_BE_BEST = "may be best"
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNTOLD = "cannot be told"


@dataclass(frozen=True)
class Claim:
    """An arm beside another. `low` and `high` bound the difference of their expected scores; NaN where nothing is known
    of it. `tied`: beside the best, how many arms might be equal to it where this one is; `among`: beside a baseline, of
    how many such claims it is one. Either sets the critical value. `why`: what stands in the way of an interval.
    """

    arm: str
    beside: str
    difference: float
    low: float
    high: float
    word: Word
    why: str = ""
    tied: int = 0
    among: int = 0

    def critical_value(self, arms: int, df: float) -> float:
        """The half of the interval over the standard error, in a comparison of so many arms."""
        if self.tied:
            return critical_value(arms, self.tied, df)
        return float(special.stdtrit(df, 1 - LEVEL / 2 / self.among))

    def within(self, half: float, margin: float) -> Claim:
        """The same with an interval, and the word that says what the interval says."""
        low, high = self.difference - half, self.difference + half
        if -margin < low and high < margin:
            word = Word.EQUIVALENT
        elif high < 0:
            word = Word.WORSE
        elif low > 0:
            word = Word.BETTER
        else:
            word = Word.MAY_BE_BEST if self.tied else Word.UNTOLD
        return replace(self, low=low, high=high, word=word)


def beside_best(found: Estimate, margin: float = MARGIN) -> list[Claim]:
    """A claim for each arm, the highest mean first; that one stands beside itself.

    Worse: the interval lies below 0. Equivalent: it lies inside the margin. May be best: neither. Best: all others are
    worse.
    """
    top = _top(found)
    order = sorted(range(len(found.arms)), key=lambda arm: (arm != top, -found.means[arm], found.arms[arm]))
    tied = _tied(found, top)
    others = [_claim(found, (arm, top), margin, tied=tied[arm]) for arm in order[1:]]
    return [_of_top(found, top, others), *others]


def beside_baselines(
    found: Estimate, pairs: Sequence[tuple[str, str]], among: int = 0, margin: float = MARGIN
) -> list[Claim]:
    """A claim for each (arm, baseline), all of which hold together in 95% of studies.

    `among`: of how many candidates the arms were picked by their scores on these units; the luckiest of many looks
    better than it is.
    """
    places = [(found.arms.index(arm), found.arms.index(baseline)) for arm, baseline in pairs]
    return [_claim(found, pair, margin, among=max(len(pairs), among)) for pair in places]


def _top(found: Estimate) -> int:
    """The arm with the highest mean; of equals the first of the alphabet."""
    return int(np.argmax(found.means > found.means.max() - LAST_BITS))


def _tied(found: Estimate, top: int) -> list[int]:
    """Of each arm, the size of the largest set of arms with it that may all be equal to the best.

    For a set of a size, an arm is near where its distance from the top is within the critical value of that size. A set
    is possible where all its arms are near: where as many arms are.
    """
    count = len(found.arms)
    tied = [1] * count
    for size in range(2, count + 1):
        near = {arm for arm in range(count) if arm == top or _is_near(found, (arm, top), size)}
        tied = [size if len(near | {arm}) >= size else before for arm, before in enumerate(tied)]
    return tied


def _is_near(found: Estimate, pair: tuple[int, int], size: int) -> bool:
    half = critical_value(len(found.arms), size, found.df[pair]) * found.standard_error[pair]
    return bool(found.means[pair[1]] - found.means[pair[0]] <= half + LAST_BITS)


def _claim(found: Estimate, pair: tuple[int, int], margin: float, tied: int = 0, among: int = 0) -> Claim:
    difference = float(found.means[pair[0]] - found.means[pair[1]])
    error = float(found.standard_error[pair])
    are_equal = error**2 < NOTHING and abs(difference) < LAST_BITS
    why = found.trouble or (NO_SPREAD if error**2 < NOTHING and not are_equal else "")
    arm, beside = found.arms[pair[0]], found.arms[pair[1]]
    claim = Claim(arm, beside, difference, math.nan, math.nan, Word.UNTOLD, why, tied, among)
    return claim if why else claim.within(claim.critical_value(len(found.arms), found.df[pair]) * error, margin)


def _of_top(found: Estimate, top: int, others: Sequence[Claim]) -> Claim:
    """The claim of the arm with the highest mean."""
    arm = found.arms[top]
    if all(claim.why for claim in others):
        why = found.trouble or NO_SPREAD
        return Claim(arm, arm, 0.0, math.nan, math.nan, Word.UNTOLD, why=why)
    word = Word.BEST if all(claim.word is Word.WORSE for claim in others) else Word.MAY_BE_BEST
    return Claim(arm, arm, 0.0, math.nan, math.nan, word)
