"""Compare the same backbones on several tasks, one run folder each: which suits which, and does one suit all?

python search/across.py results/<a> results/<b> ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, local_path
from lssat.config import ConfigError
from lssat.markdown import markdown_table
from search.claims.estimate import estimate
from search.claims.words import MARGIN
from search.findings.task_study import TaskStudy, read_task_study
from search.findings.tasks_page import which_suits_all, which_suits_which

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
    names = _names(folders)
    studies = [read_task_study(folder, name) for name, folder in zip(names, folders, strict=True)]
    without = [study.name for study in studies if not study.finals]
    if without:
        return "\n\n".join([_why_no_claims(without), *_notes(studies), single_scores(studies)])
    shared = _shared(studies, [study.finals for study in studies], "have final runs")
    found = {study.name: estimate(study.runs(shared)) for study in studies}
    rules = {study.name: study.rule(shared, margin) for study in studies}
    return "\n\n".join([*_notes(studies), which_suits_which(found, rules), which_suits_all(found, margin)])


def single_scores(studies: Sequence[TaskStudy]) -> str:
    """The best trial of each backbone, as a description."""
    shared = _shared(studies, [study.single for study in studies], "have finished")
    rows = [[backbone, *(f"{study.single[backbone]:.4f}" for study in studies)] for backbone in shared]
    table = markdown_table(["backbone", *(study.name for study in studies)], rows)
    return f"The best trial of each backbone, one seed each: nothing is claimed.\n\n{table}"


def _why_no_claims(without: Sequence[str]) -> str:
    which = f"{', '.join(without)} {'has' if len(without) == 1 else 'have'}"
    return (
        f"Neither which backbone suits which task nor whether one suits all can be told: {which} no final stage, and "
        "single trials differ by luck. Go on with `--resume --set search.finalists=1 --set "
        "search.finalists_per=backbone --set search.supervised=none`, as spaces/per_task.yaml has it."
    )


def _notes(studies: Sequence[TaskStudy]) -> list[str]:
    """What makes the studies less comparable than they look."""
    found = []
    for one, other in combinations(studies, 2):
        if one.data and one.data == other.data:
            found.append(f"Note: {one.name} and {other.name} are of the same task and data, so they are no two tasks.")
    profiles = {study.profile for study in studies}
    if len(profiles) > 1:
        which = ", ".join(f"{study.name} of {study.profile or 'an unknown one'}" for study in studies)
        found.append(f"Note: the studies are of different profiles ({which}): what suits may be due to those.")
    for study in studies:
        counts = study.tuned.values()
        if min(counts) < max(counts):
            found.append(
                f"Note: {study.name} tuned its backbones by unequal numbers of trials ({min(counts)} to "
                f"{max(counts)}), which favours those with more."
            )
    kept = set(studies[0].single).intersection(*(study.finals or study.single for study in studies[1:]))
    kept &= set(studies[0].finals or studies[0].single)
    left_out = sorted({backbone for study in studies for backbone in study.single} - kept)
    if left_out:
        found.append(f"Left out, because not all tasks have them finished: {', '.join(left_out)}.")
    return found


def _shared(studies: Sequence[TaskStudy], of_each: Sequence[Mapping[str, object]], what: str) -> list[str]:
    """The backbones of all. Raises ConfigError for fewer than two."""
    shared = [backbone for backbone in of_each[0] if all(backbone in of_task for of_task in of_each)]
    if len(shared) < 2:
        raise ConfigError(
            f"fewer than two backbones {what} in all of {', '.join(study.name for study in studies)}; run the same "
            "space, such as spaces/per_task.yaml, on each task"
        )
    return shared


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names without what they begin with alike: `emotion` of `per_task-emotion`.

    Raises ConfigError for fewer than two, or one given twice.
    """
    names = [folder.resolve().name for folder in folders]
    if len(names) < 2:
        raise ConfigError("several tasks are compared, so give at least two run folders")
    if len(set(names)) < len(names):
        raise ConfigError(f"each run folder must have a name of its own, but got {', '.join(names)}")
    shared = 0
    while all(name[: shared + 1] == names[0][: shared + 1] for name in names) and shared < min(map(len, names)):
        shared += 1
    start = names[0][:shared].rfind("-") + 1
    return [name[start:] for name in names]


if __name__ == "__main__":
    sys.exit(main())
