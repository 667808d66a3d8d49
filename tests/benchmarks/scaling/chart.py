"""The picture of docs/scaling.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert


def draw(points: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel for each figure over the trials that are over, before and now. `points`: `over`, `seconds`, `figure`,
    `version`.
    """
    chart = (
        alt.Chart(alt.Data(values=list(points)), width=210, height=150)
        .mark_line(point=True)
        .encode(
            x=alt.X("over:Q", title="trials that are over", scale=alt.Scale(type="log")),
            y=alt.Y("seconds:Q", title="CPU seconds", scale=alt.Scale(type="log")),
            color=alt.Color("version:N", title=None, sort=["before", "now"]),
            facet=alt.Facet("figure:N", title=None, columns=3, sort=None),
        )
        .resolve_scale(x="independent", y="independent")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vl_convert.vegalite_to_svg(chart.to_json()))
