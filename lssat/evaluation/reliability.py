"""Whether probabilities mean what they say: in bins, what was foretold beside how often it happened."""

from __future__ import annotations

from typing import NamedTuple

from scipy.stats import binomtest

from lssat.evaluation.metrics import BINS, Array, bin_of, calibration_error, predicted_labels
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.probability import probabilities
from lssat.evaluation.uncertainty import LEVEL
from lssat.task import Task

PREDICTED_CLASS = "predicted class"


class Bin(NamedTuple):
    """The rows whose probability is between `low` and `high`: their mean probability and how often it came true, with
    Wilson's interval at 95%, which takes rows as independent. None of these where there is no row.
    """

    low: float
    high: float
    rows: int
    probability: float | None
    frequency: float | None
    interval: tuple[float, float] | None


class Reliability(NamedTuple):
    """Of one event, `name`: its bins and its expected calibration error."""

    name: str
    bins: tuple[Bin, ...]
    ece: float


def reliability(task: Task, predictions: Predictions) -> list[Reliability]:
    """Of what `metrics.evaluate_scores` takes the calibration error of: that a row is of the positive class (binary),
    that the predicted class is right (multi-class), that a row has each label (multi-label). The mean of `ece` is that
    error.

    Bins are equal in width, BINS of them, since that error is taken over the same: it is the mean distance of both
    numbers of a bin, weighted by rows. Bins of equal mass would show another error than the one that is told. Where
    videos are scored, give what `units.score_units` makes of the rows: frames of a video are not independent.
    """
    (logits, labels), probability = predictions, probabilities(task.kind, predictions.logits)
    if task.kind == "multiclass":
        is_right = predicted_labels(task.kind, logits) == labels
        return [_of_event(PREDICTED_CLASS, probability.max(1), is_right)]
    if task.kind == "binary":
        return [_of_event(task.classes[1], probability[:, 1], labels)]
    return [_of_event(name, probability[:, column], labels[:, column]) for column, name in enumerate(task.classes)]


def _of_event(name: str, probability: Array, happened: Array) -> Reliability:
    place = bin_of(probability)
    in_bin = [place == index for index in range(BINS)]
    bins = tuple(_bin(index, probability[rows], happened[rows]) for index, rows in enumerate(in_bin))
    return Reliability(name, bins, calibration_error(probability, happened))


def _bin(index: int, probability: Array, happened: Array) -> Bin:
    low, high, rows = index / BINS, (index + 1) / BINS, len(probability)
    if not rows:
        return Bin(low, high, 0, None, None, None)
    hits = int(happened.sum())
    bounds = binomtest(hits, rows).proportion_ci(LEVEL / 100, method="wilson")
    return Bin(low, high, rows, float(probability.mean()), hits / rows, (float(bounds.low), float(bounds.high)))
