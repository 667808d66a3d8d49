"""Whether what an earlier study says holds here: trust is earned by the trials that both have run.

Its best configurations are tried first anyway. Where they do not come out in the earlier order (an unrelated study),
all else that it says is left aside, and the search is as it would have been without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from search.space.definition import EarlierStudy, EarlierTrial, Space
from search.space.epochs import rungs

FEWEST = 4
"""Trials that both have run, below which no order can be told from chance."""
LEVEL = 0.1
"""How often at most trials in a random order earn trust. docs/results.md has what it costs and brings."""
FEWEST_OF_A_LINE = 3
"""Trials through which a line is drawn."""

Reached = Mapping[int, Mapping[int, float]]
"""Number of a trial -> epoch -> its best score so far."""


class Agreement(NamedTuple):
    """Of `number` trials that both have run: Kendall's tau of their order, and how often chance brings as much."""

    number: int
    tau: float
    p: float

    @property
    def is_earned(self) -> bool:
        """Whether the earlier study is trusted."""
        return self.number >= FEWEST and self.p <= LEVEL


def agreement(space: Space, study: EarlierStudy, reached: Reached) -> Agreement:
    """How the trials tried first of an earlier study agree with it, where they are first compared."""
    epochs = space.example().optim.epochs
    pairs = pairs_at(space, study, reached, next(iter(rungs(space.search, epochs)), epochs))
    if len(pairs) < 2:
        return Agreement(len(pairs), math.nan, math.nan)
    found = stats.kendalltau(*zip(*pairs, strict=True), alternative="greater")
    return Agreement(len(pairs), float(found.statistic), float(found.pvalue))


def trusted(space: Space, reached: Reached) -> list[EarlierStudy]:
    """The earlier studies that have earned trust."""
    return [study for study in space.earlier if agreement(space, study, reached).is_earned]


def pairs_at(space: Space, study: EarlierStudy, reached: Reached, epoch: int) -> list[tuple[float, float]]:
    """The score there and here after an epoch of each trial tried first that came so far in both."""
    return [
        (trial.scores[epoch - 1], reached[number][epoch])
        for number, (owner, trial) in enumerate(space.tried_first)
        if owner is study and epoch <= len(trial.scores) and epoch in reached.get(number, ())
    ]


def promised(pairs: Sequence[tuple[float, float]], trials: Sequence[EarlierTrial], epoch: int) -> list[float]:
    """The scores after an epoch that trials of an earlier study would have here, by the straight line through what both
    have run: data sets differ in scale. Where they agree little it is flat, and nothing of the earlier study stands
    out. Nothing where the line does not rise, or too few have come so far.
    """
    if len(pairs) < FEWEST_OF_A_LINE or len({there for there, _ in pairs}) < 2:
        return []
    there, here = np.array(pairs).T
    slope, at_zero = np.polyfit(there, here, deg=1)
    return [float(at_zero + slope * trial.scores[epoch - 1]) for trial in trials] if slope > 0 else []
