"""Curves of a class against the others, for a picture: ROC, and precision over recall, in few points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.probability import probabilities
from lssat.task import Task

MOST_POINTS = 200


class Curve(NamedTuple):
    """Of one class, from left to right. x, y [P], P <= MOST_POINTS: of a curve with more points there are fewer, which
    have the same area below them, `area`.
    """

    name: str
    x: Array
    y: Array
    area: float


def roc_curves(task: Task, predictions: Predictions) -> list[Curve]:
    """True over false positive rate, points joined by straight lines; `area` is the AUC.

    Of the positive class, of each class against the others, or of each label; those that no row is of, or every row,
    have none.
    """
    found = []
    for name, score, is_of_class in against_the_others(task, predictions):
        x, y, _ = roc_curve(is_of_class, score)
        area = roc_auc_score(is_of_class, score)
        found.append(Curve(name, *_fewer_corners(x, y), float(area)))
    return found


def precision_recall_curves(task: Task, predictions: Predictions) -> list[Curve]:
    """Precision over recall, of the same classes; `area` is the average precision.

    It is a stair, since straight lines would be too good (Davis and Goadrich, ICML 2006): `y` holds from the point
    before, and is the mean precision there.
    """
    found = []
    for name, score, is_of_class in against_the_others(task, predictions):
        precision, recall, _ = precision_recall_curve(is_of_class, score)
        area = average_precision_score(is_of_class, score)
        x, y = _wider_stairs(recall[::-1], precision[::-1])
        found.append(Curve(name, x, y, float(area)))
    return found


def against_the_others(task: Task, predictions: Predictions) -> Iterator[tuple[str, Array, Array]]:
    """Name, what rows are ranked by [N], and which rows are of the class [N], of each class that has both.

    Of a multi-class task rows are ranked by probabilities, else by logits: where two probabilities round to 1 these
    still tell them apart.
    """
    logits, labels = predictions
    if task.kind == "multiclass":
        names, scores = task.classes, probabilities(task.kind, logits)
        is_of_class = labels[:, None] == np.arange(len(names))
    else:
        names, scores = task.classes[1:] if task.kind == "binary" else task.classes, logits
        is_of_class = labels.reshape(logits.shape) == 1
    for column, name in enumerate(names):
        if len(np.unique(is_of_class[:, column])) == 2:
            yield name, scores[:, column], is_of_class[:, column]


def _fewer_corners(x: Array, y: Array) -> tuple[Array, Array]:
    """A rising line of few points with the same area below it. x, y [P] from 0 to 1.

    Of equal parts of the way, measured along both axes, the ends are kept. Between them comes one corner, on the other
    diagonal of the box that has them as corners: there its place decides the area, and reaches all that a rising line
    in this box can have.
    """
    if len(x) <= MOST_POINTS:
        return x, y
    ends = np.unique(np.searchsorted(x + y, np.linspace(0, 2, MOST_POINTS // 2)))
    below = np.concatenate([[0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])[ends]
    x, y = x[ends], y[ends]
    width, height, middle_x, middle_y = np.diff(x), np.diff(y), (x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2
    above_line = np.diff(below) - width * middle_y
    box = width * height
    shift = np.divide(above_line, box, out=np.zeros_like(box), where=box > 0)  # -1/2 to 1/2
    return _with_corners(x, middle_x - shift * width), _with_corners(y, middle_y + shift * height)


def _wider_stairs(x: Array, y: Array) -> tuple[Array, Array]:
    """A stair of few steps with the same area below it: wide ones have the mean height of those that they are of."""
    rises = np.concatenate([[True], np.diff(x) > 0])
    x, y = x[rises], y[rises]
    if len(x) <= MOST_POINTS:
        return x, y
    ends = np.unique(np.searchsorted(x, np.linspace(0, 1, MOST_POINTS)))
    below = np.concatenate([[0], np.cumsum(np.diff(x) * y[1:])])[ends]
    return x[ends], np.concatenate([y[:1], np.diff(below) / np.diff(x[ends])])


def _with_corners(ends: Array, corners: Array) -> Array:
    """The ends with a corner between each two, which rounding may have put outside."""
    found = np.empty(len(ends) + len(corners))
    found[::2], found[1::2] = ends, np.clip(corners, ends[:-1], ends[1:])
    return found
