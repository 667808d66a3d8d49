"""How charts look: legible on light and dark pages and in print, told apart without seeing colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from lssat.text.visible import visible
from search.findings.told import Told

Drawn = alt.Chart | alt.LayerChart | alt.FacetChart
"""What a section may make: its width is left to the place it is shown in."""

alt.data_transformers.disable_max_rows()

COLOURS = ["#3b82c4", "#e08a1e", "#2a9d6f", "#c65a94", "#8a6fd1", "#b3532f", "#5aa5b5", "#8f8f3f"]
"""After Okabe and Ito: told apart by those who see few colours, on white and on black."""
SAID = {
    "best": "#2a9d6f",
    "better": "#2a9d6f",
    "may be best": "#3b82c4",
    "equivalent": "#5aa5b5",
    "cannot be told": "#8d8d8d",
    "worse": "#e08a1e",
    "helps": "#2a9d6f",
    "harms": "#e08a1e",
    "matters": "#2a9d6f",
    "suits all": "#2a9d6f",
    "may suit all": "#3b82c4",
    "does not suit all": "#e08a1e",
}
"""The colour of each word that claims are made in, everywhere the same."""
WIDTH = 720
"""Pixels, where nothing else sets the width: in files."""
STEP = 30
"""Pixels of a row of a chart."""
INK = "currentColor"
"""Whatever colour the text of the page has."""

CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "range": {"category": COLOURS, "heatmap": {"scheme": "blues"}},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": INK,
        "gridOpacity": 0.12,
        "domainColor": INK,
        "domainOpacity": 0.4,
        "tickColor": INK,
        "tickOpacity": 0.4,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 260,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12, "orient": "top"},
    "header": {"labelColor": INK, "titleColor": INK},
    "text": {"color": INK, "fontSize": 12},
    "rule": {"color": INK},
}


def colour_of_word(rows: Sequence[Mapping[str, Any]]) -> alt.Scale:
    """The scale of what is said in these rows, by their `word`."""
    said = {str(row["word"]) for row in rows}
    domain = [word for word in SAID if word in said]
    return alt.Scale(domain=domain, range=[SAID[word] for word in domain])


def values(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """The data of a chart, a mapping for each mark."""
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def has_intervals(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of these rows has an interval, `low` to `high`: of none at all no axis can be made."""
    return any(row["low"] is not None and math.isfinite(row["low"]) for row in rows)


def differences(rows: Sequence[Mapping[str, Any]], margin: float, title: str) -> Drawn:
    """Points with intervals, one a row, beside the margin. Each row: name, difference, low, high, word."""
    order = [str(row["name"]) for row in rows]
    base = alt.Chart(values(rows)).encode(y=alt.Y("name:N", sort=order, title=None))
    band = alt.Chart(values([{"from": -margin, "to": margin}])).mark_rect(opacity=0.12, color=INK)
    bars = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title=title), x2="high:Q", color=alt.Color("word:N", scale=colour_of_word(rows), title=None)
    )
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("difference:Q", title=title),
        color=alt.Color("word:N", scale=colour_of_word(rows), title=None),
        shape=alt.Shape("word:N", scale=alt.Scale(domain=colour_of_word(rows).domain), title=None),
        tooltip=[
            "name:N",
            "word:N",
            *(alt.Tooltip(f"{key}:Q", format="+.4f") for key in ("difference", "low", "high")),
        ],
    )
    layers = [bars, points] if has_intervals(rows) else [points]
    return alt.layer(band.encode(x="from:Q", x2="to:Q"), *layers).properties(height={"step": STEP})


def point(name: str, told: Told) -> dict[str, object]:
    """A row of `differences`: an arm beside another. Where nothing is known of the difference there is no interval."""
    claim = told.claim
    known = told.half is not None
    return {
        "name": name,
        "difference": claim.difference,
        "low": claim.low if known else None,
        "high": claim.high if known else None,
        "word": claim.word.value,
    }


def spec(chart: Drawn, width: int | None = None) -> dict[str, Any]:
    """Vega-Lite's form of a chart. `width`: in pixels; None: that of the place it is shown in."""
    found: dict[str, Any] = chart.properties(width=width or "container").to_dict()
    del found["$schema"]  # an address, which nothing asks for
    kept: dict[str, Any] = plain({**found, "autosize": {"type": "fit-x", "contains": "padding"}, "config": CONFIG})
    return kept


def plain(value: Any) -> Any:
    """What JSON can hold, and a page can show, of a value of lists and mappings: names that are no text as escapes, and
    None for numbers that there are not.
    """
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
