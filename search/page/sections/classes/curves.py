"""What other thresholds would give: ROC curves, and precision over recall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from lssat.evaluation.curves import Curve, precision_recall_curves, roc_curves
from search.page.charts import COLOURS, INK, Drawn, values
from search.page.document import Block, Chart
from search.page.predicted import Units
from search.page.study import StudyOnPage

MOST_CURVES = len(COLOURS)
HEIGHT = 340
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [10, 2], [1, 3], [6, 2, 1, 2]]
"""So that curves are told apart without their colours."""
LONG = 18
"""Letters of which two names fit beside each other on a phone."""
UNIT = alt.Scale(domain=[0, 1])
TENTHS = alt.Axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1], format=".1f")


def blocks(study: StudyOnPage, kept: Units) -> Iterator[Block]:
    """ROC, and precision over recall: of all classes, or of those that are found worst."""
    task, predictions = kept.task, kept.predictions
    about = [f"Of {study.predicted.run} on validation."]
    if task.kind == "multiclass":
        about.append("Each class against all others.")
    if len(task.classes) > MOST_CURVES:
        about.append(f"The {MOST_CURVES} that are found worst, of {len(task.classes)}.")
    if roc := _worst(roc_curves(task, predictions)):
        yield Chart(
            study.file("roc"),
            "How many are found, at how many false alarms?",
            lines(roc, ("false positive rate", "true positive rate"), "AUC", is_stair=False),
            " ".join([*about, "The dashed diagonal is guessing."]),
        )
    if recall := _worst(precision_recall_curves(task, predictions)):
        yield Chart(
            study.file("precision_recall"),
            "How many of those found are right, as more are found?",
            lines(recall, ("recall", "precision"), "average precision", is_stair=True),
            " ".join([*about, "A guesser's precision is the share of the class."]),
        )


def _worst(curves: Sequence[Curve]) -> list[Curve]:
    """As many as can be told apart."""
    return sorted(curves, key=lambda curve: curve.area)[:MOST_CURVES]


def lines(curves: Sequence[Curve], axes: tuple[str, str], area: str, is_stair: bool) -> Drawn:
    """A line for each curve. `axes`: their titles; `area`: what that below a curve is called."""
    named = {curve.name: f"{curve.name} ({curve.area:.3f})" for curve in curves}
    rows: list[dict[str, Any]] = [
        {"curve": named[curve.name], "x": round(float(x), 4), "y": round(float(y), 4), "order": place}
        for curve in curves
        for place, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
    ]
    order = list(named.values())
    columns = 2 if max(map(len, order)) <= LONG else 1
    legend = alt.Legend(columns=columns, symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=300, labelLimit=300)
    found: Drawn = (
        alt.Chart(values(rows))
        .mark_line(strokeWidth=2, interpolate="step-before" if is_stair else "linear")
        .encode(
            x=alt.X("x:Q", title=axes[0], scale=UNIT, axis=TENTHS),
            y=alt.Y("y:Q", title=axes[1], scale=UNIT, axis=TENTHS),
            order="order:Q",
            color=alt.Color(
                "curve:N", sort=order, scale=alt.Scale(domain=order, range=COLOURS), title=area, legend=legend
            ),
            strokeDash=alt.StrokeDash(
                "curve:N", sort=order, scale=alt.Scale(domain=order, range=DASHES), legend=legend
            ),
            tooltip=["curve:N", "x:Q", "y:Q"],
        )
        .properties(height=HEIGHT)
    )
    if is_stair:
        return found
    return alt.layer(diagonal(), found)


def diagonal() -> alt.Chart:
    """Dashed, from corner to corner."""
    line = alt.Chart(values([{"x": 0, "y": 0}, {"x": 1, "y": 1}]))
    drawn: alt.Chart = line.mark_line(color=INK, opacity=0.4, strokeDash=[4, 4], strokeWidth=1.5).encode(
        x="x:Q", y="y:Q"
    )
    return drawn
