"""In domain and out of domain: what the score on held-out values says that the one in domain does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from search.findings.domains import TwoRules, of_arms, of_trials
from search.page.charts import COLOURS, INK, Drawn, values
from search.page.document import Block, Cell, Chart, Section, Statement, Table
from search.page.study import StudyOnPage
from search.strategy.finalists import rotation_of

TITLE = "In domain and out of domain"
RULE = "Spearman's rank correlation over trials; interval by Fisher's transformation (Bonett and Wright 2000)"
WORST = (
    " Of a seed the worst fold counts: of both scores on what is held out each by itself; the score in domain of the "
    "same epoch is that of the same run. The best in domain is the mean over all folds."
)
COLUMNS = ("backbone", "held out", "in domain, same epoch", "best in domain", "held out, that epoch")
BY_HELD_OUT, IN_DOMAIN, BY_BOTH, BY_NONE = "by held-out values", "in domain", "by both", "not chosen"
HEIGHT = 360
"""Of the chart, in pixels."""


def section(study: StudyOnPage) -> Section | None:
    """None where nothing is held out, or no trial is complete."""
    trials = of_trials(study.trials)
    if trials is None:
        return None
    return Section("domains", TITLE, list(_blocks(study, trials, of_arms(study.folder, study.runs))))


def _blocks(study: StudyOnPage, trials: TwoRules, arms: TwoRules | None) -> Iterator[Block]:
    name = study.file("domains")
    yield Statement(f"{study.id}.domains.what", _what(study))
    yield _of_ranks(study, trials, f"{name}.csv")
    for found in filter(None, (arms, trials)):
        sentence = f"Of the {found.what}, {found.sentence}."
        yield Statement(
            f"{study.id}.domains.{found.what}",
            sentence,
            "the highest score of each rule; that they differ was not tested",
            data=f"{name}.csv" if found is trials else f"{study.file('domains_of_arms')}.csv",
            is_warning=found.differ,
        )
    yield _chart(trials, study.file("domains_chart"))
    yield _table(trials, name)
    if arms:
        yield _table(arms, study.file("domains_of_arms"))


def _what(study: StudyOnPage) -> str:
    data, rotation = study.trials[0].config.data, rotation_of(study.runs)
    text = (
        f"{'In the search training' if rotation else 'Training'} saw no {data.hold_out} "
        f"{', '.join(data.held_out or ())}. Everything is chosen by the score on these (and on rows without a value); "
        "the score in domain is that on the other validation rows (and again those without a value)."
    )
    if rotation is None:
        return text
    return (
        f"{text} In the final stage it saw no {', then no '.join(rotation.values)}, and a seed's score is the "
        f"{rotation.over} over these."
    )


def _of_ranks(study: StudyOnPage, trials: TwoRules, data: str) -> Statement:
    found, count = trials.correlation, len(trials.judged)
    id = f"{study.id}.domains.ranks"
    if found is None:
        return Statement(id, f"How alike both rules rank trials cannot be told of {count}.", data=data)
    caveat = (
        "The interval takes trials for independent draws, which they are not where sampler or scheduler went by scores."
    )
    text = f"Both rules rank the {count} complete trials with a correlation of {found.value:.2f} (1: alike, 0: no more"
    return Statement(id, f"{text} than luck). {caveat}", RULE, (found.low, found.high), data=data)


def _table(found: TwoRules, name: str) -> Table:
    ranked = sorted(found.judged, key=lambda each: -each.held_out)
    rows: list[Sequence[Cell]] = [
        [each.name, each.backbone, each.held_out, each.beside, each.in_domain, each.got] for each in ranked
    ]
    of = found.what.removesuffix("s")
    note = " Means over the seeds of an arm." if found.what == "arms" else ""
    if found.rotation and found.rotation.over == "worst":
        note += WORST
    return Table(
        name,
        f"Scores of the {found.what} under both rules, ranked by the one on held-out values",
        (of, *COLUMNS),
        rows,
        f"Each rule keeps the epoch that it finds best.{note}",
        best=(0,),
    )


def _chart(found: TwoRules, name: str) -> Chart:
    rows = [
        {
            "trial": each.name,
            "backbone": each.backbone,
            "held_out": each.held_out,
            "in_domain": each.in_domain,
            "chosen": _chosen(found, each.name),
        }
        for each in found.judged
    ]
    return Chart(
        name,
        "Who is good in domain, and who on what training never saw?",
        _points(rows),
        "Each point is a complete trial, with the best epoch of each rule. Points far below the line are good in "
        "domain alone.",
    )


def _points(rows: list[dict[str, Any]]) -> Drawn:
    ends = [row[key] for row in rows for key in ("held_out", "in_domain")]
    line = alt.Chart(values([{"x": end, "y": end} for end in (min(ends), max(ends))]))
    scale = alt.Scale(domain=[BY_HELD_OUT, IN_DOMAIN, BY_BOTH, BY_NONE], range=[*COLOURS[:3], "#8d8d8d"])
    points = (
        alt.Chart(values(rows))
        .mark_point(filled=True, size=90, opacity=0.9)
        .encode(
            x=alt.X("in_domain:Q", title="best score in domain", scale=alt.Scale(zero=False)),
            y=alt.Y("held_out:Q", title="best score on held-out values", scale=alt.Scale(zero=False)),
            color=alt.Color("chosen:N", title="chosen", scale=scale),
            shape=alt.Shape("chosen:N", title="chosen", scale=alt.Scale(domain=scale.domain)),
            tooltip=[
                "trial:N",
                "backbone:N",
                alt.Tooltip("held_out:Q", format=".4f"),
                alt.Tooltip("in_domain:Q", format=".4f"),
            ],
        )
    )
    return alt.layer(line.mark_line(color=INK, opacity=0.4).encode(x="x:Q", y="y:Q"), points).properties(height=HEIGHT)


def _chosen(found: TwoRules, name: str) -> str:
    is_chosen, in_domain = name == found.chosen.name, name == found.chosen_in_domain.name
    if is_chosen and in_domain:
        return BY_BOTH
    return BY_HELD_OUT if is_chosen else IN_DOMAIN if in_domain else BY_NONE
