"""What the user sees: one console. Everything that libraries print goes to the log file instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from lssat.text.console import Column, SafeConsole, Sheet
from search.findings import final_table
from search.findings.final_table import FinalRow
from search.findings.leaderboard import Row, shown, winner
from search.record.names import FINAL_TABLE, LEADERBOARD
from search.record.trials import Status

WIDTH = 160  # columns, where the output is no terminal
LEFT = ("arm", "backbone", "size", "pretrained", "streams", "encoding", "status", "verdict", "auxiliary")
DIMMED = (Status.FAILED, Status.INFEASIBLE, Status.RUNNING)
SETTINGS = ("size", "pretrained", "streams", "encoding", "aux_weight", "mask_ratio")
"""Columns that say what was tried: those that are alike in all rows are said once, below the table."""
IN_SETTINGS = (
    "backbone.family",
    "backbone.size",
    "backbone.name",
    "backbone.pretrained",
    "auxiliary",
    "streams",
    "target.encoding",
    "aux_weight",
    "masking.ratio",
    "masking.mode",
    "masking.share",
)
"""Searched keys that a screen shows in `SETTINGS` and in the backbone's name already."""
PRIORITIES = {
    "rank": 0,
    "backbone": 0,
    "score": 0,
    "pareto": 1,
    "trial": 1,
    "test": 1,
    "gap": 1,
    "in_domain": 1,
    "status": 2,
    "pretrained": 2,
    "streams": 3,
    "aux_weight": 4,
    "encoding": 5,
    "mask_ratio": 6,
    "epochs": 8,
    "parameters": 8,
    "flops": 8,
    "images_per_s": 8,
    "size": 9,
}
"""Of the leaderboard's columns on a screen; searched keys have 7."""
FINAL_PRIORITIES = {
    "arm": 0,
    "backbone": 0,
    "score": 0,
    "verdict": 1,
    "in domain": 1,
    "test": 2,
    "auxiliary": 3,
    "to the best": 4,
    "over supervised": 5,
    "streams": 6,
    "seeds": 7,
    "aux_weight": 8,
}
"""Of the final table's; what would tell is said below it."""


@contextmanager
def console_beside(log: Path) -> Iterator[Console]:
    """A console on the terminal. Meanwhile standard output and error, of this process and of all it starts, go to
    `log`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    output, error = os.dup(1), os.dup(2)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    try:
        with os.fdopen(os.dup(output), "w", buffering=1, errors="backslashreplace") as screen:
            yield SafeConsole(file=screen, width=None if screen.isatty() else WIDTH)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # the disk of the log is full: the way back to the terminal is what matters
                stream.flush()
        os.dup2(output, 1)
        os.dup2(error, 2)
        os.close(output)
        os.close(error)


def show_leaderboard(console: Console, rows: Sequence[Row]) -> None:
    """The ranked trials as a table, without the columns that are empty or alike in all rows."""
    leaderboard_sheet(rows).show(console)
    if alike := alike_in_all(rows):
        console.print(f"  alike in all rows: {', '.join(alike)}", style="dim")
    for row in rows:
        if row.reason:
            console.print(f"  trial {row.trial} {row.status}: {row.reason}", style="yellow")


def leaderboard_sheet(rows: Sequence[Row]) -> Sheet:
    """The table of the leaderboard. The winner of a study without a final stage is marked when test was opened."""
    best = winner(rows)
    styles = [
        "bold green" if row is best and row.test is not None else "dim" if row.status in DIMMED else "" for row in rows
    ]
    kept = [column for column in _columns(rows) if not _is_alike(column)]
    return Sheet("Leaderboard (ranked on validation)", kept, styles, LEADERBOARD)


def alike_in_all(rows: Sequence[Row]) -> list[str]:
    """The settings that several rows have alike, with their value: said once, they need no column."""
    return [f"{column.name} {column.cells[0]}" for column in _columns(rows) if _is_alike(column)]


def show_final_table(console: Console, rows: Sequence[FinalRow]) -> None:
    """The final stage: who won, by how much, and what is told of the others."""
    final_sheet(rows).show(console)


def final_sheet(rows: Sequence[FinalRow]) -> Sheet:
    """The table of the final stage."""
    lines = [final_table.cells(row) for row in rows]
    kept = [
        Column(name, FINAL_PRIORITIES[name], cells, "left" if name in LEFT else "right")
        for name, cells in zip(final_table.COLUMNS, zip(*lines, strict=True), strict=True)
        if name in FINAL_PRIORITIES and any(cells)
    ]
    styles = ["bold green" if row is rows[0] else "" for row in rows]
    title = "Final stage (fresh seeds, ranked on validation; differences ± 95% interval)"
    return Sheet(title, kept, styles, FINAL_TABLE)


def _columns(rows: Sequence[Row]) -> list[Column]:
    """The columns that a screen may have room for, without those that are empty."""
    lines = [_cells(row) for row in rows]
    names = list(lines[0]) if lines else []
    found = [
        Column(name, PRIORITIES.get(name, 7), [line[name] for line in lines], "left" if name in LEFT else "right")
        for name in names
    ]
    return [column for column in found if any(column.cells)]


def _is_alike(column: Column) -> bool:
    """Whether a column is a setting of which several rows have the same."""
    is_setting = column.name in SETTINGS or column.name not in PRIORITIES
    return is_setting and len(column.cells) > 1 and len(set(column.cells)) == 1


def _cells(row: Row) -> dict[str, str]:
    """The columns of the CSV, by their names there, that a screen may have room for."""
    searched = {key: shown(value) for key, value in row.searched.items() if key not in IN_SETTINGS}
    return {
        "rank": str(row.rank),
        "trial": row.trial,
        "backbone": row.backbone,
        "size": row.size,
        "pretrained": "" if row.pretrained == "no" else row.pretrained,
        "streams": row.streams,
        "encoding": row.encoding,
        "aux_weight": f"{row.aux_weight:.2f}" if row.encoding != "-" else "-",
        "mask_ratio": row.mask_ratio,
        **searched,
        "score": _score(row.score),
        "gap": _score(row.gap),
        "in_domain": _score(row.in_domain),
        "pareto": "*" if row.pareto else "",
        "test": _score(row.test),
        "epochs": str(row.epochs),
        "parameters": "" if row.parameters is None else f"{row.parameters / 1e6:.2f}M",
        "flops": "" if row.flops is None else f"{row.flops / 1e9:.3g}G",
        "images_per_s": "" if row.images_per_s is None else f"{row.images_per_s:.0f}",
        "status": row.status,
    }


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
