"""Every trial of the search, ranked on validation: the leaderboard of the run folder, as the screen shows it."""

from __future__ import annotations

from typing import Any

from search.findings.leaderboard import Row
from search.findings.screen import alike_in_all, leaderboard_sheet
from search.page.document import Cell, Section, Table
from search.page.study import StudyOnPage

FIRST = ("rank", "trial", "backbone", "score", "gap", "pareto", "test", "status", "epochs")
"""Columns that a narrow screen shall not have to scroll to."""


def section(study: StudyOnPage) -> Section | None:
    """None before the first trial."""
    if not study.rows:
        return None
    kept = [column.name for column in leaderboard_sheet(study.rows).columns]
    names = [name for name in FIRST if name in kept] + [name for name in kept if name not in FIRST]
    alike = alike_in_all(study.rows)
    table = Table(
        study.file("trials"),
        "All trials: one run each, ranked on validation",
        names,
        [_cells(row, names) for row in study.rows],
        "The best of many single runs score too high; the final stage compares them."
        + (f" Alike in all rows: {', '.join(alike)}." if alike else ""),
        best=(0,) if study.complete else (),
    )
    return Section("trials", "The trials", [table])


def _cells(row: Row, names: list[str]) -> list[Cell]:
    cells = row.cells()
    return [_cell(name, cells[name]) for name in names]


def _cell(name: str, value: Any) -> Cell:
    if isinstance(value, bool):
        return ("*" if value else "") if name == "pareto" else str(value)
    return value if isinstance(value, int | float | None) else str(value)
