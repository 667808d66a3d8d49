"""The part of docs/claims.md on one arm for all tasks, and on all families of claims together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from lssat.text.markdown import markdown_table
from search.planted.cells import SEED, Goal, missed_goals, percent
from search.planted.one_for_all import FAMILIES, TASKS, TRUTHS, Truth, tally_families, tally_one_for_all
from search.planted.studies import Plant
from search.planted.tally import Tally

PROSE = """\

## One for all, and all families of claims

Of three tasks, each a study of the same arms: **false**: of some arm it is falsely said that it suits all, or that it
does not, within the margin of 0.01. **earlier**: so by the rule before, which took one run of each arm and a margin of
0.02 (of which it is judged here). **held**: the bounds of all regrets in all tasks hold the truth. **told**: of every
arm it is said, and rightly, whether it suits all; leads are of 0.01 and 4 standard errors. **any family**: something
false is said in the comparison with the best, beside the baselines (both of one study), or of one for all; it should be
at most 10. What settings do is judged alone, below: it is said of trials, these of the final stage.
"""
OF_TASKS = ("study", "false", "earlier", "held", "told")
OF_FAMILIES = ("study", *FAMILIES, "any family")
TASK_PLANTS = tuple(Plant(arms, seeds, units) for arms in (4, 8) for seeds, units in ((3, 1000), (3, 4000), (10, 1000)))
FAMILY_PLANTS = (Plant(8, 3, 1000), Plant(16, 3, 1000), Plant(8, 10, 300))
"""Half of the arms are baselines."""
GOALS_OF_TASKS: tuple[Goal, ...] = (
    ("one for all false in more than 5%", "false", lambda limits: limits[0] > 0.05),
    ("the bounds of all regrets hold in less than 95%", "held", lambda limits: limits[1] < 0.95),
)
GOALS_OF_FAMILIES: tuple[Goal, ...] = (
    ("something false in any family in more than 10%", "any", lambda limits: limits[0] > 0.1),
)


def task_tables(studies: int) -> str:
    """Markdown."""
    tasks = _each(TASK_PLANTS, tally_one_for_all, studies)
    families = _each(FAMILY_PLANTS, tally_families, studies)
    sections = [
        ("Does one suit all of three tasks?", OF_TASKS, _rows(tasks, ("false", "earlier", "held", "all told"))),
        ("All families of claims together", OF_FAMILIES, _rows(families, (*FAMILIES, "any"))),
    ]
    tables = [f"\n## {title}\n\n{markdown_table(header, rows, header[1:])}" for title, header, rows in sections]
    return PROSE + missed_goals(GOALS_OF_TASKS, tasks) + missed_goals(GOALS_OF_FAMILIES, families) + "".join(tables)


def _each(
    plants: Sequence[Plant], counted: Callable[[Plant, Truth, int, int], Tally], studies: int
) -> dict[str, Tally]:
    """The counts of each kind of study with each truth."""
    found = {}
    for plant in plants:
        kind = f"{TASKS} tasks, {plant.arms} arms, {plant.seeds} seeds, {plant.units} units"
        print(kind, file=sys.stderr)
        for name, truth in TRUTHS.items():
            found[f"{kind}: {name}"] = counted(plant, truth, studies, SEED)
    return found


def _rows(found: Mapping[str, Tally], shares: Sequence[str]) -> list[list[str]]:
    return [[name, *(percent(of, what) for what in shares)] for name, of in found.items()]
