"""The recorded learning curves of a finite grid: which cell a suggestion is, what each of its epochs measured, and
which cells are good enough.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

MEASURED = ("epoch", "val/score", "val/best", "cpu_s")
Cell = tuple[str, ...]
"""The searched keys of a configuration, as text, in the order of the table; empty where a key does not apply."""


@dataclass(frozen=True)
class Curves:
    """`best[cell]` is `val/best` after each epoch, `seconds[cell]` what each epoch took."""

    keys: tuple[str, ...]
    best: Mapping[Cell, Sequence[float]]
    seconds: Mapping[Cell, Sequence[float]]

    def cell(self, sampled: Mapping[str, Any]) -> Cell:
        """The cell of dotted keys. Raises KeyError where the grid does not hold it."""
        found = tuple(str(sampled.get(key, "")) for key in self.keys)
        if found not in self.best:
            raise KeyError(f"the grid does not hold {dict(zip(self.keys, found, strict=True))}")
        return found

    @property
    def epochs(self) -> int:
        return len(next(iter(self.best.values())))

    def good(self, tolerance: float) -> set[Cell]:
        """The cells whose full budget ends within this share of the best cell's score."""
        return {cell for cell, best in self.best.items() if best[-1] >= (1 - tolerance) * self.top}

    @cached_property
    def top(self) -> float:
        """The best score of the grid."""
        return max(best[-1] for best in self.best.values())


def read(path: Path) -> Curves:
    """A table that `record.py` has written."""
    best: dict[Cell, list[float]] = {}
    seconds: dict[Cell, list[float]] = {}
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        keys = tuple(name for name in rows.fieldnames or () if name not in ("cell", *MEASURED))
        for row in rows:
            cell = tuple(row[key] for key in keys)
            best.setdefault(cell, []).append(float(row["val/best"]))
            seconds.setdefault(cell, []).append(float(row["cpu_s"]) - sum(seconds[cell]))
    return Curves(keys, best, seconds)
