"""How many epochs a study trains: at least, usually and at most. Imports neither torch nor Ray."""

from __future__ import annotations

from dataclasses import dataclass

from search.space.settings import SearchConfig


@dataclass(frozen=True)
class Span:
    """The least, the usual and the most of something."""

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> Span:
        return Span(self.low * factor, self.expected * factor, self.high * factor)

    def plus(self, amount: float) -> Span:
        return Span(self.low + amount, self.expected + amount, self.high + amount)

    def at_most(self, most: float | None) -> Span:
        return self if most is None else Span(min(self.low, most), min(self.expected, most), min(self.high, most))


def searched(search: SearchConfig, epochs: int) -> Span:
    """Epochs of all trials together.

    low: the scheduler stops every trial where it first may, but for one that gets the full budget; expected: at each
    rung one of `reduction_factor` goes on (median: one of two); high: none is stopped, or under promotion each new
    trial is the best so far. The budget `max_epochs` ends each.
    """
    trials, grace = search.num_trials, search.grace_epochs
    if search.scheduler == "none" or grace >= epochs:
        return Span(*(3 * [float(trials * epochs)])).at_most(search.max_epochs)
    ends = rungs(search, epochs)
    kept = 2 if search.scheduler == "median" else search.reduction_factor
    expected = sum(
        (end - start) * max(1.0, trials / kept**passed)
        for passed, (start, end) in enumerate(zip([0, *ends], [*ends, epochs], strict=True))
    )
    if search.scheduler == "promotion":
        return Span(expected, expected, trials * epochs).at_most(search.max_epochs)
    return Span((trials - 1) * grace + epochs, expected, trials * epochs).at_most(search.max_epochs)


def first_complete(search: SearchConfig, epochs: int) -> int:
    """Epochs of all trials together until, under promotion, one of them has had the full budget."""
    ends = rungs(search, epochs)
    needed = min(search.num_trials, search.reduction_factor ** len(ends))
    return sum(
        (end - start) * max(1, needed // search.reduction_factor**passed)
        for passed, (start, end) in enumerate(zip([0, *ends], [*ends, epochs], strict=True))
    )


def final(search: SearchConfig, epochs: int) -> int:
    """Epochs of the final stage: each finalist and its supervised baseline, with each seed, to the end."""
    return min(search.finalists, search.num_trials) * 2 * search.final_seeds * epochs


def rungs(search: SearchConfig, epochs: int) -> list[int]:
    """Epochs after which trials are compared, ascending; the median rule does so from `grace_epochs` on, which is taken
    for one comparison.
    """
    found: list[int] = []
    while (rung := search.grace_epochs * search.reduction_factor ** len(found)) < epochs and not (
        found and search.scheduler == "median"
    ):
        found.append(rung)
    return found
