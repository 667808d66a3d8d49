"""Learning curves: the score of each trial by epoch with its stop, the final runs, and the losses of the chosen run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lssat.model import catalog
from search.findings.leaderboard import Row
from search.page.document import Block, Chart, Section, Statement
from search.page.groups import colour, family_of, few
from search.page.lines import STROKE, drawn, ended_early, line, losses, rounded
from search.page.study import StudyOnPage
from search.record.folder import Stage
from search.record.trials import Status
from search.strategy.finalists import SUPERVISED, arm_and_seed

LOSS = "_loss"
SPLITS = {"train", "val"}
FEW = 3
"""Trials below which nothing is said of most of them."""


def section(study: StudyOnPage) -> Section | None:
    """None before the first epoch."""
    if not any(record.num_epochs for of_stage in study.records.values() for record in of_stage):
        return None
    return Section("curves", "Learning curves", list(_blocks(study)))


def _blocks(study: StudyOnPage) -> Iterator[Block]:
    yield from _statements(study)
    if any(record.num_epochs for record in study.trials):
        yield _trials(study)
    if any(record.num_epochs for record in study.records[Stage.FINAL]):
        yield _finals(study)
    yield from _losses(study)


def _statements(study: StudyOnPage) -> Iterator[Statement]:
    stopped = sum(row.status == Status.STOPPED for row in study.rows)
    if stopped:
        yield Statement(
            f"{study.id}.curves.stopped",
            f"Stopped before the last epoch, so that they cannot win: {stopped} of {len(study.rows)} trials.",
            data=f"{study.file('trials')}.csv",
        )
    complete = {row.trial for row in study.complete}
    runs = [record for record in study.trials if record.name in complete and record.num_epochs > 1]
    rising = sum(record.best_epoch == record.num_epochs for record in runs)
    if len(runs) >= FEW and rising > len(runs) / 2:
        yield Statement(
            f"{study.id}.curves.rising",
            f"{rising} of {len(runs)} complete trials had their best score at their last epoch, so that more epochs "
            "may raise it.",
            data=f"{study.file('trials')}.csv",
        )


def _trials(study: StudyOnPage) -> Chart:
    """The best trial is drawn last, above the others."""
    records = {record.name: record for record in study.trials}
    rows = [row for row in reversed(study.rows) if records[row.trial].num_epochs]
    group, title = _group_of(rows)
    lines = [line(records[row.trial], row.backbone, group[row.trial]) for row in rows]
    without = len(study.rows) - len(rows)
    notes = [
        "A line for each trial, thick that of the first in the ranking; point at one to see which it is.",
        "Marks: where a trial ended early, its line is pale." if ended_early(lines) else "",
        f"Without an epoch, and not here: {without}." if without else "",
    ]
    return Chart(
        study.file("curves"),
        "How did the trials learn, and where were they stopped?",
        drawn(
            lines, colour("g", sorted(group.values()), title, STROKE), f"{study.metric} on validation", rows[-1].trial
        ),
        " ".join(filter(None, notes)),
    )


def _group_of(rows: Sequence[Row]) -> tuple[dict[str, str], str]:
    """What tells lines apart, the best of which is the last: the backbone's family or, of one family, how the trials
    ended.
    """
    families = {row.trial: family_of(row) for row in rows}
    if len(set(families.values())) == 1:
        return {row.trial: row.status.value for row in rows}, "status"
    shown = few(list(families.values())[::-1])
    return {trial: shown[family] for trial, family in families.items()}, "backbone family"


def _finals(study: StudyOnPage) -> Chart:
    """The run that validation chose is drawn last."""
    chosen = study.chosen.run if study.chosen else ""
    records = [record for record in study.records[Stage.FINAL] if record.num_epochs]
    places = {row.arm: place for place, row in enumerate(study.table)}
    records.sort(key=lambda record: (record.name == chosen, -places.get(arm_and_seed(record.name)[0], len(places))))
    backbones = [catalog.architecture(record.config.backbone) for record in records]
    arms = [f"{arm_and_seed(record.name)[0]} {name}" for record, name in zip(records, backbones, strict=True)]
    group = few(arms[::-1])
    lines = [
        line(record, backbone, group[arm], SUPERVISED in record.name)
        for record, backbone, arm in zip(records, backbones, arms, strict=True)
    ]
    return Chart(
        study.file("curves_of_finals"),
        "How did the final runs learn?",
        drawn(lines, colour("g", sorted(group.values()), "arm", STROKE), f"{study.metric} on validation", chosen),
        "A line for each arm and seed. Dashed: supervised, without the auxiliary task."
        + (f" Thick: {chosen}, {_why_it(study)}." if chosen in {record.name for record in records} else ""),
    )


def _why_it(study: StudyOnPage) -> str:
    """Why the chosen run is shown: before the study has its winner another may still be chosen."""
    return "which validation chose" if study.winner else "which leads so far"


def _losses(study: StudyOnPage) -> Iterator[Chart]:
    """A chart for each part of the loss of the run that validation chose."""
    if not (chosen := study.chosen):
        return
    parts: dict[str, list[dict[str, Any]]] = {}
    for result in study.folder.record(chosen.stage, chosen.run).epochs:
        for key, value in result.metrics.items():
            split, _, part = key.partition("/")
            if part.endswith(LOSS):
                parts.setdefault(part, []).append({"e": result.epoch, "v": rounded(value), "d": split})
    for part, points in parts.items():
        has_both = {point["d"] for point in points} == SPLITS
        yield Chart(
            study.file(f"curves_of_{part}"),
            f"{part.removesuffix(LOSS).replace('_', ' ').capitalize()} loss of {chosen.run}, {_why_it(study)}",
            losses(points),
            "Where training falls on while validation rises, the network learns its images by heart."
            if has_both
            else "",
        )
