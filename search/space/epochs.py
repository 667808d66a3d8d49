"""How many epochs a study trains: at least, usually and at most. Imports neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from search.space.settings import SearchConfig


@dataclass(frozen=True)
class Span:
    """The least, the usual and the most of something."""

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> Span:
        """So many times as much."""
        return Span(self.low * factor, self.expected * factor, self.high * factor)

    def plus(self, amount: float) -> Span:
        """So much more."""
        return Span(self.low + amount, self.expected + amount, self.high + amount)

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


def expected(search: SearchConfig, epochs: int, over: Sequence[int] = (), begun: Sequence[int] = ()) -> float:
    """Epochs of all trials together at the end of a search of which some are over and others have begun, each after so
    many epochs; budgets are left out.

    At each rung one of `reduction_factor` goes on (median: one of two) of those that have not been compared there yet,
    and under promotion of all. At least one trial reaches the end, as long as any can.
    """
    kept = 2 if search.scheduler == "median" else search.reduction_factor
    waits = search.scheduler == "promotion"  # at a rung, until it is among the best
    reached, total = float(max(search.num_trials, len(over) + len(begun))), 0.0
    for start, end in _stretches(search, epochs):
        lost = [end - epoch for epoch in over if start < epoch < end or epoch == start == 0]
        total += (end - start) * reached - sum(lost)
        compared = reached - len(lost)
        able = compared - over.count(end)
        known = sum(epoch > end for epoch in [*over, *begun])
        if waits:
            reached = max(known, min(compared // kept, able), min(1.0, able))
        else:
            known += begun.count(end)
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


def final(search: SearchConfig, epochs: int, backbones: int = 1) -> int:
    """Epochs of the final stage: each finalist and its supervised baseline, with each seed, to the end.

    `backbones`: of the space, which count where the finalists are the best of each.
    """
    return num_finalists(search, backbones) * (1 + search.supervised) * search.final_seeds * epochs


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


def _stretches(search: SearchConfig, epochs: int) -> list[tuple[int, int]]:
    """From rung to rung: (first, last] epochs between which no trial is stopped."""
    return list(pairwise([0, *rungs(search, epochs), epochs]))
