"""Two curves of one configuration, epoch by epoch: equal to the bit, or where they part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lssat.train.result import BEST, CLOCKED, SCORE, EpochResult
from search.record.trials import Status, TrialRecord

PAUSE_S = 5.0
"""Between two epochs, beyond what training took: the run was interrupted, or paused, and went on."""
NAMED = 3
"""Numbers that parted with the first, by name."""


@dataclass(frozen=True)
class Parting:
    """The first epoch that is not equal. `numbers`: (key, then, now) of what differs in it, in the order of the record.

    `score_gap`: the largest difference of scores over all epochs that both have.
    """

    epoch: int
    numbers: tuple[tuple[str, float, float], ...]
    score_gap: float


def parting(then: Sequence[EpochResult], now: Sequence[EpochResult]) -> Parting | None:
    """Where two curves part, over the epochs that both have; None where they are equal to the bit in each.

    Speed does not count. A number that only one of the two versions measures is no difference.
    """
    pairs = list(zip(then, now, strict=False))
    gap = max((abs(old.score - new.score) for old, new in pairs), default=0.0)
    for old, new in pairs:
        if differing := _differing(_numbers(old), _numbers(new)):
            return Parting(old.epoch, tuple(differing), gap)
    return None


def paused_before(record: TrialRecord) -> list[int]:
    """The epochs before which the run had been interrupted, or had paused."""
    steps = itertools.pairwise(record.moments)
    apart = [(time - time_before) - (seconds - before) for (time_before, before), (time, seconds) in steps]
    return [index + 2 for index, idle in enumerate(apart) if idle > PAUSE_S]


def micro_batches(results: Sequence[EpochResult]) -> str:
    """How a run's batches were cut, in words: `1`, or `1, from epoch 3 on 2`."""
    found: list[str] = []
    for before, result in zip([None, *results], results, strict=False):
        if before is None or before.micro_batches != result.micro_batches:
            found.append(f"from epoch {result.epoch} on {result.micro_batches}" if found else f"{result.micro_batches}")
    return ", ".join(found)


def verdict(record: TrialRecord, now: Sequence[EpochResult]) -> tuple[bool, list[str]]:
    """Whether the run came out equal, and what is said of it."""
    then = record.epochs
    found = parting(then, now)
    if found is None and len(now) >= len(then):
        return True, [f"equal in {_epochs(len(then))}, to the bit{_why_no_further(record, then)}"]
    lines = _parted(found) if found else [f"equal in the first {len(now)} of {len(then)} epochs; then it ended"]
    if found and len(now) < len(then):
        lines.append(f"it ended after {len(now)} of {len(then)} epochs")
    first = found.epoch if found else len(now) + 1
    if paused := [epoch for epoch in paused_before(record) if epoch <= first]:
        lines.append(
            f"the run on record was interrupted, or had paused, before epoch {paused[-1]}, and went on from its "
            "checkpoint; this one ran through"
        )
    cut_then, cut_now = micro_batches(then), micro_batches(now)
    if now and cut_then != cut_now:
        lines.append(
            f"its batches were processed in pieces (micro-batches: {cut_then}), now in others ({cut_now}), as the "
            "memory of the device decides: batch norm sees other batches, and sums are rounded otherwise"
        )
    return False, lines


def _numbers(result: EpochResult) -> dict[str, float]:
    counted = {name: value for name, value in result.to_json().items() if name not in (*CLOCKED, "micro_batches")}
    return {name: float(value) for name, value in counted.items()}


def _differing(then: Mapping[str, float], now: Mapping[str, float]) -> list[tuple[str, float, float]]:
    both = [(key, then[key], now[key]) for key in then if key in now]
    return [(key, old, new) for key, old, new in both if old != new and not (math.isnan(old) and math.isnan(new))]


def _parted(found: Parting) -> list[str]:
    (key, old, new), *others = found.numbers
    more = [name for name, _, _ in others if name not in (SCORE, BEST)][:NAMED]
    rest = f", as did {len(others)} other numbers ({', '.join(more)}, ...)" if len(others) > 1 and more else ""
    gap = f"scores differ by at most {found.score_gap:.4g} in any epoch" if found.score_gap else "no score differs"
    return [f"parted in epoch {found.epoch}: {key} was {old!r}, is {new!r} (by {abs(new - old):.3g}){rest}; {gap}"]


def _why_no_further(record: TrialRecord, then: Sequence[EpochResult]) -> str:
    """Why a curve ends before its last epoch, where it does."""
    if then[-1].is_last:
        return ""
    outcome = record.outcome
    if outcome and outcome.status is Status.STOPPED:
        return f" (the scheduler stopped it there, of {then[-1].epochs})"
    how = f"it {outcome.status} there: {outcome.reason}" if outcome else "it is not over"
    return f" (of {then[-1].epochs}; {how})"


def _epochs(number: int) -> str:
    return f"all {number} epochs" if number > 1 else "its one epoch"
