"""How charts look: legible on light and dark pages and in print, told apart without seeing colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

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
}
"""The colour of each word of `search.claims.words.Word`, everywhere the same."""
WIDTH = 720
"""Pixels, where nothing else sets the width: in files."""
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


def colour_of_word() -> alt.Scale:
    """The scale of what is said of an arm."""
    return alt.Scale(domain=list(SAID), range=list(SAID.values()))


def values(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """The data of a chart, a mapping for each mark."""
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def spec(chart: Drawn, width: int | None = None) -> dict[str, Any]:
    """Vega-Lite's form of a chart. `width`: in pixels; None: that of the place it is shown in."""
    found: dict[str, Any] = chart.properties(width=width or "container").to_dict()
    return {**found, "autosize": {"type": "fit-x", "contains": "padding"}, "config": CONFIG}
