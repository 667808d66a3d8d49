"""What a replayed search chooses from: a recorded grid, whole or without a family."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from search.space.definition import Space
from search.space.file import load
from tests.benchmarks.efficiency.curves import Curves, read
from tests.benchmarks.efficiency.grids import curves_of, space_of

FAMILY = "backbone.family"


class Task(NamedTuple):
    """A grid, with the family that wins or without it."""

    grid: str
    without_winner: bool = False

    @property
    def title(self) -> str:
        """Of a table."""
        return f"{self.grid} without {families(read(curves_of(self.grid)))[0]}" if self.without_winner else self.grid

    @property
    def curves(self) -> Curves:
        """What was recorded."""
        return _curves(self)

    def space(self, pins: Mapping[str, Any] | None = None) -> Space:
        """The grid as a space that is searched, for as long as it takes. All searches that stop trials have the same
        rungs.
        """
        settings = {"scheduler": "promotion", "grace_epochs": 1, "reduction_factor": 3, "startup_trials": 4}
        searched = {"sampler": "tpe", "num_trials": 1_000_000, **settings}
        space = load(space_of(self.grid), "laptop", pins or {}, searched)
        left = set(families(self.curves))
        parameters = (
            replace(each, choices=tuple(choice for choice in each.choices if choice in left))
            if each.key == FAMILY
            else each
            for each in space.parameters
        )
        return replace(space, parameters=tuple(parameters))

    @property
    def budget(self) -> int:
        """Epochs of all cells: a search that has spent so many has failed."""
        return len(self.curves.best) * self.curves.epochs


def families(curves: Curves) -> list[str]:
    """The backbone families, that of the best cell first, and so on."""
    column = curves.keys.index(FAMILY)
    best: dict[str, float] = {}
    for cell, scores in curves.best.items():
        best[cell[column]] = max(best.get(cell[column], 0.0), scores[-1])
    return sorted(best, key=lambda family: -best[family])


@functools.cache
def _curves(task: Task) -> Curves:
    curves = read(curves_of(task.grid))
    if not task.without_winner:
        return curves
    column, winner = curves.keys.index(FAMILY), families(curves)[0]
    return replace(curves, best={cell: best for cell, best in curves.best.items() if cell[column] != winner})
