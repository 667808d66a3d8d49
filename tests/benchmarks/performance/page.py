"""docs/performance.md: what was measured, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch

from tests.benchmarks.performance import machine
from tests.benchmarks.performance.record import Kept
from tests.benchmarks.performance.rows import Row, Section

TRIED = Path(__file__).parent / "tried.md"
WIDTH = 120
COMMAND = "python -m tests.benchmarks.performance --output docs/performance.md"
INTRODUCTION = (
    "Ratios, each measured in one run by interleaved repeats (A/B/A/B): medians, in brackets the quartiles from round "
    "to round, and the number of rounds. They mean something on a machine that does nothing else: beside other jobs, "
    "whatever is timed in seconds scatters widely. `make bench` writes this page, section by section as it measures "
    "them, and `performance.json` beside it; of what it has not come to yet, or is told to leave out, the page "
    "shows what was recorded before. `make bench-quick` compares a part of it with what was recorded on the same kind "
    "of processor."
)


def markdown(kept: Sequence[Kept]) -> str:
    """The page. A section that was measured of something else than the first one says so itself."""
    head = ["# Performance", _wrapped(INTRODUCTION)]
    of = kept[0].of if kept else "nothing yet"
    head.append(f"- command: `{COMMAND}`\n- processor: {machine.processor()}\n- measured of: {of}")
    body = [part for each in kept for part in _parts(each.section, "" if each.of == of else each.of)]
    body += [] if torch.cuda.is_available() else ["## GPU", "Not measured: this machine has none."]
    return "\n\n".join([*head, *body, TRIED.read_text().strip()]) + "\n"


def lines(rows: Sequence[Row]) -> list[str]:
    """A table of ratios."""
    table = [("ratio", "measured", "aim", "reached")]
    for name, (value, low, high, rounds), aim in rows:
        spread = f" ({_short(low)} to {_short(high)}, {rounds} rounds)" if rounds > 1 else ""
        table.append(
            (name, f"{_short(value)}{spread}", f"{aim.kind} {aim.value:g}", "yes" if aim.holds(value) else "no")
        )
    return _table(table)


def _parts(section: Section, of: str) -> list[str]:
    parts = [f"## {section.title}", *([f"Measured of: {of}"] if of else [])]
    if section.not_measured:
        return [*parts, f"Not measured: {section.not_measured}."]
    parts += [_wrapped(section.prose), "\n".join(lines(section.rows))]
    return [*parts, "\n".join(_table(section.table))] if section.table else parts


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if abs(ratio) >= 0.1 else f"{ratio:.4f}"


def _table(cells: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = (f"| {' | '.join(line)} |" for line in cells)
    return [head, "|" + " --- |" * len(cells[0]), *rest]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
