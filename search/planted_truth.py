"""`python -m search.planted_truth`: say what may be said of studies whose truth is known, and write docs/claims.md.

2,000 studies of each kind take about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from lssat.command import exit_code, local_path
from lssat.errors import ConfigError
from lssat.files import write_text
from search.claims.runs import Runs
from search.findings.scored_runs import scored_runs
from search.planted.arm_tables import arm_tables
from search.planted.files import write_study
from search.planted.power_table import power_table
from search.planted.role_tables import role_tables
from search.planted.studies import Plant, draw_answers
from search.planted.task_tables import task_tables
from search.record.folder import RunFolder, Stage

ROTATION = """\

## Where held-out values rotate

With `search.rotate` the score of an arm and a seed is the mean over the runs of that seed that each hold out one value,
or the worst of them. What is held out is a part of the seed's block: blocks are compared, of the same seed and over the
same values, and more values do not count as more seeds. So an interval is of further seeds and further validation
units *with these values held out*. It does not hold for values to come: those of a study are not drawn from all new
forgeries there will be, and how much these differ from one another is in no interval. `finals.md` and the report have
each value by itself: an arm that is ahead on average may be behind on one, or on a new one. The tables above are of
studies that hold nothing out; that such blocks of 2 arms, 8 seeds and 3 values hold the truth in at least 92% of 300
planted studies, by mean and by worst, is tested in `tests/search/findings/test_rotation.py`.
"""
OUTPUT = Path(__file__).parents[1] / "docs" / "claims.md"


def main() -> int:
    """Simulate and write the page. 0: done, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m search.planted_truth", description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="planted studies of each kind; default: 2000")
    parser.add_argument("--files", type=int, default=200, help="of each kind, by way of prediction files; default: 200")
    parser.add_argument(
        "--output", type=local_path, default=OUTPUT, help="where the page goes; default: docs/claims.md"
    )
    arguments = parser.parse_args()
    return exit_code(lambda: _write(arguments.studies, arguments.files, arguments.output))


def through_files(plant: Plant, generator: np.random.Generator) -> Runs:
    """A study of equal arms, drawn image by image, as it is read from files like those that a real one leaves."""
    with tempfile.TemporaryDirectory() as folder:
        study = RunFolder(Path(folder))
        return scored_runs(study, Stage.FINAL, write_study(study, draw_answers(plant, generator)))


def page(studies: int, files: int, command: str) -> str:
    """The page as Markdown."""
    arms = arm_tables(studies, files, command, through_files)
    return arms + task_tables(studies) + role_tables(studies) + power_table(studies) + ROTATION


def _write(studies: int, files: int, output: Path) -> None:
    for option, number in (("--studies", studies), ("--files", files)):
        if number < 1:
            raise ConfigError(f"`{option} >= 1` must hold, but got {number}")
    command = f"python -m search.planted_truth --studies {studies} --files {files}"
    write_text(output, page(studies, files, command))


if __name__ == "__main__":
    sys.exit(main())
