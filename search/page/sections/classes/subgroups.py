"""Whether the winner treats groups of people alike: scores by subgroup on test, and how sure their differences are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import altair as alt

from lssat.task import named
from search.page.charts import COLOURS, Drawn, values
from search.page.document import Block, Cell, Chart, Section, Statement, Table
from search.page.study import StudyOnPage

RULE = "bootstrap over persons, or else videos or images; the intervals of all pairs of groups hold together"
STEP = 28
"""Pixels of a row of the chart."""


def section(study: StudyOnPage) -> Section | None:
    """None where no subgroups were asked for, or the test split is closed."""
    card = study.winner.card if study.winner else {}
    if not card.get("subgroups"):
        return None
    return Section("subgroups", "Subgroups", list(_blocks(study, card["subgroups"])))


def _blocks(study: StudyOnPage, subgroups: Mapping[str, Any]) -> Iterator[Block]:
    for column, found in subgroups.items():
        yield from _said(study, column, found)
    rows = [row for column, found in subgroups.items() for row in _rows(column, found)]
    metric = next(iter(subgroups.values()))["metric"].replace("_", " ")
    scored = [row for row in rows if row["score"] is not None]
    if len(scored) > 1:
        yield Chart(
            study.file("subgroups_chart"),
            "Which groups are served worse?",
            _points(scored, metric),
            f"{metric[0].upper()}{metric[1:]} on test, by the kept weights; dots are larger the more units a "
            "group has. Scores have no intervals: whether those of two groups overlap says little of their difference, "
            "whose interval is above.",
        )
    columns = ("column", "group", "images", "units", "score")
    cells: list[list[Cell]] = [[row[key] for key in ("column", "group", "rows", "units", "score")] for row in rows]
    yield Table(
        study.file("subgroups"),
        f"{metric[0].upper()}{metric[1:]} by subgroup on test",
        columns,
        cells,
        "units: persons, or else videos or images, that are independent of each other. A group without a score is too "
        "small, or lacks a class.",
        shown=40,
    )


def _said(study: StudyOnPage, column: str, found: Mapping[str, Any]) -> Iterator[Statement]:
    """The gap between the best and the worst group, and equalised odds."""
    id, file = f"{study.id}.subgroups.{column}", study.folder.manifest.name
    if "gap" not in found:
        yield Statement(f"{id}.gap", f"Groups by {column} cannot be compared: fewer than two can be scored.")
        return
    metric = found["metric"].replace("_", " ")
    yield Statement(
        f"{id}.gap",
        f"By {column}, {metric} is lowest for {found['worst_group']} ({found['worst_score']:.4f}), by "
        f"{found['gap']:.4f} below {found['best_group']}{_untold(found['gap_interval'], found['gap_why'])}.",
        RULE,
        _pair(found["gap_interval"]),
        data=file,
    )
    if told := found["told"]:
        pairs = ", ".join(f"{high} above {low}" for high, low in told)
        yield Statement(f"{id}.told", f"Differences by {column} that are more than luck: {pairs}.", RULE, data=file)
    if odds := found["equalised_odds_of"]:
        (of_class,) = named(study.data["task"], [odds["class"]])
        yield Statement(
            f"{id}.odds",
            f"Equalised odds by {column}: {odds['rate']} of {of_class} are more frequent for {odds['high']} than "
            f"for {odds['low']} by {found['equalised_odds']:.4f}{_untold(odds['interval'], odds['why'])}.",
            RULE,
            _pair(odds["interval"]),
            data=file,
        )


def _untold(bounds: list[float] | None, why: str) -> str:
    """What is to be added where the difference may be luck."""
    if bounds is None:
        return f"; that this is more than luck is not known: {why}"
    return "" if bounds[0] > 0 else ", which cannot be told from no difference"


def _pair(bounds: list[float] | None) -> tuple[float, float] | None:
    return (bounds[0], bounds[1]) if bounds else None


def _rows(column: str, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group, entry in found["groups"].items():
        yield {"column": column, "group": group or "(unknown)", "name": f"{column}: {group or '(unknown)'}", **entry}


def _points(rows: list[dict[str, Any]], metric: str) -> Drawn:
    columns = list(dict.fromkeys(row["column"] for row in rows))
    legend = alt.Legend(title=None) if len(columns) > 1 else None
    points = alt.Chart(values(rows)).mark_point(filled=True, opacity=1)
    drawn: Drawn = points.encode(
        y=alt.Y("name:N", sort=None, title=None),
        x=alt.X("score:Q", title=metric, scale=alt.Scale(zero=False)),
        color=alt.Color("column:N", scale=alt.Scale(range=COLOURS), legend=legend),
        shape=alt.Shape("column:N", legend=legend),
        size=alt.Size("units:Q", scale=alt.Scale(range=[30, 220]), legend=None),
        tooltip=["name:N", alt.Tooltip("score:Q", format=".4f"), "rows:Q", "units:Q"],
    ).properties(height={"step": STEP})
    return drawn
