"""Which role each setting plays: its share of the score's variance in a grid; in a search, what its best trials have in
common.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from lssat.errors import ConfigError
from search.claims.importance import Role, Share
from search.claims.words import listed
from search.findings.roles import settings
from search.findings.roles.settings import GridSettings, SearchSettings, settings_of
from search.findings.roles.study_runs import SEED
from search.page.charts import COLOURS, STEP, Drawn, colour_of_word, has_intervals, values
from search.page.document import Block, Cell, Chart, Section, Statement, Table
from search.page.study import StudyOnPage

TITLE = "Which role does each setting play?"
BY_SHARES = (
    "share of the variance; F test against seeds and validation units (Brunner, Dette, Munk), all settings together at "
    "5% (Holm)"
)
BY_PED_ANOVA = "description, no test: conditional PED-ANOVA"
"""By which rule it is said."""


def section(study: StudyOnPage) -> Section:
    """What may be said, or why nothing can."""
    try:
        found = settings_of(study.finished)
    except ConfigError as error:
        return Section("settings", TITLE, [_nothing(study, error)])
    blocks = _of_grid(study, found) if isinstance(found, GridSettings) else _of_search(study, found)
    return Section("settings", TITLE, list(blocks))


def _nothing(study: StudyOnPage, error: ConfigError) -> Statement:
    return Statement(f"{study.id}.settings.nothing", f"Nothing can be said of the settings: {error}.")


def _of_grid(study: StudyOnPage, of: GridSettings) -> Iterator[Block]:
    name = study.file("settings")
    shares = {share.factor: share for share in of.found.shares}
    for what, text in settings.claims_of_grid(of).items():
        share = shares.get(what)
        yield Statement(
            f"{study.id}.settings.{what}",
            text,
            BY_SHARES if share or not of.found.why else "",
            (share.low, share.high) if share else None,
            data=f"{name}.csv",
        )
    yield _chart_of_grid(of, study.file("settings_shares"))
    yield Table(
        name,
        "Share of the variance of one run's score, and its 95% interval",
        ("setting", "share", "low", "high", "role"),
        [*map(_row, of.found.shares), [of.floor, _known(of.found.noise), None, None, ""]],
        settings.OF_GRID,
    )
    for what, text in settings.limits_of_grid(of).items():
        yield Statement(f"{study.id}.settings.{what}", text, data=f"{name}.csv")


def _row(share: Share) -> list[Cell]:
    role = share.role.value
    if share.role is Role.CONFOUNDED:
        role = f"confounded with {listed(share.confounded)}"
    return [share.factor, _known(share.share), _known(share.low), _known(share.high), role]


def _chart_of_grid(of: GridSettings, name: str) -> Chart:
    rows: list[dict[str, Any]] = [
        {"name": share.factor, "share": share.share, "low": share.low, "high": share.high, "word": share.role.value}
        for share in of.found.shares
        if share.role is not Role.CONFOUNDED
    ]
    noise = {"name": of.floor, "share": of.found.noise, "low": math.nan, "high": math.nan, "word": ""}
    return Chart(
        name,
        "How much of the variance of a run's score does each setting make?",
        _bars([*rows, noise], "share of the variance"),
        "Thin lines are 95% intervals. Green: the setting matters. Grey: cannot be told. The last bar is what no "
        "setting by itself makes.",
    )


def _of_search(study: StudyOnPage, of: SearchSettings) -> Iterator[Block]:
    name = study.file("settings")
    weights = [
        weight
        for weight in of.found.weights
        if weight.key != SEED and weight.key not in of.confounded and weight.key not in of.constant
    ]
    if weights:
        first = weights[0]
        yield Statement(
            f"{study.id}.settings.{first.key}",
            f"{first.key} sets the best trials apart most: {first.share:.0%} of all importance "
            f"({first.low:.0%} to {first.high:.0%} where trials are drawn again).",
            BY_PED_ANOVA,
            data=f"{name}.csv",
        )
    yield Statement(f"{study.id}.settings.description", settings.description_of(of), BY_PED_ANOVA, data=f"{name}.csv")
    bars = [
        {"name": weight.key, "share": weight.share, "low": weight.low, "high": weight.high, "word": ""}
        for weight in weights
    ]
    yield Chart(
        study.file("settings_importance"),
        "By which settings do the best trials stand out?",
        _bars(bars, "share of all importance"),
        f"A description. {settings.OF_SEARCH}",
    )
    left_out = {key: f"confounded with {listed(others)}" for key, others in of.confounded.items()}
    left_out |= {key: "one value in all trials" for key in of.constant}
    rows: list[Sequence[Cell]] = [[weight.key, weight.share, weight.low, weight.high, ""] for weight in weights]
    yield Table(
        name,
        "Share of all importance, and its spread",
        ("setting", "importance", "low", "high", "note"),
        [*rows, *([key, None, None, None, note] for key, note in left_out.items())],
    )


def _bars(rows: Sequence[Mapping[str, Any]], title: str) -> Drawn:
    """A bar a row, with its interval where there is one. Each row: name, share, low, high, word."""
    known = [{key: _known(value) if isinstance(value, float) else value for key, value in row.items()} for row in rows]
    order = [str(row["name"]) for row in rows]
    base = alt.Chart(values(known)).encode(y=alt.Y("name:N", sort=order, title=None))
    colour = alt.Color("word:N", scale=colour_of_word(rows), legend=None)
    bars = base.mark_bar(size=16, opacity=0.75).encode(
        x=alt.X("share:Q", title=title, axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domainMin=0)),
        color=alt.condition("datum.word == ''", alt.value(COLOURS[0]), colour),
        tooltip=["name:N", *(alt.Tooltip(f"{key}:Q", format=".1%") for key in ("share", "low", "high"))],
    )
    intervals = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q")
    return alt.layer(bars, *([intervals] if has_intervals(known) else [])).properties(height={"step": STEP})


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
