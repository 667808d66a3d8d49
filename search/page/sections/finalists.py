"""The final stage: means over fresh seeds, and what may be said of each arm beside the best and its baseline."""

from __future__ import annotations

from collections.abc import Sequence

from search.findings.by_fold import TITLE, ByFold, by_fold
from search.findings.final_table import FinalRow
from search.findings.told import Told
from search.page.charts import differences, point
from search.page.document import Block, Cell, Chart, Section, Table
from search.page.statements import of_claim
from search.page.study import StudyOnPage
from search.strategy.finalists import rotation_of

COLUMNS = (
    *("arm", "backbone", "streams", "aux_weight", "seeds", "failed", "score", "in domain"),
    *("difference", "low", "high", "verdict"),
    *("over supervised", "over low", "over high", "auxiliary", "test"),
)
"""What would tell is said below."""
IN_DOMAIN = "Score: on held-out values; in domain: that of the same weights on the other validation rows."
OF_WORST = "Both are of a seed's worst held-out value."


def section(study: StudyOnPage) -> Section | None:
    """None where there was no final stage."""
    table = study.table
    if not table:
        return None
    name = study.file("finalists")
    blocks: list[Block] = [_table(table, study, name)]
    if folds := by_fold(study.folder, study.runs, table):
        blocks.append(_by_fold(folds, study.file("finalists_by_fold")))
    if any(row.best.half is not None for row in table):
        blocks.append(_chart(table, study.file("finalists_to_best")))
    blocks += [
        of_claim(row.best, f"{study.id}.finalists.{row.arm}", f"{name}.csv")
        for row in table
        if row.best.difference is not None
    ]
    blocks += [
        of_claim(row.supervised, f"{study.id}.supervised.{row.arm}", f"{name}.csv") for row in table if row.supervised
    ]
    return Section("finalists", "The finalists", blocks)


def _table(table: Sequence[FinalRow], study: StudyOnPage, name: str) -> Table:
    return Table(
        name,
        "Means over fresh seeds, ranked on validation; differences and their 95% intervals",
        COLUMNS,
        [_cells(row) for row in table],
        _in_domain(study) if any(row.in_domain is not None for row in table) else "",
        best=(0,),
    ).without_alike(("streams", "aux_weight", "seeds", "failed", "backbone"))


def _in_domain(study: StudyOnPage) -> str:
    rotation = rotation_of(study.runs)
    return f"{IN_DOMAIN} {OF_WORST}" if rotation and rotation.over == "worst" else IN_DOMAIN


def _by_fold(folds: ByFold, name: str) -> Table:
    return Table(name, TITLE, folds.columns, list(folds.rows), best=(0,)).without_alike(("seeds", "backbone"))


def _cells(row: FinalRow) -> list[Cell]:
    """By `COLUMNS`."""
    over = row.supervised
    of_auxiliary = [*_difference(over), over.claim.word.value] if over else [None, None, None, ""]
    of_arm = [row.arm, row.backbone, row.streams, row.aux_weight, row.seeds, row.failed, row.mean, row.in_domain]
    return [*of_arm, *_difference(row.best), row.best.claim.word.value, *of_auxiliary, row.test]


def _difference(told: Told) -> list[float | None]:
    """With both ends of its interval, where there are any."""
    known = told.difference is not None and told.half is not None
    return [told.difference, told.claim.low if known else None, told.claim.high if known else None]


def _chart(table: Sequence[FinalRow], name: str) -> Chart:
    rows = [point(f"{row.arm} {row.backbone}", row.best) for row in table]
    margin = table[0].best.rule.margin
    return Chart(
        name,
        "How far behind the arm of the highest mean?",
        differences(rows, margin, "difference of expected scores to the best"),
        f"Bars are 95% intervals, all true together in 95% of studies. The band is the margin (±{margin:g}), within "
        "which differences do not matter. Grey lines: cannot be told.",
    )
