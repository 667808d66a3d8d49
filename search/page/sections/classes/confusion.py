"""What was taken for what: the table of confusion as a chart, and its most frequent mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt

from lssat.evaluation.classes import PREDICTION, TRUTH, Confusion
from search.page.charts import COLOURS, INK, Drawn, values
from search.page.document import Block, Chart, Table
from search.page.study import StudyOnPage

MOST_DRAWN = 16
"""Classes whose names and numbers fit beside each other."""
STEP = 38
"""Pixels of a row."""
DARK = 0.8
"""The share from which a cell is so dark that its number must be white."""


def blocks(study: StudyOnPage, counted: Confusion, of_what: str, units: str) -> Iterator[Block]:
    """The chart where it can be read, and the mistakes by how often they are made where there are more than two
    classes.
    """
    cells = _cells(counted)
    if len(counted.classes) <= MOST_DRAWN:
        yield Chart(
            study.file("confusion"),
            "What is taken for what?",
            matrix(cells, counted.classes, units),
            f"Numbers of {units}, {of_what}. A row is what they truly are, a column what they were taken for; the "
            "stronger the colour, the larger the share of its row.",
        )
    if len(counted.classes) > 2:
        mistaken = [cell for cell in cells if cell[TRUTH] != cell[PREDICTION] and cell["count"]]
        ranked = sorted(mistaken, key=lambda cell: -cell["count"])
        yield Table(
            study.file("confused"),
            f"The most frequent mistakes, {of_what}",
            (TRUTH, PREDICTION, units, "share of the class"),
            [(cell[TRUTH], cell[PREDICTION], cell["count"], cell["share"]) for cell in ranked],
            shown=8,
        )


def matrix(cells: list[dict[str, Any]], classes: tuple[str, ...], units: str) -> Drawn:
    """A cell for each pair of classes. Its colour is laid over the page with a strength that says the share, so that it
    is right on light and dark pages.
    """
    base = alt.Chart(values(cells)).encode(
        x=alt.X(
            f"{PREDICTION}:N",
            sort=list(classes),
            title="taken for",
            axis=alt.Axis(orient="top", labelAngle=0 if len(classes) < 4 else -45, ticks=False, domain=False),
        ),
        y=alt.Y(f"{TRUTH}:N", sort=list(classes), title="truly", axis=alt.Axis(ticks=False, domain=False)),
    )
    rects = base.mark_rect(color=COLOURS[0], stroke=INK, strokeOpacity=0.15).encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
        tooltip=[
            alt.Tooltip(f"{TRUTH}:N", title="truly"),
            alt.Tooltip(f"{PREDICTION}:N", title="taken for"),
            alt.Tooltip("count:Q", title=units),
            alt.Tooltip("share:Q", format=".1%", title="share of the row"),
        ],
    )
    numbers = base.mark_text(fontSize=12).encode(
        text="count:Q",
        color=alt.condition(alt.datum.share > DARK, alt.value("white"), alt.value(INK)),
    )
    return alt.layer(rects, numbers).properties(height={"step": STEP})


def _cells(counted: Confusion) -> list[dict[str, Any]]:
    found = []
    for truth, row in zip(counted.classes, counted.counts.tolist(), strict=True):
        support = sum(row)
        for prediction, count in zip(counted.classes, row, strict=True):
            share = count / support if support else 0.0
            found.append({TRUTH: truth, PREDICTION: prediction, "count": count, "share": share})
    return found
