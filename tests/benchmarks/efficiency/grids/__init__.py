"""The recorded grids: `NAME.yaml` says what is searched, `NAME.csv` holds the learning curve of every cell."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
CHOOSING = ("attributes", "emotion")
"""The grids on which a change of the search must win."""
REPORTING = "faces"
"""The grid on which nothing is chosen."""
GRIDS = (*CHOOSING, REPORTING)


def space_of(grid: str) -> Path:
    """The space file of a grid."""
    return HERE / f"{grid}.yaml"


def curves_of(grid: str) -> Path:
    """The table that `record.py` writes."""
    return HERE / f"{grid}.csv"
