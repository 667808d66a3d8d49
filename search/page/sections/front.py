"""Score against cost: what no other trial beats. Of a study with several objectives its Pareto front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import altair as alt

from search.claims.words import listed
from search.findings.leaderboard import Row
from search.page.charts import INK, Drawn, values
from search.page.document import Block, Chart, Section, Statement, Table
from search.page.groups import colour, family_of, few
from search.page.study import StudyOnPage
from search.strategy.objectives import front

TITLES = {
    "parameters": ("Is a higher score worth more parameters?", "parameters of the encoder", "as few parameters"),
    "flops": ("Is a higher score worth more operations?", "operations to classify one image", "as few operations"),
    "gap": ("Is a higher score fair?", "gap between subgroups", "as small a gap"),
    "images_per_s": ("Is a higher score worth a slower network?", "images classified per second", "as much speed"),
}
"""Of each cost the question, its axis, and what is weighed against the score."""
MORE_IS_BETTER = ("score", "images_per_s")
WIDE = 5
"""Costs whose largest is so many times the smallest are shown on a logarithmic scale."""


@dataclass(frozen=True)
class Weighed:
    """A cost of the complete trials, and which of them are on the front: None beats them in all that counts."""

    cost: str
    rows: Sequence[Row]
    on_front: Sequence[bool]

    @property
    def best(self) -> list[Row]:
        """Those on the front, the cheapest first."""
        found = [row for row, is_best in zip(self.rows, self.on_front, strict=True) if is_best]
        return sorted(found, key=lambda row: float(getattr(row, self.cost)))


def section(study: StudyOnPage) -> Section | None:
    """None where all complete trials cost the same, or fewer than two are complete."""
    objectives = study.manifest.space.search.objectives
    weighed = [found for cost in TITLES if (found := weigh(study.complete, cost, objectives))]
    if not weighed:
        return None
    return Section("front", "Score against cost", list(_blocks(study, weighed, objectives)))


def weigh(complete: Sequence[Row], cost: str, objectives: Sequence[str]) -> Weighed | None:
    """The complete trials by a cost; None where they do not differ in it. Several objectives have one front, which the
    leaderboard marks; of one objective each cost has its own.
    """
    rows = [row for row in complete if row.score is not None and getattr(row, cost) is not None]
    if len({getattr(row, cost) for row in rows}) < 2 or (cost == "gap" and cost not in objectives):
        return None
    if len(objectives) > 1:
        return Weighed(cost, rows, [row.pareto for row in rows])
    sign = 1 if cost in MORE_IS_BETTER else -1
    points = [[row.score, sign * getattr(row, cost)] for row in rows]
    return Weighed(cost, rows, front(("score", "score"), points))  # of both, more is better


def _blocks(study: StudyOnPage, weighed: Sequence[Weighed], objectives: Sequence[str]) -> Iterator[Block]:
    first = weighed[0]
    several = len(objectives) > 1
    yield _statement(study, first, objectives)
    yield Table(
        study.file("front"),
        "The Pareto front" if several else f"Beaten by none in score and {first.cost}",
        ["trial", "backbone", "score", *(each.cost for each in weighed)],
        [
            [row.trial, row.backbone, row.score, *(getattr(row, each.cost) for each in weighed)]
            for row in (study.complete if several else first.best)
            if row.pareto or not several
        ],
    )
    for each in weighed:
        yield _chart(study, each, several)


def _statement(study: StudyOnPage, first: Weighed, objectives: Sequence[str]) -> Statement:
    if len(objectives) > 1:
        said = (
            f"{len(first.best)} of {len(first.rows)} complete trials are on the Pareto front of "
            f"{listed(list(objectives))}: no other is at least as good in all and better in one."
        )
    else:
        said = (
            f"Of {len(first.rows)} complete trials no other has as high a score with {TITLES[first.cost][2]} as "
            f"{listed([row.trial for row in first.best])}. The study did not search for that, and each is a single "
            "run: a description, no comparison."
        )
    return Statement(f"{study.id}.front", said, "validation, one run each", data=f"{study.file('front')}.csv")


def _chart(study: StudyOnPage, weighed: Weighed, several: bool) -> Chart:
    caption = "Ringed: on the Pareto front of all objectives." if several else "Ringed: no other beats it in both."
    return Chart(
        study.file(f"front_{weighed.cost}"),
        TITLES[weighed.cost][0],
        _points(weighed, f"{study.metric} on validation", is_joined=not several),
        f"One point for each complete trial. {caption}",
    )


def _points(weighed: Weighed, title: str, is_joined: bool) -> Drawn:
    group = few([family_of(row) for row in weighed.rows])
    rows = [
        {
            "trial": row.trial,
            "backbone": row.backbone,
            "family": group[family_of(row)],
            "score": row.score,
            "cost": getattr(row, weighed.cost),
            "front": is_best,
        }
        for row, is_best in zip(weighed.rows, weighed.on_front, strict=True)
    ]
    costs = [float(row["cost"]) for row in rows]
    is_wide = min(costs) > 0 and max(costs) > WIDE * min(costs)
    scale = alt.Scale(type="log", nice=False, padding=12) if is_wide else alt.Scale(zero=False, padding=12)
    axis = alt.Axis(format="~s", tickCount=6) if weighed.cost != "gap" else alt.Axis()
    base = alt.Chart().encode(
        x=alt.X("cost:Q", title=TITLES[weighed.cost][1], scale=scale, axis=axis),
        y=alt.Y("score:Q", title=title, scale=alt.Scale(zero=False, padding=8)),
    )
    tooltip = [
        "trial:N",
        "backbone:N",
        alt.Tooltip("score:Q", format=".4f"),
        alt.Tooltip("cost:Q", title=weighed.cost, format=","),
    ]
    points = base.mark_point(filled=True, size=70, opacity=0.8).encode(
        color=colour("family", sorted(group.values()), "backbone family"), tooltip=tooltip
    )
    on_front = base.transform_filter("datum.front")
    rings = on_front.mark_point(filled=False, size=190, color=INK, strokeWidth=1.5).encode(tooltip=tooltip)
    joined = [on_front.mark_line(strokeDash=[4, 3], strokeWidth=1, opacity=0.6, color=INK)] if is_joined else []
    return alt.layer(*joined, rings, points, data=values(rows)).properties(height=260)
