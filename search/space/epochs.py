"""How many epochs a study trains: at least, usually and at most. Imports neither torch nor Ray."""

from __future__ import annotations

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
    trials, grace = search.num_trials, search.grace_epochs
    most = trials * epochs
    if search.scheduler == "none" or grace >= epochs:
        return Span(most, most, most).at_most(search.max_epochs)
    kept = 2 if search.scheduler == "median" else search.reduction_factor
    expected = sum(
        (end - start) * max(1.0, trials / kept**passed)
        for passed, (start, end) in enumerate(_stretches(search, epochs))
    )
    low = expected if search.scheduler == "promotion" else (trials - 1) * grace + epochs
    return Span(low, expected, most).at_most(search.max_epochs)


def first_complete(search: SearchConfig, epochs: int) -> int:
    """Epochs of all trials together until, under promotion, one of them has had the full budget."""
    stretches = _stretches(search, epochs)
    needed = min(search.num_trials, search.reduction_factor ** (len(stretches) - 1))
    return sum(
        (end - start) * max(1, needed // search.reduction_factor**passed)
        for passed, (start, end) in enumerate(stretches)
    )


def final(search: SearchConfig, epochs: int) -> int:
    """Epochs of the final stage: each finalist and its supervised baseline, with each seed, to the end."""
    return min(search.finalists, search.num_trials) * 2 * search.final_seeds * epochs


def rungs(search: SearchConfig, epochs: int) -> list[int]:
    """Epochs after which trials are compared, ascending.

    The median rule compares them after every epoch from `grace_epochs` on, which is taken for one comparison.
    """
    found: list[int] = []
    rung = search.grace_epochs
    while rung < epochs and not (found and search.scheduler == "median"):
        found.append(rung)
        rung *= search.reduction_factor
    return found


def _stretches(search: SearchConfig, epochs: int) -> list[tuple[int, int]]:
    """From rung to rung: (first, last] epochs between which no trial is stopped."""
    return list(pairwise([0, *rungs(search, epochs), epochs]))
