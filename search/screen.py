"""What the user sees: one console. Everything that libraries print goes to the log file instead."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from search.leaderboard import Row


def console_beside(log: Path) -> Console:
    """A console on the terminal, after sending this process's standard output and error, and so that of all it starts, to `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    screen = os.fdopen(os.dup(1), "w", buffering=1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    return Console(file=screen, highlight=False, width=None if screen.isatty() else 160)


def show_leaderboard(console: Console, rows: list[Row]) -> None:
    """The ranked trials as a table."""
    table = Table(title="Leaderboard (ranked on validation)", title_justify="left", header_style="bold")
    for name in ("rank", "trial", "backbone", "size", "streams", "target", "aux weight", "mask", "val", "test", "epochs", "params", "images/s", "status"):
        table.add_column(name, justify="left" if name in ("backbone", "size", "streams", "target", "status") else "right", no_wrap=True)
    for row in rows:
        style = "bold green" if row.test is not None else "dim" if row.status in ("failed", "running") else ""
        table.add_row(*map(_cell, _cells(row)), style=style)
    console.print(table)
    for row in rows:
        if row.reason:
            console.print(f"  trial {row.trial} {row.status}: {row.reason}", style="yellow", markup=False)


def _cells(row: Row) -> list[Any]:
    millions = None if row.parameters is None else f"{row.parameters / 1e6:.2f}M"
    rate = None if row.images_per_s is None else f"{row.images_per_s:.0f}"
    weight = f"{row.aux_weight:.2f}" if row.encoding != "-" else "-"
    backbone = row.backbone if row.pretrained == "no" else f"{row.backbone} (pretrained)"
    columns = [row.rank, row.trial, backbone, row.size, row.streams, row.encoding, weight, row.mask_ratio, row.score, row.test]
    return [*columns, row.epochs, millions, rate, row.status]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
