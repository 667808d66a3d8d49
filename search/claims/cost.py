"""What it would take to tell what cannot be told: more seeds, or more validation units.

The difference seen is taken for the true one. Told is either that it is one, once its interval leaves 0, or that it is
none to speak of, once its interval lies inside the margin: whichever needs the wider interval, thus the less work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from search.claims.estimate import Estimate, satterthwaite
from search.claims.words import MARGIN, Claim, Word

MOST_SEEDS = 100
MOST_TIMES = 100
"""More than so many seeds, or times the units, nobody runs."""
ONE_MORE_PERCENT = 1.01


@dataclass(frozen=True)
class Cost:
    """About how many more seeds of every arm, with these units, or more units, with these seeds, would tell; None where
    no number of them that anybody runs does.
    """

    seeds: int | None
    units: int | None

    def __str__(self) -> str:
        return self.in_words()

    def in_words(self, time: str = "") -> str:
        """`time`: that the seeds take, in words."""
        seeds = f"about {self.seeds} more {'seed' if self.seeds == 1 else 'seeds'}" if self.seeds else ""
        seeds += f" ({time})" if seeds and time else ""
        units = f"about {self.units} more validation units" if self.units else ""
        if seeds:
            return f"{seeds}, or {units}" if units else seeds
        return f"not with this validation set; {units}" if units else "only more of both, seeds and units"


def cost_to_tell(found: Estimate, claim: Claim, margin: float = MARGIN) -> Cost | None:
    """None where the claim is told, is the top arm's own, or lacks an interval for another reason than luck."""
    if claim.word not in (Word.MAY_BE_BEST, Word.UNTOLD) or claim.arm == claim.beside or claim.why:
        return None
    pair = (found.arms.index(claim.arm), found.arms.index(claim.beside))
    wanted = max(abs(claim.difference), margin - abs(claim.difference))
    seeds = min(found.runs[index] for index in pair)
    by_seeds = ((more, (seeds + more) / seeds, 1.0) for more in range(1, MOST_SEEDS + 1))
    factors = ONE_MORE_PERCENT ** np.arange(1, np.log(MOST_TIMES) / np.log(ONE_MORE_PERCENT))
    by_units = ((round(found.units * (times - 1)), 1.0, float(times)) for times in factors)
    return Cost(_first(by_seeds, found, claim, wanted), _first(by_units, found, claim, wanted))


def _first(ways: Iterable[tuple[int, float, float]], found: Estimate, claim: Claim, wanted: float) -> int | None:
    """The first number of (number, times the seeds, times the units) that makes the interval's half narrow enough."""
    for number, times_seeds, times_units in ways:
        if _half(found, claim, times_seeds, times_units) < wanted:
            return number
    return None


def _half(found: Estimate, claim: Claim, times_seeds: float, times_units: float) -> float:
    """Half of the interval that so many times the seeds and units would give."""
    pair = (found.arms.index(claim.arm), found.arms.index(claim.beside))
    seed_variance = found.seed_variance[pair] / times_seeds
    unit_variance = found.unit_variance[pair] / times_units
    seeds = min(found.runs[index] for index in pair)
    seed_df = found.seed_df[pair] * (seeds * times_seeds - 1) / max(seeds - 1, 1)
    parts = np.array(seed_variance), np.array(seed_df), np.array(unit_variance)
    df = float(satterthwaite(*parts, found.units * times_units - 1))
    return claim.critical_value(len(found.arms), df) * float(np.sqrt(seed_variance + unit_variance))
