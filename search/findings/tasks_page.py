"""Several tasks as Markdown: which backbone suits which, and does one suit all? Intervals stand beside the words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lssat.text.markdown import markdown_table
from search.claims.regret import Regrets
from search.findings.task_study import TaskStudy
from search.findings.tasks import Compared, Tasks, shared

BOUNDS = (
    "How far behind the best of a task, and between which bounds, which all hold together in 95% of cases. The "
    "probabilities are those of somebody who knew nothing beforehand. Differences within a task, above, have narrower "
    "bounds: they answer for that task alone."
)


def which_suits_which(found: Tasks) -> str:
    """Each task's scores with what they say of each backbone, by the rule of the task, and what would tell more."""
    rows = [[backbone, *(_cell(of_task, backbone) for of_task in found.each.values())] for backbone in found.backbones]
    lines = [line for task, of_task in found.each.items() for line in _said_of(task, of_task)]
    title = "**Which backbone suits which task?** Mean scores of the final stage; differences to the task's best."
    return f"{title}\n\n{markdown_table(['backbone', *found.each], rows)}\n" + "\n".join(lines)


def which_suits_all(found: Tasks) -> str:
    """Regrets with their bounds, probabilities, and the sentence that they make."""
    header = ["backbone", *found.each, "best in all", f"within {found.margin:g} in all", ""]
    table = markdown_table(header, _regret_rows(found.regrets, found.margin))
    return f"**Does one suit all?** {found.one_for_all}\n\n{table}\n{BOUNDS}\n\n{found.ranks}"


def single_scores(studies: Sequence[TaskStudy]) -> str:
    """The best trial of each backbone, as a description."""
    backbones = shared(studies, [study.single for study in studies], "have finished")
    rows = [[backbone, *(f"{study.single[backbone]:.4f}" for study in studies)] for backbone in backbones]
    table = markdown_table(["backbone", *(study.name for study in studies)], rows)
    return f"The best trial of each backbone, one seed each: nothing is claimed.\n\n{table}"


def _cell(of_task: Compared, backbone: str) -> str:
    """`0.9461 worse (-0.0310 to -0.0052)`."""
    claim = of_task.of(backbone).claim
    bounds = "" if math.isnan(claim.low) else f" ({claim.low:+.4f} to {claim.high:+.4f})"
    return f"{of_task.mean(backbone):.4f} {claim.word}{bounds}"


def _said_of(task: str, of_task: Compared) -> Iterator[str]:
    """What a task's words rest on, or why there are none; and what it would take to tell more."""
    yield f"- {task}: {of_task.rests_on}"
    for of in of_task.told:
        if of.cost:
            yield f"  - {of.claim.arm} from {of.claim.beside}: {of.to_tell}"


def _regret_rows(found: Regrets, margin: float) -> Iterator[list[str]]:
    words, near, best = found.words(margin), found.near_in_all(margin), found.best_in_all
    order = sorted(range(len(found.arms)), key=lambda arm: found.seen[:, arm].max())
    for arm in order:
        sides = zip(found.seen[:, arm], found.low[:, arm], found.high[:, arm], strict=True)
        cells = (f"{seen:.4f} ({low:.4f} to {high:.4f})" if high < 1 else f"{seen:.4f}" for seen, low, high in sides)
        shares = ("-", "-") if found.troubles else (f"{best[arm]:.0%}", f"{near[arm]:.0%}")
        yield [found.arms[arm], *cells, *shares, str(words[found.arms[arm]])]
