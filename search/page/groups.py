"""What the charts colour trials by: the family of their backbones, as far as there are colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from search.findings.leaderboard import Row
from search.page.charts import COLOURS, INK

OTHER, GREY = "other", "#8d8d8d"
PHONE = 330
"""Pixels that a chart has there."""


def family_of(row: Row) -> str:
    """The family of a trial's backbone; of one that is named itself, its name."""
    return row.backbone if row.family == "-" else row.family


def few(names: Sequence[str]) -> dict[str, str]:
    """Each name, the best first, as itself; where there are more than colours, the last ones as "other"."""
    ordered = list(dict.fromkeys(names))
    alone = len(ordered) if len(ordered) <= len(COLOURS) else len(COLOURS) - 1
    return {name: name if place < alone else OTHER for place, name in enumerate(ordered)}


def colour(field: str, names: Sequence[str], title: str, symbol: str = "circle") -> alt.Color:
    """The colour of each of few groups, in their order, with a legend that finds room on a phone."""
    domain = [name for name in dict.fromkeys(names) if name != OTHER] + ([OTHER] if OTHER in names else [])
    scale = alt.Scale(domain=domain, range=[GREY if name == OTHER else colour for name, colour in _paired(domain)])
    shown = alt.Legend(orient="top", symbolType=symbol, symbolOpacity=1, symbolStrokeWidth=2.5, **_fitting(domain))
    return alt.Color(f"{field}:N", scale=scale, title=title, legend=shown)


def legend_of_shapes(names: Sequence[str]) -> alt.Legend:
    """Below the chart, since two legends beside each other are too wide."""
    return alt.Legend(orient="bottom", symbolFillColor=INK, symbolStrokeWidth=0, **_fitting(names))


def _fitting(names: Sequence[str]) -> dict[str, Any]:
    """In as many columns as a phone has room for: columns that follow the width push the title out of the chart."""
    widest = round(6.5 * max(map(len, names), default=1)) + 28
    return {"columns": max(1, PHONE // widest), "labelLimit": PHONE, "titleFontWeight": "normal"}


def _paired(domain: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, COLOURS[place % len(COLOURS)]) for place, name in enumerate(domain)]
