"""What the study cost: time, epochs and images, of each stage and on each backbone, and what stopping left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import altair as alt

from lssat.model import catalog
from lssat.text.durations import duration
from search.findings.spent import left_out, on_the_clock, seconds_of, spent
from search.page.charts import Drawn, values
from search.page.document import Block, Cell, Chart, Section, Statement, Table
from search.page.groups import colour
from search.page.study import StudyOnPage
from search.record.folder import Stage
from search.record.trials import TrialRecord

COLUMNS = ("runs", "epochs", "images", "hours")
STEP, SHOWN = 24, 20
"""Of the chart: pixels of a row, and rows."""


def section(study: StudyOnPage) -> Section | None:
    """None before the first epoch."""
    if not any(record.num_epochs for record in _all(study)):
        return None
    return Section("cost", "What it cost", list(_blocks(study)))


def _all(study: StudyOnPage) -> list[TrialRecord]:
    return [record for of_stage in study.records.values() for record in of_stage]


def _blocks(study: StudyOnPage) -> Iterator[Block]:
    begun = {stage.words: records for stage, records in study.records.items() if records}
    by_backbone: dict[str, list[TrialRecord]] = {}
    for record in _all(study):
        by_backbone.setdefault(catalog.architecture(record.config.backbone), []).append(record)
    by_backbone = dict(sorted(by_backbone.items(), key=lambda of: -sum(map(seconds_of, of[1]))))
    yield from _statements(study)
    yield _table(study, "cost_by_stage", "By stage", "stage", begun)
    yield _table(study, "cost_by_backbone", "By backbone, all stages together", "backbone", by_backbone)
    if len(by_backbone) > 1:
        yield _chart(study, list(by_backbone))


def _statements(study: StudyOnPage) -> Iterator[Statement]:
    num_rows = _num_rows(study)
    whole, clock = spent(_all(study), num_rows), on_the_clock(_all(study))
    yield Statement(
        f"{study.id}.cost.total",
        f"{whole.runs:,} {'run' if whole.runs == 1 else 'runs'} trained {duration(whole.seconds)} together, in "
        f"{duration(clock)} on the clock: {whole.epochs:,} epochs, {whole.images:,} images.",
        data=_file(study, "cost_by_stage"),
    )
    saved = left_out(study.trials, num_rows)
    if saved.runs:
        share = saved.epochs / saved.planned
        yield Statement(
            f"{study.id}.cost.stopping",
            f"Stopping {saved.runs} of {len(study.trials)} trials early left out {saved.epochs:,} of {saved.planned:,} "
            f"epochs ({share:.0%}), {saved.images:,} images and about {duration(saved.seconds)} at each trial's own "
            "pace. What the stopped ones would have reached is not known.",
            data=_file(study, "cost_by_stage"),
        )


def _table(study: StudyOnPage, name: str, title: str, of: str, groups: Mapping[str, Sequence[TrialRecord]]) -> Table:
    return Table(
        study.file(name),
        title,
        [of, *COLUMNS, "images per s"],
        [[group, *_cells(study, records)] for group, records in groups.items()],
        "Images: as often as each was trained on. Hours: of all runs together, pauses left out. Images per s: "
        "trained on, over all of that time, in which validation and starting count too.",
    )


def _cells(study: StudyOnPage, records: Sequence[TrialRecord]) -> list[Cell]:
    found = spent(records, _num_rows(study))
    pace = round(found.images / found.seconds) if found.seconds else None
    return [found.runs, found.epochs, found.images, round(found.seconds / 3600, 4), pace]


def _chart(study: StudyOnPage, backbones: Sequence[str]) -> Chart:
    shown = backbones[:SHOWN]
    rows = [
        {"backbone": backbone, "stage": stage.words, "place": place, "seconds": round(seconds, 1), "runs": runs}
        for place, stage in enumerate(Stage)
        for backbone in shown
        if (of := [r for r in study.records[stage] if catalog.architecture(r.config.backbone) == backbone])
        for seconds, runs in [(sum(map(seconds_of, of)), len(of))]
    ]
    return Chart(
        study.file("cost"),
        "Which backbones took the time?",
        _bars(rows, shown),
        f"The {SHOWN} that took most." if len(backbones) > SHOWN else "",
    )


def _bars(rows: Sequence[dict[str, object]], order: Sequence[str]) -> Drawn:
    stages = [str(row["stage"]) for row in rows]
    unit, seconds = ("hours", 3600) if max(float(str(row["seconds"])) for row in rows) > 3600 else ("minutes", 60)
    found: alt.Chart = (
        alt.Chart(values(rows))
        .transform_calculate(time=f"datum.seconds / {seconds}")
        .mark_bar()
        .encode(
            x=alt.X("time:Q", title=f"{unit} of training", axis=alt.Axis(tickCount=6)),
            y=alt.Y("backbone:N", sort=list(order), title=None),
            color=colour("stage", stages, "stage"),
            order="place:Q",
            tooltip=["backbone:N", "stage:N", "runs:Q", alt.Tooltip("time:Q", title=unit, format=".2f")],
        )
        .properties(height={"step": STEP})
    )
    return found


def _num_rows(study: StudyOnPage) -> int:
    return int(study.data["rows"]["train"])


def _file(study: StudyOnPage, name: str) -> str:
    return f"{study.file(name)}.csv"
