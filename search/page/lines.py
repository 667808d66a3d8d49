"""How learning curves are drawn: a line for each run with a mark where it ended early, legible up to 500 runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypedDict

import altair as alt

from search.page.charts import Drawn, values
from search.page.groups import colour, legend_of_shapes
from search.record.trials import Status, TrialRecord

IN_BROWSER = "isFinite(containerSize()[0])"
"""Files have no place that sets their width, and nobody to hover over them."""
HEIGHT = 320
STROKE = "stroke"
"""Of a legend: the symbol of a line."""
CELLS = 80
"""Of the height of a chart, in each of which one line at an epoch can be pointed at."""
CROWDED = 40
"""Lines above which each is thin and pale."""
SHAPES = {
    Status.STOPPED: "cross",
    Status.RUNNING: "circle",
    Status.INFEASIBLE: "square",
    Status.FAILED: "triangle-down",
}


class Line(TypedDict):
    """The curve of a run: its name t, backbone b, group g, status x and whether it is dashed d; epochs e and scores s,
    None where a score is no number. Names are short and values lists since 25,000 points shall travel in a page.
    """

    t: str
    b: str
    g: str
    x: str
    d: bool
    e: list[int]
    s: list[float | None]


def line(record: TrialRecord, backbone: str, group: str, is_dashed: bool = False) -> Line:
    """The curve of a run that has epochs."""
    results = record.epochs
    epochs, scores = [result.epoch for result in results], [rounded(result.score) for result in results]
    status = record.status.value
    return {"t": record.name, "b": backbone, "g": group, "x": status, "d": is_dashed, "e": epochs, "s": scores}


def rounded(value: float) -> float | None:
    """To four digits; None of what is no number, which JSON lacks."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def ended_early(lines: Sequence[Line]) -> list[str]:
    """How those of them ended that lack epochs."""
    return [status.value for status in SHAPES if any(of["x"] == status for of in lines)]


def drawn(lines: Sequence[Line], tint: alt.Color, title: str, thick: str) -> Drawn:
    """The last line is above the others. `tint`: the colours of groups; `title`: what a score is; `thick`: the run that
    shall be seen at once.
    """
    most = max(epoch for of in lines for epoch in of["e"])
    x, y = epochs(most), alt.Y("s:Q", title=title, scale=alt.Scale(zero=False))
    base = alt.Chart().transform_flatten(["e", "s"]).encode(x=x, y=y)
    ends = alt.Chart(values(_ends(lines))).encode(x=x, y=y)
    marks = [_marked(ends, ended_early(lines))] if ended_early(lines) else []
    layers = [_curves(base, lines, tint, thick), *marks, _to_hover(base, lines)]
    of_all_but_marks = values([{**of, "r": place} for place, of in enumerate(lines)])
    return alt.layer(*layers, data=of_all_but_marks).properties(height=HEIGHT)


def _curves(base: alt.Chart, lines: Sequence[Line], tint: alt.Color, thick: str) -> Drawn:
    """Strokes have opacity instead of lines: to draw 500 of these into a picture takes 16 seconds."""
    is_crowded = len(lines) > CROWDED
    is_thick, is_complete = alt.datum.t == thick, alt.datum.x == Status.COMPLETE.value
    whole, early = (0.6, 0.25) if is_crowded else (0.95, 0.4)
    found: alt.Chart = base.mark_line(point=max(len(of["e"]) for of in lines) == 1).encode(
        color=tint,
        detail="t:N",
        strokeWidth=alt.condition(is_thick, alt.value(3), alt.value(1 if is_crowded else 1.5)),
        strokeOpacity=alt.when(is_thick)
        .then(alt.value(1))
        .when(is_complete)
        .then(alt.value(whole))
        .otherwise(alt.value(early)),
    )
    if any(of["d"] for of in lines):
        found = found.encode(strokeDash=alt.condition("datum.d", alt.value([5, 4]), alt.value([1, 0])))
    return found


def epochs(most: int) -> alt.X:
    """The axis of epochs, of which there are at most so many: whole ones have a tick."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, most) if most <= 12 * step)
    axis = alt.Axis(values=[1, *range(max(step, 2), most + 1, step)], format="d")
    return alt.X("e:Q", title="epoch", axis=axis, scale=alt.Scale(domain=[1, max(most, 2)]))


def _ends(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The last score of each line that ended early."""
    return [
        {"g": of["g"], "x": of["x"], "e": pairs[-1][0], "s": pairs[-1][1]}
        for of in lines
        if of["x"] != Status.COMPLETE
        and (pairs := [pair for pair in zip(of["e"], of["s"], strict=True) if pair[1] is not None])
    ]


def _marked(ends: alt.Chart, names: Sequence[str]) -> Drawn:
    scale = alt.Scale(domain=names, range=[SHAPES[Status(name)] for name in names])
    shape = alt.Shape("x:N", scale=scale, title="ended early", legend=legend_of_shapes(names))
    found: alt.Chart = ends.mark_point(size=50, opacity=0.9, filled=True).encode(color="g:N", shape=shape)
    return found


def _to_hover(base: alt.Chart, lines: Sequence[Line]) -> Drawn:
    """Points that cannot be seen. Of those so near that nobody could tell which he points at, that of the line above
    the others: 25,000 would be slow.
    """
    said = {"t:N": "run", "b:N": "backbone", "x:N": "status", "e:Q": "epoch"}
    score = alt.Tooltip("s:Q", title="score", format=".4f")
    found: alt.Chart = (
        base.transform_filter(f"{IN_BROWSER} && isValid(datum.s)")
        .transform_calculate(cell=f"floor(datum.s * {CELLS / max(_height(lines), 1e-9):.6g})")
        .transform_window(place="row_number()", groupby=["e", "cell"], sort=[{"field": "r", "order": "descending"}])
        .transform_filter("datum.place == 1")
        .mark_point(opacity=0, filled=True, size=110)
        .encode(tooltip=[*(alt.Tooltip(field, title=name) for field, name in said.items()), score])
    )
    return found


def _height(lines: Sequence[Line]) -> float:
    """From the lowest score to the highest."""
    scores = [score for of in lines for score in of["s"] if score is not None]
    return max(scores, default=1.0) - min(scores, default=0.0)


def losses(points: Sequence[dict[str, Any]]) -> Drawn:
    """Of one run: epochs e, values v, and what each is of, d."""
    names = sorted({point["d"] for point in points})
    tooltip = [
        alt.Tooltip(field, title=name) for field, name in {"d:N": "split", "e:Q": "epoch", "v:Q": "loss"}.items()
    ]
    found: alt.Chart = (
        alt.Chart(values(points))
        .mark_line(point=True)
        .encode(
            x=epochs(max(point["e"] for point in points)),
            y=alt.Y("v:Q", title="loss", scale=alt.Scale(zero=False)),
            color=colour("d", names, "split", STROKE),
            tooltip=tooltip,
        )
        .properties(height=180)
    )
    return found
