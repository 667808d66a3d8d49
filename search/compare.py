"""Compare paired arms of a study: means, intervals and differences from a baseline.

python search/compare.py results/<name> --arms streams,encoding --baseline none/CRGB
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.config import ConfigError
from search.claims.paired import Arm, compare
from search.report import leaderboard

EPILOG = """example:
  python search/compare.py results/texture_ablation-faces-male --arms streams,encoding --by backbone --baseline none/CRGB

The score is val/score of the last epoch, so that no epoch was chosen by it. Intervals are Student's t over seeds; a difference is taken seed by
seed, and is called one when its p-value (paired t-test), times the number of comparisons in the table, is below 0.05."""


def main() -> int:
    """Print a table per group; 2 for bad input."""
    columns = [field.name for field in fields(leaderboard.Row)]
    parser = argparse.ArgumentParser(
        prog="python search/compare.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a run folder, finished or not")
    parser.add_argument(
        "--arms",
        required=True,
        metavar="A,B",
        help=f"columns of the leaderboard that tell the arms apart, of: {', '.join(columns)}",
    )
    parser.add_argument("--by", metavar="C", help="a column that each of its values gets a table of its own")
    parser.add_argument(
        "--baseline",
        required=True,
        metavar="ARM",
        help="the arm that the others are compared with, or how its name begins",
    )
    arguments = parser.parse_args()
    try:
        print(report(arguments.folder, arguments.arms.split(","), arguments.by, arguments.baseline))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def report(folder: Path, arms: Sequence[str], by: str | None, baseline: str) -> str:
    """Markdown. Raises ConfigError for unknown columns, arms or folders."""
    for column in [*arms, *([by] if by else [])]:
        if column not in {field.name for field in fields(leaderboard.Row)}:
            raise ConfigError(f"the leaderboard has no column `{column}`; `--help` lists them")
    groups: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in leaderboard.rank(folder):
        if row.status == "complete":
            label = " ".join(str(getattr(row, column)) for column in arms)
            last = leaderboard.metrics(folder / "trials" / row.trial)[-1]
            by_seed = groups[str(getattr(row, by)) if by else folder.name][label]
            if row.seed in by_seed:
                raise ConfigError(
                    f"two trials of {label} have seed {row.seed}, so they differ in something else; name that column "
                    "in `--arms` or `--by`"
                )
            by_seed[row.seed] = last["val/score"]
    if not groups:
        raise ConfigError(f"{folder} has no finished trials to compare; give a run folder of this project")
    return "\n\n".join(
        f"### {name}\n\n{_table(compare(scores, _only(baseline, scores)))}" for name, scores in sorted(groups.items())
    )


def _only(start: str, scores: Mapping[str, object]) -> str:
    found = [label for label in scores if label == start] or [label for label in scores if label.startswith(start)]
    if len(found) != 1:
        raise ConfigError(
            f"`--baseline` must name one arm, but {start!r} fits {len(found)} of: {'; '.join(sorted(scores))}"
        )
    return found[0]


def _table(arms: Sequence[Arm]) -> str:
    lines = ["| arm | seeds | mean ± 95% | difference ± 95% | |", "| --- | --- | --- | --- | --- |"]
    for arm in arms:
        difference = "" if arm.verdict == "baseline" else f"{arm.difference:+.4f} ± {arm.difference_half:.4f}"
        lines.append(f"| {arm.label} | {arm.seeds} | {arm.mean:.4f} ± {arm.half:.4f} | {difference} | {arm.verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
