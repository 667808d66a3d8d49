"""Measure how fast the training step is and what is around it, as ratios that hold on any machine.

`--output` writes the page anew after each section, from the record beside it, so that a run that is ended keeps what it
had measured; `--quick` measures a part and fails where a ratio is worse than recorded by more than a quarter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.performance import joint_step, memory, overhead, page, side_by_side, texture, turnover
from tests.benchmarks.performance.feeding import rates, waiting
from tests.benchmarks.performance.record import ROOT, Record, measured_of
from tests.benchmarks.performance.rows import Effort, Row, Section

Bench = Callable[[Effort], Iterator[Section]]
BENCHES: dict[str, Bench] = {
    "joint": joint_step.sections,
    "overhead": overhead.sections,
    "memory": memory.sections,
    "texture": texture.sections,
    "waiting": waiting.sections,
    "rates": rates.sections,
    "turnover": turnover.sections,
    "side_by_side": side_by_side.sections,
}
TOLERATED = 0.25
"""Share of a recorded ratio by which a new one may be worse."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="the page to write; its record is the .json beside it")
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=[*BENCHES], help="others stay as recorded")
    parser.add_argument("--resume", action="store_true", help="leave out what is recorded of this commit already")
    parser.add_argument("--quick", action="store_true", help="compare a part with what was recorded")
    parser.add_argument("--seconds", type=float, default=12.0, help="of repeats, per case")
    arguments = parser.parse_args()
    if arguments.quick and arguments.output:
        parser.error("--output is for the whole, not for a part: leave out --quick")
    record = Record((arguments.output or ROOT / "docs/performance.md").with_suffix(".json"))
    benches = {name: BENCHES[name] for name in arguments.only}
    if arguments.resume:
        benches = {name: bench for name, bench in benches.items() if not record.has_whole(name, measured_of())}
    effort = Effort(arguments.seconds, arguments.quick)
    if arguments.output:
        measure(benches, effort, record, arguments.output)
        return 0
    rows = [row for bench in benches.values() for section in _shown(bench(effort)) for row in section.rows]
    return _compared(rows, record.rows()) if arguments.quick else 0


def measure(benches: Mapping[str, Bench], effort: Effort, record: Record, output: Path) -> None:
    """Record each section as soon as it is measured, and write the page anew."""
    of = measured_of()
    for name, bench in benches.items():
        measured: list[Section] = []
        for section in _shown(bench(effort)):
            measured.append(section)
            record.add(name, measured, of)
            _write(record, output)
        record.end(name, measured, of)
        _write(record, output)


def worse(rows: Sequence[Row], recorded: Mapping[str, Row]) -> list[str]:
    """The ratios that are worse than recorded by more than is tolerated."""
    return [
        f"{row.name}: {row.ratio.value:.3f}, recorded {recorded[row.name].ratio.value:.3f}"
        for row in rows
        if row.name in recorded and row.aim.worse_by(row.ratio.value, recorded[row.name].ratio.value) > TOLERATED
    ]


def _write(record: Record, output: Path) -> None:
    output.write_text(page.markdown([each for name in BENCHES for each in record.sections(name)]))


def _shown(sections: Iterator[Section]) -> Iterator[Section]:
    for section in sections:
        print(f"\n{section.title}\n", *page.lines(section.rows), sep="\n", flush=True)
        yield section


def _compared(rows: Sequence[Row], recorded: Mapping[str, Row]) -> int:
    if not recorded:
        print("error: no ratios were recorded on this kind of processor; record them by `make bench`", file=sys.stderr)
        return 2
    found = worse(rows, recorded)
    for line in found:
        print(f"worse by more than {TOLERATED:.0%}: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
