"""By class or by attribute: how often each was found, and what was taken for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import altair as alt

from lssat.evaluation.classes import Confusion, tables_by_class
from lssat.task import named
from search.page.charts import COLOURS, INK, Drawn, values
from search.page.document import Block, Cell, Chart, Section, Statement, Table
from search.page.sections.classes import confusion
from search.page.study import StudyOnPage

OF_CLASS = ("precision", "recall", "f1", "support", "predicted")
OF_LABEL = (
    *("support", "precision", "recall", "f1"),
    *("balanced_accuracy", "accuracy", "macro_f1", "auc", "average_precision", "ece"),
)
GUESSED = ("balanced_accuracy", "auc")
"""Metrics by which whoever guesses gets 0.5 of every attribute, whatever its share."""
STEP = 22
"""Pixels of a row of a chart."""
MOST_NAMED = 3
NO_INTERVALS = "Scores of single classes have no intervals; that of the whole score is in the answer."
MOST_DRAWN = 60
"""Rows of a chart."""


@dataclass(frozen=True)
class ByClass:
    """What there is by class. card: a scorecard, or the part of one that is by class. of_what: the split and the run,
    in words. file: where the numbers are.
    """

    card: Mapping[str, Any]
    metric: str
    of_what: str
    units: str
    file: str


def section(study: StudyOnPage) -> Section | None:
    """On test once a winner was chosen, before that on validation; None where there are neither scores nor a run."""
    found = scores_of(study)
    if found is None:
        return None
    is_by_label = "labels" in found.card
    blocks = _of_labels(study, found) if is_by_label else _of_classes(study, found)
    return Section("classes", "By attribute" if is_by_label else "By class", list(blocks))


def scores_of(study: StudyOnPage) -> ByClass | None:
    """The numbers that the section shows."""
    units = "videos" if study.data.get("scored_by") == "video" else "images"
    if study.winner:
        card = study.winner.card
        of_what = f"on test ({study.predicted.run}, whose weights are kept)"
        return ByClass(card, card["group_metric"], of_what, units, study.folder.manifest.name)
    kept = study.predicted.of_run
    if kept is None:
        return None
    of_what = f"on validation ({study.predicted.run}, which leads so far)"
    card = tables_by_class(kept.task, kept.of_rows.of(kept.scored_rows), kept.row_texts.of(kept.scored_rows))
    return ByClass(card, kept.metric, of_what, kept.called, "")


def _of_classes(study: StudyOnPage, found: ByClass) -> Iterator[Block]:
    counted = Confusion.from_json(found.card["confusion"])
    counted = replace(counted, classes=named(study.data["task"], counted.classes))
    scores = {name: of_class._asdict() for name, of_class in counted.scores().items()}
    name = study.file("by_class")
    yield from _ends(study, found, {of: each["f1"] for of, each in scores.items()}, "F1")
    yield Table(
        name,
        f"How well each class is found, {found.of_what}",
        ("class", *OF_CLASS),
        [(of, *(each[key] for key in OF_CLASS)) for of, each in scores.items()],
        f"precision: of the {found.units} taken for the class, how many are of it. recall: of those of it, how many "
        f"are taken for it. f1: of both. support: how many are of it. {NO_INTERVALS}",
        shown=MOST_DRAWN,
    )
    if 2 < len(scores) <= MOST_DRAWN:
        yield Chart(
            study.file("by_class_chart"),
            "Which classes are missed, and which are seen where they are not?",
            _points([{"class": of, **each} for of, each in scores.items()]),
            "The worst by F1 first. Precision below recall: other classes are taken for it.",
        )
    yield from confusion.blocks(study, counted, found.of_what, found.units)


def _of_labels(study: StudyOnPage, found: ByClass) -> Iterator[Block]:
    labels: Mapping[str, Mapping[str, Any]] = found.card["labels"]
    known = [key for key in OF_LABEL if any(each.get(key) is not None for each in labels.values())]
    metric = found.metric
    ranked = sorted(labels, key=lambda name: -_or_lowest(labels[name].get(metric)))
    words = metric.replace("_", " ")
    yield from _ends(study, found, {name: labels[name].get(metric) for name in labels}, words)
    if len(ranked) <= MOST_DRAWN:
        yield Chart(
            study.file("by_attribute_chart"),
            "Which attributes are found?",
            _bars([{"attribute": name, **_scores(labels[name], known)} for name in ranked], metric, known),
            f"{words[0].upper()}{words[1:]} {found.of_what}." + (" 0.5 is guessing." if metric in GUESSED else ""),
        )
    rows: list[list[Cell]] = [[name, *(labels[name].get(key) for key in known)] for name in ranked]
    has_support = "support" in known
    yield Table(
        study.file("by_attribute"),
        f"How well each attribute is found, {found.of_what}",
        ("attribute", *known),
        rows,
        ("precision, recall and f1 are of the images that have the attribute, support is how many do. " * has_support)
        + NO_INTERVALS,
        shown=10,
    )


def _ends(study: StudyOnPage, found: ByClass, scores: Mapping[str, float | None], metric: str) -> Iterator[Statement]:
    """Which are found best and worst, where there are enough of them to be worth a sentence."""
    known = sorted(((score, name) for name, score in scores.items() if score is not None), reverse=True)
    if len(known) < 3:
        return
    most = min(MOST_NAMED, len(known) // 2)
    ends = (known[:most], known[::-1][:most])
    best, worst = (", ".join(f"{name} {score:.2f}" for score, name in part) for part in ends)
    yield Statement(
        f"{study.id}.classes.ends",
        f"Found best by {metric} {found.of_what}: {best}. Found worst: {worst}.",
        "point estimates; that these differ was not tested",
        data=found.file or f"{study.file('by_attribute' if 'labels' in found.card else 'by_class')}.csv",
    )


def _points(rows: list[dict[str, Any]]) -> Drawn:
    """Precision and recall of each class, joined."""
    order = [str(row["class"]) for row in sorted(rows, key=lambda row: _or_lowest(row["f1"]))]
    long = [
        {"class": row["class"], "score": key, "value": row[key], "support": row["support"]}
        for row in rows
        for key in ("precision", "recall")
        if row[key] is not None
    ]
    y = alt.Y("class:N", sort=order, title=None)
    lines = alt.Chart(values(rows)).mark_rule(opacity=0.4, color=INK).encode(y=y, x="precision:Q", x2="recall:Q")
    points = (
        alt.Chart(values(long))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            y=y,
            x=alt.X("value:Q", title="precision, recall", scale=alt.Scale(zero=False)),
            color=alt.Color("score:N", title=None, scale=alt.Scale(range=COLOURS)),
            shape=alt.Shape("score:N", title=None),
            tooltip=["class:N", "score:N", alt.Tooltip("value:Q", format=".3f"), "support:Q"],
        )
    )
    return alt.layer(lines, points).properties(height={"step": STEP + 4})


def _bars(rows: list[dict[str, Any]], metric: str, known: list[str]) -> Drawn:
    """A point for each attribute, at the end of a line from what guessing gets."""
    start = 0.5 if metric in GUESSED else 0.0
    base = alt.Chart(values([{**row, "guessing": start} for row in rows])).encode(
        y=alt.Y("attribute:N", sort=None, title=None)
    )
    x = alt.X(f"{metric}:Q", title=metric.replace("_", " "), scale=alt.Scale(zero=False))
    lines = base.mark_rule(color=COLOURS[0], strokeWidth=3, opacity=0.45).encode(x=x, x2="guessing:Q")
    points = base.mark_point(filled=True, size=70, opacity=1, color=COLOURS[0]).encode(
        x=x,
        tooltip=["attribute:N", *(alt.Tooltip(f"{key}:Q", format="" if key == "support" else ".3f") for key in known)],
    )
    return alt.layer(lines, points).properties(height={"step": STEP - 4})


def _scores(label: Mapping[str, Any], known: list[str]) -> dict[str, float | None]:
    return {key: label.get(key) for key in known}


def _or_lowest(score: float | None) -> float:
    """For ranks: an undefined score comes below all others."""
    return -1.0 if score is None else score
