"""Which backbone for this task: the final runs of each one's best trial compared or, where too few have any, the best
trials described.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from lssat.errors import ConfigError
from search.claims.words import Word
from search.findings.leaderboard import Row
from search.findings.tasks import Compared, compared_in
from search.page.charts import COLOURS, SAID, Drawn, differences, point, values
from search.page.document import Block, Cell, Chart, Section, Statement, Table
from search.page.statements import of_claim
from search.page.study import StudyOnPage
from search.record.trials import Status

TITLE = "Which backbone for this task?"
FINAL = "in the final stage"
LABELLED = 16
"""Up to so many points of a chart have their names beside them."""
ON_TOP = "The best of many single trials is too high, and single trials differ by luck."


@dataclass(frozen=True)
class Backbone:
    """One on the page. best: its best trial. trials, complete: how many it had, and how many had the full budget."""

    best: Row
    trials: int
    complete: int


def section(study: StudyOnPage) -> Section | None:
    """None where no trial has a score."""
    found = _backbones(study)
    if not found:
        return None
    compared = _compared(study)
    blocks = _claims(study, compared, found) if compared else _description(study, found)
    return Section("backbones", TITLE, list(blocks))


def _backbones(study: StudyOnPage) -> dict[str, Backbone]:
    """By name, as their best trials rank."""
    scored = [row for row in study.rows if row.score is not None]
    trials = Counter(row.backbone for row in scored)
    complete = Counter(row.backbone for row in study.complete)
    found: dict[str, Backbone] = {}
    for row in scored:
        found.setdefault(row.backbone, Backbone(row, trials[row.backbone], complete[row.backbone]))
    return found


def _compared(study: StudyOnPage) -> Compared | None:
    """None where fewer than two backbones have final runs."""
    try:
        finals = list(study.as_task.finals)
        margin = study.manifest.space.search.margin
        return compared_in(study.as_task, finals, margin) if len(finals) > 1 else None
    except ConfigError:
        return None


def _claims(study: StudyOnPage, compared: Compared, found: Mapping[str, Backbone]) -> Iterator[Block]:
    name = study.file("backbones")
    for told in compared.told:
        if told.claim.arm != told.claim.beside or told.claim.word is not Word.UNTOLD:
            yield of_claim(told, f"{study.id}.backbones.{told.claim.arm}", f"{name}.csv")
    if unequally := study.as_task.unequally_tuned:
        yield Statement(f"{study.id}.backbones.tuned", f"The study {unequally}.", data=study.folder.leaderboard.name)
    if left_out := [backbone for backbone in found if backbone not in compared.found.arms]:
        yield Statement(
            f"{study.id}.backbones.left_out",
            f"Not compared, because they have no finished runs {FINAL}: {_some(left_out)}.",
            data=study.folder.leaderboard.name,
        )
    margin = compared.told[0].rule.margin
    if not compared.why:
        yield Chart(
            study.file("backbones_to_best"),
            "How far behind the best backbone?",
            differences([point(told.claim.arm, told) for told in compared.told], margin, "difference to the best"),
            "Bars are 95% intervals, all true together in 95% of studies. The band is the margin "
            f"(±{margin:g}), within which differences do not matter.",
        )
    rows = [
        {
            "name": backbone,
            "score": compared.mean(backbone),
            "parameters": found[backbone].best.parameters,
            "word": told.claim.word.value,
        }
        for told in compared.told
        if (backbone := told.claim.arm) in found
    ]
    yield from _by_size(study, rows, f"Means {FINAL}; which differences can be told is said above.")
    yield Table(
        name,
        f"The best trial of each backbone, trained anew {FINAL}: means over seeds, differences to the best",
        ("backbone", "trials", "trial", "seeds", "mean", "difference", "low", "high", "verdict", "parameters"),
        [_row(compared, place, found) for place in range(len(compared.told))],
        f"Rests on {compared.rests_on}." if not compared.why else f"Nothing can be told: {compared.why}.",
        best=(0,),
    )


def _row(compared: Compared, place: int, found: Mapping[str, Backbone]) -> Sequence[Cell]:
    told = compared.told[place]
    claim, own = told.claim, found.get(told.claim.arm)
    half = told.half if told.difference is not None else None
    return [
        claim.arm,
        own.trials if own else None,
        own.best.trial if own else "",
        compared.found.runs[compared.found.arms.index(claim.arm)],
        compared.mean(claim.arm),
        told.difference,
        None if half is None else claim.low,
        None if half is None else claim.high,
        claim.word.value,
        own.best.parameters if own else None,
    ]


def _description(study: StudyOnPage, found: Mapping[str, Backbone]) -> Iterator[Block]:
    if len(found) == 1:
        only = next(iter(found))
        yield Statement(f"{study.id}.backbones.one", f"The study has one backbone, {only}: none is compared.")
        return
    name = study.file("backbones")
    best, one = next(iter(found.items()))
    yield Statement(
        f"{study.id}.backbones.untested",
        f"Which backbone is the best was not tested: fewer than two have finished runs {FINAL}. Below stands the best "
        f"single trial of each, as a description. {ON_TOP}",
        is_warning=True,
        data=f"{name}.csv",
    )
    which = "those with the full budget" if one.best.status == Status.COMPLETE else "those that were stopped or go on"
    yield Statement(
        f"{study.id}.backbones.leading",
        f"Of {which}, trial {one.best.trial} ({best}) has the highest score: {one.best.score:.4f}.",
        "description, no test",
        data=f"{name}.csv",
    )
    yield Statement(
        f"{study.id}.backbones.finals",
        "Train the best trial of each backbone anew over seeds, to compare them.",
        command=f"{study.resume} --set search.finalists=1 --set search.finalists_per=backbone --set "
        "search.supervised=none",
    )
    rows = [
        {
            "name": backbone,
            "score": of.best.score,
            "parameters": of.best.parameters,
            "word": "full budget" if of.best.status == Status.COMPLETE else "stopped or open",
        }
        for backbone, of in found.items()
    ]
    yield from _by_size(study, rows, f"The best single trial of each backbone, a description. {ON_TOP}")
    yield Table(
        name,
        "The best single trial of each backbone",
        ("backbone", "trials", "complete", "trial", "score", "epochs", "status", "parameters", "pretrained"),
        [_described(backbone, of) for backbone, of in found.items()],
        "Those with the full budget stand first; where others were stopped, their scores are of fewer epochs.",
    ).without_alike(("pretrained", "status"))


def _described(backbone: str, of: Backbone) -> Sequence[Cell]:
    row = of.best
    own = [row.trial, row.score, row.epochs, row.status.value, row.parameters, row.pretrained]
    return [backbone, of.trials, of.complete, *own]


def _by_size(study: StudyOnPage, rows: Sequence[dict[str, Any]], caption: str) -> Iterator[Chart]:
    known = [row for row in rows if row["parameters"]]
    if len(known) > 1:
        name = study.file("backbones_by_size")
        yield Chart(name, "Is a larger backbone better?", _scatter(known), caption)


def _scatter(rows: Sequence[Mapping[str, Any]]) -> Drawn:
    """Score over parameters, with names where there is room."""
    words = list(dict.fromkeys(str(row["word"]) for row in rows))
    colours = [SAID.get(word, COLOURS[place]) for place, word in enumerate(words)]
    base = alt.Chart(values(rows)).encode(
        x=alt.X("parameters:Q", title="parameters", scale=alt.Scale(type="log", nice=False, padding=60)),
        y=alt.Y("score:Q", title="score on validation", scale=alt.Scale(zero=False, padding=20)),
    )
    points = base.mark_point(filled=True, size=90, opacity=1).encode(
        color=alt.Color("word:N", title=None, scale=alt.Scale(domain=words, range=colours)),
        shape=alt.Shape("word:N", title=None, scale=alt.Scale(domain=words)),
        tooltip=["name:N", "word:N", alt.Tooltip("score:Q", format=".4f"), alt.Tooltip("parameters:Q", format=",")],
    )
    labels = base.mark_text(dy=-11).encode(text="name:N")
    layers = [points, labels] if len(rows) <= LABELLED else [points]
    return alt.layer(*layers).properties(height=280)


def _some(names: Sequence[str]) -> str:
    """The first of many names."""
    rest = len(names) - LABELLED
    return ", ".join(names[:LABELLED]) + (f" and {rest} more" if rest > 0 else "")
