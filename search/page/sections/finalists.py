"""The final stage: means over fresh seeds, and what may be said of each arm beside the best and its baseline."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from search.findings import final_table
from search.findings.final_table import FinalRow
from search.findings.told import Told
from search.page.charts import INK, Drawn, colour_of_word, values
from search.page.document import Block, Chart, Section, Table
from search.page.statements import of_claim
from search.page.study import StudyOnPage

NUMBERS = ("difference", "low", "high")
STEP = 30
"""Pixels of a row of the chart."""


def section(study: StudyOnPage) -> Section | None:
    """None where there was no final stage."""
    table = study.table
    if not table:
        return None
    name = study.file("finalists")
    blocks: list[Block] = [_table(table, name)]
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


def _table(table: Sequence[FinalRow], name: str) -> Table:
    return Table(
        name,
        "Means over fresh seeds, ranked on validation; differences ± 95% interval",
        final_table.COLUMNS[:-2],  # what would tell is said below
        [final_table.cells(row)[:-2] for row in table],
        best=(0,),
    ).without_alike(("streams", "aux_weight", "seeds", "backbone"))


def _chart(table: Sequence[FinalRow], name: str) -> Chart:
    rows = [_point(f"{row.arm} {row.backbone}", row.best) for row in table]
    margin = table[0].best.rule.margin
    return Chart(
        name,
        "How far behind the arm of the highest mean?",
        differences(rows, margin, "difference of expected scores to the best"),
        f"Bars are 95% intervals, all true together in 95% of studies. The band is the margin (±{margin:g}), within "
        "which differences do not matter. Grey lines: cannot be told.",
    )


def differences(rows: Sequence[dict[str, object]], margin: float, title: str) -> Drawn:
    """Points with intervals, one a row, beside the margin. Each row: name, difference, low, high, word."""
    order = [str(row["name"]) for row in rows]
    base = alt.Chart(values(rows)).encode(y=alt.Y("name:N", sort=order, title=None))
    band = alt.Chart(values([{"from": -margin, "to": margin}])).mark_rect(opacity=0.12, color=INK)
    bars = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", color=alt.Color("word:N", scale=colour_of_word(), legend=None)
    )
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x="difference:Q",
        color=alt.Color("word:N", scale=colour_of_word(), title=None),
        shape=alt.Shape("word:N", legend=None),
        tooltip=[
            "name:N",
            "word:N",
            *(alt.Tooltip(f"{key}:Q", format="+.4f") for key in ("difference", "low", "high")),
        ],
    )
    return alt.layer(band.encode(x="from:Q", x2="to:Q"), bars, points).properties(height={"step": STEP})


def _point(name: str, told: Told) -> dict[str, object]:
    claim = told.claim
    known = told.half is not None
    return {
        "name": name,
        "difference": claim.difference,
        "low": claim.low if known else None,
        "high": claim.high if known else None,
        "word": claim.word.value,
    }
