"""Several studies as several tasks: which backbone suits which, and does one suit all?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lssat.errors import ConfigError, why_of
from search.claims.regret import Suits
from search.claims.words import Word, listed
from search.findings.task_study import TaskStudy
from search.findings.tasks import Compared, Tasks, notes, shared, tasks_of, why_no_claims
from search.findings.told import Told, would_tell
from search.page.document import Block, Cell, Part, Section, Statement, Table
from search.page.sections.questions.task_charts import by_regret, heat_map, regrets
from search.page.statements import BESIDE_BEST
from search.page.study import StudyOnPage

ID = "together"
"""Of the part, and of all statements in it."""
TITLE = "Which backbone suits which task?"
REGRETS = "bounds of regrets that hold for all backbones and tasks together in 95% of cases (Edwards and Hsu)"
BOUNDS = (
    "`at least` and `at most` are bounds that hold for all backbones and tasks together in 95% of cases; the "
    "probabilities are those of somebody who knew nothing beforehand."
)
TABLE, ALL = "tasks", "tasks_together"
"""Names of the tables."""


@dataclass(frozen=True)
class _Found:
    """What several studies tell together. `tasks`: None where that is nothing, which `why` then says."""

    studies: Sequence[TaskStudy]
    tasks: Tasks | None
    why: str
    notes: Sequence[str]


def part(studies: Sequence[StudyOnPage], margin: float) -> Part | None:
    """What the studies say together; None where there is one."""
    if len(studies) < 2:
        return None
    found = _found(studies, margin)
    answer = list(_answer(found.tasks)) if found.tasks else [_nothing(found.why)]
    blocks = list(_blocks(found.tasks) if found.tasks else _described(found.studies))
    blocks += [Statement(f"{ID}.note.{place}", note, is_warning=True) for place, note in enumerate(found.notes)]
    sections = [Section("answer", "The answer", answer)]
    if blocks:
        sections.append(Section("tasks", TITLE, blocks))
    return Part(ID, "All tasks together", sections)


def _found(studies: Sequence[StudyOnPage], margin: float) -> _Found:
    read, left_out = [], []
    for study in studies:
        try:
            read.append(study.as_task)
        except (ValueError, KeyError, OSError) as error:  # no complete trial, or damaged files
            left_out.append(f"{study.id} is left out: {why_of(error)}.")
    if len(read) < 2:
        return _Found(read, None, "fewer than two studies have a complete trial", left_out)
    said = [*left_out, *notes(read)]
    if len({study.data or study.name for study in read}) == 1:
        return _Found(read, None, "all studies are of one task and the same data", left_out)
    try:
        if why := why_no_claims(read):
            return _Found(read, None, why, said)
        return _Found(read, tasks_of(read, margin), "", said)
    except ConfigError as error:
        return _Found(read, None, str(error), said)


def _nothing(why: str) -> Statement:
    text = why if why.startswith("Neither") else f"Nothing can be said across tasks: {why}."
    return Statement(f"{ID}.nothing", text, is_warning=True)


def _answer(found: Tasks) -> Iterator[Statement]:
    which = "; ".join(f"{task}: {_best_of(of_task)}" for task, of_task in found.each.items())
    yield Statement(f"{ID}.which", f"{which}.", BESIDE_BEST, margin=found.margin, data=f"{TABLE}.csv")
    yield _one_for_all(found, "all")
    yield Statement(f"{ID}.more", " ".join(_open(found)) or "At this margin nothing is left open.", data=f"{TABLE}.csv")


def _open(found: Tasks) -> Iterator[str]:
    """What would tell more of each task, and on which tasks it hangs whether one suits all."""
    costs = {
        task: would_tell(rivals)
        for task, of_task in found.each.items()
        if not of_task.why and (rivals := _rivals(of_task))
    }
    if costs:
        yield f"What would tell more? {'; '.join(f'{task}: {cost}' for task, cost in costs.items())}."
    of_all, words = found.regrets, found.regrets.words(found.margin)
    for backbone in (backbone for backbone in by_regret(found) if words[backbone] is Suits.MAY_SUIT):
        highest = of_all.high[:, of_all.arms.index(backbone)]
        hangs_on = [task for task, high in zip(of_all.tasks, highest, strict=True) if high > found.margin]
        yield f"Whether {backbone} suits all hangs on {listed(hangs_on)}."


def _one_for_all(found: Tasks, what: str) -> Statement:
    return Statement(f"{ID}.{what}", found.one_for_all, REGRETS, margin=found.margin, data=f"{ALL}.csv")


def _rivals(of_task: Compared) -> list[Told]:
    words = (Word.MAY_BE_BEST, Word.UNTOLD)
    return [told for told in of_task.told if told.claim.word in words and told.difference is not None]


def _best_of(of_task: Compared) -> str:
    """Which may be the best of a task, in words."""
    top, *others = of_task.told
    if of_task.why:
        return f"cannot be told ({of_task.why})"
    if top.claim.word is Word.BEST:
        return f"{top.claim.arm} is the best"
    by_word = {word: [told.claim.arm for told in others if told.claim.word is word] for word in Word}
    maybe = [top.claim.arm, *by_word[Word.MAY_BE_BEST]]
    said = f"{listed(maybe)} may be the best"
    if by_word[Word.EQUIVALENT]:
        said += f", {listed(by_word[Word.EQUIVALENT])} as good within {top.rule.margin:g}"
    return said


def _blocks(of_all: Tasks) -> Iterator[Block]:
    yield heat_map(of_all)
    for task, of_task in of_all.each.items():
        worse = [told.claim.arm for told in of_task.told if told.claim.word is Word.WORSE]
        said = f"{task}: {_best_of(of_task)}" + (f"; {listed(worse)} worse" if worse else "")
        yield Statement(
            f"{ID}.task.{task}", f"{said} ({of_task.rests_on}).", BESIDE_BEST, None, of_all.margin, f"{TABLE}.csv"
        )
    yield Table(
        TABLE,
        "Mean scores of the final stage, differences to the best of the task, and bounds of how far behind it",
        ("task", "backbone", "mean", "difference", "low", "high", "verdict", "at least", "at most"),
        [_row(of_all, task, told) for task, of_task in of_all.each.items() for told in of_task.told],
        "`low` and `high` bound the difference and hold for their task; `at least` and `at most` bound how far behind "
        "the best it lies, hold for all tasks together, and are wider.",
        best=_tops(of_all),
        shown=40,
    )
    yield _one_for_all(of_all, "one_for_all")
    if not of_all.regrets.troubles:
        yield regrets(of_all)
    yield _together(of_all)
    yield Statement(f"{ID}.ranks", of_all.ranks, data=f"{TABLE}.csv")


def _tops(found: Tasks) -> list[int]:
    """The rows of the table that begin a task, which are those of the highest mean."""
    count = len(found.backbones)
    return [place * count for place in range(len(found.each))]


def _row(found: Tasks, task: str, told: Told) -> Sequence[Cell]:
    claim, of_task, of_all = told.claim, found.each[task], found.regrets
    place, number = of_all.arms.index(claim.arm), of_all.tasks.index(task)
    bounds = (None, None) if told.half is None or told.difference is None else (claim.low, claim.high)
    behind = [_finite(of[number, place]) if task not in of_all.troubles else None for of in (of_all.low, of_all.high)]
    return [task, claim.arm, of_task.mean(claim.arm), told.difference, *bounds, claim.word.value, *behind]


def _together(found: Tasks) -> Table:
    of_all, words = found.regrets, found.regrets.words(found.margin)
    best, near = (None, None) if of_all.troubles else (of_all.best_in_all, of_all.near_in_all(found.margin))
    rows: list[Sequence[Cell]] = []
    for backbone in by_regret(found):
        place = of_all.arms.index(backbone)
        seen = of_all.seen[:, place]
        bounds = [_finite(of[:, place].max()) if not of_all.troubles else None for of in (of_all.low, of_all.high)]
        shares = [None if of is None else float(of[place]) for of in (best, near)]
        worst = of_all.tasks[int(seen.argmax())]
        rows.append([backbone, float(seen.max()), worst, *bounds, *shares, words[backbone].value])
    return Table(
        ALL,
        "How far behind the best of a task, where that is farthest",
        (
            "backbone",
            "behind",
            "in",
            "at least",
            "at most",
            "best in all",
            f"within {found.margin:g} in all",
            "verdict",
        ),
        rows,
        f"{BOUNDS} A backbone suits all where it is at most {found.margin:g} behind in every task, and does not where "
        "it is at least that far behind in some task.",
    )


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _described(studies: Sequence[TaskStudy]) -> Iterator[Block]:
    """The best trials where no final stage can be compared."""
    try:
        backbones = shared(studies, [study.single for study in studies], "have finished")
    except (ConfigError, IndexError):
        return
    yield Table(
        TABLE,
        "The best trial of each backbone, one seed each: nothing is claimed",
        ("backbone", *(study.name for study in studies)),
        [[backbone, *(study.single[backbone] for study in studies)] for backbone in backbones],
    )
