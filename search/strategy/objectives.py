"""What a study optimises: how each objective is read from a trial's result, which way is better, and which trials no
other beats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from lssat.train.result import EpochResult


class Objective(NamedTuple):
    """`of` reads it from a trial's last result; `sign` is +1 where more is better and -1 where less is."""

    of: Callable[[EpochResult], float | None]
    sign: int

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's word for it."""
        return "maximize" if self.sign > 0 else "minimize"


OBJECTIVES = {
    "score": Objective(lambda result: result.best, 1),
    "parameters": Objective(lambda result: result.parameters, -1),
    "flops": Objective(lambda result: result.flops, -1),
    "gap": Objective(lambda result: result.best_gap, -1),
}


def values(names: Sequence[str], result: EpochResult) -> list[float]:
    """The objectives of a result, in order; NaN where it lacks one."""
    found = (OBJECTIVES[name].of(result) for name in names)
    return [math.nan if value is None else float(value) for value in found]


def front(names: Sequence[str], points: Sequence[Sequence[float | None]]) -> list[bool]:
    """Whether each point is on the Pareto front: no other is at least as good in every objective and better in one.
    Points that lack a value are not.
    """
    signed = [
        [math.nan if value is None else OBJECTIVES[name].sign * value for name, value in zip(names, point, strict=True)]
        for point in points
    ]
    known = [all(map(math.isfinite, point)) for point in signed]

    def is_beaten(point: list[float]) -> bool:
        others = (other for other, usable in zip(signed, known, strict=True) if usable)
        return any(all(a >= b for a, b in zip(other, point, strict=True)) and other != point for other in others)

    return [usable and not is_beaten(point) for point, usable in zip(signed, known, strict=True)]
