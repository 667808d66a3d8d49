"""Compare the same backbones on several tasks, one run folder each: scores, ranks, and whether one suits all.

python search/across.py results/<a> results/<b> ...
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # started as a script: Python put search/ on the path, where the project belongs
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lssat.command import command_parser, exit_code, local_path
from lssat.config import ConfigError
from lssat.markdown import markdown_table
from search.claims.ranks import Scores, agreements, best_of_each, largest_shortfalls, mean_ranks, ranks
from search.record.folder import RunFolder
from search.record.trials import Status
from search.report import leaderboard

EPILOG = """example:
  python search/across.py results/per_task-emotion results/per_task-attributes results/per_task-deepfake

Of each backbone the best complete trial counts, by its best score on validation. Give every backbone the same number of
trials on every task, as a grid does: the best of more trials is higher by luck alone. Scores of different tasks are
different metrics, so ranks are compared between tasks, and scores only within one. With one seed per trial neighbours
are not proven to differ: the margin is a margin and no test."""


def main() -> int:
    """Print the report; 2 for bad input."""
    parser = command_parser("python search/across.py", str(__doc__), EPILOG)
    parser.add_argument(
        "folders", type=local_path, nargs="+", metavar="FOLDER", help="run folders, one for each task, finished or not"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.02,
        metavar="M",
        help="how far below a task's best score still counts as near it (default 0.02)",
    )
    arguments = parser.parse_args()
    return exit_code(lambda: print(report(arguments.folders, arguments.margin)))


def report(folders: Sequence[Path], margin: float) -> str:
    """Markdown.

    Raises ConfigError for folders without finished trials, fewer than two of them, or none of the same backbones in
    all.
    """
    if not 0 <= margin < 1:
        raise ConfigError(f"`--margin` must be a share of the score, 0 <= margin < 1, but got {margin}")
    names = _names(folders)
    scores = {name: best_scores(folder) for name, folder in zip(names, folders, strict=True)}
    shared = [backbone for backbone in scores[names[0]] if all(backbone in of_task for of_task in scores.values())]
    if len(shared) < 2:
        raise ConfigError(
            f"fewer than two backbones have finished in all of {', '.join(names)}; run the same space, such as "
            "spaces/per_task.yaml, on each task"
        )
    kept = {name: {backbone: of_task[backbone] for backbone in shared} for name, of_task in scores.items()}
    left_out = sorted({backbone for of_task in scores.values() for backbone in of_task} - set(shared))
    note = f"Left out, because not all tasks have them finished: {', '.join(left_out)}.\n\n" if left_out else ""
    return f"{table(kept)}\n{note}{agreement(kept)}\n{which_suits_which(kept)}\n\n{one_for_all(kept, margin)}"


def best_scores(folder: Path) -> dict[str, float]:
    """Backbone -> score of its best complete trial. Raises ConfigError where there is none."""
    try:
        rows = leaderboard.of_folder(RunFolder(folder))
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"{folder} cannot be read: {type(error).__name__}: {error}; it was written by another version, or is "
            "damaged"
        ) from None
    if not rows:
        raise ConfigError(f"{folder} is no run folder of this project; give results/<name> of a finished search")
    best: dict[str, float] = {}
    for row in rows:  # from the best to the worst
        if row.status == Status.COMPLETE and row.score is not None:
            best.setdefault(row.backbone, row.score)
    if not best:
        raise ConfigError(f"{folder} has no complete trial; go on with its search (`--resume`)")
    return best


def table(scores: Scores) -> str:
    """A row for each backbone: score and rank in each task, mean rank."""
    ranked = {task: ranks(of_task) for task, of_task in scores.items()}
    header = ["backbone", *(name for task in scores for name in (task, "rank")), "mean rank"]
    rows = []
    for backbone, mean in mean_ranks(scores).items():
        cells = (text for task in scores for text in (f"{scores[task][backbone]:.4f}", f"{ranked[task][backbone]:g}"))
        rows.append([backbone, *cells, f"{mean:.2f}"])
    return markdown_table(header, rows)


def agreement(scores: Scores) -> str:
    """How alike each pair of tasks ranks the backbones: 1 for the same order, -1 for the reverse."""
    rows = [
        [", ".join(found.tasks), *("-" if value is None else f"{value:+.2f}" for value in found[1:])]
        for found in agreements(scores)
    ]
    return markdown_table(["tasks", "Kendall tau", "Spearman rho"], rows)


def which_suits_which(scores: Scores) -> str:
    """The best backbone of each task, all of them where several are equal."""
    lines = ["**Which backbone suits which task?**"]
    for task, backbones in best_of_each(scores).items():
        lines.append(f"- {task}: {', '.join(backbones)} ({max(scores[task].values()):.4f})")
    return "\n".join(lines)


def one_for_all(scores: Scores, margin: float) -> str:
    """Whether one backbone is within the margin of the best in every task, and which falls least behind."""
    behind = largest_shortfalls(scores)
    near = [backbone for backbone in behind if behind[backbone] <= margin + 1e-12]
    question = f"**Is there one that suits all?** Within {margin:g} of the best in every task (a margin, no test): "
    if near:
        return question + ", ".join(f"{backbone} (at most {behind[backbone]:.4f} behind)" for backbone in near) + "."
    least = next(iter(behind))
    return question + f"none. {least} falls least behind: {behind[least]:.4f} in its worst task."


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
