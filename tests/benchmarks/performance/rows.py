"""What a bench hands to the page: rows of ratios, in sections. A bench is a generator `sections(effort)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.benchmarks.performance.timing import Ratio


class Aim(NamedTuple):
    """Where a ratio should be."""

    kind: Literal["at least", "at most"]
    value: float

    def holds(self, ratio: float) -> bool:
        return ratio >= self.value if self.kind == "at least" else ratio <= self.value

    def worse_by(self, ratio: float, recorded: float) -> float:
        """By which share of the recorded ratio this one is worse; below 0: better."""
        change = ratio / recorded - 1
        return -change if self.kind == "at least" else change


class Row(NamedTuple):
    """One ratio; its name is the key under which it is recorded."""

    name: str
    ratio: Ratio
    aim: Aim


@dataclass(frozen=True)
class Section:
    """A part of the page: what is measured, its rows and, where more is to be seen, a table with its header first.

    `not_measured`: what this machine lacks, in one sentence.
    """

    title: str
    prose: str
    rows: Sequence[Row] = ()
    table: Sequence[Sequence[str]] = ()
    not_measured: str = ""


class Effort(NamedTuple):
    """How much is measured. `seconds`: of repeats, per case; `quick`: the cases that `make bench-quick` looks at."""

    seconds: float
    quick: bool
