"""What the user sees: one console. Everything that libraries print goes to the log file instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lssat.console import SafeConsole
from search.record.trials import Status
from search.report.final_table import COLUMNS, FinalRow, cells
from search.report.leaderboard import Row

WIDTH = 160  # columns, where the output is no terminal
LEFT = ("arm", "backbone", "size", "streams", "encoding", "status", "verdict")
DIMMED = (Status.FAILED, Status.INFEASIBLE, Status.RUNNING)


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
    """The ranked trials as a table, without the columns that are empty."""
    lines = [_cells(row) for row in rows]
    names = [name for name in (lines[0] if lines else ()) if any(line[name] for line in lines)]
    num_tested = sum(row.test is not None for row in rows)
    styles = [
        "bold green" if row.test is not None and num_tested == 1 else "dim" if row.status in DIMMED else ""
        for row in rows
    ]
    table = _table("Leaderboard (ranked on validation)", names)
    for line, style in zip(lines, styles, strict=True):
        table.add_row(*(line[name] for name in names), style=style)
    console.print(table)
    for row in rows:
        if row.reason:
            console.print(f"  trial {row.trial} {row.status}: {row.reason}", style="yellow")


def show_final_table(console: Console, rows: Sequence[FinalRow]) -> None:
    """The final stage: who won, by how much, and what is a tie."""
    table = _table(
        "Final stage (fresh seeds, ranked on validation; mean ± 95% interval, differences paired by seed)", COLUMNS
    )
    for row in rows:
        table.add_row(*cells(row), style="bold green" if row.verdict == "winner" else "")
    console.print(table)


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    return table


def _cells(row: Row) -> dict[str, str]:
    """The columns of the CSV, by their names there, that a screen has room for."""
    backbone = row.backbone if row.pretrained == "no" else f"{row.backbone} (pretrained)"
    return {
        "rank": str(row.rank),
        "trial": row.trial,
        "backbone": backbone,
        "size": row.size,
        "streams": row.streams,
        "encoding": row.encoding,
        "aux_weight": f"{row.aux_weight:.2f}" if row.encoding != "-" else "-",
        "mask_ratio": row.mask_ratio,
        "score": _score(row.score),
        "gap": _score(row.gap),
        "pareto": "*" if row.pareto else "",
        "test": _score(row.test),
        "epochs": str(row.epochs),
        "parameters": "" if row.parameters is None else f"{row.parameters / 1e6:.2f}M",
        "images_per_s": "" if row.images_per_s is None else f"{row.images_per_s:.0f}",
        "status": row.status,
    }


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
