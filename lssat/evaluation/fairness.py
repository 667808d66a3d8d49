"""Scores by subgroup: the worst group, the gap between groups, and the equalised-odds difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lssat.evaluation.metrics import Array, one_score
from lssat.evaluation.uncertainty import bootstrap

LEAST_ROWS = 10  # of a group that is scored
Groups = Mapping[str, Array]
"""Column -> the subgroup of each row of a split [N], in words."""


def worst_group(kind: str, metric: str, logits: Array, labels: Array, groups: Groups) -> dict[str, float]:
    """`worst_group`: the lowest score of any group of any column; `gap`: the largest difference within a column. NaN
    where no column has two.
    """
    found = [
        [*scores.values()]
        for texts in groups.values()
        if len(scores := _by_group(kind, metric, logits, labels, texts)[0]) > 1
    ]
    if not found:
        return {"worst_group": float("nan"), "gap": float("nan")}
    return {"worst_group": min(map(min, found)), "gap": max(max(scores) - min(scores) for scores in found)}


def by_subgroup(kind: str, metric: str, logits: Array, labels: Array, groups: Array, units: Array) -> dict[str, Any]:
    """What `metric` is in each group, and how unequal that is. logits [N,K]; groups [N] texts; units [N]: what
    intervals are resampled by.

    `equalised_odds`: the largest difference between groups of the rate at which a class is found where it is (true
    positives) or is not (false positives), over the classes or labels (Hardt et al., 2016). Groups of fewer than
    LEAST_ROWS rows, or without a class, are listed unscored; of several labels those count that every other group has
    with and without (the label Male says nothing of groups by Male).
    """
    rows_of = {str(name): np.flatnonzero(groups == name) for name in np.unique(groups)}
    scores, left_out = _by_group(kind, metric, logits, labels, groups)
    if left_out:
        logits, labels = np.delete(logits, left_out, 1), np.delete(labels, left_out, 1)
    result: dict[str, Any] = {
        "groups": {name: {"rows": len(rows), "score": scores.get(name)} for name, rows in rows_of.items()},
        "metric": metric,
        "labels_left_out": left_out,
        "unscored": sorted(rows_of.keys() - scores.keys()),
    }
    if len(scores) < 2:
        return result
    kept = [rows_of[name] for name in scores]
    worst = min(scores, key=lambda name: scores[name])

    def gap(rows: Array) -> float:
        found = [
            one_score(kind, metric, logits[part], labels[part])
            for name in scores
            if len(part := rows[groups[rows] == name])
        ]
        return max(found) - min(found)

    return result | {
        "worst_group": worst,
        "worst_score": scores[worst],
        "gap": scores[max(scores, key=lambda name: scores[name])] - scores[worst],
        "gap_interval": bootstrap(units, gap),
        "equalised_odds": equalised_odds(kind, logits, labels, kept),
    }


def _by_group(
    kind: str, metric: str, logits: Array, labels: Array, groups: Array
) -> tuple[dict[str, float], list[int]]:
    """The score of each group that can be scored, and the labels that are left out."""
    left_out: list[int] = []
    if kind == "multilabel":
        large = [labels[groups == name] for name in np.unique(groups) if (groups == name).sum() >= LEAST_ROWS]
        left_out = (
            np.flatnonzero(~np.all([part.any(0) & ~part.all(0) for part in large], axis=0)).tolist() if large else []
        )
        logits, labels = np.delete(logits, left_out, 1), np.delete(labels, left_out, 1)
    scores: dict[str, float] = {}
    for name in np.unique(groups):
        rows = np.flatnonzero(groups == name)
        try:
            if len(rows) >= LEAST_ROWS and logits.shape[1]:
                scores[str(name)] = one_score(kind, metric, logits[rows], labels[rows])
        except ValueError:  # a class is missing
            continue
    return scores, left_out


def equalised_odds(kind: str, logits: Array, labels: Array, groups: list[Array]) -> float:
    """Largest difference between `groups` (rows of each) of a true or false positive rate; rates that a group cannot
    have are left out.
    """
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
