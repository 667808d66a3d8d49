"""Measure how the driver's work grows with a study: `--output` writes the page from the record beside it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.performance.record import ROOT, measured_of
from tests.benchmarks.scaling import chart, page, real_study

CASES = ((100, 100), (1000, 100), (5000, 100), (10_000, 100), (1000, 1000), (5000, 1000))
"""Trials that are over, and trials that run."""
QUICK = ((100, 100), (1000, 100))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="the page to write; its record is the .json beside it")
    parser.add_argument("--quick", action="store_true", help="the two smallest cases only, which are printed")
    parser.add_argument("--trials", type=int, metavar="N", help="run a real study of so many short trials instead")
    arguments = parser.parse_args()
    if arguments.quick and arguments.output:
        parser.error("--output is for the whole, not for a part: leave out --quick")
    record = (arguments.output or ROOT / "docs/scaling.md").with_suffix(".json")
    kept: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
    if arguments.trials:
        kept["real"] = {**real_study.measured(arguments.trials), "of": measured_of()}
        print(json.dumps(kept["real"], indent=1))
    else:
        kept["now"] = [_measured(*case) for case in (QUICK if arguments.quick else CASES)]
    if arguments.output:
        record.write_text(json.dumps(kept, indent=1) + "\n")
        write(kept, arguments.output)


def write(kept: Mapping[str, Any], output: Path) -> None:
    """The page and its picture."""
    before, now = kept.get("before", []), kept.get("now", [])
    chart.draw([*_points(before, "before"), *_points(now, "now")], output.parent / "pictures" / "scaling.svg")
    output.write_text(page.markdown(before, now, kept.get("real", {})))


def _measured(over: int, running: int) -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.benchmarks.scaling.case", str(over), str(running)]
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found = {"over": over, "running": running, **json.loads(done.stdout), "of": measured_of()}
    print(json.dumps(found), flush=True)
    return found


def _points(cases: Sequence[Mapping[str, Any]], version: str) -> list[dict[str, Any]]:
    return [
        {
            "over": case["over"],
            "seconds": case[name],
            "figure": figure,
            "version": f"{version}, {case['running']:,} running",
        }
        for case in cases
        for name, figure in page.FIGURES.items()
    ]


if __name__ == "__main__":
    main()
