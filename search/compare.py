"""Compare paired arms of a study: means, intervals and differences from a baseline.

python search/compare.py results/<name> --arms streams,encoding --baseline none/CRGB
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, local_path
from lssat.config import ConfigError
from lssat.markdown import markdown_table
from search.claims.paired import Comparison, compare
from search.record.folder import RunFolder, Stage
from search.record.trials import Status
from search.report import leaderboard
from search.report.final_table import plus_minus

EPILOG = """example:
  python search/compare.py results/texture_ablation-faces-male \\
      --arms streams,encoding --by backbone --baseline none/CRGB

The score is that of the last epoch on validation (val/score), so that no epoch was chosen by it. Intervals are
Student's t over seeds; a difference is taken seed by seed, and is called one when its p-value (paired t-test), times
the number of comparisons in the table, is below 0.05."""


def main() -> int:
    """Print a table per group; 2 for bad input."""
    parser = command_parser("python search/compare.py", str(__doc__), EPILOG)
    parser.add_argument("folder", type=local_path, help="a run folder, finished or not")
    parser.add_argument(
        "--arms",
        required=True,
        metavar="A,B",
        help="columns of the leaderboard that tell the arms apart, of: searched keys such as optim.lr, "
        f"{', '.join(leaderboard.COLUMNS)}",
    )
    parser.add_argument("--by", metavar="C", help="a column that each of its values gets a table of its own")
    parser.add_argument(
        "--baseline",
        required=True,
        metavar="ARM",
        help="the arm that the others are compared with, or how its name begins",
    )
    arguments = parser.parse_args()
    arms = arguments.arms.split(",")
    return exit_code(lambda: print(report(arguments.folder, arms, arguments.by, arguments.baseline)))


def report(path: Path, arms: Sequence[str], by: str | None, baseline: str) -> str:
    """Markdown. Raises ConfigError for unknown columns, arms or folders."""
    folder = RunFolder(path)
    rows = leaderboard.of_folder(folder)
    for column in [*arms, *([by] if by else [])]:
        if column not in leaderboard.columns(rows):
            raise ConfigError(
                f"the leaderboard has no column `{column}`; it has {', '.join(leaderboard.columns(rows))}"
            )
    groups: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        last = folder.record(Stage.SEARCH, row.trial).last
        if row.status != Status.COMPLETE or last is None:
            continue
        cells = row.cells()
        label = " ".join(str(cells[column]) for column in arms)
        by_seed = groups[str(cells[by]) if by else folder.name][label]
        if row.seed in by_seed:
            raise ConfigError(
                f"two trials of {label} have seed {row.seed}, so they differ in something else; name that column in "
                "`--arms` or `--by`"
            )
        by_seed[row.seed] = last.score
    if not groups:
        raise ConfigError(f"{path} has no finished trials to compare; give a run folder of this project")
    tables = (
        f"### {name}\n\n{_table(compare(scores, _only(baseline, scores)))}" for name, scores in sorted(groups.items())
    )
    return "\n".join(tables)


def _only(start: str, scores: Mapping[str, object]) -> str:
    """The one arm of that name, or whose name begins so. Raises ConfigError."""
    found = [label for label in scores if label == start] or [label for label in scores if label.startswith(start)]
    if len(found) != 1:
        arms = "; ".join(sorted(scores))
        raise ConfigError(f"`--baseline` must name one arm, but {start!r} fits {len(found)} of: {arms}")
    return found[0]


def _table(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for found in comparisons:
        is_baseline = found.verdict == "baseline"
        difference = "" if is_baseline else plus_minus(found.difference, found.difference_half, "+")
        score = plus_minus(found.mean, found.half)
        rows.append([found.label, str(found.seeds), score, difference, found.verdict])
    return markdown_table(["arm", "seeds", "mean ± 95%", "difference ± 95%", "verdict"], rows)


if __name__ == "__main__":
    sys.exit(main())
