"""How far the best must lead to be told from the others: by planted studies, beside what is reckoned beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from search.claims.estimate import estimate
from search.claims.power import POWER
from search.claims.runs import Array
from search.claims.words import Word, beside_best
from search.planted.studies import Plant, draw

MOST_ERRORS = 20
"""Standard errors that are enough to be seen from two seeds on."""
STEPS = 12
"""Of halving: the gap is found to a five-hundredth of a standard error."""


def named_gap(plant: Plant, studies: int, seed: int = 0) -> float:
    """By how much the first arm must be ahead of all others so that the named second is called worse in 80% of studies
    of a kind.
    """
    generator = np.random.default_rng(seed)
    found = [estimate(draw(plant, generator)) for _ in range(studies)]
    lead: Array = np.zeros(plant.arms)
    lead[0] = 1.0

    def share(gap: float) -> float:
        """A truth moves the means of the arms and nothing else of an estimate."""
        claims = (beside_best(replace(of_study, means=of_study.means + gap * lead)) for of_study in found)
        return sum({claim.arm: claim.word for claim in each}["arm 01"] is Word.WORSE for each in claims) / studies

    low, high = 0.0, MOST_ERRORS * plant.gap_of_one_se
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if share(middle) >= POWER else (middle, high)
    return high
