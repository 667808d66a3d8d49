"""What the user sees: one console. Everything that libraries print goes to the log file instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from search.report.leaderboard import Row
from search.strategy.finalists import COLUMNS, Standing, cells


def console_beside(log: Path) -> Console:
    """A console on the terminal, after sending this process's standard output and error, and so that of all it starts,
    to `log`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    screen = os.fdopen(os.dup(1), "w", buffering=1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    return Console(file=screen, highlight=False, width=None if screen.isatty() else 160)


LEFT = ("backbone", "size", "streams", "target", "status", "configuration", "")


def show_leaderboard(console: Console, rows: list[Row]) -> None:
    """The ranked trials as a table, without the columns that are empty."""
    lines = [_cells(row) for row in rows]
    names = [name for name in (lines[0] if lines else ()) if any(line[name] not in (None, "") for line in lines)]
    tested = sum(row.test is not None for row in rows)
    styles = [
        "bold green"
        if row.test is not None and tested == 1
        else "dim"
        if row.status in ("failed", "infeasible", "running")
        else ""
        for row in rows
    ]
    _show(
        console,
        "Leaderboard (ranked on validation)",
        names,
        [[_cell(line[name]) for name in names] for line in lines],
        styles,
    )
    for row in rows:
        if row.reason:
            console.print(f"  trial {row.trial} {row.status}: {row.reason}", style="yellow", markup=False)


def show_finals(console: Console, table: Sequence[Standing]) -> None:
    """The final stage: who won, by how much, and what is a tie."""
    styles = ["bold green" if line.verdict == "winner" else "" for line in table]
    _show(
        console,
        "Final stage (fresh seeds, ranked on validation; mean ± 95% interval, differences paired by seed)",
        COLUMNS,
        [cells(line) for line in table],
        styles,
    )


def _show(
    console: Console, title: str, names: Sequence[str], lines: Sequence[Sequence[str]], styles: Sequence[str]
) -> None:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for line, style in zip(lines, styles, strict=True):
        table.add_row(*line, style=style)
    console.print(table)


def _cells(row: Row) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "trial": row.trial,
        "backbone": row.backbone if row.pretrained == "no" else f"{row.backbone} (pretrained)",
        "size": row.size,
        "streams": row.streams,
        "target": row.encoding,
        "aux weight": f"{row.aux_weight:.2f}" if row.encoding != "-" else "-",
        "mask": row.mask_ratio,
        "val": row.score,
        "gap": row.gap,
        "front": "*" if row.pareto else "",
        "test": row.test,
        "epochs": row.epochs,
        "params": None if row.parameters is None else f"{row.parameters / 1e6:.2f}M",
        "images/s": None if row.images_per_s is None else f"{row.images_per_s:.0f}",
        "status": row.status,
    }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
