"""docs/performance.md, and the ratios that were recorded with it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tests.benchmarks.performance import machine
from tests.benchmarks.performance.rows import Row, Section

HERE = Path(__file__).parent
RECORDED, TRIED = HERE / "recorded.json", HERE / "tried.md"
WIDTH = 120
TOLERATED = 0.25
COMMAND = "python -m tests.benchmarks.performance --output docs/performance.md"
INTRODUCTION = (
    "Ratios, each measured in one run by interleaved repeats (A/B/A/B): medians, in brackets the quartiles from round "
    "to round, and the number of rounds. They mean something on a machine that does nothing else: beside other jobs, "
    "whatever is timed in seconds scatters widely. `make bench` writes this page; `make bench-quick` compares a part "
    "of it with what was recorded on the same kind of processor."
)


class NotRecorded(RuntimeError):
    """There is nothing to compare with on this processor."""


def markdown(sections: Sequence[Section]) -> str:
    """The page."""
    head = ["# Performance", _wrapped(INTRODUCTION)]
    head.append(f"- command: `{COMMAND}`\n- processor: {machine.processor()}\n- versions: {machine.versions()}")
    body = [part for section in sections for part in _parts(section)]
    body += [] if torch.cuda.is_available() else ["## GPU", "Not measured: this machine has none."]
    return "\n\n".join([*head, *body, TRIED.read_text().strip()]) + "\n"


def record(sections: Sequence[Section]) -> None:
    """Keep the ratios of this processor for later comparisons."""
    known = _recorded()
    known[machine.processor()] = {row.name: round(row.ratio.value, 4) for row in _rows(sections)}
    RECORDED.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def worse(sections: Sequence[Section]) -> list[str]:
    """The ratios that are worse than recorded by more than is tolerated. Raises NotRecorded."""
    known = _recorded().get(machine.processor())
    if not known:
        raise NotRecorded(f"no ratios were recorded on {machine.processor()}; record them by `make bench`")
    return [
        f"{row.name}: {row.ratio.value:.3f}, recorded {known[row.name]:.3f}"
        for row in _rows(sections)
        if row.name in known and row.aim.worse_by(row.ratio.value, known[row.name]) > TOLERATED
    ]


def lines(rows: Sequence[Row]) -> list[str]:
    """A table of ratios."""
    table = [("ratio", "measured", "aim", "reached")]
    for name, (value, low, high, rounds), aim in rows:
        spread = f" ({low:.2f} to {high:.2f}, {rounds} rounds)" if rounds > 1 else ""
        table.append((name, f"{value:.2f}{spread}", f"{aim.kind} {aim.value:g}", "yes" if aim.holds(value) else "no"))
    return _table(table)


def _parts(section: Section) -> list[str]:
    parts = [f"## {section.title}"]
    if section.not_measured:
        return [*parts, f"Not measured: {section.not_measured}."]
    parts += [_wrapped(section.prose), "\n".join(lines(section.rows))]
    return [*parts, "\n".join(_table(section.table))] if section.table else parts


def _table(cells: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = (f"| {' | '.join(line)} |" for line in cells)
    return [head, "|" + " --- |" * len(cells[0]), *rest]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _rows(sections: Sequence[Section]) -> list[Row]:
    return [row for section in sections for row in section.rows]


def _recorded() -> dict[str, Mapping[str, float]]:
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
