"""Measure how fast the training step is, as ratios that hold on any machine.

`--output` writes the page and records the ratios of this processor; `--quick` measures a part and fails where a ratio
is worse than recorded by more than a quarter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.performance import joint_step, memory, overhead, page
from tests.benchmarks.performance.rows import Effort, Section

BENCHES: tuple[Callable[[Effort], Iterator[Section]], ...] = (joint_step.sections, overhead.sections, memory.sections)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="the page to write")
    parser.add_argument("--quick", action="store_true", help="compare a part with what was recorded")
    parser.add_argument("--seconds", type=float, default=12.0, help="of repeats, per case")
    arguments = parser.parse_args()
    sections = []
    for bench in BENCHES:
        for section in bench(Effort(arguments.seconds, arguments.quick)):
            print(f"\n{section.title}\n", *page.lines(section.rows), sep="\n", flush=True)
            sections.append(section)
    if arguments.output:
        if arguments.quick:
            parser.error("--output is for the whole, not for a part: leave out --quick")
        page.record(sections)
        arguments.output.write_text(page.markdown(sections))
    return _compared(sections) if arguments.quick else 0


def _compared(sections: list[Section]) -> int:
    try:
        found = page.worse(sections)
    except page.NotRecorded as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for line in found:
        print(f"worse by more than {page.TOLERATED:.0%}: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
