"""Compare the same backbones on several tasks, one run folder each: which suits which, and does one suit all?

python search/across.py results/<a> results/<b> ...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, local_path
from lssat.errors import ConfigError
from search.claims.words import MARGIN
from search.findings.task_study import read_task_study
from search.findings.tasks import names_of, notes, tasks_of, why_no_claims
from search.findings.tasks_page import single_scores, which_suits_all, which_suits_which

EPILOG = """example:
  python search/across.py results/per_task-emotion results/per_task-attributes results/per_task-deepfake

Compared are the runs of the final stage, over seeds: `search.finalists_per: backbone` makes one for each backbone, as
spaces/per_task.yaml does. Regret is how far a backbone lies below the best of a task; its bounds hold for all backbones
and tasks together in 95% of cases. Scores of different tasks may be different metrics; the margin is one of each."""


def main() -> int:
    """Print the report; 2 for bad input."""
    parser = command_parser("python search/across.py", str(__doc__), EPILOG)
    parser.add_argument(
        "folders", type=local_path, nargs="+", metavar="FOLDER", help="run folders, one for each task, finished or not"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=MARGIN,
        metavar="M",
        help=f"how far below a task's best score is as good, for all that matters (default {MARGIN:g})",
    )
    arguments = parser.parse_args()
    return exit_code(lambda: print(report(arguments.folders, arguments.margin)))


def report(folders: Sequence[Path], margin: float = MARGIN) -> str:
    """Markdown.

    Raises ConfigError for folders without finished trials, fewer than two of them, or none of the same backbones in
    all.
    """
    if not 0 < margin < 1:
        raise ConfigError(f"`--margin` must be a share of the score, 0 < margin < 1, but got {margin}")
    if len(folders) < 2:
        raise ConfigError("several tasks are compared, so give at least two run folders")
    studies = [read_task_study(folder, name) for name, folder in zip(names_of(folders), folders, strict=True)]
    if why := why_no_claims(studies):
        return "\n\n".join([why, *notes(studies), single_scores(studies)])
    found = tasks_of(studies, margin)
    return "\n\n".join([*notes(studies), which_suits_which(found), which_suits_all(found)])


if __name__ == "__main__":
    sys.exit(main())
