"""Compare arms of a study: means, differences with intervals, and what may be said of them.

python search/compare.py results/<name> --arms streams,encoding --baseline none/CRGB
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, local_path
from lssat.errors import ConfigError
from lssat.text.markdown import markdown_table
from search.claims.estimate import estimate
from search.claims.runs import Runs
from search.claims.words import MARGIN, beside_baselines, beside_best
from search.findings import leaderboard
from search.findings.scored_runs import scored_runs
from search.findings.told import Rule, seconds_of_a_seed, told
from search.record.folder import RunFolder, Stage
from search.record.trials import Status

EPILOG = """example:
  python search/compare.py results/texture_ablation-faces-male \\
      --arms streams,encoding --by backbone --baseline none/CRGB

The score is that of the best epoch on validation, chosen alike for all arms. A difference is that of the scores which
two arms can expect over training seeds and over validation units (persons, videos or images); all claims of a table
hold together in 95% of studies. Trials that were chosen by their scores, as a sampler chooses, are luckier than that:
compare the arms of a grid."""


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
        metavar="ARM",
        help="the arm that the others are compared with, or how its name begins; by default the best one",
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=MARGIN,
        metavar="M",
        help=f"arms whose expected scores differ by less are equivalent (default {MARGIN})",
    )
    arguments = parser.parse_args()
    columns, baseline, margin = arguments.arms.split(","), arguments.baseline, arguments.margin
    return exit_code(lambda: print(report(arguments.folder, columns, arguments.by, baseline, margin)))


def report(path: Path, arms: Sequence[str], by: str | None, baseline: str | None = None, margin: float = MARGIN) -> str:
    """Markdown. `baseline`: None for the best arm. Raises ConfigError for unknown columns, arms or folders."""
    if not 0 < margin < 1:
        raise ConfigError(f"`--margin` must be a share of the score, 0 < margin < 1, but got {margin}")
    folder = RunFolder(path)
    rows = leaderboard.of_folder(folder)
    for column in [*arms, *([by] if by else [])]:
        if column not in leaderboard.columns(rows):
            raise ConfigError(
                f"the leaderboard has no column `{column}`; it has {', '.join(leaderboard.columns(rows))}"
            )
    groups: dict[str, dict[tuple[str, int], str]] = defaultdict(dict)  # (arm, seed) -> trial
    for row in rows:
        if row.status != Status.COMPLETE:
            continue
        cells = row.cells()
        arm = " ".join(str(cells[column]) for column in arms), row.seed
        trials = groups[str(cells[by]) if by else folder.name]
        if arm in trials:
            raise ConfigError(
                f"two trials of {arm[0]} have seed {row.seed}, so they differ in something else; name that column in "
                "`--arms` or `--by`"
            )
        trials[arm] = row.trial
    if not groups:
        raise ConfigError(f"{path} has no finished trials to compare; give a run folder of this project")
    tables = []
    for name, trials in sorted(groups.items()):
        of_trial = {trial: arm for arm, trial in trials.items()}
        rule = Rule(margin, seconds_of_a_seed=seconds_of_a_seed(folder, Stage.SEARCH, of_trial))
        tables.append(f"### {name}\n\n{_table(scored_runs(folder, Stage.SEARCH, of_trial), baseline, rule)}")
    return "\n".join(tables)


def _table(scored: Runs, baseline: str | None, rule: Rule) -> str:
    """The arms beside the baseline, which comes first, or beside the best."""
    found = estimate(scored)
    if baseline is None:
        claims, first = beside_best(found, rule.margin), []
    else:
        base = _only(baseline, found.arms)
        pairs = [(arm, base) for arm in found.arms if arm != base]
        claims, first = beside_baselines(found, pairs, margin=rule.margin), [base]
    numbers = {
        arm: [str(count), f"{mean:.4f}"] for arm, count, mean in zip(found.arms, found.runs, found.means, strict=True)
    }
    rows = [[arm, *numbers[arm], "", "baseline", ""] for arm in first]
    for of in told(found, claims, rule):
        rows.append([of.claim.arm, *numbers[of.claim.arm], of.plus_minus, of.claim.word, of.to_tell])
    beside = "the best" if baseline is None else "the baseline"
    return markdown_table(["arm", "seeds", "mean", f"to {beside} ± 95%", "verdict", "would tell"], rows)


def _only(start: str, arms: Sequence[str]) -> str:
    """The one arm of that name, or whose name begins so. Raises ConfigError."""
    found = [arm for arm in arms if arm == start] or [arm for arm in arms if arm.startswith(start)]
    if len(found) != 1:
        raise ConfigError(f"`--baseline` must name one arm, but {start!r} fits {len(found)} of: {'; '.join(arms)}")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
