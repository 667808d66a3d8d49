"""Whether probabilities mean what they say, and what other thresholds would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from lssat.evaluation.metrics import BINS
from lssat.evaluation.reliability import PREDICTED_CLASS, Reliability, reliability
from search.page.charts import COLOURS, Drawn, values
from search.page.document import Block, Chart, Section, Statement, Table
from search.page.predicted import Units
from search.page.sections.classes import curves
from search.page.sections.classes.curves import HEIGHT, TENTHS, UNIT, diagonal
from search.page.study import StudyOnPage

MOST_EVENTS = 3
"""Labels whose reliability is drawn, of many."""


def section(study: StudyOnPage) -> Section | None:
    """On validation, of the run that was chosen; None before any run has had its full budget."""
    if not study.chosen:
        return None
    kept = study.predicted.of_run
    if kept is None:
        return Section("calibration", "Calibration", [_lacking(study)])
    return Section("calibration", "Calibration and thresholds", list(_blocks(study, kept)))


def _lacking(study: StudyOnPage) -> Statement:
    text = f"Calibration and curves cannot be shown: {study.predicted.lacking}."
    return Statement(f"{study.id}.calibration.lacking", text)


def _blocks(study: StudyOnPage, kept: Units) -> Iterator[Block]:
    events = sorted(reliability(kept.task, kept.predictions), key=lambda event: -event.ece)
    of_what = f"of {study.predicted.run} on validation"
    yield _error(study, events)
    yield Chart(
        study.file("reliability"),
        "Do probabilities mean what they say?",
        diagram(events[:MOST_EVENTS]),
        f"Of the {kept.called} that were given a probability, how many were so. On the diagonal: as many as foretold; "
        f"below it: fewer. Dots are larger the more {kept.called} they stand for; bars are 95% intervals of each "
        f"frequency (Wilson), as if {kept.called} were independent. {_which(events)}{of_what[0].upper()}{of_what[1:]}.",
    )
    if len(events) > 1:
        rows = [(event.name, event.ece) for event in events]
        yield Table(study.file("calibration"), f"Calibration error {of_what}", ("attribute", "ece"), rows, shown=8)
    yield from curves.blocks(study, kept)


def _error(study: StudyOnPage, events: Sequence[Reliability]) -> Statement:
    mean = sum(event.ece for event in events) / len(events)
    to = events[0].name if len(events) == 1 else f"{len(events)} attributes, in the mean of these,"
    to = f"the {to}" if to == PREDICTED_CLASS else to
    return Statement(
        f"{study.id}.calibration.ece",
        f"On validation the probabilities that {study.predicted.run} gives to {to} are off by {mean:.3f} on average.",
        f"expected calibration error over {BINS} bins of equal width",
        data=study.predicted.file,
    )


def _which(events: Sequence[Reliability]) -> str:
    if len(events) <= MOST_EVENTS:
        return ""
    return f"The {MOST_EVENTS} attributes whose probabilities are furthest off, of {len(events)}. "


def diagram(events: Sequence[Reliability]) -> Drawn:
    """What was foretold, and how often it came true."""
    rows = [
        {
            "event": event.name,
            "foretold": bin.probability,
            "came true": bin.frequency,
            "low": bin.interval[0],
            "high": bin.interval[1],
            "rows": bin.rows,
        }
        for event in events
        for bin in event.bins
        if bin.interval
    ]
    names = [event.name for event in events]
    legend = alt.Legend(title=None) if len(events) > 1 else None
    base = alt.Chart(values(rows)).encode(
        x=alt.X("foretold:Q", title="probability foretold", scale=UNIT, axis=TENTHS),
        color=alt.Color("event:N", scale=alt.Scale(domain=names, range=COLOURS), legend=legend),
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.7).encode(
        y=alt.Y("low:Q", title="how often it came true", scale=UNIT, axis=TENTHS), y2="high:Q"
    )
    points = base.mark_point(filled=True, opacity=1).encode(
        y="came true:Q",
        size=alt.Size("rows:Q", scale=alt.Scale(range=[25, 260]), legend=None),
        shape=alt.Shape("event:N", scale=alt.Scale(domain=names), legend=legend),
        tooltip=[
            "event:N",
            *(alt.Tooltip(f"{key}:Q", format=".3f") for key in ("foretold", "came true", "low", "high")),
            "rows:Q",
        ],
    )
    return alt.layer(diagonal(), bars, points).properties(height=HEIGHT)
