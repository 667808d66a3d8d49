"""Charts of several tasks together."""

from __future__ import annotations

import altair as alt

from search.findings.tasks import Tasks
from search.page.charts import INK, STEP, colour_of_word, values
from search.page.document import Chart

CELL = 46
"""Pixels of a row of the heat map."""


def heat_map(found: Tasks) -> Chart:
    """Tasks by backbones: means, and what may be said of each beside the best of its task."""
    rows = []
    for task, of_task in found.each.items():
        for told in of_task.told:
            claim = told.claim
            known = told.half is not None and told.difference is not None
            rows.append(
                {
                    "task": task,
                    "backbone": claim.arm,
                    "mean": of_task.mean(claim.arm),
                    "word": claim.word.value,
                    "interval": f"{claim.low:+.3f} to {claim.high:+.3f}" if known else "",
                }
            )
    base = alt.Chart(values(rows)).encode(
        x=alt.X(
            "task:N",
            sort=list(found.each),
            title=None,
            axis=alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False),
        ),
        y=alt.Y("backbone:N", sort=found.backbones, title=None, axis=alt.Axis(domain=False, ticks=False)),
    )
    cells = base.mark_rect(opacity=0.3, cornerRadius=4).encode(
        color=alt.Color("word:N", scale=colour_of_word(rows), title=None),
        tooltip=["task:N", "backbone:N", alt.Tooltip("mean:Q", format=".4f"), "word:N", "interval:N"],
    )
    means = base.mark_text(dy=-7, fontWeight="bold", color=INK).encode(text=alt.Text("mean:Q", format=".4f"))
    words = base.mark_text(dy=9, fontSize=11, color=INK).encode(text="word:N")
    return Chart(
        "tasks_by_backbone",
        "Which backbone suits which task?",
        alt.layer(cells, means, words).properties(height={"step": CELL}),
        "Mean scores of the final stage, with what may be said of each backbone beside the best of its task. Scores of "
        "different tasks may be different metrics: compare within a column. Intervals are in the table below.",
    )


def regrets(found: Tasks) -> Chart:
    """How far each backbone lies behind the best of each task, with bounds."""
    of_all = found.regrets
    rows = [
        {
            "backbone": backbone,
            "task": task,
            "name": f"{backbone}, {task}",
            "regret": float(of_all.seen[number, place]),
            "low": float(of_all.low[number, place]),
            "high": float(of_all.high[number, place]),
        }
        for place, backbone in enumerate(of_all.arms)
        for number, task in enumerate(of_all.tasks)
    ]
    base = alt.Chart(values(rows)).encode(
        y=alt.Y("backbone:N", sort=by_regret(found), title=None, scale=alt.Scale(paddingInner=0.35)),
        yOffset=alt.YOffset("task:N", sort=list(of_all.tasks)),
        color=alt.Color("task:N", sort=list(of_all.tasks), title=None),
    )
    margin = alt.Chart(values([{"from": 0, "to": found.margin}])).mark_rect(opacity=0.12, color=INK)
    bars = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", title="how far behind the best of the task"), x2="high:Q"
    )
    numbers = [alt.Tooltip(f"{key}:Q", format=".4f") for key in ("regret", "low", "high")]
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x="regret:Q", shape=alt.Shape("task:N", legend=None), tooltip=["backbone:N", "task:N", *numbers]
    )
    return Chart(
        "tasks_regrets",
        "Does one backbone suit all tasks?",
        alt.layer(margin.encode(x="from:Q", x2="to:Q"), bars, points).properties(
            height=max(60, len(of_all.arms) * len(of_all.tasks) * STEP * 2 // 3)
        ),
        f"A backbone suits all where every bar ends within the band (the margin, {found.margin:g}). Bars hold for all "
        "backbones and tasks together in 95% of cases, so they are wider than those of one task alone.",
    )


def by_regret(found: Tasks) -> list[str]:
    """The smallest of the largest regrets first."""
    worst = found.regrets.seen.max(axis=0)
    return [found.regrets.arms[place] for place in worst.argsort(kind="stable")]
