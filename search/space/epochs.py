"""How many epochs a study trains: at least, usually and at most. Imports neither torch nor Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from search.space.settings import SearchConfig

NONE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True)
class Span:
    """The least, the usual and the most of something."""

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> Span:
        """So many times as much."""
        return Span(self.low * factor, self.expected * factor, self.high * factor)

    def plus(self, more: Span | float) -> Span:
        """So much more."""
        added = more if isinstance(more, Span) else Span(more, more, more)
        return Span(self.low + added.low, self.expected + added.expected, self.high + added.high)

    def at_most(self, limit: float | None) -> Span:
        """The same with nothing above a limit; None: no limit."""
        return self if limit is None else Span(min(self.low, limit), min(self.expected, limit), min(self.high, limit))


def searched(search: SearchConfig, epochs: int) -> Span:
    """Epochs of all trials together, of which the budget `max_epochs` leaves so many at most.

    low: the scheduler stops every trial where it first may, but for one that gets the full budget. expected: at each
    rung one of `reduction_factor` goes on (median: one of two). high: none is stopped; under promotion each new trial
    is the best so far.
    """
    most, usual = search.num_trials * epochs, expected(search, epochs)
    if search.scheduler == "promotion":
        low = usual
    elif rungs(search, epochs):
        low = (search.num_trials - 1) * search.grace_epochs + epochs
    else:
        low = most
    return Span(low, usual, most).at_most(search.max_epochs)


def expected(
    search: SearchConfig, epochs: int, over: Mapping[int, int] = NONE, begun: Mapping[int, int] = NONE
) -> float:
    """Epochs of all trials together at the end of a search of which some are over and others have begun; how many of
    them after so many epochs. Budgets are left out.

    At each rung one of `reduction_factor` goes on (median: one of two) of those that have not been compared there yet,
    and under promotion of all. At least one trial reaches the end, as long as any can.
    """
    kept = 2 if search.scheduler == "median" else search.reduction_factor
    waits = search.scheduler == "promotion"  # at a rung, until it is among the best
    reached, total = float(max(search.num_trials, sum([*over.values(), *begun.values()]))), 0.0
    for start, end in _stretches(search, epochs):
        lost = {epoch: num for epoch, num in over.items() if start < epoch < end or epoch == start == 0}
        total += (end - start) * reached - sum((end - epoch) * num for epoch, num in lost.items())
        compared = reached - sum(lost.values())
        able = compared - over.get(end, 0)
        known = sum(num for epoch, num in [*over.items(), *begun.items()] if epoch > end)
        if waits:
            reached = max(known, min(compared // kept, able), min(1.0, able))
        else:
            known += begun.get(end, 0)
            reached = known + max((able - known) / kept, min(1.0, able) - known)
    return total


def first_complete(search: SearchConfig, epochs: int) -> int:
    """Epochs of all trials together until, under promotion, one of them has had the full budget."""
    stretches = _stretches(search, epochs)
    needed = min(search.num_trials, search.reduction_factor ** (len(stretches) - 1))
    return sum(
        (end - start) * max(1, needed // search.reduction_factor**passed)
        for passed, (start, end) in enumerate(stretches)
    )


def baselines(search: SearchConfig, epochs: int, num_backbones: int, num_rates: float) -> Span:
    """Epochs in which supervised baselines are tried with learning rates, of which there are `num_rates`.

    Each is tried as often as trials of its finalist's backbone were complete, and one trial leaves nothing to choose.
    low: one was, where there are several backbones. expected: those that usually are complete have any of the backbones
    with the same chance. high: all trials are complete, and of one backbone.
    """
    finalists = num_finalists(search, num_backbones)
    usual = _num_complete(search, epochs)
    share = 1 / num_backbones
    is_alone = (1 - share) ** (usual - 1)  # no other trial of the backbone is complete
    expected = 1 + (usual - 1) * share - is_alone
    least = usual if num_backbones == 1 and search.scheduler in ("none", "promotion") else 1.0

    def tried(number: float) -> float:
        number = min(number, num_rates)
        return finalists * epochs * number if number > 1 else 0.0

    if search.finalists_per == "backbone":  # each has finalists of its own, and its own trials alone
        runs, most = search.finalists * epochs if num_rates > 1 else 0, num_backbones * num_rates
        usually = runs * min(usual * (1 - is_alone), most)
        return Span(tried(least), usually, max(usually, runs * min(_most_complete(search, epochs), most)))
    usually = finalists * epochs * min(expected, num_rates) if num_rates > 1 else 0.0
    return Span(tried(least), usually, max(usually, tried(_most_complete(search, epochs))))


def final(search: SearchConfig, epochs: int, backbones: int = 1, folds: int = 1) -> int:
    """Epochs of the final stage: each finalist and its supervised baseline, with each seed, to the end.

    `backbones`: of the space, which count where the finalists are the best of each. `folds`: values that are held out
    one after the other.
    """
    arms = num_finalists(search, backbones) * (1 + (search.supervised != "none"))
    return arms * search.final_seeds * folds * epochs


def num_finalists(search: SearchConfig, backbones: int = 1) -> int:
    """Configurations of the final stage."""
    groups = backbones if search.finalists_per == "backbone" else 1
    return min(search.finalists * groups, search.num_trials)


def rungs(search: SearchConfig, epochs: int) -> list[int]:
    """Epochs after which trials are compared, ascending.

    The median rule compares them after every epoch from `grace_epochs` on, which is taken for one comparison.
    """
    found: list[int] = []
    rung = search.grace_epochs if search.scheduler != "none" else epochs
    while rung < epochs and not (found and search.scheduler == "median"):
        found.append(rung)
        rung *= search.reduction_factor
    return found


def _num_complete(search: SearchConfig, epochs: int) -> float:
    """Trials that usually get the full budget, at least one."""
    most = _most_complete(search, epochs)
    kept, reached = 2 if search.scheduler == "median" else search.reduction_factor, float(search.num_trials)
    for _ in rungs(search, epochs):
        reached = max(1.0, reached // kept if search.scheduler == "promotion" else reached / kept)
    return min(reached, most)


def _most_complete(search: SearchConfig, epochs: int) -> float:
    """Trials that may get the full budget, at least one."""
    return max(1.0, min(search.num_trials, math.inf if search.max_epochs is None else search.max_epochs // epochs))


def _stretches(search: SearchConfig, epochs: int) -> list[tuple[int, int]]:
    """From rung to rung: (first, last] epochs between which no trial is stopped."""
    return list(pairwise([0, *rungs(search, epochs), epochs]))
