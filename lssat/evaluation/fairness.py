"""Scores by subgroup: the worst group, the gap between groups, and the equalised-odds difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lssat.evaluation.metrics import Array, one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.uncertainty import bootstrap

LEAST_ROWS = 10  # of a group that is scored
Groups = Mapping[str, Array]
"""Column -> the subgroup of each row of a split [N], in words."""


def worst_group(kind: str, metric: str, predictions: Predictions, groups: Groups) -> dict[str, float]:
    """`worst_group`: the lowest score of any group of any column; `gap`: the largest difference within a column.

    Both are NaN where no column has two groups that can be scored.
    """
    found = [_by_group(kind, metric, predictions, _rows_of(words))[0].values() for words in groups.values()]
    comparable = [scores for scores in found if len(scores) > 1]
    if not comparable:
        return {"worst_group": float("nan"), "gap": float("nan")}
    return {"worst_group": min(map(min, comparable)), "gap": max(max(scores) - min(scores) for scores in comparable)}


def by_subgroup(kind: str, metric: str, predictions: Predictions, groups: Array, units: Array) -> dict[str, Any]:
    """What `metric` is in each group of one column, and how unequal that is. groups: the words of the column [N];
    units [N]: what intervals are resampled by.

    `equalised_odds`: the largest difference between groups of the rate at which a class is found where it is (true
    positives) or is not (false positives), over the classes or labels (Hardt et al., arXiv 1610.02413). Groups of fewer
    than LEAST_ROWS rows, or without a class, are listed unscored; of several labels those count that every other group
    has with and without (the label Male says nothing of groups by Male).
    """
    rows_of = _rows_of(groups)
    scores, left_out = _by_group(kind, metric, predictions, rows_of)
    predictions = predictions.without_labels(left_out)
    result: dict[str, Any] = {
        "groups": {name: {"rows": len(rows), "score": scores.get(name)} for name, rows in rows_of.items()},
        "metric": metric,
        "labels_left_out": left_out,
        "unscored": sorted(rows_of.keys() - scores.keys()),
    }
    if len(scores) < 2:
        return result

    def gap(rows: Array) -> float:
        parts = [rows[groups[rows] == name] for name in scores]
        if not all(map(len, parts)):
            raise ValueError("a group is missing")
        found = [one_score(kind, metric, *predictions.of(part)) for part in parts]
        return max(found) - min(found)

    worst, best = min(scores, key=lambda name: scores[name]), max(scores, key=lambda name: scores[name])
    return result | {
        "worst_group": worst,
        "worst_score": scores[worst],
        "gap": scores[best] - scores[worst],
        "gap_interval": bootstrap(units, gap),
        "equalised_odds": equalised_odds(kind, predictions, [rows_of[name] for name in scores]),
    }


def equalised_odds(kind: str, predictions: Predictions, groups: list[Array]) -> float:
    """Largest difference between `groups` (rows of each) of a true or false positive rate; rates that a group cannot
    have are left out.
    """
    logits, labels = predictions
    if kind == "multiclass":
        classes = np.arange(logits.shape[1])
        predicted, true = logits.argmax(1)[:, None] == classes, labels[:, None] == classes
    else:
        predicted, true = logits > 0, labels.reshape(len(labels), -1) == 1
    largest = 0.0
    for column in range(predicted.shape[1]):
        for outcome in (True, False):
            cells = [rows[true[rows, column] == outcome] for rows in groups]
            rates = [float(predicted[rows, column].mean()) for rows in cells if len(rows)]
            largest = max(largest, max(rates) - min(rates)) if len(rates) > 1 else largest
    return largest


def _rows_of(groups: Array) -> dict[str, Array]:
    """The rows of each group of one column."""
    return {str(name): np.flatnonzero(groups == name) for name in np.unique(groups)}


def _by_group(
    kind: str, metric: str, predictions: Predictions, rows_of: dict[str, Array]
) -> tuple[dict[str, float], list[int]]:
    """The score of each group that can be scored, and the labels that are left out."""
    large = {name: rows for name, rows in rows_of.items() if len(rows) >= LEAST_ROWS}
    left_out: list[int] = []
    if kind == "multilabel" and large:
        parts = [predictions.labels[rows] for rows in large.values()]
        left_out = np.flatnonzero(~np.all([part.any(0) & ~part.all(0) for part in parts], axis=0)).tolist()
    predictions = predictions.without_labels(left_out)
    scores: dict[str, float] = {}
    for name, rows in large.items():
        try:
            if predictions.logits.shape[1]:
                scores[name] = one_score(kind, metric, *predictions.of(rows))
        except ValueError:  # a class is missing
            continue
    return scores, left_out
