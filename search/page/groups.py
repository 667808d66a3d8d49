"""What the charts colour trials by: the family of their backbones, as far as there are colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import altair as alt

from search.findings.leaderboard import Row
from search.page.charts import COLOURS

OTHER, GREY = "other", "#8d8d8d"


def family_of(row: Row) -> str:
    """The family of a trial's backbone; of one that is named itself, its name."""
    return row.backbone if row.family == "-" else row.family


def few(names: Sequence[str]) -> dict[str, str]:
    """Each name as itself; where there are more than colours, the rarest as "other"."""
    ordered = [name for name, _ in Counter(names).most_common()]
    alone = len(ordered) if len(ordered) <= len(COLOURS) else len(COLOURS) - 1
    return {name: name if place < alone else OTHER for place, name in enumerate(ordered)}


def colour(field: str, names: Sequence[str], title: str) -> alt.Color:
    """The colour of each of few groups, with a legend that finds room on a phone."""
    domain = sorted(set(names) - {OTHER}) + ([OTHER] if OTHER in names else [])
    scale = alt.Scale(domain=domain, range=[GREY if name == OTHER else colour for name, colour in _paired(domain)])
    return alt.Color(f"{field}:N", scale=scale, title=title, legend=legend(domain))


def legend(names: Sequence[str]) -> alt.Legend:
    """Above the chart, in as many columns as its width has room for."""
    widest = 7 * max(map(len, names), default=1) + 34
    columns = alt.ExprRef(f"max(1, floor(width / {widest}))")
    return alt.Legend(orient="top", columns=columns, labelLimit=320, symbolOpacity=1, symbolStrokeWidth=2.5)


def _paired(domain: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, COLOURS[place % len(COLOURS)]) for place, name in enumerate(domain)]
