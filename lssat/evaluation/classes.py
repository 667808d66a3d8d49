"""By class or by attribute: what was taken for what, and how often that was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lssat.evaluation.metrics import Array, confusion, evaluate_scores
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts, score_units, scored_by
from lssat.task import Task

TRUTH, PREDICTION = "truth", "prediction"
"""The axes of a table of confusion."""


class ClassScores(NamedTuple):
    """How one class is found. `support`: how many are truly of it; `predicted`: how many are taken for it.

    A score is None where it is undefined, rather than 0: the recall of a class that nothing is of, the precision of one
    that nothing is taken for, the F1 of one that is neither.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int


@dataclass(frozen=True)
class Confusion:
    """How many of each class were taken for each. counts [K, K]: a row for each true class, a column for each predicted
    one.
    """

    classes: tuple[str, ...]
    counts: Array

    def scores(self) -> dict[str, ClassScores]:
        """Of each class, by its name; as of scikit-learn's `precision_recall_fscore_support`."""
        each = zip(self.classes, self.counts.diagonal(), self.counts.sum(1), self.counts.sum(0), strict=True)
        return {
            name: ClassScores(
                _ratio(hits, predicted),
                _ratio(hits, support),
                _ratio(2 * hits, support + predicted),
                int(support),
                int(predicted),
            )
            for name, hits, support, predicted in each
        }

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {
            "rows": TRUTH,
            "columns": PREDICTION,
            "classes": list(self.classes),
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Confusion:
        """The table that `to_json` wrote, or a version before: there each true class had its row by its name."""
        if found.get("rows") == TRUTH:
            return cls(tuple(found["classes"]), np.array(found["counts"]))
        return cls(tuple(found), np.array(list(found.values())))


def confusion_of(task: Task, predictions: Predictions) -> Confusion:
    """Of a binary or multi-class task."""
    return Confusion(task.classes, confusion(*predictions))


def confusion_by_attribute(task: Task, predictions: Predictions) -> dict[str, Confusion]:
    """Of each label of a multi-label task: those without it and those with it."""
    logits, labels = predictions
    return {
        name: Confusion((f"not {name}", name), confusion(logits[:, [column]], labels[:, column]))
        for column, name in enumerate(task.classes)
    }


def tables_by_class(task: Task, predictions: Predictions, texts: RowTexts) -> dict[str, Any]:
    """What a scorecard has by class, as JSON: `classes` and `confusion`, of a multi-label task `labels`.

    `scored_by`: what is counted, "row" or "video". Of each label there are the binary scores too
    (`metrics.evaluate_scores`), None where all or none have it. `texts`: in the order of the predictions.
    """
    units, _ = score_units(task, predictions, texts)
    counted = {"scored_by": scored_by(task, texts)}
    if task.kind != "multilabel":
        table = confusion_of(task, units)
        classes = {name: scores._asdict() for name, scores in table.scores().items()}
        return {**counted, "classes": classes, "confusion": table.to_json()}
    labels = {
        name: {
            **_binary_scores(units.logits[:, [column]], units.labels[:, column]),
            **table.scores()[name]._asdict(),
            "confusion": table.to_json(),
        }
        for column, (name, table) in enumerate(confusion_by_attribute(task, units).items())
    }
    return {**counted, "labels": labels}


def _binary_scores(logits: Array, labels: Array) -> dict[str, float | None]:
    if len(np.unique(labels)) == 2:
        return {**evaluate_scores("binary", logits, labels)}
    names = evaluate_scores("binary", np.array([[0.0], [0.0]]), np.array([0, 1]))
    return dict.fromkeys(names)


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
